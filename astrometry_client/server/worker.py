"""A worker process: `python -m astrometry_client.server.worker solve`, or `fetch`.

Standard input brings the settings and then tasks, one JSON document a line; standard
output takes one reply a line. When the input ends, because the server wishes it or is dead,
this process and everything it started end too.
"""

import importlib
import json
import os
import queue
import resource
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from astrometry_client.errors import InputError

from .files import FileStore
from .settings import ServerSettings

if TYPE_CHECKING:
    from .engine import Engine
    from .solving import Solving

Work = tuple[Callable[[dict[str, Any]], dict[str, Any]], dict[str, Any]]
"""What answers tasks, and what is told of it when it is ready."""


def limit(settings: ServerSettings) -> None:
    """Keep this process to its share of memory."""
    if sys.platform == "linux":  # elsewhere the limit is not enforced, or cannot be set
        resource.setrlimit(resource.RLIMIT_AS, (settings.memory_bytes, settings.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def tasks() -> "queue.SimpleQueue[bytes]":
    """Return a queue of the lines of standard input; their end is the end of this process group."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        with open(0, "rb", closefd=False) as stdin:
            for line in stdin:
                lines.put(line)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=read, daemon=True).start()
    return lines


def private_output() -> BinaryIO:
    """Return standard output, and turn what anybody prints to standard error."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output


def load_engine(settings: ServerSettings) -> tuple["Engine", dict[str, "Engine"]]:
    """Return the engine named in the settings, one of ours or `module:function`; and all of ours.

    Raises
    ------
    InputError
        There is no such engine here.
    """
    from .engine import Matcher, engines

    installed = engines(settings.index_dirs, matcher=Matcher())
    module, colon, function = (settings.engine or "").partition(":")
    if colon:
        return getattr(importlib.import_module(module), function)(settings.index_dirs), installed
    name = settings.engine or next(iter(installed), "sep")
    if name not in installed:
        there = ", ".join(installed) or "none"
        raise InputError(f"engine {name!r} is not installed; choose one of: {there}")
    return installed[name], installed


def ready_to_solve(settings: ServerSettings) -> Work:
    """Return what reads, solves and makes files."""
    from .solving import Solving

    engine, others = load_engine(settings)
    solving = Solving(engine, FileStore(settings.files_dir), settings, others)
    return lambda task: solve(solving, task), {"ready": engine.name}


def solve(solving: "Solving", task: dict[str, Any]) -> dict[str, Any]:
    """Return the reply to a task."""
    from .tasks import MakeTask, ReadTask, SolveTask

    if "read" in task:
        return solving.read(ReadTask(**task["read"]))
    if "make" in task:
        return solving.make(MakeTask(**task["make"]))
    return solving.solve(SolveTask(**task["solve"]))


def ready_to_fetch(settings: ServerSettings) -> Work:
    """Return what fetches URLs."""
    from .fetching import Fetching
    from .tasks import FetchTask

    fetching = Fetching(FileStore(settings.files_dir), settings)
    return lambda task: fetching.fetch(FetchTask(**task["fetch"])), {"ready": "fetch"}


def main() -> None:
    """Say whether the work can be done, then answer tasks until the input ends."""
    output = private_output()
    lines = tasks()

    def say(message: dict[str, Any]) -> None:
        output.write(json.dumps(message).encode() + b"\n")
        output.flush()

    get_ready = ready_to_fetch if sys.argv[1:] == ["fetch"] else ready_to_solve
    settings = ServerSettings(**json.loads(lines.get()))
    limit(settings)
    try:
        answer, about = get_ready(settings)
    except InputError as error:
        say({"refused": str(error)})
        return
    say(about)
    while True:
        say(answer(json.loads(lines.get())))


if __name__ == "__main__":
    main()
