"""A form with files as a body that is read while it is sent: constant memory, known length, rewindable."""

import secrets
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from io import SEEK_CUR, SEEK_END, SEEK_SET
from itertools import accumulate
from typing import Final, Self

import attrs
from urllib3.fields import RequestField

from astrometry_client.errors import UnreadableFileError
from astrometry_client.session.file_contents import Content

__all__ = ["FilePart", "StreamedMultipart"]

_BLOCK_BYTES: Final = 65_536


@attrs.frozen
class FilePart:
    """A file in a form.

    Parameters
    ----------
    field
        Name of the form field.
    filename
        The name the server is told; any characters.
    """

    field: str
    filename: str
    content: Content
    content_type: str
    headers: Mapping[str, str] = attrs.field(factory=dict)


class StreamedMultipart:
    """A multipart form, the plain fields first, as a readable file.

    requests and urllib3 find its length and rewind it by themselves, so it is sent with a
    `Content-Length` and survives redirects and retries. Close it, or use it as a context manager.

    Parameters
    ----------
    fields
        Names and values of the plain fields.
    files
        The files, in the order in which they are sent.

    Raises
    ------
    UnreadableFileError
        While it is read: a file was changed since the body was made.
    """

    def __init__(
        self, fields: Iterable[tuple[str, str | bytes]] = (), files: Iterable[FilePart] = ()
    ) -> None:
        self.fields = tuple(fields)
        self.files = tuple(files)
        self.boundary = secrets.token_hex(16)
        self._pieces: list[Content] = list(self._build())
        self._starts = [0, *accumulate(piece.size_bytes for piece in self._pieces)]
        self._position = 0

    @property
    def content_type(self) -> str:
        """The `Content-Type` header this body needs."""
        return f"multipart/form-data; boundary={self.boundary}"

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(_BLOCK_BYTES):
            yield block

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        names = [name for name, _ in self.fields] + [f"{part.field}={part.filename!r}" for part in self.files]
        return f"<multipart form of {len(self)} bytes: {', '.join(names)}>"

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._position

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Go on reading somewhere else; zero rewinds."""
        base = {SEEK_SET: 0, SEEK_CUR: self._position, SEEK_END: len(self)}[whence]
        self._position = min(max(0, base + offset), len(self))
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, fewer only at the end; all that is left if negative."""
        wanted = len(self) - self._position if size < 0 else min(size, len(self) - self._position)
        blocks = []
        while wanted > 0:
            blocks.append(self._read_within_piece(wanted))
            wanted -= len(blocks[-1])
        return b"".join(blocks)

    def close(self) -> None:
        """Close the files that were opened for reading."""
        for piece in self._pieces:
            piece.close()

    def _read_within_piece(self, wanted: int) -> bytes:
        index = bisect_right(self._starts, self._position) - 1
        piece = self._pieces[index]
        offset = self._position - self._starts[index]
        try:
            block = piece.read(offset, min(wanted, piece.size_bytes - offset))
            self._position += len(block)
            # What follows a file is sent only if the file still is what was announced.
            grew = self._position == self._starts[index + 1] and piece.read(piece.size_bytes, 1)
        except UnreadableFileError:
            raise
        except (OSError, ValueError) as cause:
            raise UnreadableFileError(f"{piece.label} cannot be read any more: {cause}.") from cause
        if grew or not block:
            raise UnreadableFileError(
                f"{piece.label} {'grew' if grew else 'shrank'} while it was sent, and the upload was broken "
                "off: send it again once it is complete."
            )
        return block

    def _build(self) -> Iterator[Content]:
        for name, value in self.fields:
            data = value if isinstance(value, bytes) else value.encode()
            yield _Text(self._head(RequestField(name, b"")) + data + b"\r\n")
        for part in self.files:
            field = RequestField(part.field, b"", part.filename, dict(part.headers))
            yield _Text(self._head(field, part.content_type))
            yield part.content
            yield _Text(b"\r\n")
        yield _Text(f"--{self.boundary}--\r\n".encode())

    def _head(self, field: RequestField, content_type: str | None = None) -> bytes:
        # urllib3 writes file names as plain UTF-8, which nova reads.
        field.make_multipart(content_type=content_type)
        return f"--{self.boundary}\r\n{field.render_headers()}".encode()


class _Text:
    """A few bytes in memory: headers, boundaries, plain fields."""

    label = "the form"

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def read(self, offset: int, size: int, /) -> bytes:
        return self._data[offset : offset + size]

    def close(self) -> None:
        """Keep it: nothing was opened."""
