"""Any endpoint of the server by its name: the whole reply, its lines, or its bytes in chunks."""

import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import attrs

from astrometry_client.errors import InputError
from astrometry_client.login import Session
from astrometry_client.models import Settings
from astrometry_client.models.parsing import parsed
from astrometry_client.predicates import request_of
from astrometry_client.request import PostRequest, Request, content, document
from astrometry_client.session import ClientSession
from astrometry_client.session.endpoints import Kind, endpoint_of

__all__ = ["CHUNK_BYTES", "Pieces", "generic"]

CHUNK_BYTES: Final = 100 * 1024
"""Bytes given at once: large enough to cost nothing, small enough for a progress bar."""

_TEXTS: Final = (Kind.JSON, Kind.TEXT)


@attrs.frozen
class Pieces:
    """A reply to be given in pieces, once all of it has arrived and was judged; never whole in memory."""

    request: Request[Any]
    lines: bool
    """Whether the pieces are its lines, without their ends, or else chunks of `CHUNK_BYTES`."""

    def each(self, client_session: ClientSession | None) -> Iterator[Any]:
        """Send the request when the first piece is wanted, and yield all of them."""
        with self._arrived(client_session) as file:
            if self.lines:
                with io.TextIOWrapper(file, encoding="utf-8", errors="replace") as text:
                    for line in text:
                        yield line.rstrip("\n")
            else:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk

    @contextmanager
    def _arrived(self, client_session: ClientSession | None) -> Iterator[IO[bytes]]:
        if isinstance(self.request, PostRequest):
            yield io.BytesIO(self.request.make(client_session))
            return
        with (
            tempfile.TemporaryDirectory() as folder,
            self.request.download(Path(folder) / "reply", client_session).open("rb") as file,
        ):
            yield file


def generic(
    endpoint: str,
    arguments: Mapping[str, Any],
    *,
    login: Session,
    settings: Settings,
    iter_lines: bool,
    iter_content: bool,
    parse_types: bool,
) -> Request[Any] | Pieces:
    """Return what asks an endpoint as `Client.generic_request` describes it; nothing is sent.

    Raises
    ------
    InputError
        There is no such endpoint, it does not take these arguments, or its reply cannot come so.
    """
    request = request_of(endpoint, arguments, login=login, settings=settings)
    kind = endpoint_of(request.url).kind
    if iter_lines and iter_content:
        raise InputError("iter_lines and iter_content exclude each other: give one of the two.")
    if iter_lines and kind not in _TEXTS:
        raise InputError(f"iter_lines=True is not allowed: {endpoint} answers no text; give iter_content.")
    if parse_types and (kind is not Kind.JSON or iter_lines or iter_content):
        raise InputError("parse_types=True is not allowed: it is for a JSON document that comes whole.")
    if iter_lines or iter_content:
        return Pieces(attrs.evolve(request, read=content), iter_lines)
    if kind is not Kind.JSON:
        return attrs.evolve(request, read=content)
    return attrs.evolve(request, read=_parsed_document if parse_types else document)


def _parsed_document(response: Any) -> Any:
    return parsed(document(response))
