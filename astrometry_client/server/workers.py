"""The worker processes: started, given work, stopped when they take too long, replaced when they die."""

import asyncio
import base64
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, Literal, cast

import attrs

from astrometry_client.errors import InputError

from .settings import ServerSettings
from .tasks import Fetched, FetchTask, Found, FoundImage, MakeTask, ReadTask, Solved, SolveTask, Work

Result = Found | Solved | Fetched | Path | str
Role = Literal["solve", "fetch"]

KINDS = {FetchTask: "fetch", ReadTask: "read", SolveTask: "solve", MakeTask: "make"}
"""What a task is called on its way to a worker."""

_log = logging.getLogger(__name__)

REPLY_BYTES = 64 << 20
"""Longest reply of a worker: a crowded field has some thousand annotations of 200 bytes."""

PAUSE_S = 1.0
"""Wait after trouble with the disk or the memory, before the next try."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""A worker keeps one core busy; numerical libraries would take all of them."""


LAST_WORDS = 200
"""Characters told of what a dead worker wrote."""


class WorkerDied(Exception):
    """The process ended while it worked."""


class Worker:
    """One worker process at a time.

    Parameters
    ----------
    role
        What it does: `solve` reads, solves and makes files.
    """

    def __init__(self, settings: ServerSettings, role: Role = "solve") -> None:
        self._settings = settings
        self._role = role
        self._messages: IO[bytes] | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Make sure that there is a process ready for work.

        Raises
        ------
        InputError
            With these settings no work can be done.
        WorkerDied
            It ended while it started.
        """
        if self._process and self._process.returncode is None:
            return
        await self.stop()
        self._messages = tempfile.TemporaryFile("a+b")  # noqa: SIM115  closed by `stop`
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "astrometry_client.server.worker",
            self._role,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._messages,
            start_new_session=True,
            limit=REPLY_BYTES,
            env={**os.environ, **ONE_THREAD},
        )
        hello = await self._ask(attrs.asdict(self._settings))
        if "refused" in hello:
            await self.stop()
            raise InputError(hello["refused"])

    async def start_surely(self) -> None:
        """Start, again and again while the machine has no room for it."""
        while True:
            try:
                return await self.start()
            except (WorkerDied, InputError, OSError) as error:
                _log.error("a worker does not start (%s); trying again", error)
                await asyncio.sleep(PAUSE_S)

    async def do(self, task: Work | MakeTask) -> Result:
        """Return what the process found out, or in words why nothing.

        Raises
        ------
        WorkerDied
            It ended instead of answering, or its answer makes no sense.
        TimeoutError
            It took longer than its limit, and was stopped.
        """
        async with asyncio.timeout(self.limit_s(task)):
            return understand(await self._ask({KINDS[type(task)]: attrs.asdict(task)}))

    def limit_s(self, task: Work | MakeTask) -> float:
        """Return how long this task may take."""
        limit: float = getattr(self._settings, f"{KINDS[type(task)]}_timeout_s")
        return limit

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one message and return the answer; without one the process is stopped."""
        process = cast(asyncio.subprocess.Process, self._process)
        messages = cast(IO[bytes], self._messages)
        messages.truncate(0)
        try:
            return await _exchange(process, message)
        except WorkerDied as error:
            words = _last_words(messages)
            await self.stop()
            raise WorkerDied(f"{error}{words}") from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the process and everything it started."""
        process, self._process = self._process, None
        messages, self._messages = self._messages, None
        if messages is not None:
            messages.close()
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _exchange(process: asyncio.subprocess.Process, message: dict[str, Any]) -> dict[str, Any]:
    said = cast(asyncio.StreamWriter, process.stdin)
    heard = cast(asyncio.StreamReader, process.stdout)
    try:
        said.write(json.dumps(message, default=str).encode() + b"\n")
        await said.drain()
        line = await heard.readline()
        reply: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
    except (ConnectionError, ValueError) as error:
        raise WorkerDied(f"the worker cannot be understood ({error})") from error
    if not reply:
        raise WorkerDied(f"the worker ended ({_how_ended(await process.wait())})")
    return reply


def _last_words(messages: IO[bytes]) -> str:
    """Return the last line a process wrote, the name of an exception perhaps; all of it is logged."""
    messages.seek(0)
    words = messages.read(REPLY_BYTES).decode(errors="replace").strip()
    if words:
        _log.warning("a worker wrote: %s", words)
    return f": {words.splitlines()[-1][:LAST_WORDS]}" if words else ""


def _how_ended(status: int) -> str:
    return f"status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"


def understand(reply: dict[str, Any]) -> Result:
    """Return what a worker says in its reply; raises `WorkerDied` if that makes no sense."""
    try:
        if "images" in reply:
            images = [FoundImage(**image) for image in reply["images"]]
            return Found(images, reply.get("members_read"), reply.get("reason"))
        if "wcs" in reply:
            wcs = base64.b64decode(reply["wcs"])
            return Solved(reply["calibration"], reply["annotations"], wcs, reply["stars"])
        if "fetched" in reply:
            return Fetched(reply["fetched"])
        if "made" in reply:
            return Path(reply["made"])
        return str(reply["reason"])
    except (KeyError, TypeError, ValueError) as error:
        raise WorkerDied(f"the worker cannot be understood ({error!r})") from error
