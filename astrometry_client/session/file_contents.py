"""What is in a file to be sent: its length known, readable more than once, never whole in memory."""

import io
import os
import shutil
import stat
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, Protocol

from astrometry_client.errors import InputError, UnreadableFileError

__all__ = ["STANDARD_INPUT", "Content", "Version", "content_of", "version_of"]

STANDARD_INPUT: Final = "-"

Version = tuple[int, ...]
"""Inode, size and time of the last change."""


class Content(Protocol):
    """Bytes of known number, readable from any place and more than once."""

    label: str
    """What to call it in an error."""
    size_bytes: int

    def read(self, offset: int, size: int, /) -> bytes:
        """Return up to `size` bytes from `offset` on; none at the end."""
        ...

    def close(self) -> None:
        """Give back what was opened to read it."""
        ...


def version_of(file: str | os.PathLike[str] | int) -> Version | None:
    """Return what tells that a path or an open descriptor was changed; `None` for what is no plain file."""
    try:
        status = os.stat(file)  # noqa: PTH116  takes descriptors too
    except (OSError, ValueError):
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def content_of(source: Any, *, field: str) -> Content:
    """Return the bytes of a path, of standard input (`-`), of an open binary file, or bytes as they are.

    Raises
    ------
    UnreadableFileError
        It is missing, a folder, a device, closed or not open for reading.
    InputError
        It is something else.
    """
    if isinstance(source, bytes | bytearray):
        return _OpenFile(io.BytesIO(source), field)
    if isinstance(source, str | os.PathLike) and os.fspath(source) == STANDARD_INPUT:
        return _content_of_stream(sys.stdin.buffer, "standard input")
    if isinstance(source, str | os.PathLike):
        return _content_of_path(Path(source))
    if hasattr(source, "read"):
        return _content_of_stream(source, str(getattr(source, "name", field)))
    raise InputError(
        f"files[{field!r}] is {type(source).__name__}: give a path, '-', an open binary file or bytes."
    )


def _content_of_path(path: Path) -> Content:
    try:
        # Some never end, and some begin to do something when they are opened.
        is_device = path.is_char_device() or path.is_block_device()
        if not is_device:
            with path.open("rb") as file:
                return _DiskFile(path) if version_of(path) else _content_of_stream(file, str(path))
    except OSError as cause:
        raise UnreadableFileError(f"{path} cannot be read: {cause.strerror or cause}.") from cause
    except ValueError as cause:  # a NUL in its name
        raise UnreadableFileError(f"{str(path)!r} cannot be read: {cause}.") from cause
    raise UnreadableFileError(f"{path} is a device: give a file or a pipe.")


def _content_of_stream(stream: IO[bytes], label: str) -> Content:
    """Return what is left of a stream; what cannot be rewound goes to a temporary file first."""
    try:
        if not isinstance(stream.read(0), str):
            return _OpenFile(stream, label) if _can_rewind(stream) else _spooled(stream, label)
    except (OSError, ValueError) as cause:
        raise UnreadableFileError(f"{label} cannot be read: {cause}.") from cause
    raise InputError(f"{label} is open as text: open it in binary mode.")


def _can_rewind(stream: IO[bytes]) -> bool:
    try:
        position = stream.tell()
        stream.seek(0, io.SEEK_END)
        stream.seek(position)
    except (OSError, ValueError, AttributeError):
        return False
    return True


def _spooled(stream: IO[bytes], label: str) -> Content:
    with ExitStack() as undo:
        spool = undo.enter_context(tempfile.TemporaryFile())
        shutil.copyfileobj(stream, spool)
        spool.seek(0)
        content = _OpenFile(spool, label, close=True)
        undo.pop_all()
    return content


class _OpenFile:
    """An open file from where it stands to its end."""

    def __init__(self, stream: IO[bytes], label: str, *, close: bool = False) -> None:
        self.label = label
        self._stream = stream
        self._close = close
        self._start = stream.tell()
        self.size_bytes = stream.seek(0, io.SEEK_END) - self._start
        stream.seek(self._start)

    def read(self, offset: int, size: int, /) -> bytes:
        self._stream.seek(self._start + offset)
        return self._stream.read(size)

    def close(self) -> None:
        if self._close:
            self._stream.close()


class _DiskFile:
    """A file that is opened when it is first read, so that a body never sent holds nothing open.

    It gives no bytes of another version than it had at first.
    """

    def __init__(self, path: Path) -> None:
        self.label = str(path)
        self._version = version_of(path)
        self.size_bytes = path.stat().st_size
        self._path = path
        self._stream: IO[bytes] | None = None

    def read(self, offset: int, size: int, /) -> bytes:
        try:
            self._stream = self._stream or self._path.open("rb")
            self._stream.seek(offset)
            data = self._stream.read(size)
        except OSError as cause:
            raise UnreadableFileError(
                f"{self.label} cannot be read any more: {cause.strerror or cause}."
            ) from cause
        if version_of(self._stream.fileno()) != self._version:
            raise UnreadableFileError(
                f"{self.label} changed while it was read or sent: give it again when it is complete."
            )
        return data

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
