"""Options become hints in the engine's units."""

from typing import Any

import pytest

from astrometry_client.server.engine import Hints
from astrometry_client.server.hints import HintsError, make_hints


def scale(**options: Any) -> tuple[float | None, float | None]:
    hints = make_hints(options, width_px=1000)
    return hints.scale_lower_arcsec, hints.scale_upper_arcsec


def test_nothing_given_is_nothing_known() -> None:
    assert make_hints({}, width_px=1000) == Hints()


@pytest.mark.parametrize(
    ("units", "lower", "upper", "expected"),
    [
        ("degwidth", 1.0, 2.0, (3.6, 7.2)),
        ("arcminwidth", 60.0, 120.0, (3.6, 7.2)),
        ("arcsecperpix", 3.6, 7.2, (3.6, 7.2)),
        # full-frame field widths at 28 and 50 mm: 65.5 and 39.6 degrees
        ("focalmm", 28.0, 50.0, (39.5978 * 3.6, 65.4705 * 3.6)),
    ],
)
def test_scale_is_turned_into_arcsec_per_pixel(
    units: str, lower: float, upper: float, expected: tuple[float, float]
) -> None:
    assert scale(scale_units=units, scale_lower=lower, scale_upper=upper) == pytest.approx(expected, rel=1e-5)


def test_estimate_has_an_error_in_percent() -> None:
    given = {"scale_type": "ev", "scale_units": "arcsecperpix", "scale_est": 10.0, "scale_err": 20.0}
    assert scale(**given) == pytest.approx((8.0, 12.0))


def test_missing_bound_is_novas_default() -> None:
    assert scale(scale_lower=1.0) == pytest.approx((3.6, 648.0))
    assert scale(scale_upper=1.0) == pytest.approx((0.36, 3.6))


def test_lower_bound_of_zero_is_no_bound() -> None:
    assert scale(scale_lower=0.0, scale_upper=1.0) == (None, pytest.approx(3.6))


def test_position_is_used_when_complete() -> None:
    hints = make_hints({"center_ra": 0.0, "center_dec": 0.0, "radius": 5.0}, width_px=10)
    assert (hints.ra_deg, hints.dec_deg, hints.radius_deg) == (0.0, 0.0, 5.0)
    assert make_hints({"center_ra": 10.0, "center_dec": 20.0}, width_px=10) == Hints()


@pytest.mark.parametrize(("option", "sign"), [(0, -1), (1, 1), (2, None), (7, None)])
def test_parity_is_the_sign_a_calibration_reports(option: int, sign: int | None) -> None:
    assert make_hints({"parity": option}, width_px=10).parity == sign


def test_the_rest_is_handed_on() -> None:
    options = {"downsample_factor": 2.0, "tweak_order": 0, "crpix_center": True, "positional_error": 3.0}
    hints = make_hints(options, width_px=10)
    assert (hints.downsample_factor, hints.tweak_order, hints.crpix_center, hints.positional_error_px) == (
        *(2.0, 0),
        *(True, 3.0),
    )


@pytest.mark.parametrize(
    "options",
    [
        {"scale_type": "ev"},
        {"scale_type": "ev", "scale_est": 1.0},
        {"scale_lower": 100.0, "scale_upper": 1.0},
        {"scale_lower": -5.0, "scale_upper": -1.0},
        {"scale_lower": 1.0, "scale_upper": 2.0, "scale_units": "parsecs"},
        {"center_ra": 1.0, "center_dec": 200.0, "radius": 1.0},
        {"center_ra": 1.0, "center_dec": 20.0, "radius": -1.0},
        {"center_ra": "nan", "center_dec": 20.0, "radius": 1.0},
    ],
)
def test_contradiction_is_told(options: dict[str, Any]) -> None:
    with pytest.raises(HintsError):
        make_hints(options, width_px=1000)
