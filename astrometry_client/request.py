"""Requests as values: what is asked, and what its answer means. Nothing is sent before `make()`."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
import requests

from astrometry_client.errors import StaleSession
from astrometry_client.session import ClientSession, get_local_session

if TYPE_CHECKING:
    from astrometry_client.login import Session

T = TypeVar("T")


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
    """

    url: str
    read: Callable[[requests.Response], T] = attrs.field(default=document, kw_only=True, repr=False)

    def make(self, session: ClientSession | None = None) -> T:
        """Send the request and return what its reply means.

        Raises
        ------
        NoUsableReply
            Nothing that can be trusted came back within the session's bounds.
        ServerRefused
            The server said no; its words are in `server_message`.
        """
        return self.read((session or get_local_session()).request("GET", self.url))


@attrs.frozen
class PostRequest(Request[T]):
    """A POST in the form the server wants: options in `request-json`, a file beside it.

    Parameters
    ----------
    payload
        What goes into `request-json`.
    file
        Name on the server and path of a file to send along; streamed from disk.
    idempotent
        Whether sending it twice changes nothing at the server, so that it may be repeated like a GET.
    """

    payload: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True, repr=False)
    file: tuple[str, Path] | None = attrs.field(default=None, kw_only=True)
    idempotent: bool = attrs.field(default=False, kw_only=True)

    def make(self, session: ClientSession | None = None) -> T:
        """Send the request and return what its reply means; see `Request.make`."""
        return self._post(session, self.payload)

    def _post(self, session: ClientSession | None, payload: Mapping[str, Any]) -> T:
        form = {"request-json": json.dumps(payload)}
        files = {"file": self.file} if self.file else None
        reply = (session or get_local_session()).request(
            "POST", self.url, data=form, files=files, idempotent=self.idempotent
        )
        return self.read(reply)


@attrs.frozen
class SessionRequest(PostRequest[T]):
    """A POST that needs a login: it logs in just before it is sent, again if the session went stale.

    Parameters
    ----------
    login
        The login whose session key is sent inside `request-json`.
    """

    login: "Session" = attrs.field(kw_only=True)

    def make(self, session: ClientSession | None = None) -> T:
        """Send the request with a session key that works; see `Request.make`.

        Raises
        ------
        APIKeyError
            There is no API key to log in with.
        LoginFailedException
            The API key is not accepted.
        """
        key = self.login.session_key(session)
        try:
            return self._post(session, {**self.payload, "session": key})
        except StaleSession:
            # A refused write was not stored, so sending it again cannot make two of it.
            key = self.login.session_key(session, instead_of=key)
            return self._post(session, {**self.payload, "session": key})
