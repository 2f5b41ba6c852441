"""Which index files there are, which fields they can solve, and the stars in them."""

import functools
import math
import os
import warnings
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import attrs
import numpy as np
from astropy.io import fits

from .values import Floats

SYSTEM_DIR = Path("/usr/share/astrometry")
"""Where Debian's packages of index files unpack."""

NARROWEST_FIELD, WIDEST_FIELD = 2.0, 4.0
"""Field width over the size of a file's smallest and largest pattern: within, every rendered field solved
with that file alone. A little beyond, most still do."""

WIDEST_FIELD_DEG = 50.0
"""Wider fields are bent too much, whatever the patterns: of 60°, 18 of 20 solved; of 45°, all."""

TABLES = {"quads", "kdtree_data_codes", "kdtree_data_stars", "kdtree_range_stars"}
"""First columns of the tables without which an index file is none."""

CATALOGUES = {41: "Tycho-2", 42: "2MASS", 52: "Tycho-2 and Gaia DR2"}
"""What series of index files are made of, by the hundreds of their numbers (data.astrometry.net, 2026-11)."""


@attrs.frozen(kw_only=True)
class IndexFile:
    """One index file: patterns of stars within a range of sizes, over the whole sky or a part of it."""

    path: Path
    quad_lower_deg: float
    quad_upper_deg: float
    star_count: int
    catalogue: str = ""
    healpix: int | None = None
    healpix_sides: int = 0
    """Parts along the side of one of the sky's 12 base pixels, of which the file has part `healpix`."""

    @property
    def name(self) -> str:
        """Return the name without folder and endings."""
        return self.path.name.split(".")[0]

    @property
    def whole_sky(self) -> bool:
        """Tell whether it serves the whole sky."""
        return self.healpix is None

    @property
    def field_widths_deg(self) -> tuple[float, float]:
        """Return the narrowest and the widest field it serves well, degrees."""
        narrowest = NARROWEST_FIELD * self.quad_lower_deg
        return narrowest, max(narrowest, min(WIDEST_FIELD * self.quad_upper_deg, WIDEST_FIELD_DEG))


class DamagedIndex(Exception):
    """The file is no index file, or was cut; the message says why, in one line."""


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
    return find_index_files(folders)[0]


def find_index_files(folders: Iterable[Path]) -> tuple[list[IndexFile], dict[Path, str]]:
    """Return the index files in these folders, as `index_files`, and why others cannot be used."""
    by_name: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("index-*.fits")):
            by_name.setdefault(path.name, path)
    found, damaged = [], {}
    for path in by_name.values():
        try:
            found.append(_described(path))
        except DamagedIndex as error:
            damaged[path] = str(error)
    return sorted(found, key=lambda index: -index.quad_upper_deg), damaged


def _described(path: Path) -> IndexFile:
    try:
        status = path.stat()
        return _describe(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DamagedIndex(error.strerror or "it cannot be read") from error


@functools.lru_cache(maxsize=1024)
def _describe(path: Path, size_bytes: int, _changed_ns: int) -> IndexFile:
    """Read the headers, all of them: the last one tells where the file should end."""
    try:
        with warnings.catch_warnings(action="ignore"), fits.open(path, memmap=True) as hdus:
            header = hdus[0].header
            last = hdus[-1].fileinfo()
            end = last["datLoc"] + last["datSpan"]
            lower, upper, count = (header[name] for name in ("SCALE_L", "SCALE_U", "NSTARS"))
            tables = {hdu.header.get("TTYPE1") for hdu in hdus}
    except KeyError as error:
        raise DamagedIndex("it is no index file") from error
    except (OSError, ValueError, TypeError) as error:
        raise DamagedIndex("it is no FITS file, or damaged") from error
    if size_bytes < end:
        raise DamagedIndex(f"it is cut: {size_bytes} of {end} bytes are there")
    if not tables >= TABLES:
        raise DamagedIndex("it is damaged: a table in it is missing")
    sides = int(header.get("HPNSIDE", 0))
    return IndexFile(
        path=path,
        quad_lower_deg=math.degrees(lower),
        quad_upper_deg=math.degrees(upper),
        star_count=count,
        catalogue=CATALOGUES.get(int(header.get("INDEXID", 0)) // 100, ""),
        healpix=int(header["HEALPIX"]) if sides and int(header.get("HEALPIX", -1)) >= 0 else None,
        healpix_sides=sides,
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
    least_cosine = math.cos(math.radians(min(radius_deg, 180.0)))
    found = []
    for vectors, magnitudes in map(stars_of, paths):
        near = vectors @ centre > least_cosine
        found.append((vectors[near], magnitudes[near]))
    every, mags = map(np.concatenate, zip(*found, strict=True))
    # Several files have a star at the same place, within 2 arcsec: one whole number for each place.
    places = np.round(every * 1e5).astype(np.int64) @ np.array([1 << 40, 1 << 20, 1])
    _, first = np.unique(places, return_index=True)
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
