"""SQLite files of this package: private, known as ours, set aside when damaged, opened anew after a fork."""

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs
from filelock import FileLock

from astrometry_client.whole_file import private_folder

DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""Primary result codes of a file that is not what SQLite wrote."""

_databases: "weakref.WeakSet[OwnDatabase]" = weakref.WeakSet()
_adding = threading.Lock()
_kept_still: "list[OwnDatabase]" = []
"""Those that wait for a fork to be over."""


class ForeignDatabaseError(sqlite3.DatabaseError):
    """The file is a database, but not one of ours."""


@attrs.frozen(kw_only=True)
class Kind:
    """What a file is for.

    Parameters
    ----------
    application_id
        Marks the file as ours, so that another program's database is left alone.
    version
        Of the tables.
    tables
        Statements that make them, if they are not there.
    upgrades
        Statements that make of the tables of a version those of the next one.
    durable
        Whether a step must be on the disk when it returns; otherwise a power cut may undo the last ones.
    """

    application_id: int
    version: int
    tables: str
    durable: bool = False
    upgrades: Mapping[int, str] = attrs.field(factory=dict)


class OwnDatabase:
    """One connection, opened when needed, opened anew after a fork and where the file was replaced.

    It is for one thread at a time: hold `lock` while it is used.

    Parameters
    ----------
    path
        The file; made when first needed, 0600 in a folder of 0700. `None` keeps all in memory.
    kind
        What must be in it.
    lock_wait_s
        Longest wait for another process that writes.
    """

    def __init__(self, path: Path | None, kind: Kind, *, lock_wait_s: float) -> None:
        self.path = path
        self.lock = threading.Lock()
        self._kind = kind
        self._lock_wait_s = lock_wait_s
        self._connection: sqlite3.Connection | None = None
        self._finalizer: weakref.finalize[..., OwnDatabase] | None = None
        self._identity: tuple[int, int] | None = None
        with _adding:
            _databases.add(self)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def connection(self) -> sqlite3.Connection:
        """Return the connection.

        Raises
        ------
        ForeignDatabaseError
            The file is another program's, or a newer version's.
        sqlite3.Error, OSError
            The file cannot be used.
        """
        if self._connection is not None and _identity(self.path) != self._identity:
            self.close()  # the file was removed or replaced: join the others at the new one
        if self._connection is None:
            with self._alone():
                self._connection = self._opened()
        return self._connection

    def close(self) -> None:
        """Give the file back; it is opened again when needed."""
        finalizer, self._finalizer, self._connection = self._finalizer, None, None
        if finalizer is not None:
            finalizer()

    def set_aside(self) -> Path | None:
        """Rename the damaged file and what SQLite keeps beside it; `None` if another process just did."""
        self.close()
        if self.path is None:
            return None
        with self._alone():
            if self._identity is None or _identity(self.path) != self._identity:
                return None
            kept = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
            for suffix in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{self.path}{suffix}").replace(f"{kept}{suffix}")
        return kept

    def _alone(self) -> contextlib.AbstractContextManager[object]:
        """Keep other processes from opening the file while its parts are renamed."""
        if self.path is None:
            return contextlib.nullcontext()
        private_folder(self.path.parent)
        return FileLock(f"{self.path}.lock", timeout=self._lock_wait_s, mode=0o600)

    def _opened(self) -> sqlite3.Connection:
        name = ":memory:" if self.path is None else private_file(self.path)
        self._identity = _identity(self.path)
        connection = sqlite3.connect(
            name, timeout=self._lock_wait_s, isolation_level=None, check_same_thread=False
        )
        self._finalizer = weakref.finalize(self, connection.close)
        try:
            _prepare(connection, self._kind)
        except BaseException:
            self.close()
            raise
        return connection


def private_file(path: Path) -> Path:
    """Return `path`, created empty for its owner alone (0600, in a folder of 0700) if it was not there."""
    private_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error means that the file is not what SQLite wrote."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE


def fault(path: Path, kind: Kind) -> str | None:
    """Return what is wrong with a file, `None` if nothing is; the file and its folder stay as they are.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    path.stat()
    # Without a log beside it nobody writes; SQLite would make one to read it otherwise.
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
        ) as connection:
            _refuse_foreign(connection, kind)
            (told,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except (sqlite3.Error, OSError) as error:
        return str(error)
    return None if told == "ok" else "damaged: " + " ".join(str(told).split())


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Carry out everything inside, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Also Ctrl-C: the next step must not find a transaction open.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name, or None if there is no file."""
    try:
        status = os.stat(path) if path is not None else None  # noqa: PTH116  a third of the time of Path.stat
    except FileNotFoundError:
        return None
    return (status.st_dev, status.st_ino) if status else None


def _prepare(connection: sqlite3.Connection, kind: Kind) -> None:
    """Make the tables of a new file; refuse a file that is not ours."""
    version = _refuse_foreign(connection, kind)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if kind.durable else 'NORMAL'}")
    if version < kind.version:
        # Whoever opens it at the same time waits, and finds it done.
        with transaction(connection):
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            steps = (
                [kind.upgrades.get(older, "") for older in range(version, kind.version)] if version else []
            )
            for statement in "".join([*steps, kind.tables]).split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {kind.application_id}")
            connection.execute(f"PRAGMA user_version = {kind.version}")


def _refuse_foreign(connection: sqlite3.Connection, kind: Kind) -> int:
    """Return the version of a file of ours."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application_id != kind.application_id:
        raise ForeignDatabaseError("it belongs to another program")
    if version > kind.version:
        raise ForeignDatabaseError("it was made by a newer version of this package")
    return int(version)


def _keep_still() -> None:
    """Close all files before a fork, when no thread is using one.

    In a child SQLite would take the locks of its parent for its own, and lock nothing; the next to close the
    file would then remove the log that the child is writing. Source: sqlite.org/howtocorrupt.html, section
    2.6, read 2026-11.
    """
    _adding.acquire()
    _kept_still.extend(_databases)
    for database in _kept_still:
        database.lock.acquire()
        if database.path is not None:
            with contextlib.suppress(sqlite3.Error):
                database.close()


def _go_on() -> None:
    for database in _kept_still:
        database.lock.release()
    _kept_still.clear()
    _adding.release()


def _start_anew_in_child() -> None:
    for database in _kept_still:
        database.close()  # what is kept in memory is the parent's
    _go_on()


os.register_at_fork(before=_keep_still, after_in_parent=_go_on, after_in_child=_start_anew_in_child)
