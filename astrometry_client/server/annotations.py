"""The named stars in a solved image, as nova lists them."""

import csv
import functools
from typing import Any

import numpy as np

from .engine.header import read_wcs_file
from .engine.indexes import shipped_dir
from .engine.values import Floats


def annotations(wcs_file: bytes, width_px: int, height_px: int) -> list[dict[str, Any]]:
    """Return nova's annotations of an image: its bright and named stars, brightest first.

    Parameters
    ----------
    wcs_file
        The header-only FITS file of a match.

    Returns
    -------
    list
        Of each star its type ("bright"), names, pixel (the first is 1), radius (0) and visual magnitude. The
        names are its designations, then its proper name where it has one: ["ε UMa / 77 UMa", "Alioth"].
    """
    wcs, _ = read_wcs_file(wcs_file)
    degrees, stars = _bright_stars()
    with np.errstate(invalid="ignore"):
        pixels = wcs.to_pixels(degrees)
        inside = np.all((pixels >= 0.5) & (pixels <= (width_px + 0.5, height_px + 0.5)), axis=1)
    return [
        {
            "type": "bright",
            "names": stars[row]["names"],
            "pixelx": float(pixels[row, 0]),
            "pixely": float(pixels[row, 1]),
            "radius": 0.0,
            "vmag": stars[row]["vmag"],
        }
        for row in np.flatnonzero(inside)
    ]


@functools.cache
def _bright_stars() -> tuple[Floats, list[dict[str, Any]]]:
    """Return positions in degrees (n, 2), names and magnitudes of the stars in `data/bright_stars.csv`."""
    with (shipped_dir() / "bright_stars.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    degrees = np.array([[float(row["ra_deg"]), float(row["dec_deg"])] for row in rows])
    return degrees, [{"names": _names(row), "vmag": float(row["vmag"])} for row in rows]


def _names(row: dict[str, str]) -> list[str]:
    letters = [f"{row[key]} {row['constellation']}" for key in ("bayer", "flamsteed") if row[key]]
    return [name for name in (" / ".join(letters), row["name"]) if name]
