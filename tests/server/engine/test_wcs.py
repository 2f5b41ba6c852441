import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrometry_client.server.engine.header import read_wcs_file, wcs_file
from astrometry_client.server.engine.wcs import Wcs, terms

SIZE = (1000, 750)
# astropy says so of every header without pixels, nova's own as well.
pytestmark = pytest.mark.filterwarnings("ignore:The WCS transformation has more axes")


def solution(order: int, dec_deg: float = 62.0) -> Wcs:
    rng = np.random.default_rng(order)
    sizes = np.array([3e-6 * 500.0 ** (2 - p - q) for p, q in terms(order, lowest=2)])
    return Wcs(
        crval=np.array([359.5, dec_deg]),
        crpix=np.array([500.5, 375.5]),
        cd=np.array([[-0.02, 0.011], [0.0109, 0.0202]]),
        order=order,
        sip=rng.uniform(-1.0, 1.0, (2, len(sizes))) * sizes,
    )


def corners_and_more() -> np.ndarray:
    return np.random.default_rng(7).uniform((0.5, 0.5), (1000.5, 750.5), (200, 2))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_pixels_come_back_from_the_sky(order: int) -> None:
    xy = corners_and_more()
    wcs = solution(order)
    assert np.abs(wcs.to_pixels(wcs.to_sky(xy)) - xy).max() < 1e-6


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("dec_deg", [62.0, -89.9])
def test_astropy_reads_the_same_solution_from_the_file(order: int, dec_deg: float) -> None:
    wcs = solution(order, dec_deg)
    data = wcs_file(wcs, size_px=SIZE, comments=["made for a test"])
    assert len(data) % 2880 == 0
    xy = corners_and_more()
    theirs = WCS(fits.getheader(io.BytesIO(data))).all_pix2world(xy, 1)
    apart = (theirs - wcs.to_sky(xy) + 180.0) % 360.0 - 180.0
    assert np.abs(apart * [np.cos(np.radians(dec_deg)), 1.0]).max() < 1e-9


def test_the_file_gives_the_solution_back() -> None:
    wcs = solution(3)
    read, size = read_wcs_file(wcs_file(wcs, size_px=SIZE))
    assert size == SIZE
    assert np.allclose(read.sip, wcs.sip, rtol=1e-12)
    assert np.allclose(read.to_sky(corners_and_more()), wcs.to_sky(corners_and_more()), rtol=1e-12)


@pytest.mark.parametrize("order", [2, 3])
def test_inverse_polynomial_leads_back_within_a_tenth_of_a_pixel(order: int) -> None:
    wcs = solution(order)
    theirs = WCS(fits.getheader(io.BytesIO(wcs_file(wcs, size_px=SIZE))))
    xy = corners_and_more()
    undistorted = theirs.sip_pix2foc(xy, 1)
    assert np.abs(undistorted - (xy - wcs.crpix)).max() > 0.3
    assert np.abs(theirs.sip_foc2pix(undistorted, 1) - xy).max() < 0.1


def test_the_far_side_of_the_sky_has_no_pixel() -> None:
    wcs = solution(3)
    behind = np.array([[(wcs.crval[0] + 180.0) % 360.0, -wcs.crval[1]]])
    assert np.isnan(wcs.to_pixels(behind)).all()
