"""Sources found on this machine."""

import sys
from pathlib import Path

import numpy as np
import pytest
import sky
from astropy.io import fits

from astrometry_client.astroquery.sources import Sources, find_sources
from astrometry_client.server.engine import shipped_dir

VIEW = sky.View(ra_deg=83.8, dec_deg=-1.0, width_deg=25.0)


@pytest.fixture(params=["photutils", "engine"])
def finder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Leave one source finder installed."""
    if request.param == "engine":
        monkeypatch.setitem(sys.modules, "photutils.detection", None)
    else:
        monkeypatch.setitem(sys.modules, "astrometry_client.server.engine", None)
    return str(request.param)


@pytest.fixture(scope="module")
def picture() -> sky.Picture:
    return sky.render(VIEW, np.random.default_rng(1))


def found_in(path: Path, *, threshold_sigma: float = 5.0) -> Sources | None:
    return find_sources(path, fwhm_px=3, threshold_sigma=threshold_sigma)


def assert_real(sources: Sources | None) -> None:
    """Check that the brightest sources are stars, where the stars are."""
    assert sources is not None
    assert (sources.width_px, sources.height_px) == (VIEW.width_px, VIEW.height_px)
    stars, _ = sky.stars_in(VIEW, [shipped_dir()])
    places = np.column_stack([sources.x, sources.y])[:20]
    nearest = np.hypot(*(places[:, None, :] - stars[None]).transpose(2, 0, 1)).min(axis=1)
    assert np.median(nearest) < 0.3
    assert len(sources.x) == len(sources.y) >= 40


@pytest.mark.usefixtures("finder")
def test_sources_count_pixels_from_one(picture: sky.Picture, tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(picture.fits_bytes())
    assert_real(found_in(tmp_path / "a.fits"))


@pytest.mark.usefixtures("finder")
def test_image_in_an_extension_with_bad_pixels_is_read(picture: sky.Picture, tmp_path: Path) -> None:
    pixels = picture.pixels.astype(np.float32)
    pixels[100:110, 200:210] = np.nan
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels)])
    hdus.writeto(tmp_path / "a.fits")
    assert_real(found_in(tmp_path / "a.fits"))


@pytest.mark.usefixtures("finder")
@pytest.mark.parametrize("content", [b"", b"SIMPLE  =                    T", b"\x89PNG\r\n\x1a\n"])
def test_damaged_image_has_no_sources(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "cut.fits").write_bytes(content)
    assert found_in(tmp_path / "cut.fits") is None
    assert found_in(tmp_path / "nowhere.fits") is None


@pytest.mark.usefixtures("finder")
def test_even_image_has_no_sources(tmp_path: Path) -> None:
    fits.writeto(tmp_path / "even.fits", np.full((100, 100), 7.0))
    assert found_in(tmp_path / "even.fits") is None


def test_threshold_counts_where_photutils_is_installed(picture: sky.Picture, tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(picture.fits_bytes())
    numbers = [
        len(found.x)
        for sigma in (5.0, 50.0)
        if (found := found_in(tmp_path / "a.fits", threshold_sigma=sigma))
    ]
    assert numbers[0] > numbers[1] > 0


def test_picture_is_left_to_the_engine(picture: sky.Picture, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture.picture_bytes("PNG"))
    assert_real(found_in(tmp_path / "a.png"))


def test_without_a_finder_there_are_no_sources(
    picture: sky.Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.fits").write_bytes(picture.fits_bytes())
    monkeypatch.setitem(sys.modules, "photutils.detection", None)
    monkeypatch.setitem(sys.modules, "astrometry_client.server.engine", None)
    assert found_in(tmp_path / "a.fits") is None


def test_what_is_no_path_has_no_sources() -> None:
    assert find_sources(b"SIMPLE", fwhm_px=3, threshold_sigma=5) is None
