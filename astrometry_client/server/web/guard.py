"""Keep other sites out: what a browser may do with a reply, and which requests of a browser count."""

import ipaddress
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from astrometry_client.server.wire import error_page

HEADERS = {
    # Everything a page needs comes from this server, as files; no script or style stands in a page.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    # JSON comes as plain text and tells file names: no browser may take it for a page.
    "x-content-type-options": "nosniff",
    # Pictures need a Referer.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-site",
}

READS = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Answer requests that another site made a browser send with 403, before anything is read.

    Parameters
    ----------
    host
        The address the server is bound to. If it is a loopback one, requests must name this machine: any name
        can be made to lead here (DNS rebinding).
    host_names
        Further names the server has.
    """

    def __init__(self, app: ASGIApp, *, host: str, host_names: tuple[str, ...] = ()) -> None:
        self._app = app
        self._names = {name.lower() for name in (host, *host_names)} if _is_loopback(host) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(message)
            await send(message)

        reason = self._refusal(scope["method"], Headers(scope=scope)) if scope["type"] == "http" else None
        answer = self._app if reason is None else error_page(403, reason)
        await answer(scope, receive, send_on)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        name = _name(headers.get("host", "localhost"))
        if self._names is not None and name not in self._names and not _is_loopback(name):
            return f"This server is not known as {name}; --host-name makes it so."
        if method in READS or _from_own_page(headers):
            return None
        return "Another site may not send anything to this server."


def _add(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)


def _from_own_page(headers: Headers) -> bool:
    """Tell whether a page of this server sent a request, or no page at all: programs send neither header."""
    if "sec-fetch-site" in headers:
        return headers["sec-fetch-site"] in ("same-origin", "none")
    return "origin" not in headers or headers["origin"].partition("://")[2] == headers.get("host")


def _name(host: str) -> str:
    """Return a Host header without its port."""
    name = host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    return name.lower()


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
