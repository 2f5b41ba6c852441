"""The options of an upload."""

import math
from typing import Any, Literal, get_args

import attrs

from astrometry_client.errors import InputError

ScaleUnits = Literal["degwidth", "arcminwidth", "arcsecperpix", "focalmm"]
YesNo = Literal["y", "n"]
Licence = Literal["d", "y", "n"]
LicenceShareAlike = Literal["d", "y", "n", "sa"]
Parity = Literal[0, 1, 2]

_SMALLEST = 1e-9
"""What is sent for 0 where the server drops a 0: a billionth of a degree is no difference to any of them."""

_LARGEST_SIZE = 2**31 - 1
"""The server's database keeps sizes as 32-bit integers and answers 500 to more."""


def _option(wire: str, check: Any, *, keep_zero: bool = False) -> Any:
    """Return an option: its key on the wire, what is allowed, whether the server must not see a bare 0."""
    return attrs.field(
        default=None,
        validator=attrs.validators.optional(check),
        metadata={"wire": wire, "keep_zero": keep_zero},
    )


def _refuse(attribute: Any, value: Any, allowed: str) -> InputError:
    return InputError(f"{attribute.name}={value!r} is not allowed: give {allowed}.")


def _number(
    *, low: float = -math.inf, high: float = math.inf, above: float = -math.inf, whole: bool = False
) -> Any:
    bounds = [
        f"above {above:g}" if math.isfinite(above) else "",
        f"at least {low:g}" if math.isfinite(low) else "",
        f"at most {high:g}" if math.isfinite(high) else "",
    ]
    allowed = ("a whole number " if whole else "a number ") + " and ".join(filter(None, bounds))

    def check(_: Any, attribute: Any, value: Any) -> None:
        kind = int if whole else (int, float)
        if not isinstance(value, kind) or isinstance(value, bool) or not math.isfinite(value):
            raise _refuse(attribute, value, allowed)
        if value <= above or not low <= value <= high:
            raise _refuse(attribute, value, allowed)

    return check


def _one_of(kind: Any) -> Any:
    def check(_: Any, attribute: Any, value: Any) -> None:
        if value not in get_args(kind) or isinstance(value, bool):
            raise _refuse(attribute, value, f"one of {', '.join(map(repr, get_args(kind)))}")

    return check


def _boolean(_: Any, attribute: Any, value: Any) -> None:
    # nova counts the text "false" as true, so nothing but a real boolean may pass.
    if not isinstance(value, bool):
        raise _refuse(attribute, value, "True or False")


def _text(_: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise _refuse(attribute, value, "a text that is not empty")


@attrs.frozen(kw_only=True)
class Settings:
    """The options of an upload; everything left out is the server's choice.

    Nothing but the image is needed for a blind solve. A scale range and a position make it faster.

    Parameters
    ----------
    scale_units
        What the scale numbers mean: `degwidth` or `arcminwidth` (width of the image),
        `arcsecperpix` (pixel scale), `focalmm` (35-mm equivalent focal length).
    scale_lower, scale_upper
        Range of the scale, above 0 and in order; both need `scale_units`.
    scale_est, scale_err_percent
        Estimate of the scale and its error of up to 100 %; always together, instead of a range.
    center_ra_deg, center_dec_deg, radius_deg
        Where to look: 0 to 360, -90 to 90, above 0 to 180 degrees; always the three together.
    downsample_factor
        At least 1; the image is shrunk by it before sources are sought.
    tweak_order
        Order of the SIP distortion polynomial, 0 to 9; 0 is none.
    parity
        0: only as the sky is seen in the file's pixel order, 1: only mirrored, 2: both.
    positional_error_px
        How far a source may be from its true place, in pixels, above 0.
    crpix_center
        Whether the WCS gets its reference point at the image centre.
    use_sextractor, invert
        Find sources with SExtractor; the image is a negative.
    image_width_px, image_height_px
        Size of the image, for source lists.
    publicly_visible, allow_commercial_use, allow_modifications
        Privacy and licence as the site's upload page has them; `d` is the account's default.
    album
        Title of an album of the account that exists.

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

    scale_units: ScaleUnits | None = _option("scale_units", _one_of(ScaleUnits))
    scale_lower: float | None = _option("scale_lower", _number(low=0), keep_zero=True)
    scale_upper: float | None = _option("scale_upper", _number(above=0))
    scale_est: float | None = _option("scale_est", _number(above=0))
    scale_err_percent: float | None = _option("scale_err", _number(above=0, high=100))
    center_ra_deg: float | None = _option("center_ra", _number(low=0, high=360), keep_zero=True)
    center_dec_deg: float | None = _option("center_dec", _number(low=-90, high=90), keep_zero=True)
    radius_deg: float | None = _option("radius", _number(above=0, high=180))
    downsample_factor: float | None = _option("downsample_factor", _number(low=1))
    tweak_order: int | None = _option("tweak_order", _number(low=0, high=9, whole=True))
    parity: Parity | None = _option("parity", _one_of(Parity))
    positional_error_px: float | None = _option("positional_error", _number(above=0))
    crpix_center: bool | None = _option("crpix_center", _boolean)
    use_sextractor: bool | None = _option("use_sextractor", _boolean)
    invert: bool | None = _option("invert", _boolean)
    image_width_px: int | None = _option("image_width", _number(low=1, high=_LARGEST_SIZE, whole=True))
    image_height_px: int | None = _option("image_height", _number(low=1, high=_LARGEST_SIZE, whole=True))
    publicly_visible: YesNo | None = _option("publicly_visible", _one_of(YesNo))
    allow_commercial_use: Licence | None = _option("allow_commercial_use", _one_of(Licence))
    allow_modifications: LicenceShareAlike | None = _option("allow_modifications", _one_of(LicenceShareAlike))
    album: str | None = _option("album", _text)

    def __attrs_post_init__(self) -> None:
        self._check_together("center_ra_deg", "center_dec_deg", "radius_deg")
        self._check_together("scale_est", "scale_err_percent")
        self._check_together("image_width_px", "image_height_px")
        ranged = self.scale_lower is not None or self.scale_upper is not None
        if ranged and self.scale_est is not None:
            raise InputError("scale_est and scale_lower/scale_upper exclude each other: give one of the two.")
        if (ranged or self.scale_est is not None) and self.scale_units is None:
            units = ", ".join(get_args(ScaleUnits))
            raise InputError(f"scale_units=None is not allowed with a scale: give one of {units}.")
        if (
            self.scale_lower is not None
            and self.scale_upper is not None
            and self.scale_lower > self.scale_upper
        ):
            raise InputError(
                f"scale_lower={self.scale_lower} is above scale_upper={self.scale_upper}: give them in order."
            )

    def _check_together(self, *names: str) -> None:
        missing = [name for name in names if getattr(self, name) is None]
        if missing and len(missing) < len(names):
            raise InputError(
                f"{', '.join(missing)} missing: {', '.join(names)} are given together or not at all."
            )

    def payload(self) -> dict[str, Any]:
        """Return the options as the server wants them inside `request-json`."""
        sent: dict[str, Any] = {}
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if value is not None:
                sent[field.metadata["wire"]] = (
                    _SMALLEST if value == 0 and field.metadata["keep_zero"] else value
                )
        if self.scale_units is not None:
            sent["scale_type"] = "ul" if self.scale_est is None else "ev"
        return sent
