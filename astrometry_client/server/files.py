"""Uploaded files, stored once under the SHA-1 of their content."""

import contextlib
import hashlib
import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import attrs


@attrs.frozen
class StoredFile:
    """A file in the store; `sha1` is the `hash` nova answers."""

    sha1: str
    size_bytes: int


class NoRoom(Exception):
    """The disk holds as much as it can or may, and nothing on it can go yet."""


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _disk_trouble() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NoRoom(f"the file cannot be kept ({error.strerror}); try again later") from error


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
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self.lasting = lasting
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def path(self, sha1: str) -> Path:
        """Return where the file with this hash is."""
        return self._folder / sha1[:3] / sha1

    def holds(self, sha1: str) -> bool:
        """Tell whether the file with this hash is there."""
        return self.path(sha1).exists()

    @contextlib.asynccontextmanager
    async def room(self, size_bytes: int) -> AsyncIterator[None]:  # noqa: ARG002
        """Keep so much of the disk free for an upload during the block; raises `NoRoom`."""
        yield

    def is_full(self) -> bool:
        """Tell whether no more files should be fetched now."""
        return False

    def tidy(self) -> None:
        """Remove what is too much."""

    def begin(self) -> "IncomingFile":
        """Begin a new file."""
        return IncomingFile(self, self._incoming)

    def store(self, content: bytes) -> StoredFile:
        """Store a small file."""
        with self.begin() as incoming:
            incoming.write(content)
            return incoming.keep()

    def sweep(self, wanted: Callable[[str], bool] = lambda _: True) -> None:
        """Remove cut uploads and the files not wanted; only when nothing else uses the store."""
        shutil.rmtree(self._incoming)
        self._incoming.mkdir()
        for path in list(self.files()):
            if not wanted(path.name):
                path.unlink()

    def files(self) -> Iterator[Path]:
        """Yield all files, those on their way, too."""
        for folder in self._folder.iterdir():
            yield from folder.iterdir()

    def hold(self, sha1: str, arrive: Callable[[], object]) -> None:
        """Let a file arrive, and keep it from being removed until `let_go`."""
        with self._lock:
            self._held[sha1] += 1
            arrive()

    def let_go(self, sha1: str) -> None:
        """Allow a file to be removed again."""
        with self._lock:
            self._held[sha1] -= 1
            if not self._held[sha1]:
                del self._held[sha1]

    def remove(self, sha1: str) -> int:
        """Remove a file, unless an upload has just brought it anew; return the bytes freed."""
        path = self.path(sha1)
        with self._lock:
            if self._held[sha1] or not path.exists():
                return 0
            size_bytes = path.stat().st_size
            path.unlink()
        return size_bytes


class IncomingFile:
    """A file on its way into the store; use it in a `with` block, and `keep` it before the end.

    What is kept cannot be removed from the store before the block ends: refer to it inside.
    """

    def __init__(self, store: FileStore, folder: Path) -> None:
        self._store = store
        handle, name = tempfile.mkstemp(dir=folder)
        self._path = Path(name)
        self._file: BinaryIO = os.fdopen(handle, "wb")
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._kept: str | None = None
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Append bytes; raises `NoRoom` where the disk takes no more."""
        with _disk_trouble():
            self._file.write(data)
        self._sha1.update(data)
        self.size_bytes += len(data)

    def keep(self) -> StoredFile:
        """Put the complete file on the disk under its hash; the same content is kept once."""
        with _disk_trouble():
            self._file.flush()
            if self._store.lasting:
                os.fsync(self._file.fileno())
            self._file.close()
        stored = StoredFile(self._sha1.hexdigest(), self.size_bytes)
        target = self._store.path(stored.sha1)
        target.parent.mkdir(exist_ok=True)
        self._store.hold(stored.sha1, lambda: self._path.replace(target))
        self._kept = stored.sha1
        if self._store.lasting:
            sync_folder(target.parent)
            sync_folder(target.parent.parent)
        return stored

    def __enter__(self) -> "IncomingFile":
        return self

    def __exit__(self, *_exc: object) -> None:
        with contextlib.suppress(OSError):  # what the disk did not take is not wanted any more
            self._file.close()
        self._path.unlink(missing_ok=True)
        if self._kept is not None:
            self._store.let_go(self._kept)
