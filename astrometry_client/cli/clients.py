"""Clients for the server that a command was told."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from astrometry_client.cli.extras import needs_server
from astrometry_client.cli.telling import tell
from astrometry_client.client import Client
from astrometry_client.config import DEFAULTS


def client_of(options: Mapping[str, Any], **others: Any) -> Client:
    """Return a client for `server_url`, with the API key in `key_file`."""
    url = options["server_url"] or DEFAULTS.base_url
    return Client(key_location=options["key_file"], base_url=url, **others)


@contextmanager
def local_client(*, workers: int | None = 1) -> Iterator[Client]:
    """Give a client of an embedded server that lives as long as the block.

    Parameters
    ----------
    workers
        Solves at a time; `None` for one per processor.
    """
    with needs_server():
        from astrometry_client.server.run import LocalServer
    tell("Starting the embedded server.")
    with LocalServer(workers=workers) as server, Client(server.api_key, base_url=server.url) as client:
        yield client
