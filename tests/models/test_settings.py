"""The options of an upload."""

import pytest

from astrometry_client.errors import InputError
from astrometry_client.models import Settings


def test_nothing_given_sends_nothing() -> None:
    assert Settings().payload() == {}


def test_zeros_the_server_would_drop_travel_as_a_billionth() -> None:
    sent = Settings(
        center_ra_deg=0,
        center_dec_deg=0,
        radius_deg=5,
        scale_units="degwidth",
        scale_lower=0,
        scale_upper=180,
    ).payload()
    assert sent["center_ra"] == sent["center_dec"] == sent["scale_lower"] == pytest.approx(1e-9)


def test_zero_the_server_keeps_travels_as_it_is() -> None:
    assert Settings(parity=0, tweak_order=0).payload() == {"parity": 0, "tweak_order": 0}


def test_estimate_and_range_name_their_scale_type() -> None:
    estimate = Settings(scale_units="arcsecperpix", scale_est=2.0, scale_err_percent=20)
    assert estimate.payload() == {
        "scale_units": "arcsecperpix",
        "scale_type": "ev",
        "scale_est": 2.0,
        "scale_err": 20,
    }
    assert Settings(scale_units="degwidth", scale_upper=30).payload()["scale_type"] == "ul"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"center_ra_deg": 361, "center_dec_deg": 0, "radius_deg": 1}, "center_ra_deg=361"),
        ({"center_ra_deg": 10, "center_dec_deg": 200, "radius_deg": 1}, "center_dec_deg=200"),
        ({"center_ra_deg": 10, "center_dec_deg": 20}, "radius_deg missing"),
        ({"center_ra_deg": 10, "center_dec_deg": 20, "radius_deg": -1}, "radius_deg=-1"),
        ({"center_ra_deg": float("nan"), "center_dec_deg": 1, "radius_deg": 1}, "center_ra_deg=nan"),
        ({"scale_units": "parsecs", "scale_upper": 2}, "scale_units='parsecs'"),
        ({"scale_upper": 2}, "scale_units=None"),
        ({"scale_units": "degwidth", "scale_lower": 100, "scale_upper": 1}, "scale_lower=100"),
        ({"scale_units": "degwidth", "scale_upper": float("inf")}, "scale_upper=inf"),
        ({"scale_units": "degwidth", "scale_est": 2}, "scale_err_percent missing"),
        (
            {"scale_units": "degwidth", "scale_est": 2, "scale_err_percent": 5, "scale_upper": 3},
            "exclude each other",
        ),
        ({"scale_units": "degwidth", "scale_upper": "abc"}, "scale_upper='abc'"),
        ({"downsample_factor": -1}, "downsample_factor=-1"),
        ({"tweak_order": 99}, "tweak_order=99"),
        ({"tweak_order": 2.5}, "tweak_order=2.5"),
        ({"parity": 7}, "parity=7"),
        ({"parity": True}, "parity=True"),
        ({"use_sextractor": "false"}, "use_sextractor='false'"),
        ({"image_width_px": 10**30, "image_height_px": 1}, "image_width_px"),
        ({"image_width_px": 100}, "image_height_px missing"),
        ({"allow_commercial_use": "perhaps"}, "allow_commercial_use='perhaps'"),
        ({"album": ""}, "album=''"),
    ],
)
def test_bad_option_is_named_with_value_and_remedy(options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words.replace("(", r"\(")) as caught:
        Settings(**options)
    assert "give" in str(caught.value)
