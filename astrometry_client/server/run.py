"""Start a server: in this process, or for a while in a process of its own."""

import contextlib
import importlib.util
import json
import logging
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, cast

import attrs

from astrometry_client.errors import InputError

from .settings import ServerSettings

if TYPE_CHECKING:
    from .serving import Ready

_log = logging.getLogger(__name__)

NEEDED = ("astrometry", "astropy", "numpy", "PIL", "python_multipart", "sep", "starlette", "uvicorn")

START_S = 60.0
"""Longest start of a server: on a cold disk the imports of its first worker take ten seconds and more."""

STOP_S = 15.0
"""Longest orderly end of a server before it is killed."""

MESSAGES_BYTES = 1 << 20
"""Messages shown of a local server."""

LAST_WORDS = 300
"""Characters told of what a dead server wrote."""


def _check_extra() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"the server needs {', '.join(missing)}; they come with: pip install 'astrometry-client[server]' "
            "(the solver's packages exist for Python 3.11 to 3.13, on Linux x86-64 and macOS)"
        )


def serve(*, on_ready: "Callable[[Ready], None] | None" = None, **options: Any) -> None:
    """Serve until SIGINT or SIGTERM; return after an orderly end.

    Parameters
    ----------
    on_ready
        Called once, when connections are accepted.
    options
        Fields of `ServerSettings`. Default: loopback only, data in the user's data folder, a worker
        for each core.

    Raises
    ------
    InputError
        The extra is not installed, the port or the data folder is taken, or there is no such engine.
    """
    _check_extra()
    from .serving import run

    run(ServerSettings.given(**options), on_ready or (lambda ready: _log.info("serving at %s", ready.url)))


def new_key(user: str, *, data_dir: Path | None = None) -> str:
    """Return a new API key of a user, who is made if new; a server that is running knows it at once.

    Parameters
    ----------
    user
        A name of your choice; users take turns with the solver.
    data_dir
        The server's data folder. Default: that of `serve`.

    Returns
    -------
    str
        The key. Only its hash is kept, so it cannot be read again.

    Raises
    ------
    InputError
        The extra is not installed, the folder cannot be used, or the name is no word.
    """
    _check_extra()
    from .accounts import Accounts
    from .database import Database

    if not user.isprintable() or not user.strip():
        raise InputError(f"user={user!r} is not allowed: give a name of letters")
    settings = ServerSettings.given(data_dir=data_dir)
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(f"{settings.data_dir} cannot be used ({error.strerror})") from error
    with contextlib.closing(Database(settings.database_file)) as database:
        return Accounts(database, session_s=settings.session_s).new_key(user)


class LocalServer:
    """A throw-away server on a free loopback port, for the length of a `with` block.

    It runs in a process of its own with a data folder of its own, and both are gone after the
    block, even if this process is killed inside it.

    Parameters
    ----------
    options
        Fields of `ServerSettings`, except host, port and data folder.

    Attributes
    ----------
    url, api_key
        What a client needs; known inside the block.
    data_dir
        What the server keeps.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.data_dir = Path()
        self.url = ""
        self.api_key = ""

    def __repr__(self) -> str:
        return f"LocalServer(url={self.url!r})"

    def __enter__(self) -> Self:
        """Start the server.

        Raises
        ------
        InputError
            It did not start; the message says why.
        """
        _check_extra()
        self._stderr = tempfile.TemporaryFile("a+b")
        self.data_dir = Path(tempfile.mkdtemp(prefix="astrometry-server-"))
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop()

    @property
    def pid(self) -> int | None:
        """Process id of the server, inside the block."""
        return self._process.pid if self._process else None

    @property
    def messages(self) -> str:
        """What the server has written to standard error, inside the block."""
        return os.pread(self._stderr.fileno(), MESSAGES_BYTES, 0).decode(errors="replace")

    def _start(self) -> None:
        settings = ServerSettings.given(**self._options, host="127.0.0.1", port=0, data_dir=self.data_dir)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "astrometry_client.server.local_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
        )
        ready = self._talk(self._process, settings)
        self.url, self.api_key = ready["url"], ready["api_key"]

    def _talk(self, process: "subprocess.Popen[bytes]", settings: ServerSettings) -> dict[str, Any]:
        said, heard = _pipes(process)
        with contextlib.suppress(BrokenPipeError):
            said.write(json.dumps(attrs.asdict(settings), default=str).encode() + b"\n")
            said.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(heard, selectors.EVENT_READ)
            line = heard.readline() if selector.select(START_S) else b""
        ready: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {"error": "it said nothing"}
        if "error" in ready:
            reasons = filter(None, [ready["error"], self._last_words()])
            raise InputError(f"the local server did not start: {'; '.join(reasons)}")
        return ready

    def _last_words(self) -> str:
        lines = self.messages.strip().splitlines()
        return lines[-1][:LAST_WORDS] if lines else ""

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            said, heard = _pipes(process)
            with contextlib.suppress(BrokenPipeError):
                said.close()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            heard.close()
        self._stderr.close()
        shutil.rmtree(self.data_dir, ignore_errors=True)


def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    return cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
