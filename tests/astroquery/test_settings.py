"""Settings under the server's names."""

import warnings
from typing import Any

import pytest

from astrometry_client.astroquery.settings import EMPTY_SETTINGS, settings_from
from astrometry_client.errors import InputError
from astrometry_client.models import Settings

UPPER_LOWER = {"scale_lower": 1, "scale_upper": 2}
ESTIMATE = {"scale_est": 1, "scale_err": 10}
PLACE = {"center_ra": 10, "center_dec": -5, "radius": 3}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {}),
        (dict.fromkeys(EMPTY_SETTINGS), {}),
        (
            {"parity": 1, "positional_error": 2.5, "invert": True},
            {"parity": 1, "positional_error": 2.5, "invert": True},
        ),
        (PLACE, PLACE),
        (UPPER_LOWER, {**UPPER_LOWER, "scale_units": "degwidth", "scale_type": "ul"}),
        (
            {**UPPER_LOWER, **ESTIMATE, "scale_units": "arcminwidth", "scale_type": "ul"},
            {**UPPER_LOWER, "scale_units": "arcminwidth", "scale_type": "ul"},
        ),
        (
            {**UPPER_LOWER, **ESTIMATE, "scale_units": "arcsecperpix", "scale_type": "ev"},
            {**ESTIMATE, "scale_units": "arcsecperpix", "scale_type": "ev"},
        ),
    ],
)
def test_settings_reach_the_server_as_given(given: dict[str, Any], sent: dict[str, Any]) -> None:
    before = dict(given)
    with warnings.catch_warnings(action="error"):
        assert settings_from(given).payload() == sent
    assert given == before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"x": [1]}, "Setting x is not allowed"),
        ({"image_width": 5}, "Setting image_width is not allowed"),
        ({"scale_type": "lu"}, "scale_type='lu'"),
        ({"scale_type": "ul", "scale_units": "degwidth", "scale_lower": 1}, "scale_type='ul' needs"),
        ({"scale_type": "ev", **ESTIMATE}, "scale_type='ev' needs"),
        ({"use_sextractor": "no"}, "use_sextractor='no'"),
        ({"publicly_visible": "maybe"}, "publicly_visible='maybe'"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        settings_from(given)


@pytest.mark.parametrize("missing", PLACE)
def test_position_that_would_not_count_is_left_out_with_a_warning(missing: str) -> None:
    given = {name: value for name, value in PLACE.items() if name != missing}
    with pytest.warns(UserWarning, match=f"{missing} missing"):
        assert settings_from(given) == Settings()
