"""Read the pixels of an image file of any kind the server accepts."""

import bz2
import contextlib
import gzip
import io
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from .values import ImageError

Pixels = NDArray[np.float32]

LARGEST_BYTES = 1_000_000_000
"""A compressed file that unpacks to more than this is refused."""

LARGEST_PX = 175_000_000
"""An image of more pixels than this is refused; `PIL` refuses pictures above 178 million by itself."""


FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "BMP", "PPM", "WEBP")
"""Pictures that are read. `PIL` knows more, and runs a program for some of them, such as EPS."""

PLAIN_MODES = ("L", "LA", "I", "I;16", "I;16B", "I;16L", "F", "RGB")
"""Modes of `PIL` whose numbers are brightness; others are turned into RGB."""


UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, SyntaxError),
    *(struct.error, zlib.error, fits.VerifyError, Image.DecompressionBombError),
)
"""What astropy and `PIL` raise for files that are damaged, or that lie."""


@attrs.frozen(kw_only=True, eq=False)
class Pixelmap:
    """Brightness (rows, columns) as the rows lie in the file; `unusable` marks pixels without a value."""

    values: Pixels
    unusable: NDArray[np.bool_]
    top_down: bool


def unpack(path: Path) -> bytes:
    """Return the bytes of a file, without gzip or bzip2 around them."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
                data = stream.read(LARGEST_BYTES + 1)
        elif data[:3] == b"BZh":
            with bz2.BZ2File(io.BytesIO(data)) as stream:
                data = stream.read(LARGEST_BYTES + 1)
    except (EOFError, zlib.error) as error:
        raise ImageError(f"{path.name}: the compressed file is cut or damaged") from error
    except OSError as error:
        raise ImageError(f"{path.name}: {error.strerror or 'the compressed file is damaged'}") from error
    if not data:
        raise ImageError(f"{path.name}: the file is empty")
    if len(data) > LARGEST_BYTES:
        raise ImageError(f"{path.name}: unpacks to more than {LARGEST_BYTES} bytes")
    return data


def is_fits(data: bytes) -> bool:
    """Tell whether these bytes begin a FITS file."""
    return data.startswith(b"SIMPLE  =")


@contextlib.contextmanager
def open_fits(data: bytes) -> Iterator[fits.HDUList]:
    """Open a FITS file held in memory. What astropy only warns of is let pass."""
    with (
        warnings.catch_warnings(action="ignore"),
        fits.open(io.BytesIO(data), memmap=False, ignore_missing_end=True) as hdus,
    ):
        yield hdus


def read_pixels(data: bytes, *, name: str) -> Pixelmap:
    """Return the brightness of every pixel of a FITS, JPEG, PNG, TIFF or other picture.

    Raises
    ------
    ImageError
        The bytes are no image, are cut, or hold no plane of pixels.
    """
    try:
        plane = _fits_plane(data) if is_fits(data) else _picture_plane(data)
    except UNREADABLE as error:
        raise ImageError(f"{name}: not an image that can be read ({_reason(error)})") from error
    if plane.ndim != 2 or min(plane.shape) < 2:
        raise ImageError(f"{name}: holds no picture, but an array of shape {plane.shape}")
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(plane, dtype=np.float32)
    unusable = ~np.isfinite(values)
    if unusable.all():
        raise ImageError(f"{name}: no pixel has a value")
    if unusable.any():
        values[unusable] = np.median(values[~unusable])
    return Pixelmap(values=values, unusable=unusable, top_down=not is_fits(data))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "neither FITS nor a known picture format"
    return " ".join(str(error).split())[:120] or type(error).__name__


def _fits_plane(data: bytes) -> NDArray[Any]:
    with open_fits(data) as hdus:
        for hdu in hdus:
            if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2:
                _check_size(math.prod(hdu.shape[-2:]))
                return _flatten(_data_of(hdu))
    raise ValueError("no image in this FITS file")


def _data_of(hdu: Any) -> NDArray[Any]:
    try:
        return np.asarray(hdu.data)
    # The class of what a damaged compressed image raises has no public name.
    except Exception as error:
        if type(error).__name__ != "CfitsioException":
            raise
        raise OSError(str(error)) from error


def _flatten(cube: NDArray[Any]) -> NDArray[Any]:
    """Return one plane: the mean of up to four colours, else the first plane of a cube."""
    while cube.ndim > 3:
        cube = cube[0]
    if cube.ndim < 3:
        return cube
    if cube.shape[2] in (3, 4) < cube.shape[:1]:
        return np.asarray(cube[..., :3].mean(axis=2, dtype=np.float32))
    return np.asarray(cube[:3].mean(axis=0, dtype=np.float32)) if len(cube) <= 4 else cube[0]


def _picture_plane(data: bytes) -> NDArray[Any]:
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        _check_size(picture.width * picture.height)
        pixels = np.asarray(picture if picture.mode in PLAIN_MODES else picture.convert("RGB"))
    if pixels.ndim == 3:
        colours = 1 if pixels.shape[2] == 2 else 3
        return np.asarray(pixels[..., :colours].mean(axis=2, dtype=np.float32))
    return pixels


def _check_size(pixel_count: int) -> None:
    if pixel_count > LARGEST_PX:
        raise ValueError(f"{pixel_count} pixels; at most {LARGEST_PX} are allowed")
