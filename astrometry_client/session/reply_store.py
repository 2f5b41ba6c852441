"""Where final replies are kept: an SQLite file, and a folder beside it for the large bodies.

Whatever is wrong with the file, nobody waits long and nobody fails: one warning, and the replies are
fetched anew. A damaged file is set aside.
"""

import contextlib
import json
import logging
import os
import shutil
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import attrs

from astrometry_client.config import DEFAULTS
from astrometry_client.whole_file import private_folder, writing_whole

__all__ = ["ReplyStore", "StoredReply"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_APPLICATION_ID: Final = 0x41535452
"""Marks the file as ours ("ASTR"), so that another program's database is left alone."""

_VERSION: Final = 1
_ROW_BYTES: Final = 512
"""What an entry takes beside its body."""

_REST_S: Final = 60.0
"""How long a store that failed is left alone."""

_KEPT_SHARE: Final = 0.9
"""What is left after making room, so that it need not be made for each new reply."""

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, url TEXT NOT NULL, status INTEGER NOT NULL, reason TEXT, headers TEXT NOT NULL,
    encoding TEXT, created REAL NOT NULL, expires REAL, used REAL NOT NULL, size INTEGER NOT NULL,
    is_file INTEGER NOT NULL, body BLOB
);
CREATE INDEX IF NOT EXISTS by_use ON replies (used, size);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
"""

_stores: "weakref.WeakSet[ReplyStore]" = weakref.WeakSet()
_inherited: list[sqlite3.Connection] = []
"""Connections of the parent process. Closing one in a child would damage the parent's file."""


class _ForeignFileError(sqlite3.DatabaseError):
    """The file is a database, but not one of ours."""


@attrs.frozen(kw_only=True)
class StoredReply:
    """A reply without its body and without anything secret."""

    url: str
    status: int
    reason: str
    headers: dict[str, str]
    encoding: str | None
    created_s: float
    expires_s: float | None
    """Seconds since 1970; `None` for never."""


