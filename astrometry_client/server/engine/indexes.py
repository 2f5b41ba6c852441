"""Which index files there are, which fields they can solve, and the stars in them."""

import functools
import math
import os
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import attrs
import numpy as np
from astropy.io import fits

from .values import Floats

SYSTEM_DIR = Path("/usr/share/astrometry")
"""Where Debian's packages of index files unpack."""

NARROWEST_FIELD, WIDEST_FIELD = 2.0, 1.4
"""Field width over the size of the smallest and of the largest pattern: within, every rendered field solved.

Patterns of 2.8° to 33° serve fields of 6° to 45°; a little beyond, some fields still solve.
"""


@attrs.frozen(kw_only=True)
class IndexFile:
    """One index file: patterns of stars within a range of sizes, over the whole sky or a part of it."""

    path: Path
    quad_lower_deg: float
    quad_upper_deg: float
    star_count: int
    whole_sky: bool

    @property
    def name(self) -> str:
        """Return the name without folder and endings."""
        return self.path.name.split(".")[0]


def shipped_dir() -> Path:
    """Return the folder of the files shipped with this package: Tycho-2, fields of about 6° to 45°."""
    return Path(str(resources.files("astrometry_client.server") / "data"))


def index_dirs(named: Iterable[Path] = ()) -> list[Path]:
    """Return the folders searched: those named, `ASTROMETRY_INDEX_DIR` (a list), the system's, ours."""
    listed = os.environ.get("ASTROMETRY_INDEX_DIR", "").split(os.pathsep)
    chosen = [*named, *(Path(folder).expanduser() for folder in listed if folder)]
    return [folder for folder in dict.fromkeys([*chosen, SYSTEM_DIR, shipped_dir()]) if folder.is_dir()]


def index_files(folders: Iterable[Path]) -> list[IndexFile]:
    """Return the index files in these folders, widest fields first; of files of one name the first counts."""
    by_name: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("index-*.fits")):
            by_name.setdefault(path.name, path)
    known = [found for path in by_name.values() if (found := _describe(path)) is not None]
    return sorted(known, key=lambda index: -index.quad_upper_deg)


def field_widths_deg(files: Iterable[IndexFile]) -> tuple[float, float] | None:
    """Return the narrowest and the widest field these files serve well, degrees; `None` without files."""
    sizes = [(index.quad_lower_deg, index.quad_upper_deg) for index in files]
    if not sizes:
        return None
    return NARROWEST_FIELD * min(low for low, _ in sizes), WIDEST_FIELD * max(high for _, high in sizes)


@functools.lru_cache(maxsize=256)
def _describe(path: Path) -> IndexFile | None:
    try:
        header = fits.getheader(path)
        lower, upper, count = header["SCALE_L"], header["SCALE_U"], header["NSTARS"]
    except (OSError, KeyError):
        return None
    return IndexFile(
        path=path,
        quad_lower_deg=math.degrees(lower),
        quad_upper_deg=math.degrees(upper),
        star_count=count,
        whole_sky=header.get("HPNSIDE", 0) == 0,
    )


@functools.lru_cache(maxsize=16)
def stars_of(path: Path) -> tuple[Floats, Floats]:
    """Return the stars of one index file: unit vectors (n, 3) at J2000, and magnitudes (n).

    The file holds a kd-tree of whole numbers; position = lower corner + number / scale, both in the tree's
    range table (libkd of astrometry.net, as of version 0.75). Trees of other numbers give no stars. Where no
    magnitudes are kept, the round in which a star was chosen takes their place: bright ones came first.
    """
    with fits.open(path, memmap=False) as hdus:
        columns = {
            name: hdu.data[name] for hdu in hdus[1:] if hdu.data is not None for name in hdu.columns.names
        }
    numbers, corners = columns["kdtree_data_stars"], columns["kdtree_range_stars"]
    if numbers.dtype.itemsize != 12:
        return np.empty((0, 3)), np.empty(0)
    lower_and_scale = np.frombuffer(corners.tobytes(), dtype="<f8")
    vectors = (
        lower_and_scale[:3]
        + np.frombuffer(numbers.tobytes(), dtype="<u4").reshape(-1, 3) / lower_and_scale[6]
    )
    brightness = next((name for name in columns if "mag" in name.lower()), "sweep")
    return vectors, np.asarray(columns[brightness], dtype=np.float64)


def stars_near(paths: Iterable[Path], *, centre: Floats, radius_deg: float) -> tuple[Floats, Floats]:
    """Return the stars of all these files within a circle: positions in degrees (n, 2), magnitudes (n)."""
    vectors, magnitudes = zip(*(stars_of(path) for path in paths), strict=True)
    every, mags = np.concatenate(vectors), np.concatenate(magnitudes)
    near = every @ centre > math.cos(math.radians(min(radius_deg, 180.0)))
    every, mags = every[near], mags[near]
    _, first = np.unique(np.round(every * 1e5).astype(np.int64), axis=0, return_index=True)
    return to_degrees(every[first]), mags[first]


def to_degrees(vectors: Floats) -> Floats:
    """Return right ascension and declination in degrees, (n, 2), of unit vectors (n, 3)."""
    ra = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360.0
    dec = np.degrees(np.arcsin(np.clip(vectors[:, 2], -1.0, 1.0)))
    return np.column_stack([ra, dec])


def to_vectors(degrees: Floats) -> Floats:
    """Return unit vectors (n, 3) of right ascension and declination in degrees, (n, 2)."""
    ra, dec = np.radians(degrees[:, 0]), np.radians(degrees[:, 1])
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
