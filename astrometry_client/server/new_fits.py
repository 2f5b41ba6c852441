"""An uploaded image as a FITS file with a solution in its header."""

import io
import warnings
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image

from astrometry_client.models.fits_files import WCS_CARD

from .engine.images import PLAIN_MODES, is_fits, open_fits

_STRUCTURE = ("SIMPLE", "BITPIX", "NAXIS", "EXTEND")


def picture_with_wcs(image: bytes, solution: fits.Header) -> fits.PrimaryHDU:
    """Return the image in this file with the solution in its header."""
    picture = _from_fits(image) if is_fits(image) else _from_picture(image)
    cards = (card for card in solution.cards if card.keyword not in _STRUCTURE)
    picture.header.extend(cards, unique=False, update=False)
    return picture


def _from_fits(image: bytes) -> fits.PrimaryHDU:
    with open_fits(image) as hdus:
        hdu = next(hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2)
        pixels, header = np.array(hdu.data), hdu.header.copy()
    for keyword in [name for name in header if WCS_CARD.fullmatch(name)]:
        header.remove(keyword, ignore_missing=True, remove_all=True)
    return fits.PrimaryHDU(data=pixels, header=header)


def _from_picture(image: bytes) -> fits.PrimaryHDU:
    pixels = picture_pixels(image)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)) if pixels.ndim == 3 else pixels
    hdu = fits.PrimaryHDU(data=planes)
    if pixels.ndim == 3:
        hdu.header["CTYPE3"] = ("RGB", "the planes are colours")
    return hdu


def picture_pixels(image: bytes) -> NDArray[Any]:
    """Return rows and columns of a picture, with its three colours if it has any; row 0 is drawn on top."""
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(image)) as picture:
        if picture.mode == "LA":
            return np.asarray(picture.convert("L"))
        return np.asarray(picture if picture.mode in PLAIN_MODES else picture.convert("RGB"))
