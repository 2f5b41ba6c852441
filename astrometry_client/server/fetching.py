"""Fetch the file of a URL upload, from public addresses only."""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import attrs
from requests.utils import DEFAULT_CA_BUNDLE_PATH, requote_uri

from .files import FileStore, StoredFile
from .settings import ServerSettings
from .tasks import FetchTask

REDIRECTS = 5
"""A chain of redirects longer than this is a circle, or a game."""

REDIRECTING = (301, 302, 303, 307, 308)

SILENCE_S = 20.0
"""Longest wait for a connection and for the next bytes."""

CHUNK_BYTES = 1 << 18

PORTS = {"http": 80, "https": 443}

CARRIERS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96")))
"""IPv6 addresses that stand for an IPv4 address in their last 32 bits (RFC 6052, 8215, 4291, 2765)."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Allowed = Callable[[Address], bool]


@attrs.frozen
class Fetching:
    """What a process that fetches needs: the files of the server."""

    files: FileStore
    settings: ServerSettings

    def fetch(self, task: FetchTask) -> dict[str, Any]:
        """Return the hash of the file behind a URL, stored, or why there is none."""
        allowed = any_address if self.settings.private_urls else is_public
        try:
            return {
                "fetched": fetch(task.url, store=self.files, settings=self.settings, allowed=allowed).sha1
            }
        except FetchError as error:
            return {"reason": str(error)}


class FetchError(Exception):
    """The file cannot be had; the message says why, in one line."""


def fetch(url: str, *, store: FileStore, settings: ServerSettings, allowed: Allowed) -> StoredFile:
    """Return the file behind a URL, stored.

    Every host is resolved once, and the address found is the one that is checked and connected to; so is
    every host redirected to.

    Parameters
    ----------
    allowed
        Tells whether an address may be asked: `is_public`, or `any_address`.

    Raises
    ------
    FetchError
        The address is not allowed, the file is too large or too slow, or there is none.
    """
    deadline = time.monotonic() + settings.fetch_timeout_s
    for _ in range(REDIRECTS + 1):
        try:
            with _get(url, allowed=allowed) as response:
                location = response.headers["location"] if response.status in REDIRECTING else None
                if location is None:
                    return _store(response, store, limit_bytes=settings.upload_bytes, deadline=deadline)
                url = urljoin(url, location)
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise FetchError(f"the URL cannot be read ({_reason(error)})") from error
    raise FetchError(f"the URL is redirected more than {REDIRECTS} times")


def file_name(url: str) -> str:
    """Return the name of the file a URL leads to."""
    return PurePosixPath(unquote(url.partition("?")[0])).name or "file"


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the open internet, and to one machine there."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if any(address in carrier for carrier in CARRIERS):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        address = inner or address
    return address.is_global and not address.is_multicast and not getattr(address, "is_site_local", False)


def any_address(_address: Address) -> bool:
    """Allow all."""
    return True


@contextlib.contextmanager
def _get(url: str, *, allowed: Allowed) -> Iterator[http.client.HTTPResponse]:
    parts = urlsplit(requote_uri(url))
    host = parts.hostname
    if parts.scheme not in PORTS or not host:
        raise FetchError("a URL must begin with http:// or https:// and name a host")
    port = parts.port or PORTS[parts.scheme]
    secure = parts.scheme == "https"
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(host, port)
    with contextlib.closing(connection):
        connection.sock = _connect(_addresses(host, port, allowed=allowed), port)
        if secure:
            trusted = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
            connection.sock = trusted.wrap_socket(connection.sock, server_hostname=host)
        connection.request("GET", _target(parts))
        with connection.getresponse() as response:
            if response.status >= 400:
                raise FetchError(f"the URL answers with status {response.status}")
            yield response


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _addresses(host: str, port: int, *, allowed: Allowed) -> list[str]:
    """Return the addresses of a host; all of them must be allowed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError(f"there is no host {host[:100]}") from error
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if not all(allowed(ipaddress.ip_address(address)) for address in addresses):
        raise FetchError(
            f"{host[:100]} is not on the open internet, and this server fetches from nowhere else"
        )
    return addresses


def _connect(addresses: list[str], port: int) -> socket.socket:
    """Return a connection to the first of these addresses that takes it."""
    for address in addresses[:-1]:
        with contextlib.suppress(OSError):
            return socket.create_connection((address, port), timeout=SILENCE_S)
    return socket.create_connection((addresses[-1], port), timeout=SILENCE_S)


def _store(
    response: http.client.HTTPResponse, store: FileStore, *, limit_bytes: int, deadline: float
) -> StoredFile:
    with store.begin() as incoming:
        while chunk := response.read1(CHUNK_BYTES):
            incoming.write(chunk)
            if incoming.size_bytes > limit_bytes:
                raise FetchError(f"the file is larger than this server takes ({limit_bytes} bytes)")
            if time.monotonic() > deadline:
                raise FetchError("the URL takes too long")
        if response.length:
            raise FetchError("the connection was cut before the end of the file")
        return incoming.keep()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:150] or type(error).__name__
