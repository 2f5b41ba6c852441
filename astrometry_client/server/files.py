"""Uploaded files, stored once under the SHA-1 of their content."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

import attrs


@attrs.frozen
class StoredFile:
    """A file in the store; `sha1` is the `hash` nova answers."""

    sha1: str
    size_bytes: int


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class FileStore:
    """Files by content: nobody sees one before it is complete and on the disk.

    Parameters
    ----------
    folder
        Made if missing. What an ended server left unfinished in it can be removed with `sweep`.
    lasting
        Whether a kept file survives a power failure.
    """

    def __init__(self, folder: Path, *, lasting: bool = True) -> None:
        self._folder = folder
        self.lasting = lasting
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def path(self, sha1: str) -> Path:
        """Return where the file with this hash is."""
        return self._folder / sha1[:3] / sha1

    def begin(self) -> "IncomingFile":
        """Begin a new file."""
        return IncomingFile(self, self._incoming)

    def store(self, content: bytes) -> StoredFile:
        """Store a small file."""
        with self.begin() as incoming:
            incoming.write(content)
            return incoming.keep()

    def sweep(self) -> None:
        """Remove files whose upload never ended; only when nothing else uses the store."""
        shutil.rmtree(self._incoming)
        self._incoming.mkdir()


class IncomingFile:
    """A file on its way into the store; use it in a `with` block, and `keep` it before the end."""

    def __init__(self, store: FileStore, folder: Path) -> None:
        self._store = store
        handle, name = tempfile.mkstemp(dir=folder)
        self._path = Path(name)
        self._file: BinaryIO = os.fdopen(handle, "wb")
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._file.write(data)
        self._sha1.update(data)
        self.size_bytes += len(data)

    def keep(self) -> StoredFile:
        """Put the complete file on the disk under its hash; the same content is kept once."""
        self._file.flush()
        if self._store.lasting:
            os.fsync(self._file.fileno())
        self._file.close()
        stored = StoredFile(self._sha1.hexdigest(), self.size_bytes)
        target = self._store.path(stored.sha1)
        target.parent.mkdir(exist_ok=True)
        self._path.replace(target)
        if self._store.lasting:
            sync_folder(target.parent)
            sync_folder(target.parent.parent)
        return stored

    def __enter__(self) -> "IncomingFile":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
