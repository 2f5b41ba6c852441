"""Uploads of any size: paths, standard input and open files, streamed from disk."""

import mimetypes
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

import requests
from requests.structures import CaseInsensitiveDict

from astrometry_client.errors import InputError
from astrometry_client.session.file_contents import STANDARD_INPUT, content_of
from astrometry_client.session.multipart import FilePart, StreamedMultipart

__all__ = ["FileValue", "Files", "SessionFileMixin", "StreamedMultipart", "streamed_form"]

Source: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes]
FileValue: TypeAlias = (
    Source
    | tuple[str | None, Source]
    | tuple[str | None, Source, str]
    | tuple[str | None, Source, str, Mapping[str, str]]
)
Files: TypeAlias = Mapping[str, FileValue] | Iterable[tuple[str, FileValue]]

_UNKNOWN_KIND: Final = "application/octet-stream"
# Only Python's own table, so that every machine guesses the same; FITS: RFC 4047.
_KINDS: Final = mimetypes.MimeTypes()
for _suffix in (".fits", ".fit", ".fts"):
    _KINDS.add_type("application/fits", _suffix)


class SessionFileMixin(requests.Session):
    """Sends `files=` from disk in constant memory, always with a `Content-Length`.

    A file is given as a path, as `-` for standard input, as an open binary file or as bytes; or as a
    tuple of file name and one of these, then its MIME type, then extra headers. Without a tuple the
    file's own name is sent, and the MIME type is guessed from it. A file name of `None` makes a plain field.
    """

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        data: Any = None,
        files: Files | None = None,
        headers: Mapping[str, str | bytes | None] | None = None,
        **options: Any,
    ) -> requests.Response:
        """Send a request as `requests.Session.request` does, files streamed.

        Raises
        ------
        UnreadableFileError
            A file is missing, a folder or not readable (nothing was sent), or it changed while it was sent.
        InputError
            `data` or `json` cannot go along with files, or a file is given as something else.
        """
        if not files:
            return super().request(method, url, data=data, headers=headers, **options)
        if options.get("json") is not None:
            raise InputError("json= cannot go along with files=: give the values as data= instead.")
        with streamed_form(data, files) as form:
            typed = CaseInsensitiveDict(headers or {})
            typed["Content-Type"] = form.content_type
            return super().request(method, url, data=form, headers=typed, **options)


def streamed_form(data: Any, files: Files) -> StreamedMultipart:
    """Return the form of these fields and files, every file found to be readable."""
    fields = list(_fields(data))
    parts = []
    with ExitStack() as undo:
        for name, value in _pairs(files):
            filename, source, kind, headers = _as_four(name, value)
            if filename is None:
                fields.append((name, _plain_value(name, source)))
                continue
            content = content_of(source, field=name)
            undo.callback(content.close)
            parts.append(FilePart(name, filename, content, kind, headers))
        undo.pop_all()
    return StreamedMultipart(fields, parts)


def _pairs(named: Any) -> Iterable[tuple[str, Any]]:
    return named.items() if isinstance(named, Mapping) else named


def _fields(data: Any) -> Iterator[tuple[str, str | bytes]]:
    """Give the plain fields as requests would: lists as repeated fields, nothing for None."""
    if isinstance(data, str | bytes) or hasattr(data, "read"):
        raise InputError("data= must be a mapping or pairs of name and value if files= is given.")
    for name, value in _pairs(data or {}):
        several = value if isinstance(value, list | tuple | set) else [value]
        for single in several:
            if single is not None:
                yield name, single if isinstance(single, bytes) else str(single)


def _as_four(field: str, value: Any) -> tuple[str | None, Any, str, Mapping[str, str]]:
    """Return file name, source, MIME type and headers of a file in any of the allowed forms."""
    given = value if isinstance(value, tuple) else (_own_name(field, value), value)
    if not 2 <= len(given) <= 4:
        raise InputError(
            f"files[{field!r}] is a tuple of {len(given)}: give file name, file[, type[, headers]]."
        )
    filename, source, kind, headers = (*given, None, None)[:4]
    return filename, source, kind or _guess_kind(filename or ""), headers or {}


def _own_name(field: str, source: Any) -> str:
    if isinstance(source, bytes | bytearray):
        return field
    if source == STANDARD_INPUT:
        return "stdin"
    own = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    return Path(own).name if isinstance(own, str | os.PathLike) and not str(own).startswith("<") else field


def _guess_kind(filename: str) -> str:
    kind, packing = _KINDS.guess_type(filename)
    return _UNKNOWN_KIND if packing or not kind else kind


def _plain_value(field: str, source: Any) -> str | bytes:
    if isinstance(source, str | bytes):
        return source
    raise InputError(f"files[{field!r}] has no file name: give one, or text to send as a plain field.")
