import attrs
import numpy as np
import pytest
import sky

from astrometry_client.server.engine.refine import Fit, refine
from astrometry_client.server.engine.values import Field, Floats
from astrometry_client.server.engine.wcs import Wcs

VIEW = sky.View(ra_deg=12.0, dec_deg=70.0, width_deg=30.0, position_angle_deg=33.0, parity=-1)


def sky_of(view: sky.View, *, count: int = 120, error_px: float = 0.2) -> tuple[Field, Floats]:
    """Return a field measured with this error, a fifth of it no stars, and the stars in it."""
    rng = np.random.default_rng(count)
    around = rng.uniform((-0.6, -0.5), (0.6, 0.5), (4 * count, 2)) * view.width_deg
    stars = Wcs(crval=np.array([view.ra_deg, view.dec_deg]), crpix=np.zeros(2), cd=np.eye(2)).to_sky(around)
    pixels = view.to_pixels(stars)
    inside = np.flatnonzero(np.all((pixels > 1) & (pixels < (view.width_px, view.height_px)), axis=1))[:count]
    seen = pixels[inside] + rng.normal(0.0, error_px, (len(inside), 2))
    xy = np.vstack([seen, rng.uniform(1, (view.width_px, view.height_px), (count // 5, 2))])
    flux = np.arange(len(xy), 0.0, -1.0)
    field = Field(width_px=view.width_px, height_px=view.height_px, x=xy[:, 0], y=xy[:, 1], flux=flux)
    return field, stars[inside]


def rough(view: sky.View, *, scale_error: float = 0.02) -> Wcs:
    """Return a match as a pattern near a corner gives it, off in scale."""
    corner = np.array([0.3 * view.width_px, 0.7 * view.height_px])
    scale = (1.0 + scale_error) * view.width_deg / view.width_px
    angle = np.radians(view.position_angle_deg)
    cd = scale * np.array(
        [[view.parity * np.cos(angle), np.sin(angle)], [-view.parity * np.sin(angle), np.cos(angle)]]
    )
    centre = np.array([view.width_px + 1.0, view.height_px + 1.0]) / 2.0
    true = Wcs(crval=np.array([view.ra_deg, view.dec_deg]), crpix=centre, cd=cd / (1.0 + scale_error))
    turned = Wcs(crval=true.to_sky(corner[None, :])[0], crpix=corner, cd=cd)
    north = true.to_pixels(turned.crval[None, :] + [[0.0, 0.01]])[0] - corner
    tilt = np.arctan2(north[1], north[0]) - np.arctan2(*(np.linalg.inv(cd) @ [0.0, 1.0])[::-1])
    rotation = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    return attrs.evolve(turned, cd=cd @ rotation.T)


def fitted(view: sky.View, *, highest_order: int = 3, **more: float) -> Fit:
    field, stars = sky_of(view, **more)  # type: ignore[arg-type]
    fit = refine(rough(view), field, stars=stars, highest_order=highest_order)
    assert fit is not None
    return fit


@pytest.mark.parametrize("count", [25, 60, 150])
def test_undistorted_field_gets_no_polynomial(count: int) -> None:
    fit = fitted(VIEW, count=count)
    assert fit.wcs.order == 1
    assert fit.rms_px < 0.4


@pytest.mark.parametrize("count", [40, 150])
def test_distorted_field_gets_one_and_the_scale_is_right_in_its_centre(count: int) -> None:
    fit = fitted(attrs.evolve(VIEW, distortion=0.01), count=count)
    assert fit.wcs.order == 3
    assert 3600.0 * np.sqrt(abs(np.linalg.det(fit.wcs.cd))) == pytest.approx(VIEW.pixscale_arcsec, rel=0.001)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_order_asked_for_is_never_passed(order: int) -> None:
    assert fitted(attrs.evolve(VIEW, distortion=0.003), highest_order=order).wcs.order <= max(order, 1)


def test_points_that_are_no_stars_are_left_out() -> None:
    fit = fitted(VIEW, count=100)
    assert 90 <= len(fit.source) <= 101
    assert (fit.source < 100).mean() > 0.98
    assert np.array_equal(fit.source[fit.source < 100], fit.star[fit.source < 100])


@pytest.mark.parametrize("count", [8, 30, 100, 400])
def test_unrelated_points_are_never_believed(count: int) -> None:
    rng = np.random.default_rng(count)
    for _ in range(8):
        field, _ = sky_of(attrs.evolve(VIEW, ra_deg=rng.uniform(100, 300)), count=count)
        _, stars = sky_of(VIEW, count=count)
        shuffled = stars[rng.permutation(len(stars))]
        moved = attrs.evolve(field, x=rng.uniform(1, 1000, len(field.x)), y=rng.uniform(1, 750, len(field.x)))
        assert refine(rough(VIEW), moved, stars=shuffled, highest_order=3) is None


def test_wrong_place_is_not_believed() -> None:
    field, _ = sky_of(VIEW)
    _, elsewhere = sky_of(attrs.evolve(VIEW, ra_deg=50.0), count=121)
    assert refine(rough(attrs.evolve(VIEW, ra_deg=50.0)), field, stars=elsewhere, highest_order=3) is None
