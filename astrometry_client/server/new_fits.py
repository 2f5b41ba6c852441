"""An uploaded image as a FITS file with a solution in its header."""

import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image

from .engine.images import PLAIN_MODES, is_fits, open_fits, unpack

_OLD_WCS = re.compile(
    r"(CTYPE|CRVAL|CRPIX|CUNIT|CDELT|CROTA|CNAME)[12]|(CD|PC)\d+_\d+|PV\d_\d+|(A|B|AP|BP)_(ORDER|DMAX|\d_\d)"
    r"|WCSAXES|WCSNAME|LONPOLE|LATPOLE|EQUINOX|EPOCH|RADESYS|RADECSYS|IMAGE[WH]"
)
"""Cards that place an image on the sky; those of the solution take their place."""

_STRUCTURE = ("SIMPLE", "BITPIX", "NAXIS", "EXTEND")


def picture_with_wcs(path: Path, wcs_file: bytes) -> fits.PrimaryHDU | None:
    """Return the image in this file with the solution in its header; None if it is a list of sources."""
    data = unpack(path)
    picture = _from_fits(data) if is_fits(data) else _from_picture(data)
    if picture is not None:
        solution = fits.Header.fromstring(wcs_file.decode("ascii"))
        picture.header.extend(
            (card for card in solution.cards if card.keyword not in _STRUCTURE), unique=False, update=False
        )
    return picture


def _from_fits(data: bytes) -> fits.PrimaryHDU | None:
    with open_fits(data) as hdus:
        for hdu in hdus:
            if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2:
                pixels, header = np.array(hdu.data), hdu.header.copy()
                break
        else:
            return None
    for keyword in [name for name in header if _OLD_WCS.fullmatch(name)]:
        header.remove(keyword, ignore_missing=True, remove_all=True)
    return fits.PrimaryHDU(data=pixels, header=header)


def _from_picture(data: bytes) -> fits.PrimaryHDU | None:
    try:
        pixels = picture_pixels(data)
    except OSError:
        return None  # the image was read before it was solved, so this is a list in text
    hdu = fits.PrimaryHDU(data=pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels)
    if pixels.ndim == 3:
        hdu.header["CTYPE3"] = ("RGB", "the planes are colours")
    return hdu


def picture_pixels(data: bytes) -> NDArray[Any]:
    """Return rows and columns of a picture, with its three colours if it has any; row 0 is drawn on top."""
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as picture:
        if picture.mode == "LA":
            return np.asarray(picture.convert("L"))
        return np.asarray(picture if picture.mode in PLAIN_MODES else picture.convert("RGB"))
