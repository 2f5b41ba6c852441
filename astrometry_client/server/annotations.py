"""The named stars and the deep-sky objects in a solved image, as nova lists them."""

import csv
import functools
import gzip
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine.header import calibration, read_wcs_file
from .engine.indexes import shipped_dir
from .engine.values import Floats
from .engine.wcs import Wcs

Json = dict[str, Any]

WIDE_RADIUS_DEG = 10.0
"""From this radius on nova lists stars alone (`net/api.py`, 2026-11); here Messier's objects as well."""

MOST_OBJECTS = 100
"""Deep-sky objects listed, the most prominent ones: the Virgo cluster has a thousand galaxies."""


def annotations(wcs_file: bytes, width_px: int, height_px: int) -> list[Json]:
    """Return nova's annotations of an image: its bright and named stars, brightest first, then its objects.

    Parameters
    ----------
    wcs_file
        The header-only FITS file of a match.

    Returns
    -------
    list
        Of each its type ("bright" is a star, "ngc" and "ic" are of these catalogues, "messier" is neither),
        names, pixel (the first is 1) and radius in pixels (0 of a star, or if it is not known); of a star its
        visual magnitude, too. Names are designations, then proper names: ["ε UMa / 77 UMa", "Alioth"].
    """
    wcs, _ = read_wcs_file(wcs_file)
    size_px = (width_px, height_px)
    measured = calibration(wcs, size_px=size_px, top_down=False)
    stars = _inside(wcs, size_px, _bright_stars())
    objects = _inside(wcs, size_px, _deep_sky(measured["radius"] >= WIDE_RADIUS_DEG))
    for note in objects[:MOST_OBJECTS]:
        note["radius"] *= 60.0 / measured["pixscale"]
    return stars + objects[:MOST_OBJECTS]


def _inside(wcs: Wcs, size_px: tuple[int, int], listed: tuple[Floats, list[Json]]) -> list[Json]:
    """Return what is in the image, each with its pixel."""
    degrees, notes = listed
    with np.errstate(invalid="ignore"):
        pixels = wcs.to_pixels(degrees)
        inside = np.all((pixels >= 0.5) & (pixels <= np.array(size_px) + 0.5), axis=1)
    return [
        {**notes[row], "pixelx": float(pixels[row, 0]), "pixely": float(pixels[row, 1])}
        for row in np.flatnonzero(inside)
    ]


@functools.cache
def _bright_stars() -> tuple[Floats, list[Json]]:
    """Return positions in degrees (n, 2) and annotations of the stars in `data/bright_stars.csv`."""
    with (shipped_dir() / "bright_stars.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    notes = [
        {"type": "bright", "names": _star_names(row), "radius": 0.0, "vmag": float(row["vmag"])}
        for row in rows
    ]
    return _positions(rows), notes


def _star_names(row: dict[str, str]) -> list[str]:
    letters = [f"{row[key]} {row['constellation']}" for key in ("bayer", "flamsteed") if row[key]]
    return [name for name in (" / ".join(letters), row["name"]) if name]


@functools.cache
def _deep_sky(messier_alone: bool) -> tuple[Floats, list[Json]]:
    """Return positions in degrees (n, 2) and annotations of deep-sky objects; their radius is in arcmin."""
    with gzip.open(shipped_dir() / "deep_sky.csv.gz", "rt", encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if not messier_alone or _is_messiers(row)]
    notes = []
    for row in rows:
        names = row["names"].split("|")
        kind = names[0].split()[0].lower()
        notes.append(
            {
                "type": "messier" if kind == "m" else kind,
                "names": names,
                "radius": float(row["radius_arcmin"]),
            }
        )
    return _positions(rows), notes


def _is_messiers(row: dict[str, str]) -> bool:
    return any(name.startswith("M ") for name in row["names"].split("|"))


def _positions(rows: Iterable[dict[str, str]]) -> NDArray[np.float64]:
    return np.array([[float(row["ra_deg"]), float(row["dec_deg"])] for row in rows])
