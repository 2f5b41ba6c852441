"""Settings under the server's names, as astroquery takes them, turned into ours."""

import warnings
from collections.abc import Mapping
from typing import Any, Final

from astrometry_client.errors import InputError
from astrometry_client.models import Settings

_NAMES: Final = {option.wire: option.name for option in Settings.describe()}
"""Our name of each setting, by the server's."""

_OF_SCALE_TYPE: Final = {"ul": ("scale_lower", "scale_upper"), "ev": ("scale_est", "scale_err")}
_OF_PLACE: Final = ("center_ra", "center_dec", "radius")

EMPTY_SETTINGS: Final[Mapping[str, Any]] = {
    **{name: None for name in _NAMES if not name.startswith("image_")},
    "scale_type": None,
    "allow_commercial_use": "d",
    "allow_modifications": "d",
    "publicly_visible": "y",
    "tweak_order": 2,
    "use_sextractor": False,
}
"""Every setting with the default it has in astroquery 0.4.11 (read 2026-11); ours beyond those are `None`."""

SCALE_TYPE_LINE: Final = (
    "scale_type: one of 'ul', 'ev', default value ul. Whether scale_lower and scale_upper count, or "
    "scale_est and scale_err."
)


def settings_from(given: Mapping[str, Any]) -> Settings:
    """Return settings given under the server's names, checked; those that are `None` are left out.

    Raises
    ------
    InputError
        A name or a value is not allowed, or one is missing that another needs.
    """
    told = {name: value for name, value in given.items() if value is not None}
    unknown = [name for name in told if name not in EMPTY_SETTINGS]
    if unknown:
        raise InputError(f"Setting {unknown[0]} is not allowed: give one of {', '.join(EMPTY_SETTINGS)}.")
    _take_scale_type(told)
    _drop_lone_place(told)
    return Settings(**{_NAMES[name]: value for name, value in told.items()})


def center_in_header(image: Any, ra_key: str, dec_key: str, *, units: tuple[str, str]) -> dict[str, float]:
    """Return the position in the first header of a FITS file as settings.

    Raises
    ------
    InputError
        The file has no such header, or what stands there is no position.
    """
    from astropy.coordinates import SkyCoord
    from astropy.io import fits

    try:
        header = fits.getheader(image)
        center = SkyCoord(header[ra_key], header[dec_key], unit=units)
    except (OSError, KeyError, ValueError, TypeError) as cause:
        reason = " ".join(str(cause).split())
        raise InputError(
            f"ra_key={ra_key!r}, dec_key={dec_key!r} give no position ({reason}): name keywords of the "
            "FITS header, and their units in ra_dec_units."
        ) from cause
    return {"center_ra": float(center.ra.deg), "center_dec": float(center.dec.deg)}


def _take_scale_type(told: dict[str, Any]) -> None:
    """Keep the scale that `scale_type` names; ours follows from the numbers given."""
    scale_type = told.pop("scale_type", None)
    if scale_type is not None:
        if scale_type not in _OF_SCALE_TYPE:
            raise InputError(f"scale_type={scale_type!r} is not allowed: give 'ul' or 'ev'.")
        needed = (*_OF_SCALE_TYPE[scale_type], "scale_units")
        if not all(name in told for name in needed):
            raise InputError(f"scale_type={scale_type!r} needs {', '.join(needed)}.")
        for other in _OF_SCALE_TYPE["ev" if scale_type == "ul" else "ul"]:
            told.pop(other, None)
    if any(name in told for names in _OF_SCALE_TYPE.values() for name in names):
        # The server's own default.
        told.setdefault("scale_units", "degwidth")


def _drop_lone_place(told: dict[str, Any]) -> None:
    """Leave out a position the server would not look at: without a radius it does not count."""
    missing = [name for name in _OF_PLACE if name not in told]
    if missing and len(missing) < len(_OF_PLACE):
        for name in _OF_PLACE:
            told.pop(name, None)
        warnings.warn(
            f"center_ra, center_dec and radius count together; {' and '.join(missing)} missing, so the whole "
            "sky is searched.",
            stacklevel=4,
        )
