"""What the options of an upload tell an engine."""

import math
from typing import Any

from .engine import Hints

DEFAULT_SCALE = (0.1, 180.0)
"""Bounds nova puts for a missing one (`scale_lower`, `scale_upper` of its upload page)."""

FILM_WIDTH_MM = 36.0
"""`focalmm` speaks of 35 mm film, whose pictures are this wide."""

PARITY = {0: -1, 1: 1}
"""`parity` of an upload → the sign a calibration then reports; 2 means both."""


class HintsError(Exception):
    """The options contradict each other: the job fails, as on nova."""


def make_hints(options: dict[str, Any], *, width_px: int) -> Hints:
    """Return what the options of an upload tell an engine about an image of this width.

    Raises
    ------
    HintsError
        They contradict each other.
    """
    known: dict[str, Any] = {**_scale(options, width_px), **_position(options)}
    if options.get("parity") in PARITY:
        known["parity"] = PARITY[options["parity"]]
    if options.get("downsample_factor"):
        known["downsample_factor"] = max(1.0, options["downsample_factor"])
    if options.get("positional_error"):
        known["positional_error_px"] = _finite(options, "positional_error")
    for name in ("tweak_order", "crpix_center", "invert"):
        if name in options:
            known[name] = options[name]
    return Hints(**known)


def _finite(options: dict[str, Any], name: str) -> float:
    value = options[name]
    if not isinstance(value, float):
        raise HintsError(f"{name} is {value}")
    return value


def _position(options: dict[str, Any]) -> dict[str, float]:
    names = {"center_ra": "ra_deg", "center_dec": "dec_deg", "radius": "radius_deg"}
    if not all(name in options for name in names):
        return {}
    position = {key: _finite(options, name) for name, key in names.items()}
    if abs(position["dec_deg"]) > 90.0 or position["radius_deg"] < 0.0:
        raise HintsError("the position is not on the sky")
    return position


def _scale(options: dict[str, Any], width_px: int) -> dict[str, float]:
    if options.get("scale_type", "ul") == "ev":
        lower, upper = _estimated(options)
    elif "scale_lower" in options or "scale_upper" in options:
        lower, upper = (
            _finite(options, name) if name in options else default
            for name, default in zip(("scale_lower", "scale_upper"), DEFAULT_SCALE, strict=True)
        )
    else:
        return {}
    if lower > upper or upper <= 0.0:
        raise HintsError(f"no scale lies between {lower:g} and {upper:g}")
    bounds = sorted(
        _arcsec_per_pixel(value, options.get("scale_units", "degwidth"), width_px) for value in (lower, upper)
    )
    return {
        name: bound
        for name, bound in zip(("scale_lower_arcsec", "scale_upper_arcsec"), bounds, strict=True)
        if 0.0 < bound < math.inf
    }


def _estimated(options: dict[str, Any]) -> tuple[float, float]:
    if "scale_est" not in options or "scale_err" not in options:
        raise HintsError("scale_type ev needs scale_est and scale_err")
    estimate, error = _finite(options, "scale_est"), _finite(options, "scale_err") / 100.0
    return estimate * (1.0 - error), estimate * (1.0 + error)


def _arcsec_per_pixel(value: float, units: str, width_px: int) -> float:
    if units == "arcsecperpix":
        return value
    if units == "focalmm":
        width_deg = math.degrees(2.0 * math.atan2(FILM_WIDTH_MM / 2.0, value))
    elif units in ("degwidth", "arcminwidth"):
        width_deg = value / (60.0 if units == "arcminwidth" else 1.0)
    else:
        raise HintsError(f"scale_units {units} is unknown")
    return width_deg * 3600.0 / width_px
