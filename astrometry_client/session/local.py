"""One session per thread, and `requests`-like functions on it."""

import os
import threading
from typing import Any, cast

import requests

from astrometry_client.session.client_session import ClientSession

__all__ = ["delete", "get", "get_local_session", "post", "put"]

_local = threading.local()


def get_local_session(**kwargs: Any) -> ClientSession:
    """Return the calling thread's own session for these keywords; the same keywords give the same session.

    Parameters
    ----------
    **kwargs
        Those of `ClientSession`.
    """
    sessions = cast(dict[Any, tuple[ClientSession, object]], _local.__dict__.setdefault("sessions", {}))
    key = tuple((name, _hashable(kwargs[name])) for name in sorted(kwargs))
    if key not in sessions:
        # The keywords stay alive with their session, so that no id among them is used again.
        sessions[key] = ClientSession(**kwargs), kwargs
    return sessions[key][0]


def get(url: str, *, session: ClientSession | None = None, **kwargs: Any) -> requests.Response:
    """Return the judged reply to a GET; see `ClientSession.request`."""
    return _request("GET", url, session, kwargs)


def post(url: str, *, session: ClientSession | None = None, **kwargs: Any) -> requests.Response:
    """Return the judged reply to a POST; see `ClientSession.request`."""
    return _request("POST", url, session, kwargs)


def put(url: str, *, session: ClientSession | None = None, **kwargs: Any) -> requests.Response:
    """Return the judged reply to a PUT; see `ClientSession.request`."""
    return _request("PUT", url, session, kwargs)


def delete(url: str, *, session: ClientSession | None = None, **kwargs: Any) -> requests.Response:
    """Return the judged reply to a DELETE; see `ClientSession.request`."""
    return _request("DELETE", url, session, kwargs)


def _request(
    method: str, url: str, session: ClientSession | None, options: dict[str, Any]
) -> requests.Response:
    return (session or get_local_session()).request(method, url, **options)


def _hashable(value: Any) -> Any:
    """Return what tells two values apart: themselves, or the one object they are."""
    try:
        hash(value)
    except TypeError:
        return repr(value) if isinstance(value, dict | list | set) else id(value)
    return value


def _start_anew_in_child() -> None:
    """Give a forked child sessions of its own."""
    _local.__dict__.clear()


os.register_at_fork(after_in_child=_start_anew_in_child)
