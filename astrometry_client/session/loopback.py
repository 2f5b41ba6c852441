"""Which servers run on this machine: nobody has to be spared there, and their ids are used again."""

import functools
import ipaddress
from urllib.parse import urlsplit

__all__ = ["is_loopback"]


@functools.lru_cache(maxsize=1024)
def is_loopback(url: str) -> bool:
    """Return whether the host of a URL is this machine: `localhost`, `127.0.0.0/8` or `::1`."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
