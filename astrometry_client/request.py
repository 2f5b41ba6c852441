"""Requests as values: what is asked, and what its answer means. Nothing is sent before `make()`."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

import attrs
import requests

from astrometry_client.errors import StaleSession
from astrometry_client.session import ClientSession, get_local_session

if TYPE_CHECKING:
    from astrometry_client.login import Session

T = TypeVar("T")
Bytes = Path | IO[bytes] | bytes
"""What a session sends as a file."""


def document(response: requests.Response) -> Any:
    """Return the JSON document of a judged reply."""
    return response.json()


def content(response: requests.Response) -> bytes:
    """Return the bytes of a judged reply."""
    return response.content


def reading(build: Callable[[Any], T]) -> Callable[[requests.Response], T]:
    """Return a reader that builds a model from the JSON document of a reply."""
    return lambda response: build(document(response))


@attrs.frozen
class Request(Generic[T]):
    """A GET that sends nothing until `make()` is called.

    Parameters
    ----------
    url
        The full address.
    read
        Turns the judged reply into what `make` returns; the JSON document by default.
    headers
        Sent beside those of the session.
    """

    url: str
    read: Callable[[requests.Response], T] = attrs.field(default=document, kw_only=True, repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, kw_only=True, repr=False)

    def make(self, client_session: ClientSession | None = None) -> T:
        """Send the request and return what its reply means.

        Parameters
        ----------
        client_session
            Sends it; by default the calling thread's own.

        Returns
        -------
        T
            What `read` makes of the reply.

        Raises
        ------
        NoUsableReply
            Nothing that can be trusted came back within the session's bounds: try again later.
        ServerRefused
            The server said no; its words are in `server_message`.
        """
        sender = client_session or get_local_session()
        return self.read(sender.request("GET", self.url, headers=self.headers))

    def download(self, path: str | Path, client_session: ClientSession | None = None) -> Path:
        """Write the reply to a file in constant memory, whole or not at all, and return its path.

        Parameters
        ----------
        path
            Where to; a file of that name is replaced.
        client_session
            Sends it; by default the calling thread's own.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        NoUsableReply, ServerRefused
            See `make`.
        """
        return (client_session or get_local_session()).download(self.url, path, headers=self.headers)


@attrs.frozen
class PostRequest(Request[T]):
    """A POST in the form the server wants: options in `request-json`, a file beside it.

    Parameters
    ----------
    url
        The full address.
    read, headers
        See `Request`.
    payload
        What goes into `request-json`.
    file
        Name on the server, and what is sent: a path, an open binary file, bytes, or a function that returns
        a context manager of one of these. Streamed, never held in memory.
    idempotent
        Whether sending it twice changes nothing at the server, so that it may be repeated like a GET.
    """

    payload: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, repr=False)
    file: tuple[str, Bytes | Callable[[], AbstractContextManager[Bytes]]] | None = attrs.field(
        default=None, kw_only=True
    )
    idempotent: bool = attrs.field(default=False, kw_only=True)

    def make(self, client_session: ClientSession | None = None) -> T:
        """Send the request and return what its reply means; see `Request.make`."""
        return self._post(client_session, self.payload)

    def _post(self, client_session: ClientSession | None, payload: Mapping[str, Any]) -> T:
        with self._files() as files:
            reply = (client_session or get_local_session()).request(
                "POST",
                self.url,
                data={"request-json": json.dumps(payload)},
                files=files,
                headers=self.headers,
                idempotent=self.idempotent,
            )
        return self.read(reply)

    @contextmanager
    def _files(self) -> Iterator[Mapping[str, tuple[str, Bytes]] | None]:
        """Give the file from its beginning, however often it is sent."""
        if self.file is None:
            yield None
            return
        name, source = self.file
        if callable(source):
            with source() as opened:
                yield {"file": (name, opened)}
            return
        start = source.tell() if isinstance(source, io.IOBase) and source.seekable() else None
        try:
            yield {"file": (name, source)}
        finally:
            if isinstance(source, io.IOBase) and start is not None:
                source.seek(start)


@attrs.frozen
class SessionRequest(PostRequest[T]):
    """A POST that needs a login: it logs in just before it is sent, again if the session went stale.

    Parameters
    ----------
    session
        The login whose session key is sent inside `request-json`.
    url
        The full address.
    read, headers, payload, file, idempotent
        See `PostRequest`.
    """

    session: "Session"
    url: str

    def make(self, client_session: ClientSession | None = None) -> T:
        """Send the request with a session key that works; see `Request.make`.

        Raises
        ------
        APIKeyError
            There is no API key to log in with.
        LoginFailedException
            The API key is not accepted.
        """
        key = self.session.session_key(client_session)
        try:
            return self._post(client_session, {**self.payload, "session": key})
        except StaleSession:
            # A refused write was not stored, so sending it again cannot make two of it.
            key = self.session.session_key(client_session, instead_of=key)
            return self._post(client_session, {**self.payload, "session": key})
