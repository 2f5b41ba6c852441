"""What `astrometry-client doctor` looks at; nothing is changed, and nothing secret is told."""

import platform
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import attrs

from astrometry_client import api
from astrometry_client.api_key import key_sources
from astrometry_client.config import APP_NAME, state_dir
from astrometry_client.errors import APIKeyError, AstrometryError, Unreachable
from astrometry_client.ledger import LedgerReader
from astrometry_client.ledger.ledger_file import LEDGER
from astrometry_client.own_database import Kind, fault
from astrometry_client.session import ClientSession, cache_path, is_loopback
from astrometry_client.session.cache_file import REPLIES
from astrometry_client.session.limiting import rates_path
from astrometry_client.session.slots_sqlite import RATES

EXTRAS: Final = {
    "wcs": ("astropy", "numpy"),
    "plot": ("matplotlib", "PIL"),
    "server": ("astrometry", "sep", "starlette", "uvicorn", "python_multipart"),
    "redis": ("redis",),
    "keyring": ("keyring",),
}
"""What can be imported with each extra."""

PATIENCE_S: Final = 5.0
"""Longest wait for a server: one that takes longer is of little use."""


@attrs.frozen
class Finding:
    """What was found: it is well, it is only to be known ("note"), or something is to be done ("problem")."""

    subject: str
    state: Literal["well", "note", "problem"]
    told: str
    remedy: str = ""


def findings(
    *, index_folders: Sequence[Path] = (), key_server: str, servers: Sequence[str] = ()
) -> Iterator[Finding]:
    """Look at everything, one thing after the other.

    Parameters
    ----------
    key_server
        Whose API key is looked for.
    servers
        Each of these is asked once; no other is.
    """
    yield Finding("Package", "well", f"{APP_NAME} {version(APP_NAME)}, Python {platform.python_version()}")
    yield from _extras()
    if not _missing("server"):
        yield from _engines(index_folders)
        yield from _index_files(index_folders)
    yield _database("Cache", cache_path(), REPLIES, loses="stored replies")
    yield _database("Rates", rates_path(), RATES, loses="the requests of the last day")
    yield _database("Ledger", LedgerReader().path, LEDGER, loses="what was uploaded before")
    yield _api_key(key_server)
    yield _logins()
    for server in servers:
        yield _server(server)


def _missing(extra: str) -> list[str]:
    return [name for name in EXTRAS[extra] if find_spec(name) is None]


def _extras() -> Iterator[Finding]:
    for extra in EXTRAS:
        missing = _missing(extra)
        if missing:
            remedy = f"If you need it: pip install '{APP_NAME}[{extra}]'"
            yield Finding(f"Extra {extra}", "note", f"not installed: {', '.join(missing)}", remedy)
        else:
            yield Finding(f"Extra {extra}", "well", "installed")


def _engines(folders: Sequence[Path]) -> Iterator[Finding]:
    from astrometry_client.server.engine import engines

    names = ", ".join(engines(folders))
    yield Finding("Engines", "well" if names else "problem", names or "none", "" if names else _reinstall())
    if shutil.which("solve-field") is None:
        yield Finding("solve-field", "note", "not installed", "If you want it: Debian's astrometry.net")


def _reinstall() -> str:
    return f"pip install '{APP_NAME}[server]'"


def _index_files(folders: Sequence[Path]) -> Iterator[Finding]:
    from astrometry_client.cli.index import degrees
    from astrometry_client.server.engine import covered, find_index_files, gaps, index_dirs

    files, damaged = find_index_files(index_dirs(folders))
    ranges = ", ".join(degrees(widths) for widths in covered(files))
    if ranges:
        yield Finding("Index files", "well", f"{len(files)} files, for fields of {ranges}")
    else:
        yield Finding("Index files", "problem", "none that serve the whole sky", _reinstall())
    for gap in gaps(files):
        yield Finding("Index files", "note", f"none for fields of {degrees(gap.widths_deg)}", gap.remedy)
    for path, reason in damaged.items():
        yield Finding("Index files", "problem", f"{path}: {reason}", "Fetch it anew, or remove it")


def _database(subject: str, path: Path, kind: Kind, *, loses: str) -> Finding:
    try:
        wrong = fault(path, kind)
    except (FileNotFoundError, NotADirectoryError):
        return Finding(subject, "well", f"nothing yet in {path}")
    except OSError as error:
        wrong = error.strerror or str(error)
    if wrong is None:
        return Finding(subject, "well", f"{path}, {path.stat().st_size / 1e6:.1f} MB")
    remedy = f"Move it away: a new one begins, without {loses}; if it is not yours to read, mend its rights"
    return Finding(subject, "problem", f"{path}: {wrong}", remedy)


def _api_key(server: str) -> Finding:
    host = urlsplit(server).hostname or ""
    subject = f"API key for {host}"
    try:
        with warnings.catch_warnings(record=True) as readable, warnings.catch_warnings():
            warnings.simplefilter("always")
            place = next((place for place, look in key_sources(None, None, host) if look() is not None), None)
    except APIKeyError as error:
        return Finding(subject, "problem", str(error))
    if place is None:
        remedy = "Copy it from the profile page of the site: astrometry-client login"
        return Finding(subject, "note", "none", remedy)
    if readable:
        return Finding(subject, "problem", f"in {place}, which others can read", "chmod 600")
    return Finding(subject, "well", f"in {place}")


def _logins() -> Finding:
    kept = len([*state_dir().glob("login-*.json")])
    return Finding("Logins", "well", f"{kept} kept in {state_dir()}")


def _server(server: str) -> Finding:
    begun = time.monotonic()
    with ClientSession(cache_file=None, max_retries=0, timeout=PATIENCE_S) as session:
        try:
            api.job_status(server, 1).make(session)
        except Unreachable:
            remedy = "Start it: astrometry-client serve" if is_loopback(server) else "Look at it in a browser"
            return Finding(f"Server {server}", "problem", "not reachable", remedy)
        except AstrometryError as error:
            if getattr(error, "status", None) != 404:
                remedy = "Is it an Astrometry.net server, and well? Look at it in a browser"
                return Finding(f"Server {server}", "problem", " ".join(str(error).split()), remedy)
    return Finding(f"Server {server}", "well", f"answers after {time.monotonic() - begun:.2f} s")
