"""The engines this machine can run."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from astrometry_client.server.engine.index_files import index_dirs, index_files
from astrometry_client.server.engine.sep_engine import SepEngine
from astrometry_client.server.engine.values import Engine


def engines(folders: Iterable[Path] = ()) -> dict[str, Engine]:
    """Return the installed engines by name: "sep" with the extra `server`, "solve-field" with astrometry.net.

    Parameters
    ----------
    folders
        Folders of index files, searched before `ASTROMETRY_INDEX_DIR`, the system's and the shipped ones.
    """
    files = index_files(index_dirs(folders))
    found: list[Engine] = []
    if find_spec("astrometry") is not None:
        found.append(SepEngine(index_files=files))
    return {engine.name: engine for engine in found}
