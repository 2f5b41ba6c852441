"""Every setting of a server, with its unit and the reason for its default."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import attrs
import platformdirs

from astrometry_client.config import APP_NAME
from astrometry_client.errors import InputError

MIB = 2**20


def default_data_dir() -> Path:
    """Return the folder of queue and files: `ASTROMETRY_SERVER_DIR`, else the user's data folder."""
    chosen = os.environ.get("ASTROMETRY_SERVER_DIR")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir(APP_NAME)) / "server"


def available_cores() -> int:
    """Return the number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _paths(folders: Iterable[Path | str]) -> tuple[Path, ...]:
    return tuple(Path(folder) for folder in folders)


@attrs.frozen(kw_only=True)
class ServerSettings:
    """The settings of one server."""

    data_dir: Path = attrs.field(factory=default_data_dir, converter=Path)
    """Everything the server keeps: its database, and the files uploaded to it."""

    host: str = "127.0.0.1"
    """Only this machine can reach the server unless told otherwise."""

    port: int = 8000
    """0 takes any free port."""

    allow_anyone: bool = False
    """Any API key logs in. Without it a server that others can reach does not start before it has a key."""

    host_names: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    """Names under which a proxy makes a loopback server known; requests for another are refused."""

    index_dirs: tuple[Path, ...] = attrs.field(default=(), converter=_paths)
    """Folders of index files, beside the ones the engine finds itself."""

    engine: str | None = None
    """The first one installed; or its name, or `module:function` that makes one from the index folders."""

    workers: int = attrs.field(factory=available_cores)
    """Solves at a time; each keeps one core busy."""

    solve_timeout_s: float = 120.0
    """Longest solve. With the shipped index files nearly every field is solved within a few seconds."""

    read_timeout_s: float = 120.0
    """Longest turn of reading a submission; 100 megapixels took 25 s at most, on a busy machine."""

    fetch_timeout_s: float = 300.0
    """Longest fetching of the file of a URL upload: 512 MiB at 2 MB/s."""

    private_urls: bool = False
    """URL uploads may lead to this machine and its neighbours: only where all users may see what is there."""

    fetches: int = 4
    """URLs fetched at a time; they wait for other machines, and keep no core busy."""

    make_timeout_s: float = 60.0
    """Longest making of one result file; the slowest of 100 megapixels, a PNG in full size, took 9 s."""

    memory_bytes: int = 4096 * MIB
    """Address space of one worker process; an image of 100 megapixels needs about a third of it."""

    connections: int = 1000
    """Connections at a time; further requests are answered 503."""

    patience_s: float = 60.0
    """Longest silence in the middle of a request, and longest wait for its head."""

    upload_bytes: int = 512 * MIB
    """Largest upload; nova takes about 500 MB."""

    quota_bytes: int | None = None
    """Most that uploads may take; the oldest finished ones go first, with their results. None: no limit."""

    form_bytes: int = 5 * MIB // 2
    """Largest `request-json`, as on nova (`DATA_UPLOAD_MAX_MEMORY_SIZE`)."""

    unpacked_bytes: int = 2048 * MIB
    """All files of one tar archive together."""

    archive_files: int = 1000
    """Files of one tar archive."""

    session_s: float = 14 * 86400.0
    """Lifetime of a login, as on nova."""

    strict_nova: bool = False
    """Keep those habits of nova, too, that help nobody; tests of clients want them."""

    def __attrs_post_init__(self) -> None:
        for name in (
            "workers",
            "fetches",
            "connections",
            "patience_s",
            "solve_timeout_s",
            "read_timeout_s",
            "make_timeout_s",
            "fetch_timeout_s",
            "memory_bytes",
            "upload_bytes",
            "quota_bytes",
            "session_s",
        ):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InputError(f"{name}={value!r} is not allowed: give a number above 0")

    @classmethod
    def given(cls, **options: Any) -> Self:
        """Return settings with these options; one that is None keeps its default."""
        return cls(**{name: value for name, value in options.items() if value is not None})

    @property
    def database_file(self) -> Path:
        """Return the file of queue, results and accounts."""
        return self.data_dir / "server.sqlite"

    @property
    def files_dir(self) -> Path:
        """Return the folder of uploaded files."""
        return self.data_dir / "files"

    @property
    def made_dir(self) -> Path:
        """Return the folder of result files on their way to who asked for them."""
        return self.data_dir / "made"
