"""The options of an upload."""

from typing import Any

import attrs
import numpy as np
import pytest
from astropy import units
from astropy.coordinates import Angle, Latitude, SkyCoord

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
        (
            {"center_ra_deg": 3 * units.m, "center_dec_deg": 1, "radius_deg": 1},
            "center_ra_deg=<Quantity 3. m>",
        ),
        ({"center_ra_deg": [1, 2] * units.deg, "center_dec_deg": 1, "radius_deg": 1}, "center_ra_deg="),
        ({"scale_units": "degwidth", "scale_upper": 3 * units.mm}, "scale_upper=<Quantity 3. mm>"),
        ({"scale_upper": 3 * units.deg}, "scale_upper="),
        ({"tweak_order": np.float64(2)}, "tweak_order="),
        ({"center": "M 31", "radius_deg": 1}, "center='M 31'"),
        ({"center": SkyCoord([1, 2], [3, 4], unit="deg"), "radius_deg": 1}, "center="),
        ({"center": SkyCoord(1, 2, unit="deg"), "center_ra_deg": 1}, "exclude each other"),
        ({"center": SkyCoord(1, 2, unit="deg")}, "radius_deg missing"),
    ],
)
def test_bad_option_is_named_with_value_and_remedy(options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words.replace("(", r"\(")) as caught:
        Settings(**options)
    assert "give" in str(caught.value)


def test_quantities_and_angles_are_converted() -> None:
    settings = Settings(
        center_ra_deg=Angle("10h"),
        center_dec_deg=Latitude(-1800 * units.arcsec),
        radius_deg=30 * units.arcmin,
        scale_units="arcminwidth",
        scale_lower=0.5 * units.deg,
        scale_upper=7200 * units.arcsec,
    )
    assert settings.center_ra_deg == pytest.approx(150)
    assert settings.center_dec_deg == pytest.approx(-0.5)
    assert settings.radius_deg == pytest.approx(0.5)
    assert (settings.scale_lower, settings.scale_upper) == pytest.approx((30, 120))
    assert {type(value) for value in (settings.center_ra_deg, settings.radius_deg)} == {float}


@pytest.mark.parametrize(
    ("quantity", "scale_units", "value"),
    [
        (2 * units.deg, "degwidth", 2),
        (90 * units.arcmin, "degwidth", 1.5),
        (0.5 * units.arcsec / units.pix, "arcsecperpix", 0.5),
        (0.05 * units.arcmin, "arcsecperpix", 3),
        (5 * units.cm, "focalmm", 50),
    ],
)
def test_scale_is_converted_to_its_units(quantity: Any, scale_units: Any, value: float) -> None:
    settings = Settings().set_scale_estimate(quantity, 10, scale_units)
    assert settings.scale_est == pytest.approx(value)


def test_numbers_of_numpy_become_those_of_python() -> None:
    settings = Settings(
        tweak_order=np.int64(3),
        crpix_center=np.bool_(True),
        downsample_factor=np.float32(2),
        parity=np.int8(1),
    )
    assert {type(value) for value in settings.payload().values()} == {int, bool, float}


@pytest.mark.parametrize(
    "center",
    [
        SkyCoord(10.625, 41.2, unit="deg"),
        SkyCoord(10.625, 41.2, unit="deg").galactic,
        SkyCoord(ra="0h42m30s", dec="41d12m"),
    ],
    ids=["icrs", "galactic", "text"],
)
def test_centre_may_be_a_coordinate_of_any_frame(center: Any) -> None:
    settings = Settings(center=center, radius_deg=1)
    assert (settings.center_ra_deg, settings.center_dec_deg) == pytest.approx((10.625, 41.2))
    sent = settings.payload()
    assert sent == {"center_ra": settings.center_ra_deg, "center_dec": settings.center_dec_deg, "radius": 1}
    assert attrs.evolve(settings, tweak_order=1).center_ra_deg == settings.center_ra_deg


def test_new_settings_leave_the_old_as_they_were() -> None:
    old = Settings(scale_units="degwidth", scale_est=2, scale_err_percent=5, tweak_order=1)
    ranged = old.set_scale_range(0, 3, "arcsecperpix")
    assert ranged.payload() == {
        "scale_units": "arcsecperpix",
        "scale_type": "ul",
        "scale_lower": 1e-9,
        "scale_upper": 3,
        "tweak_order": 1,
    }
    assert ranged.set_scale_estimate(2, 5, "degwidth") == old
    assert (old.scale_est, old.scale_lower) == (2, None)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        old.tweak_order = 2  # type: ignore[misc]


def test_table_of_options_is_complete() -> None:
    table = Settings.describe()
    assert [about.name for about in table] == [
        field.name for field in attrs.fields(Settings) if field.name != "center"
    ]
    assert all(about.kind and about.allowed and about.default and about.meaning for about in table)
    radius = next(about for about in table if about.name == "radius_deg")
    assert (radius.kind, radius.unit, radius.wire) == ("number", "deg", "radius")
    assert radius.allowed == "a number above 0 and at most 180"


def test_every_option_is_documented() -> None:
    documented = Settings.__doc__ or ""
    assert all(f"\n    {about.name}\n        {about.meaning}" in documented for about in Settings.describe())
    assert documented.index("Parameters") < documented.index("Raises") < documented.index("Notes")
