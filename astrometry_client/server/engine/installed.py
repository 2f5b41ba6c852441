"""The engines this machine can run."""

import shutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from .indexes import index_dirs, index_files
from .matching import Matcher
from .sep_engine import SepEngine
from .solve_field import SolveFieldEngine
from .values import Engine


def engines(folders: Iterable[Path] = (), *, matcher: Matcher | None = None) -> dict[str, Engine]:
    """Return the installed engines by name: "sep" with the extra `server`, "solve-field" with astrometry.net.

    Parameters
    ----------
    folders
        Folders of index files, searched before `ASTROMETRY_INDEX_DIR`, the system's and the shipped ones.
    matcher
        What "sep" uses for every image, in one thread. Default: a new one for each.
    """
    files = index_files(index_dirs(folders))
    found: list[Engine] = []
    if find_spec("astrometry") is not None:
        found.append(SepEngine(index_files=files, matcher=matcher))
    command = shutil.which("solve-field")
    if command is not None:
        found.append(SolveFieldEngine(command=command, index_files=files))
    return {engine.name: engine for engine in found}