class ReplyStore:
    """Keep replies by key. Safe to share between threads and to keep across a fork.

    Parameters
    ----------
    path
        The SQLite file; made when first needed, readable by its owner alone.
    max_size_bytes
        Most that all replies may take; the longest unused go first.
    clock
        Seconds since 1970.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_size_bytes: int = DEFAULTS.cache_size_bytes,
        lock_wait_s: float = DEFAULTS.cache_lock_s,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.folder = path.with_name(f"{path.stem}-files")
        self.max_size_bytes = max_size_bytes
        self._lock_wait_s = lock_wait_s
        self._clock = clock
        self._warned = False
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._finalizer: weakref.finalize[..., ReplyStore] | None = None
        self._inode = 0
        self._rests_until = 0.0
        self._used: dict[str, float] = {}
        self._unchecked_bytes: float = max_size_bytes
        _stores.add(self)

    def find(self, key: str) -> tuple[StoredReply, bytes | Path] | None:
        """Return the reply and its body, or the file that holds the body; `None` if there is none."""
        row = self._on_file(
            lambda file: file.execute(
                "SELECT url, status, reason, headers, encoding, created, expires, is_file, size, body"
                " FROM replies WHERE key = ?",
                (key,),
            ).fetchone(),
            otherwise=None,
        )
        if row is None:
            return None
        url, status, reason, headers, encoding, created, expires, is_file, size, body = row
        if is_file:
            body = self.folder / key
            if _size_bytes(body) != size - _ROW_BYTES:
                self.delete([key])
                return None
        self._used[key] = self._clock()
        reply = StoredReply(
            url=url,
            status=status,
            reason=reason,
            headers=json.loads(headers),
            encoding=encoding,
            created_s=created,
            expires_s=expires,
        )
        return reply, body

    def put(self, key: str, reply: StoredReply, body: bytes | Path) -> None:
        """Keep a reply; a body that is large or a file is copied into the folder, whole or not at all."""
        size_bytes = body.stat().st_size if isinstance(body, Path) else len(body)
        if size_bytes > self.max_size_bytes * (1 - _KEPT_SHARE):
            return
        is_file = isinstance(body, Path) or size_bytes > DEFAULTS.cache_file_bytes

        def step(file: sqlite3.Connection) -> None:
            if is_file:
                self._write_body(key, body)
            values = (
                *(key, reply.url, reply.status, reply.reason, json.dumps(reply.headers), reply.encoding),
                *(reply.created_s, reply.expires_s, self._clock(), size_bytes + _ROW_BYTES, is_file),
                None if is_file else body,
            )
            with _transaction(file):
                file.execute(f"REPLACE INTO replies VALUES ({','.join('?' * len(values))})", values)  # noqa: S608
                self._note_use(file)
                gone = self._make_room(file, size_bytes + _ROW_BYTES)
            self._remove_bodies(gone)

        self._on_file(step, otherwise=None)

    def delete(self, keys: list[str]) -> None:
        """Forget the replies of these keys."""

        def step(file: sqlite3.Connection) -> None:
            with _transaction(file):
                file.executemany("DELETE FROM replies WHERE key = ?", [(key,) for key in keys])
            self._remove_bodies(keys)

        self._on_file(step, otherwise=None)

    def clear(self) -> None:
        """Forget every reply and give the space back."""

        def step(file: sqlite3.Connection) -> None:
            with _transaction(file):
                file.execute("DELETE FROM replies")
            file.execute("VACUUM")
            shutil.rmtree(self.folder, ignore_errors=True)

        self._on_file(step, otherwise=None)

    def keys(self) -> list[str]:
        """Return the keys of all replies."""
        return self._on_file(
            lambda file: [key for (key,) in file.execute("SELECT key FROM replies")], otherwise=[]
        )

    def totals(self) -> tuple[int, int]:
        """Return how many replies there are and how many bytes they take."""
        count, size_bytes = self._on_file(
            lambda file: file.execute("SELECT count(*), total(size) FROM replies").fetchone(),
            otherwise=(0, 0),
        )
        return count, int(size_bytes)

    def close(self) -> None:
        """Give the file back; it is opened again when needed."""
        with self._lock:
            if self._connection is not None and self._used:
                with contextlib.suppress(sqlite3.Error), _transaction(self._connection):
                    self._note_use(self._connection)
            self._drop_connection()

    def start_anew(self) -> None:
        """Leave everything open to the parent process; called in a forked child."""
        self._lock = threading.Lock()
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._connection is not None:
            _inherited.append(self._connection)
        self._connection, self._finalizer = None, None

    def _on_file(self, step: Callable[[sqlite3.Connection], T], *, otherwise: T) -> T:
        """Return what `step` returns, `otherwise` if the file is not usable or busy for too long."""
        with self._lock:
            if time.monotonic() < self._rests_until:
                return otherwise
            try:
                return step(self._opened())
            except (sqlite3.Error, OSError) as cause:
                self._give_up(cause)
                return otherwise

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            private_folder(self.path.parent)
            # SQLite gives its side files the rights of the main one.
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            self._inode = os.fstat(descriptor).st_ino
            os.close(descriptor)
            self.path.chmod(0o600)
            connection = sqlite3.connect(
                self.path, timeout=self._lock_wait_s, isolation_level=None, check_same_thread=False
            )
            self._connection = connection
            self._finalizer = weakref.finalize(self, connection.close)
            _prepare(connection)
        return self._connection

    def _give_up(self, cause: sqlite3.Error | OSError) -> None:
        damaged = getattr(cause, "sqlite_errorcode", 0) & 0xFF in _DAMAGE
        self._rests_until = time.monotonic() + _REST_S
        with contextlib.suppress(sqlite3.Error):
            self._drop_connection()
        kept = f" The damaged file is now {self._set_aside()}." if damaged else ""
        logger.log(
            logging.DEBUG if self._warned else logging.WARNING,
            "Replies are not stored, because %s is not usable: %s.%s",
            self.path,
            cause,
            kept,
        )
        self._warned = True

    def _set_aside(self) -> Path:
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        with contextlib.suppress(OSError):
            # Another process may have done so, and begun a new file.
            if self.path.stat().st_ino != self._inode:
                return aside
            self.path.rename(aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(OSError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        return aside

    def _drop_connection(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._connection, self._finalizer = None, None

    def _note_use(self, file: sqlite3.Connection) -> None:
        """Write down what was read since the last time: reading alone must not write."""
        used, self._used = self._used, {}
        file.executemany(
            "UPDATE replies SET used = ? WHERE key = ?", [(when, key) for key, when in used.items()]
        )

    def _make_room(self, file: sqlite3.Connection, added_bytes: int) -> list[str]:
        """Delete the longest unused entries if there are too many, and return their keys."""
        self._unchecked_bytes += added_bytes
        # Adding up costs milliseconds with many entries, so it is done for each percent of growth.
        if self._unchecked_bytes < self.max_size_bytes / 100:
            return []
        self._unchecked_bytes = 0
        (total_bytes,) = file.execute("SELECT total(size) FROM replies").fetchone()
        if total_bytes <= self.max_size_bytes:
            return []
        gone = []
        for key, size_bytes in file.execute("SELECT key, size FROM replies ORDER BY used"):
            if total_bytes <= self.max_size_bytes * _KEPT_SHARE:
                break
            gone.append(key)
            total_bytes -= size_bytes
        file.executemany("DELETE FROM replies WHERE key = ?", [(key,) for key in gone])
        return gone

    def _write_body(self, key: str, body: bytes | Path) -> None:
        private_folder(self.folder)
        with writing_whole(self.folder / key, private=True) as file:
            if isinstance(body, Path):
                with body.open("rb") as source:
                    shutil.copyfileobj(source, file)
            else:
                file.write(body)

    def _remove_bodies(self, keys: list[str]) -> None:
        for key in keys:
            (self.folder / key).unlink(missing_ok=True)


def _size_bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables of a new file; refuse a file that is not ours."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application_id != _APPLICATION_ID:
        raise _ForeignFileError("it belongs to another program")
    if version > _VERSION:
        raise _ForeignFileError("it was made by a newer version of this package")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if version < _VERSION:
        connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")


@contextlib.contextmanager
def _transaction(file: sqlite3.Connection) -> Iterator[None]:
    file.execute("BEGIN IMMEDIATE")
    try:
        yield
        file.execute("COMMIT")
    except BaseException:
        # Also Ctrl-C: the next step must not find a transaction open.
        with contextlib.suppress(sqlite3.Error):
            file.execute("ROLLBACK")
        raise


def _start_anew_in_child() -> None:
    for store in list(_stores):
        store.start_anew()


os.register_at_fork(after_in_child=_start_anew_in_child)
