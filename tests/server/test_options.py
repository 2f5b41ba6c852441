"""Options are read as nova reads them: lists, numbers, texts of numbers; anything else breaks."""

import pytest

from astrometry_client.server.options import read_options, read_sources
from astrometry_client.server.wire import ApiError, PageError


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("scale_lower", "0.5", 0.5),
        ("scale_upper", float("inf"), "inf"),
        ("center_ra", 0.5, 0.5),
        ("tweak_order", "3", 3),
        ("downsample_factor", 2.7, 2.7),
        ("parity", 7, 7),
        ("crpix_center", True, True),
        ("use_sextractor", "false", True),
        ("publicly_visible", "n", "n"),
    ],
)
def test_option_is_read(name: str, given: object, read: object) -> None:
    assert read_options({name: given, "no_such_option": 1, "listed": True}, strict_nova=True) == {name: read}


@pytest.mark.parametrize(
    ("name", "given", "strictly", "mended"),
    [
        ("center_ra", 0, {}, {"center_ra": 0.0}),
        ("center_dec", "0", {}, {"center_dec": 0.0}),
        ("scale_lower", 0.0, {}, {"scale_lower": 0.0}),
        ("radius", 0, {"radius": 0.0}, {"radius": 0.0}),
        ("parity", 0, {"parity": 0}, {"parity": 0}),
        ("crpix_center", "false", {"crpix_center": True}, {"crpix_center": False}),
        ("invert", "Yes", {"invert": True}, {"invert": True}),
        ("use_sextractor", False, {"use_sextractor": False}, {"use_sextractor": False}),
        ("publicly_visible", None, {"publicly_visible": "None"}, {}),
    ],
)
def test_bad_habit_is_kept_or_mended(
    name: str, given: object, strictly: dict[str, object], mended: dict[str, object]
) -> None:
    assert read_options({name: given}, strict_nova=True) == strictly
    assert read_options({name: given}, strict_nova=False) == mended


@pytest.mark.parametrize("name", ["scale_lower", "parity"])
def test_number_that_is_none_is_told_unless_strict(name: str) -> None:
    assert read_options({name: None}, strict_nova=False) == {}
    with pytest.raises(ApiError, match=f"{name} must be a number"):
        read_options({name: "abc"}, strict_nova=False)


@pytest.mark.parametrize("value", [None, "abc", [], {}])
@pytest.mark.parametrize("name", ["scale_lower", "center_dec", "parity", "image_width"])
def test_number_that_is_none_breaks_as_on_nova(name: str, value: object) -> None:
    with pytest.raises(PageError) as caught:
        read_options({name: value}, strict_nova=True)
    assert caught.value.status == 500
    assert name in caught.value.detail


@pytest.mark.parametrize("value", [-1, 2**31, 10**400, float("nan"), float("inf")])
def test_count_out_of_range_breaks_as_on_nova(value: float) -> None:
    with pytest.raises(PageError):
        read_options({"image_height": value}, strict_nova=True)


def test_sources_become_two_columns() -> None:
    assert read_sources({"x": [1, "2.5"], "y": ["3", 4e-3]}) == "1.0 3.0\n2.5 0.004\n"


@pytest.mark.parametrize("document", [{}, {"x": [1]}, {"y": [1]}])
def test_both_lists_are_needed(document: dict[str, object]) -> None:
    assert read_sources(document) is None


@pytest.mark.parametrize("document", [{"x": 1, "y": 1}, {"x": ["a"], "y": ["b"]}, {"x": [None], "y": [1]}])
def test_lists_of_other_things_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(ApiError, match="should be lists of floats"):
        read_sources(document)
