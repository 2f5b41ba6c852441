"""The options of an upload, as nova takes them."""

import math
from typing import Any

from .wire import ApiError, PageError

_FLOATS = (
    *("scale_lower", "scale_upper", "scale_est", "scale_err"),
    *("center_ra", "center_dec", "radius", "positional_error"),
)
_COUNTS = ("downsample_factor", "tweak_order", "parity", "image_width", "image_height")
_FLAGS = ("crpix_center", "use_sextractor", "invert")

ZEROS_DROPPED = ("center_ra", "center_dec", "scale_lower")
"""Options nova takes for missing when they are 0."""

FALSE = frozenset({"", "0", "f", "false", "n", "no", "off"})
"""Words nova takes for true."""

LISTED = "listed"
"""Option of our own: the file holds the `x` and `y` lists of the upload."""

URL = "url"
"""Option of our own: where the file of a URL upload is to be fetched."""

ENGINE = "engine"
"""Option of our own: the engine that is to solve. nova passes over it, as over all it does not know."""

LARGEST_COUNT = 2**31 - 1
"""nova's database takes no larger integers."""


_WORDS = (
    *("scale_units", "scale_type", "publicly_visible", "allow_commercial_use", "allow_modifications"),
    ENGINE,
)


def read_options(document: dict[str, Any], *, strict_nova: bool) -> dict[str, Any]:
    """Return the known options of an upload, unknown ones left out.

    Parameters
    ----------
    strict_nova
        Whether to drop zeros, to break at null and to take "false" for true, as nova does.

    Raises
    ------
    ApiError
        For a number that is none.
    PageError
        500, as on nova, in its place.
    """
    given = {
        name: document[name]
        for name in (*_FLOATS, *_COUNTS, *_FLAGS, *_WORDS)
        if name in document and (strict_nova or document[name] is not None)
    }
    if not strict_nova:
        given |= {name: str(given[name]).lower() not in FALSE for name in _FLAGS if name in given}
    try:
        options = {name: _read(name, value) for name, value in given.items()}
    except PageError as error:
        if strict_nova:
            raise
        raise ApiError(error.detail) from error
    dropped = ZEROS_DROPPED if strict_nova else ()
    return {name: value for name, value in options.items() if value or name not in dropped}


def _read(name: str, value: Any) -> Any:
    if name in _FLAGS:
        return bool(value)
    if name in _WORDS:
        return str(value)
    try:
        number = float(value)
        if name in _FLOATS:
            return number if math.isfinite(number) else str(number)
        count = int(number)
    except (TypeError, ValueError, OverflowError) as error:
        raise PageError(500, f"{name} must be a number, not {value!r}"[:200]) from error
    if not 0 <= count <= LARGEST_COUNT:
        raise PageError(500, f"{name} must lie between 0 and {LARGEST_COUNT}")
    return number if name == "downsample_factor" else count


def read_sources(document: dict[str, Any]) -> str | None:
    """Return the `x` and `y` lists of an upload as a text of two columns, or None without them.

    Raises
    ------
    ApiError
        In nova's words, if they are no numbers or not equally many.
    """
    if "x" not in document or "y" not in document:
        return None
    try:
        x = [float(value) for value in document["x"]]
        y = [float(value) for value in document["y"]]
    except (TypeError, ValueError) as error:
        raise ApiError('Failed to parse JSON "x" and "y" values -- should be lists of floats') from error
    if len(x) != len(y):
        raise ApiError('"x" and "y" lists must be the same length')
    return "".join(f"{a!r} {b!r}\n" for a, b in zip(x, y, strict=True))
