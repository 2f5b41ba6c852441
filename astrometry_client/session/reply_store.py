"""Where final replies are kept: rows of an SQLite file, and a folder beside it for the large bodies."""

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from astrometry_client.config import DEFAULTS
from astrometry_client.own_database import transaction
from astrometry_client.session.cache_file import CacheFile
from astrometry_client.whole_file import private_folder, writing_whole

__all__ = ["ReplyStore", "StoredReply"]

_ROW_BYTES: Final = 512
"""What an entry takes beside its body."""

_KEPT_SHARE: Final = 0.9
"""What is left after making room, so that it need not be made for each new reply."""


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
        self.file = CacheFile(path, lock_wait_s=lock_wait_s)
        self._clock = clock
        self._used: dict[str, float] = {}
        self._unchecked_bytes: float = max_size_bytes

    def find(self, key: str) -> tuple[StoredReply, bytes | Path] | None:
        """Return the reply and its body, or the file that holds the body; `None` if there is none."""
        row = self.file.use(
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
            with transaction(file):
                file.execute(f"REPLACE INTO replies VALUES ({','.join('?' * len(values))})", values)  # noqa: S608
                self._note_use(file)
                gone = self._make_room(file, size_bytes + _ROW_BYTES)
            self._remove_bodies(gone)

        self.file.use(step, otherwise=None)

    def delete(self, keys: list[str]) -> None:
        """Forget the replies of these keys."""

        def step(file: sqlite3.Connection) -> None:
            with transaction(file):
                file.executemany("DELETE FROM replies WHERE key = ?", [(key,) for key in keys])
            self._remove_bodies(keys)

        self.file.use(step, otherwise=None)

    def clear(self) -> None:
        """Forget every reply and give the space back."""

        def step(file: sqlite3.Connection) -> None:
            with transaction(file):
                file.execute("DELETE FROM replies")
            file.execute("VACUUM")
            shutil.rmtree(self.folder, ignore_errors=True)

        self.file.use(step, otherwise=None)

    def keys(self) -> list[str]:
        """Return the keys of all replies."""
        return self.file.use(
            lambda file: [key for (key,) in file.execute("SELECT key FROM replies")], otherwise=[]
        )

    def totals(self) -> tuple[int, int]:
        """Return how many replies there are and how many bytes they take."""
        count, size_bytes = self.file.use(
            lambda file: file.execute("SELECT count(*), total(size) FROM replies").fetchone(),
            otherwise=(0, 0),
        )
        return count, int(size_bytes)

    def close(self) -> None:
        """Give the file back; it is opened again when needed."""
        if self._used and self.file.is_open:

            def step(file: sqlite3.Connection) -> None:
                with transaction(file):
                    self._note_use(file)

            self.file.use(step, otherwise=None)
        self.file.close()

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
