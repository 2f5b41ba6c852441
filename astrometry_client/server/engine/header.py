"""A solution as nova hands it out: the header-only FITS file and the calibration."""

import math
from collections.abc import Iterable

import numpy as np
from astropy.io import fits

from .values import Floats
from .wcs import Wcs, deproject, terms


def wcs_file(wcs: Wcs, *, size_px: tuple[int, int], comments: Iterable[str] = ()) -> bytes:
    """Return the header-only FITS file of a solution, with nova's cards in nova's order."""
    header = fits.Header()
    for card in [*_frame(wcs.order), *_linear(wcs), *_image(size_px), *_sip(wcs, size_px)]:
        header.append(card, end=True)
    for comment in comments:
        header.append(("COMMENT", comment), end=True)
    return bytes(header.tostring().encode("ascii"))


def _frame(order: int) -> list[tuple[str, object, str]]:
    kind, meaning = ("TAN-SIP", " + SIP distortions") if order >= 2 else ("TAN", "")
    return [
        ("SIMPLE", True, "Standard FITS file"),
        ("BITPIX", 8, "ASCII or bytes array"),
        ("NAXIS", 0, "Minimal header"),
        ("EXTEND", True, "There may be FITS ext"),
        ("WCSAXES", 2, ""),
        ("CTYPE1", f"RA---{kind}", f"TAN (gnomonic) projection{meaning}"),
        ("CTYPE2", f"DEC--{kind}", f"TAN (gnomonic) projection{meaning}"),
        ("EQUINOX", 2000.0, "Equatorial coordinates definition (yr)"),
        ("LONPOLE", 180.0, ""),
        ("LATPOLE", 0.0, ""),
    ]


def _linear(wcs: Wcs) -> list[tuple[str, object, str]]:
    return [
        ("CRVAL1", float(wcs.crval[0]), "RA of reference point"),
        ("CRVAL2", float(wcs.crval[1]), "DEC of reference point"),
        ("CRPIX1", float(wcs.crpix[0]), "X reference pixel"),
        ("CRPIX2", float(wcs.crpix[1]), "Y reference pixel"),
        ("CUNIT1", "deg", "X pixel scale units"),
        ("CUNIT2", "deg", "Y pixel scale units"),
        ("CD1_1", float(wcs.cd[0, 0]), "Transformation matrix"),
        ("CD1_2", float(wcs.cd[0, 1]), ""),
        ("CD2_1", float(wcs.cd[1, 0]), ""),
        ("CD2_2", float(wcs.cd[1, 1]), ""),
    ]


def _image(size_px: tuple[int, int]) -> list[tuple[str, object, str]]:
    return [
        ("IMAGEW", size_px[0], "Image width, in pixels."),
        ("IMAGEH", size_px[1], "Image height, in pixels."),
    ]


def _sip(wcs: Wcs, size_px: tuple[int, int]) -> list[tuple[str, object, str]]:
    if wcs.order < 2:
        return []
    inverse_order, inverse = wcs.inverse_sip(size_px)
    forward = dict(zip(terms(wcs.order, lowest=2), wcs.sip.T, strict=True))
    backward = dict(zip(terms(inverse_order, lowest=0), inverse.T, strict=True))
    cards: list[tuple[str, object, str]] = []
    for name, row, order, table in (
        ("A", 0, wcs.order, forward),
        ("B", 1, wcs.order, forward),
        ("AP", 0, inverse_order, backward),
        ("BP", 1, inverse_order, backward),
    ):
        cards.append((f"{name}_ORDER", order, f"Polynomial order, axis {row + 1}"))
        cards += [
            (f"{name}_{p}_{q}", float(table[p, q][row]) if (p, q) in table else 0.0, "")
            for p, q in terms(order, lowest=0)
        ]
    return cards


def read_wcs_file(data: bytes) -> tuple[Wcs, tuple[int, int]]:
    """Return the solution in a header-only FITS file and the image size in pixels."""
    header = fits.Header.fromstring(data.decode("ascii"))
    order = int(header.get("A_ORDER", 1))
    sip = [
        [float(header.get(f"{name}_{p}_{q}", 0.0)) for p, q in terms(order, lowest=2)] for name in ("A", "B")
    ]
    solution = Wcs(
        crval=np.array([header["CRVAL1"], header["CRVAL2"]], dtype=np.float64),
        crpix=np.array([header["CRPIX1"], header["CRPIX2"]], dtype=np.float64),
        cd=np.array([[header[f"CD{i}_{j}"] for j in (1, 2)] for i in (1, 2)], dtype=np.float64),
        order=order,
        sip=np.array(sip, dtype=np.float64).reshape(2, -1),
    )
    return solution, (int(header.get("IMAGEW", 0)), int(header.get("IMAGEH", 0)))


def calibration(wcs: Wcs, *, size_px: tuple[int, int], top_down: bool) -> dict[str, float]:
    """Return nova's calibration of a solution.

    Every number is that of the TAN part alone; the size is the scale at the reference pixel times the image's
    side. Orientation is the direction of growing y from north towards east; for pictures drawn from the top
    nova gives 180° minus that, between 0° and 360°. (Recorded replies of nova; its `net/models.py`, 2026-11.)
    """
    (cd11, cd12), (cd21, cd22) = wcs.cd.tolist()
    determinant = cd11 * cd22 - cd12 * cd21
    parity = 1.0 if determinant >= 0 else -1.0
    scale = 3600.0 * math.sqrt(abs(determinant))
    angle = -math.degrees(math.atan2(parity * cd21 - cd12, parity * cd11 + cd22))
    ra, dec = _tan_centre(wcs, size_px)
    return {
        "ra": ra,
        "dec": dec,
        "width_arcsec": size_px[0] * scale,
        "height_arcsec": size_px[1] * scale,
        "radius": scale * math.hypot(*size_px) / 2.0 / 3600.0,
        "pixscale": scale,
        "orientation": (180.0 - angle) % 360.0 if top_down else angle,
        "parity": parity,
    }


def _tan_centre(wcs: Wcs, size_px: tuple[int, int]) -> tuple[float, float]:
    offset: Floats = np.array([size_px]) / 2.0 + 0.5 - wcs.crpix
    ra, dec = deproject(offset @ wcs.cd.T, centre=wcs.crval)[0]
    return float(ra), float(dec)
