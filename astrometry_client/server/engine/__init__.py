"""Plate solvers behind one small interface: `engines(...)["sep"].solve(path, hints)`."""

from .indexes import IndexFile, field_widths_deg, index_dirs, index_files, shipped_dir
from .installed import engines
from .source_lists import field_of
from .sources import read_field
from .values import Engine, Field, Hints, ImageError, Match

__all__ = [
    "Engine",
    "Field",
    "Hints",
    "ImageError",
    "IndexFile",
    "Match",
    "engines",
    "field_of",
    "field_widths_deg",
    "index_dirs",
    "index_files",
    "read_field",
    "shipped_dir",
]
