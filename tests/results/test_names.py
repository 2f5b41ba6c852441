"""Names of results: short where they can be, and never the same for two images."""

from pathlib import Path

import pytest

from astrometry_client.results import result_names, results_among


def names(*images: str, folder: Path | None = None) -> list[str]:
    return [str(name) for name in result_names(map(Path, images), folder=folder).values()]


def test_results_bear_the_name_of_their_image() -> None:
    assert names("/a/m31.fits", "/a/m.33.jpg", "/b/m31.fits") == ["/a/m31", "/a/m.33", "/b/m31"]
    assert names("/a/m31.fits", folder=Path("/out")) == ["/out/m31"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("m31.fits", "m31.jpg"), ("m31.fits", "M31.JPG"), ("é.fits", "e\N{COMBINING ACUTE ACCENT}.jpg")],
)
def test_images_of_one_stem_keep_their_whole_names(first: str, second: str) -> None:
    assert names(f"/a/{first}", f"/a/{second}", "/a/x.png") == [f"/a/{first}", f"/a/{second}", "/a/x"]


def test_images_of_one_name_are_told_apart_by_their_folders() -> None:
    first, second = names("/a/m31.fits", "/b/m31.fits", folder=Path("/out"))
    assert first != second
    for name in (first, second):
        assert Path(name).name.startswith("m31.fits.")


def test_whole_name_that_is_the_stem_of_another_is_not_given_twice() -> None:
    given = ("/a/m31.fits", "/a/m31.jpg", "/a/m31.fits.gz", "/b/m31.fits.gz", "/b/M31", "/b/m31.fits.bz2")
    for folder in (None, Path("/out")):
        found = names(*given, folder=folder)
        assert len({name.casefold() for name in found}) == len(given)


@pytest.mark.parametrize("other", ["m31.new.fits", "m31.stars.png", "M31.New.FITS"])
def test_no_result_has_the_name_of_an_image(other: str) -> None:
    found = names("/a/m31.fits", f"/a/{other}")
    assert found == ["/a/m31.fits", str(Path(f"/a/{other}").with_suffix(""))]


def test_results_are_told_by_what_lies_beside_a_wcs(tmp_path: Path) -> None:
    image, *results = (tmp_path / f"m31{ending}" for ending in (".fits", ".wcs", ".axy", ".new.fits"))
    own = [tmp_path / name for name in ("m33.axy", "m33.wcs", "m42.fits", "m42.new.fits", "m42.axy")]
    for name in ("m31.wcs", "m33.wcs"):
        (tmp_path / name).touch()
    assert results_among([image, *results]) == results
    assert results_among(own) == [tmp_path / "m33.wcs"]
    assert results_among([image.with_name("x") / image.name, *results], folder=tmp_path) == results


def test_names_do_not_depend_on_the_order() -> None:
    given = [Path(f"/{folder}/{name}") for folder in "ab" for name in ("m31.fits", "m31.jpg", "x.png")]
    assert result_names(given) == result_names(reversed(given))


def test_ten_thousand_names_that_collide_are_found_at_once() -> None:
    given = [f"/{number}/m31.fits" for number in range(10_000)]
    assert len(set(names(*given, folder=Path("/out")))) == 10_000
