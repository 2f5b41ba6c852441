"""Read lists of sources: text with a column of x and one of y, or a FITS table with columns X and Y."""

import math
import re
from typing import Any

import numpy as np
from astropy.io import fits

from .images import UNREADABLE, is_fits, open_fits
from .values import Field, Floats, ImageError

MOST_LISTED = 1000
"""Sources taken of a list, the brightest, as on nova."""

LARGEST_SIDE_PX = 2**31 - 1
"""nova's database takes no larger image."""

_NUMBERS = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def field_of(
    x: Floats, y: Floats, *, flux: Floats | None = None, size_px: tuple[int, int] | None = None
) -> Field:
    """Return the field of these sources; without an image size it reaches to the outermost one, as on nova.

    Parameters
    ----------
    x, y
        Pixels, first pixel 1. Without `flux` the first source counts as the brightest.
    """
    if len(x) != len(y) or len(x) == 0 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ImageError("the list of sources must give a finite x and y for every source")
    order = np.argsort(-flux, kind="stable") if flux is not None else np.arange(len(x))
    order = order[:MOST_LISTED]
    width, height = (max(1, side) for side in size_px or (math.ceil(x.max()), math.ceil(y.max())))
    if max(width, height) > LARGEST_SIDE_PX:
        raise ImageError(f"the list of sources reaches beyond {LARGEST_SIDE_PX} pixels")
    brightness = flux if flux is not None else np.arange(len(x), 0.0, -1.0)
    return Field(width_px=width, height_px=height, x=x[order], y=y[order], flux=brightness[order])


def parse_list(data: bytes) -> Field | None:
    """Return the field of a list of sources, `None` if these bytes are not one."""
    return parse_fits_table(data) if is_fits(data) else parse_text(data)


def parse_text(data: bytes) -> Field | None:
    """Return the field of a text list, `None` if these bytes are not one.

    A line holds x, y and perhaps more numbers, of which a third is taken for the flux; lines that begin with
    a letter or with "#" are headings.
    """
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError:
        return None
    rows = [_NUMBERS.findall(line) for line in lines if line.strip() and not re.match(r"\s*[#A-Za-z]", line)]
    if not rows or any(len(row) < 2 for row in rows):
        return None
    table = np.array([[float(value) for value in row[:2]] for row in rows])
    flux = np.array([float(row[2]) for row in rows]) if all(len(row) > 2 for row in rows) else None
    return field_of(table[:, 0], table[:, 1], flux=flux)


def parse_fits_table(data: bytes) -> Field | None:
    """Return the field of the first FITS table with columns X and Y, `None` if there is none."""
    try:
        with open_fits(data) as hdus:
            for hdu in hdus[1:]:
                if not isinstance(hdu, fits.BinTableHDU):
                    continue
                columns = {name.upper(): hdu.data[name] for name in hdu.columns.names}
                if {"X", "Y"} <= set(columns):
                    return _field_of_columns(columns, {**hdus[0].header, **hdu.header})
    except UNREADABLE:
        return None
    return None


def _field_of_columns(columns: dict[str, Any], header: dict[str, Any]) -> Field:
    x, y = (np.asarray(columns[name], dtype=np.float64) for name in ("X", "Y"))
    flux = np.asarray(columns["FLUX"], dtype=np.float64) if "FLUX" in columns else None
    size = (int(header.get("IMAGEW", 0)), int(header.get("IMAGEH", 0)))
    return field_of(x, y, flux=flux, size_px=size if all(size) else None)
