"""The result files of a job, each made of what is kept of it."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from . import pictures
from .engine import Field
from .engine.values import Floats
from .material import Material
from .new_fits import picture_with_wcs


def axy(material: Material) -> bytes:
    """Return the sources found in the image, brightest first."""
    return _file(_sources(material.field))


def image_rd(material: Material) -> bytes:
    """Return the positions of these sources on the sky, in the same order."""
    field = material.field
    return _file(_positions(material.wcs.to_sky(np.column_stack([field.x, field.y]))))


def rdls(material: Material) -> bytes:
    """Return the positions of the catalogue's stars the solution rests on."""
    return _file(_positions(material.stars[:, 2:]))


def corr(material: Material) -> bytes:
    """Return the pairs of source and star the solution rests on.

    `field_id` counts the rows of the axy file from 0, and `index_id` those of the rdls file. The weight is 1:
    pairs that were doubted had no part in the fit.
    """
    field, field_xy, index_rd = material.field, material.stars[:, :2], material.stars[:, 2:]
    field_rd, index_xy = material.wcs.to_sky(field_xy), material.wcs.to_pixels(index_rd)
    source = _rows(field, field_xy)
    columns = {
        **dict(zip(("field_x", "field_y", "field_ra", "field_dec"), (*field_xy.T, *field_rd.T), strict=True)),
        **dict(zip(("index_x", "index_y", "index_ra", "index_dec"), (*index_xy.T, *index_rd.T), strict=True)),
        "index_id": np.arange(len(source), dtype=np.int32),
        "field_id": source.astype(np.int32),
        "match_weight": np.ones(len(source)),
        "FLUX": field.flux[source].astype(np.float32),
        "BACKGROUND": _background(field)[source].astype(np.float32),
    }
    return _file(_table(columns))


def new_fits(material: Material) -> bytes:
    """Return the image as a FITS file with the solution in its header; a list of sources as such."""
    solution, image = fits.Header.fromstring(material.solution.decode("ascii")), material.image()
    if image is None:
        return _file(_sources(material.field), header=solution)
    return _written(fits.HDUList([picture_with_wcs(image, solution)]))


def _rows(field: Field, xy: Floats) -> NDArray[np.intp]:
    """Return the rows of the field at these places."""
    squared = (xy[:, None, 0] - field.x) ** 2 + (xy[:, None, 1] - field.y) ** 2
    return np.asarray(squared.argmin(axis=1))


def _background(field: Field) -> Floats:
    return np.zeros(len(field.x)) if field.background is None else field.background


def _sources(field: Field) -> fits.BinTableHDU:
    values = {"X": field.x, "Y": field.y, "FLUX": field.flux, "BACKGROUND": _background(field)}
    table = _table({name: column.astype(np.float32) for name, column in values.items()})
    table.header["IMAGEW"] = (field.width_px, "Image width, in pixels.")
    table.header["IMAGEH"] = (field.height_px, "Image height, in pixels.")
    return table


def _positions(degrees: Floats) -> fits.BinTableHDU:
    return _table({"RA": degrees[:, 0], "DEC": degrees[:, 1]}, units={"RA": "deg", "DEC": "deg"})


def _table(columns: dict[str, NDArray[Any]], *, units: dict[str, str] | None = None) -> fits.BinTableHDU:
    codes = {"f4": "E", "f8": "D", "i4": "J"}
    return fits.BinTableHDU.from_columns(
        [
            fits.Column(
                name=name, format=codes[values.dtype.str[1:]], array=values, unit=(units or {}).get(name)
            )
            for name, values in columns.items()
        ]
    )


def _file(table: fits.BinTableHDU, *, header: fits.Header | None = None) -> bytes:
    """Return a FITS file with one table; the image size is in its primary header too, as nova has it."""
    primary = fits.PrimaryHDU(header=header)
    for name in ("IMAGEW", "IMAGEH"):
        if name in table.header:
            primary.header[name] = (table.header[name], table.header.comments[name])
    return _written(fits.HDUList([primary, table]))


def _written(hdus: fits.HDUList) -> bytes:
    out = io.BytesIO()
    hdus.writeto(out, output_verify="silentfix+ignore")
    return out.getvalue()


PRODUCTS: dict[str, Callable[[Material], bytes]] = {
    "axy_file": axy,
    "image_rd_file": image_rd,
    "rdls_file": rdls,
    "corr_file": corr,
    "new_fits_file": new_fits,
    "annotated_display": pictures.annotated,
    "annotated_full": partial(pictures.annotated, full=True),
    "red_green_image_display": pictures.red_green,
    "red_green_image_full": partial(pictures.red_green, full=True),
    "image_display": pictures.plain,
    "image_full": partial(pictures.plain, full=True),
    "extraction_image_display": pictures.extraction,
    "extraction_image_full": partial(pictures.extraction, full=True),
}
