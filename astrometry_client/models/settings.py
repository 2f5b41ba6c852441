"""The options of an upload."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_args

import attrs

from astrometry_client.errors import InputError
from astrometry_client.models.options import (
    TEXT,
    YES_OR_NO,
    Option,
    described,
    number,
    one_of,
    option,
    plain,
    sent,
)

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

ScaleUnits = Literal["degwidth", "arcminwidth", "arcsecperpix", "focalmm"]
YesNo = Literal["y", "n"]
Licence = Literal["d", "y", "n"]
LicenceShareAlike = Literal["d", "y", "n", "sa"]
Parity = Literal[0, 1, 2]

_UNITS_OF_SCALE: Final = {
    "degwidth": "deg",
    "arcminwidth": "arcmin",
    "arcsecperpix": "arcsec / pix or arcsec",
    "focalmm": "mm",
}
"""What a quantity is converted to, in astropy's words."""

_SIZE: Final = number(low=1, high=2**31 - 1, whole=True)
"""The server's database keeps sizes as 32-bit integers and answers 500 to more."""


@attrs.frozen(kw_only=True)
class Settings:
    """The options of an upload; everything left out is the server's choice.

    Nothing but the image is needed for a blind solve. A scale range and a position make it faster.
    Settings never change: `set_scale_range` and its like return new ones. Numbers with units may be given
    as astropy quantities or angles; numbers without are in the unit told here.

    Raises
    ------
    InputError
        An option is out of range, or one is missing that another needs.

    Notes
    -----
    Source: the site's API page and the recorded exchanges with the server (2026-11). The server
    silently drops `center_ra`, `center_dec` and `scale_lower` when they are 0, so a
    billionth is sent instead.
    """

    scale_units: ScaleUnits | None = option(
        "scale_units",
        one_of(ScaleUnits),
        "What the scale numbers mean: the width of the image in degrees or arc minutes, the pixel scale in "
        "arc seconds, or the focal length in mm of a camera of 35-mm film.",
        server="degwidth",
    )
    scale_lower: float | None = option(
        "scale_lower",
        number(low=0),
        "Lower end of the scale; needs `scale_units`.",
        unit="scale_units",
        server="0.1 degwidth",
        keep_zero=True,
    )
    scale_upper: float | None = option(
        "scale_upper",
        number(above=0),
        "Upper end of the scale, not below the lower; needs `scale_units`.",
        unit="scale_units",
        server="180 degwidth",
    )
    scale_est: float | None = option(
        "scale_est",
        number(above=0),
        "Estimate of the scale, instead of a range; needs `scale_units` and `scale_err_percent`.",
        unit="scale_units",
    )
    scale_err_percent: float | None = option(
        "scale_err", number(above=0, high=100), "Error of the estimate, always with it.", unit="%"
    )
    center_ra_deg: float | None = option(
        "center_ra",
        number(low=0, high=360),
        "Right ascension of about the centre (ICRS), always with the declination and the radius.",
        unit="deg",
        server="all sky",
        keep_zero=True,
    )
    center_dec_deg: float | None = option(
        "center_dec",
        number(low=-90, high=90),
        "Declination of about the centre (ICRS).",
        unit="deg",
        server="all sky",
        keep_zero=True,
    )
    radius_deg: float | None = option(
        "radius",
        number(above=0, high=180),
        "How far the centre may be from there.",
        unit="deg",
        server="all sky",
    )
    downsample_factor: float | None = option(
        "downsample_factor", number(low=1), "The image is shrunk by it before sources are sought.", server="2"
    )
    tweak_order: int | None = option(
        "tweak_order",
        number(low=0, high=9, whole=True),
        "Order of the SIP distortion polynomial; 0 is none.",
        server="2",
    )
    parity: Parity | None = option(
        "parity",
        one_of(Parity),
        "0: only as the sky is seen in the file's pixel order, 1: only mirrored, 2: both.",
        server="2",
    )
    positional_error_px: float | None = option(
        "positional_error",
        number(above=0),
        "How far a source may be from its true place.",
        unit="pix",
        server="1",
    )
    crpix_center: bool | None = option(
        "crpix_center",
        YES_OR_NO,
        "Whether the WCS gets its reference point at the image centre.",
        server="False",
    )
    use_sextractor: bool | None = option(
        "use_sextractor", YES_OR_NO, "Whether sources are found by SExtractor.", server="False"
    )
    invert: bool | None = option(
        "invert", YES_OR_NO, "Whether the image is a negative: dark stars.", server="False"
    )
    image_width_px: int | None = option(
        "image_width", _SIZE, "Width of the image of a list of sources, with the height.", unit="pix"
    )
    image_height_px: int | None = option(
        "image_height", _SIZE, "Height of the image of a list of sources.", unit="pix"
    )
    publicly_visible: YesNo | None = option(
        "publicly_visible", one_of(YesNo), "Whether others may see the image on the site.", server="y"
    )
    allow_commercial_use: Licence | None = option(
        "allow_commercial_use", one_of(Licence), "Licence; `d` is the account's default.", server="d"
    )
    allow_modifications: LicenceShareAlike | None = option(
        "allow_modifications",
        one_of(LicenceShareAlike),
        "Licence; `sa` is share alike, `d` is the account's default.",
        server="d",
    )
    album: str | None = option("album", TEXT, "Title of an album of the account, which must exist.")
    engine: str | None = option(
        "engine",
        TEXT,
        "Solver an embedded server is to use, `sep` or `solve-field`; nova passes over it.",
        server="the server's first",
    )
    center: "SkyCoord | None" = attrs.field(default=None, repr=False, eq=False)
    """In place of `center_ra_deg` and `center_dec_deg`; not kept."""

    def __attrs_post_init__(self) -> None:
        if self.center is not None:
            self._take_center(self.center)
        for field in _options(type(self)):
            value = getattr(self, field.name)
            if value is not None:
                value = plain(field.name, value, self._unit_of(field))
                field.metadata["kind"].check(field.name, value)
                _set(self, **{field.name: value})
        self._check_combinations()

    @classmethod
    def describe(cls) -> tuple[Option, ...]:
        """Return all options in a table: name, kind, unit, allowed values, default and meaning of each.

        Returns
        -------
        tuple of Option
            In the order in which they are usually given.
        """
        return tuple(described(field) for field in _options(cls))

    def set_scale_range(self, lower: Any, upper: Any, units: ScaleUnits) -> Self:
        """Return new settings with a range of the scale, in place of any scale these have.

        These settings stay as they are: use the ones returned.

        Parameters
        ----------
        lower, upper
            The range, in `units` or as quantities; `lower` at least 0, `upper` above 0.
        units
            `degwidth`, `arcminwidth`, `arcsecperpix` or `focalmm`.

        Returns
        -------
        Settings
            The new ones.

        Raises
        ------
        InputError
            A number or the units are not allowed.
        """
        return attrs.evolve(
            self,
            scale_lower=lower,
            scale_upper=upper,
            scale_units=units,
            scale_est=None,
            scale_err_percent=None,
        )

    def set_scale_estimate(self, est: Any, err: float, units: ScaleUnits) -> Self:
        """Return new settings with an estimate of the scale, in place of any scale these have.

        These settings stay as they are: use the ones returned.

        Parameters
        ----------
        est
            The estimate, in `units` or as a quantity, above 0.
        err
            Its error in percent, above 0 to 100.
        units
            `degwidth`, `arcminwidth`, `arcsecperpix` or `focalmm`.

        Returns
        -------
        Settings
            The new ones.

        Raises
        ------
        InputError
            A number or the units are not allowed.
        """
        return attrs.evolve(
            self, scale_est=est, scale_err_percent=err, scale_units=units, scale_lower=None, scale_upper=None
        )

    def payload(self) -> dict[str, Any]:
        """Return the options as the server wants them inside `request-json`."""
        values = {field: getattr(self, field.name) for field in _options(type(self))}
        told = {
            field.metadata["wire"]: sent(field, value) for field, value in values.items() if value is not None
        }
        if self.scale_units is not None:
            told["scale_type"] = "ul" if self.scale_est is None else "ev"
        return told

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Return the settings that were sent as this; the opposite of `payload`.

        Parameters
        ----------
        payload
            Options under the server's names. Others are left out.

        Returns
        -------
        Settings
            The same, but for a 0 that was sent as a billionth.
        """
        names = {field.metadata["wire"]: field.name for field in _options(cls)}
        return cls(**{names[wire]: value for wire, value in payload.items() if wire in names})

    def _take_center(self, center: Any) -> None:
        if self.center_ra_deg is not None or self.center_dec_deg is not None:
            raise InputError(
                "center and center_ra_deg, center_dec_deg exclude each other: give one of the two."
            )
        place = getattr(center, "icrs", None)
        if place is None or not place.isscalar:
            raise InputError(f"center={center!r} is not allowed: give one SkyCoord.")
        _set(self, center_ra_deg=place.ra.deg, center_dec_deg=place.dec.deg, center=None)

    def _unit_of(self, field: "attrs.Attribute[Any]") -> str:
        unit: str = field.metadata["unit"]
        return _UNITS_OF_SCALE.get(self.scale_units or "", "") if unit == "scale_units" else unit

    def _check_combinations(self) -> None:
        self._check_together("center_ra_deg", "center_dec_deg", "radius_deg")
        self._check_together("scale_est", "scale_err_percent")
        self._check_together("image_width_px", "image_height_px")
        lower, upper = self.scale_lower, self.scale_upper
        ranged = lower is not None or upper is not None
        if ranged and self.scale_est is not None:
            raise InputError("scale_est and scale_lower/scale_upper exclude each other: give one of the two.")
        if (ranged or self.scale_est is not None) and self.scale_units is None:
            units = ", ".join(get_args(ScaleUnits))
            raise InputError(f"scale_units=None is not allowed with a scale: give one of {units}.")
        if lower is not None and upper is not None and lower > upper:
            raise InputError(f"scale_lower={lower} is above scale_upper={upper}: give them in order.")

    def _check_together(self, *names: str) -> None:
        missing = [name for name in names if getattr(self, name) is None]
        if missing and len(missing) < len(names):
            raise InputError(
                f"{', '.join(missing)} missing: {', '.join(names)} are given together or not at all."
            )


def _set(settings: Settings, **values: Any) -> None:
    """Set what was converted, before anybody has seen the settings."""
    for name, value in values.items():
        object.__setattr__(settings, name, value)


def _options(settings: type[Settings]) -> list["attrs.Attribute[Any]"]:
    return [field for field in attrs.fields(settings) if "wire" in field.metadata]


def _with_parameters(text: str) -> str:
    """Return a docstring with what the options are described with, so that it stands in one place."""
    lines = ["Parameters", "----------"]
    for about in Settings.describe():
        unit = f", {about.unit}" if about.unit not in {"", "scale_units"} else ""
        allowed = about.allowed[0].upper() + about.allowed[1:]
        lines += [about.name, f"    {about.meaning} {allowed}{unit}; by default {about.default}."]
    lines += ["center", "    A `SkyCoord` of any frame, for `center_ra_deg` and `center_dec_deg`."]
    return text.replace("Raises", "\n    ".join([*lines, "", "Raises"]), 1)


Settings.__doc__ = _with_parameters(Settings.__doc__ or "")
