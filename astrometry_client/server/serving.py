"""Run a service behind a socket until a signal ends it."""

import asyncio
import contextlib
import ipaddress
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial

import attrs
import uvicorn

from astrometry_client.errors import InputError

from .app import make_app
from .connection import connection_type
from .service import Service
from .settings import ServerSettings

FIRST_USER = "local"

KEEP_ALIVE_S = 75
"""Clients poll with pauses; a connection closed between two polls would have to be opened anew each time."""

OPEN_FILES = 4096

GRACE_S = 5
"""Time for replies under way when the server stops."""


@attrs.frozen
class Ready:
    """A server that accepts connections.

    Parameters
    ----------
    api_key
        Only if the data folder had none yet: it was made now, and cannot be read again.
    """

    url: str
    api_key: str | None = attrs.field(repr=False)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell when connections are accepted: from then on a signal stops the server in order."""
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal, and leave it at that: the caller goes on after `serve`."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(settings: ServerSettings, on_ready: Callable[[Ready], None]) -> None:
    """Serve until SIGINT or SIGTERM."""
    _allow_open_files()
    with _listen(settings) as listener, contextlib.closing(Service(settings)) as service:
        _check_keys(service, listener)
        asyncio.run(_serve(service, listener, on_ready))


def _allow_open_files() -> None:
    """Let every connection have a socket and a file: 1024 of them, the usual limit, are soon used up."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _check_keys(service: Service, listener: socket.socket) -> None:
    """Make sure that a server others can reach has been given a key: one made now would be seen by nobody."""
    address = ipaddress.ip_address(listener.getsockname()[0].partition("%")[0])
    if not (address.is_loopback or service.settings.allow_anyone or service.accounts.has_keys()):
        raise InputError(
            f"others can reach this server at {address}, and it has no API key yet: make one with --new-key,"
            " or let everybody in with --allow-anyone"
        )


def _listen(settings: ServerSettings) -> socket.socket:
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        raise InputError(
            f"cannot listen on {settings.host} port {settings.port} ({error.strerror}); choose another port"
        ) from error
    # Connections inherit it. Without it, the body of a reply waits 40 ms until its head is acknowledged.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def _serve(service: Service, listener: socket.socket, on_ready: Callable[[Ready], None]) -> None:
    config = uvicorn.Config(
        make_app(service),
        loop="asyncio",
        http=connection_type(service.settings.patience_s),
        limit_concurrency=service.settings.connections,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    async with service.working():
        keyless = not (service.settings.allow_anyone or service.accounts.has_keys())
        ready = Ready(_url(listener), service.accounts.new_key(FIRST_USER) if keyless else None)
        await _Server(config, partial(on_ready, ready)).serve(sockets=[listener])


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
