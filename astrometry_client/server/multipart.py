"""Read multipart forms as they arrive, in constant memory.

The official client ends some lines of a form with LF alone, which nova takes and
strict parsers refuse; hence this lenient one.
"""

import re
from collections.abc import Iterator

import attrs
from python_multipart.multipart import parse_options_header

MAX_HEADERS_BYTES = 16384
"""Longest headers of one part; browsers and scripts send a few hundred bytes."""

MOST_PARTS = 1000
"""Parts of one form; a client sends two."""

_HEADERS_END = re.compile(rb"(?:^|\r?\n)\r?\n")


class FormError(Exception):
    """The form breaks off, or is none."""


@attrs.frozen
class PartBegins:
    """The headers of a part were read: its field name, and its file name if it is a file."""

    name: str
    filename: str | None


@attrs.frozen
class PartData:
    """The next bytes of the part."""

    data: bytes


@attrs.frozen
class PartEnds:
    """The part is complete."""


Event = PartBegins | PartData | PartEnds


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary of a multipart form, or None if this is none."""
    kind, parameters = parse_options_header(content_type)
    return parameters.get(b"boundary") if kind == b"multipart/form-data" else None


def _begin(headers: bytes) -> PartBegins:
    for line in headers.splitlines():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            _, parameters = parse_options_header(value.strip())
            filename = parameters.get(b"filename")
            return PartBegins(
                name=parameters.get(b"name", b"").decode("utf-8", "replace"),
                filename=None if filename is None else filename.decode("utf-8", "replace"),
            )
    return PartBegins(name="", filename=None)


class MultipartReader:
    """Turn the bytes of a form into events; hold back no more than one boundary."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\n--" + boundary
        self._buffer = b"\n"  # so that the first boundary begins a line like all others
        self._state = self._preamble
        self._finished = False
        self._parts = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield what these bytes complete."""
        self._buffer += data
        while not self._finished:
            before = (len(self._buffer), self._state)
            yield from self._state()
            if (len(self._buffer), self._state) == before:
                break
        if self._state in (self._boundary, self._headers) and len(self._buffer) > MAX_HEADERS_BYTES:
            raise FormError("the headers of a part are too long")

    def close(self) -> None:
        """Make sure that the form was complete.

        Raises
        ------
        FormError
            The closing boundary never came.
        """
        if not self._finished:
            raise FormError("the form ends before its closing boundary")

    def _preamble(self) -> Iterator[Event]:
        self._take_data()
        yield from ()

    def _boundary(self) -> Iterator[Event]:
        if self._buffer.startswith(b"--"):
            self._buffer, self._finished = b"", True
        elif b"\n" in self._buffer:
            rest, self._buffer = self._buffer.split(b"\n", 1)
            if rest.strip():
                raise FormError("a boundary is followed by other text")
            self._state = self._headers
        yield from ()

    def _headers(self) -> Iterator[Event]:
        end = _HEADERS_END.search(self._buffer)
        if end:
            headers, self._buffer = self._buffer[: end.start()], self._buffer[end.end() :]
            self._state = self._body
            self._parts += 1
            if self._parts > MOST_PARTS:
                raise FormError("the form has too many parts")
            yield _begin(headers)

    def _body(self) -> Iterator[Event]:
        data = self._take_data()
        if data:
            yield PartData(data)
        if self._state == self._boundary:
            yield PartEnds()

    def _take_data(self) -> bytes:
        """Return the bytes that surely belong before the next boundary."""
        found = self._buffer.find(self._delimiter)
        if found >= 0:
            data, self._buffer = self._buffer[:found], self._buffer[found + len(self._delimiter) :]
            self._state = self._boundary
            return data.removesuffix(b"\r")
        keep = len(self._delimiter)  # all of a boundary but its last byte, and a CR before it
        data, self._buffer = self._buffer[:-keep], self._buffer[-keep:]
        return data
