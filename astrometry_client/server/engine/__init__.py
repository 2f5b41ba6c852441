"""Plate solvers behind one small interface: `engines(...)["sep"].solve(path, hints)`."""

from .coverage import Gap, covered, gaps
from .indexes import IndexFile, find_index_files, index_dirs, index_files, shipped_dir
from .installed import engines
from .matching import Matcher
from .source_lists import field_of
from .sources import read_field
from .values import Engine, Field, Hints, ImageError, Match

__all__ = [
    "Engine",
    "Field",
    "Gap",
    "Hints",
    "ImageError",
    "IndexFile",
    "Match",
    "Matcher",
    "covered",
    "engines",
    "field_of",
    "find_index_files",
    "gaps",
    "index_dirs",
    "index_files",
    "read_field",
    "shipped_dir",
]
