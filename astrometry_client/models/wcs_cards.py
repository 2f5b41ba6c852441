"""The calibration that follows from a WCS file, without astropy."""

import math
from typing import Final

from astrometry_client.models.replies import Calibration

_CARD: Final = 80
_NEEDED: Final = (
    *("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2"),
    *("IMAGEW", "IMAGEH"),
)


def calibration_from(wcs_file: bytes, *, top_down: bool) -> Calibration | None:
    """Return what the server would answer as the calibration of this WCS; `None` if the file lacks a card.

    Every number is that of the linear part: the server leaves the distortion out, at the image's centre too.
    (Recorded replies of the server; upstream's `net/models.py`, read 2026-11.)

    Parameters
    ----------
    wcs_file
        A FITS file; its first header is read.
    top_down
        Whether row 1 of the image is shown at the top, as in every picture that is not FITS.
    """
    cards = _numbers(wcs_file)
    if not cards.keys() >= set(_NEEDED):
        return None
    ra0, dec0, x0, y0, cd11, cd12, cd21, cd22, width_px, height_px = (cards[name] for name in _NEEDED)
    determinant = cd11 * cd22 - cd12 * cd21
    x, y = (width_px + 1) / 2 - x0, (height_px + 1) / 2 - y0
    ra_deg, dec_deg = _deprojected(cd11 * x + cd12 * y, cd21 * x + cd22 * y, ra0, dec0)
    parity = 1 if determinant >= 0 else -1
    scale_arcsec = 3600 * math.sqrt(abs(determinant))
    up_deg = -math.degrees(math.atan2(parity * cd21 - cd12, parity * cd11 + cd22))
    return Calibration(
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        radius_deg=scale_arcsec * math.hypot(width_px, height_px) / 7200,
        pixel_scale_arcsec=scale_arcsec,
        orientation_deg=(180 - up_deg) % 360 if top_down else up_deg,
        parity=1 if parity > 0 else -1,
        width_arcsec=width_px * scale_arcsec,
        height_arcsec=height_px * scale_arcsec,
    )


def size_told(header: bytes, width: str, height: str) -> tuple[int, int] | None:
    """Return the size that two cards of a FITS file's first header tell, in pixels; `None` without them."""
    cards = _numbers(header)
    return (int(cards[width]), int(cards[height])) if {width, height} <= cards.keys() else None


def _numbers(wcs_file: bytes) -> dict[str, float]:
    """Return the cards of the first header that hold numbers."""
    numbers = {}
    for start in range(0, len(wcs_file), _CARD):
        card = wcs_file[start : start + _CARD].decode("ascii", "replace")
        name, value = card[:8].rstrip(), card[10:].partition("/")[0]
        if name == "END":
            break
        if card[8:10] == "= ":
            try:
                numbers[name] = float(value.replace("D", "E"))
            except ValueError:  # a text or a truth value
                continue
    return numbers


def _deprojected(xi_deg: float, eta_deg: float, ra0_deg: float, dec0_deg: float) -> tuple[float, float]:
    """Return the place on the sky of a point in the gnomonic plane about `ra0_deg`, `dec0_deg`."""
    xi, eta, dec0 = math.radians(xi_deg), math.radians(eta_deg), math.radians(dec0_deg)
    depth = math.cos(dec0) - eta * math.sin(dec0)
    ra_deg = ra0_deg + math.degrees(math.atan2(xi, depth))
    dec = math.atan2(math.sin(dec0) + eta * math.cos(dec0), math.hypot(xi, depth))
    return ra_deg % 360, math.degrees(dec)
