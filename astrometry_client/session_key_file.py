"""The session key on disk, for the user's other processes."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self, cast

import filelock

from astrometry_client.errors import InputError
from astrometry_client.whole_file import private_folder, write_whole

logger = logging.getLogger(__name__)

_LOCK_WAIT_S: Final = 60.0
"""Longest wait for another process that is logging in: its own time-outs end before."""


class KeyFile:
    """A session key on disk, readable by its owner alone.

    Parameters
    ----------
    path
        Where it is kept; `None` keeps it nowhere.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @contextmanager
    def locked(self) -> Iterator[Self]:
        """Keep other processes out; where that cannot be, do without the file."""
        lock = self._lock() if self._path else None
        try:
            yield self
        finally:
            if lock is not None:
                lock.release()

    def _lock(self) -> filelock.BaseFileLock | None:
        path = cast(Path, self._path)
        try:
            private_folder(path.parent)
            lock = filelock.FileLock(path.with_suffix(".lock"), timeout=_LOCK_WAIT_S)
            lock.acquire()
        except (OSError, filelock.Timeout) as cause:
            self._give_up(cause)
            return None
        return lock

    def read(self) -> str | None:
        """Return the key; nothing if there is none, or what is there is damaged."""
        if self._path is None:
            return None
        try:
            key = json.loads(self._path.read_text())["session"]
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return key if isinstance(key, str) and key else None

    def write(self, key: str) -> None:
        """Keep this key."""
        if self._path:
            try:
                write_whole(self._path, json.dumps({"session": key}).encode(), private=True)
            except OSError as cause:
                self._give_up(cause)

    def forget(self) -> None:
        """Keep no key."""
        try:
            if self._path:
                self._path.unlink(missing_ok=True)
        except OSError as cause:
            raise InputError(
                f"{self._path} cannot be removed ({cause.strerror}): remove it yourself."
            ) from cause

    def _give_up(self, cause: Exception) -> None:
        logger.warning("The login cannot be shared with other processes: %s", cause)
        self._path = None
