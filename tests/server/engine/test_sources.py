import math
from collections.abc import Iterator

import numpy as np
import pytest
import sep
import sky

from astrometry_client.server.engine.images import Pixelmap
from astrometry_client.server.engine.indexes import shipped_dir
from astrometry_client.server.engine.sources import MOST_SOURCES, find_sources
from astrometry_client.server.engine.values import Field, Floats

VIEW = sky.View(ra_deg=300.0, dec_deg=40.0, width_deg=20.0, position_angle_deg=77.0)


def image_of(pixels: np.ndarray) -> Pixelmap:
    values = pixels.astype(np.float32)
    return Pixelmap(values=values, unusable=np.zeros(values.shape, dtype=bool), top_down=False)


def distances(field: Field, points: Floats) -> Floats:
    """Return each source's distance to the nearest of the points."""
    away = np.hypot(field.x[:, None] - points[None, :, 0], field.y[:, None] - points[None, :, 1])
    return np.asarray(away.min(axis=1))


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_stars_are_found_where_they_are(factor: float) -> None:
    picture = sky.render(VIEW, np.random.default_rng(1))
    stars, _ = sky.stars_in(VIEW, [shipped_dir()])
    away = distances(find_sources(image_of(picture.pixels), downsample_factor=factor), stars)
    real = away < 2.0
    assert real.sum() > 60
    assert np.median(away[real]) < 0.25
    assert real.mean() > 0.9


def test_first_pixel_is_one() -> None:
    y, x = np.mgrid[1:101, 1:121]
    star = 5000.0 * np.exp(-((x - 37.25) ** 2 + (y - 64.5) ** 2) / 4.0)
    field = find_sources(image_of(star + np.random.default_rng(2).normal(100.0, 5.0, star.shape)))
    assert (field.x[0], field.y[0]) == pytest.approx((37.25, 64.5), abs=0.05)
    assert (field.width_px, field.height_px) == (120, 100)


def test_hot_pixels_and_tracks_are_not_stars() -> None:
    camera = sky.Camera(hot_pixels=60, cosmic_rays=0)
    clean, dirty = (
        find_sources(image_of(sky.render(VIEW, np.random.default_rng(3), camera=c).pixels))
        for c in (sky.Camera(hot_pixels=0, cosmic_rays=0), camera)
    )
    assert len(dirty.x) < len(clean.x) + 10


@pytest.mark.parametrize("pixels", [np.zeros((50, 60)), np.full((50, 60), 7.0)], ids=["black", "grey"])
def test_blank_image_has_no_sources(pixels: np.ndarray) -> None:
    assert len(find_sources(image_of(pixels)).x) == 0


def test_sources_are_spread_over_the_image_and_bounded() -> None:
    view = sky.View(ra_deg=270.0, dec_deg=-28.0, width_deg=45.0, width_px=1500, height_px=1000)
    camera = sky.Camera(faintest_mag=8.8, background=100.0, hot_pixels=0, cosmic_rays=0)
    field = find_sources(image_of(sky.render(view, np.random.default_rng(4), camera=camera).pixels))
    assert len(field.x) == MOST_SOURCES
    first = slice(0, 20)
    quadrants = {(x > 750, y > 500) for x, y in zip(field.x[first], field.y[first], strict=True)}
    assert len(quadrants) == 4


def test_masked_pixels_are_left_out() -> None:
    picture = sky.render(VIEW, np.random.default_rng(5))
    image = image_of(picture.pixels)
    image.unusable[:, :500] = True
    field = find_sources(image)
    assert len(field.x) > 20
    assert field.x.min() > 495


def test_large_images_are_binned_without_losing_their_scale() -> None:
    y, x = np.mgrid[1:301, 1:8401]
    star = 9000.0 * np.exp(-((x - 6000.0) ** 2 + (y - 150.0) ** 2) / 16.0)
    field = find_sources(image_of(star + np.random.default_rng(6).normal(100.0, 5.0, star.shape)))
    assert math.hypot(field.x[0] - 6000.0, field.y[0] - 150.0) < 0.2


@pytest.fixture
def small_detector() -> Iterator[None]:
    """Let the detector hold few pixels at once, as if the image were a hundred times as crowded."""
    before = sep.get_extract_pixstack()
    sep.set_extract_pixstack(100)
    yield
    sep.set_extract_pixstack(before)


@pytest.mark.usefixtures("small_detector")
def test_crowd_that_overflows_the_detector_leaves_its_brightest_stars() -> None:
    picture = sky.render(VIEW, np.random.default_rng(1))
    stars, mags = sky.stars_in(VIEW, [shipped_dir()])
    field = find_sources(image_of(picture.pixels))
    assert 10 < len(field.x) < 70
    away = distances(field, stars[np.argsort(mags)][:100])
    assert (away < 2.0).mean() > 0.9
