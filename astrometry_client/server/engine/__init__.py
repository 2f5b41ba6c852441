"""Plate solvers behind one small interface: `engines(...)["sep"].solve(path, hints)`."""

from astrometry_client.server.engine.index_files import IndexFile, index_dirs, index_files, shipped_dir
from astrometry_client.server.engine.installed import engines
from astrometry_client.server.engine.source_lists import field_of
from astrometry_client.server.engine.sources import read_field
from astrometry_client.server.engine.values import Engine, Field, Hints, ImageError, Match

__all__ = [
    "Engine",
    "Field",
    "Hints",
    "ImageError",
    "IndexFile",
    "Match",
    "engines",
    "field_of",
    "index_dirs",
    "index_files",
    "read_field",
    "shipped_dir",
]
