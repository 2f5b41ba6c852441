"""What the embedded server costs: its throughput beside the engine's alone, and its memory in a crowd.

Run it: `python benchmarks/server/load.py`, with `--help` for the numbers.

The images are the 4 photographs and 20 rendered fields that the tests solve through HTTP, several times
over: the server solves every upload anew. As many processes as there are cores solve them:

- with the engine alone, as it is: it starts a matcher process for each image;
- with the engine alone and a matcher kept for all images, as the workers of the server have it;
- as workers of the server. The time runs from the first upload to the last result told; the client, with one
  connection and one thread, computes on the same cores.
"""

import argparse
import contextlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import numpy as np
import requests

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from live_server import Api
from processes import descendants_of
from sky import random_view, render
from true_fields import PHOTOGRAPHS, RENDERED, rendered

from astrometry_client.server.engine import Engine, Hints, Matcher, engines
from astrometry_client.server.run import LocalServer
from astrometry_client.server.settings import available_cores
from astrometry_client.server.workers import ONE_THREAD

MIB = 2**20

POLL_S = 0.3

Solve = Callable[[], int]
"""Solves all images; returns how many are solved."""


@attrs.frozen
class Cost:
    """What one run took; the client's part of the CPU time is not in `cpu_s`."""

    took_s: float
    cpu_s: float
    client_cpu_s: float


def true_fields(folder: Path) -> list[Path]:
    """Return the images whose truth the tests know: first the photographs, which take longest."""
    paths = sorted(PHOTOGRAPHS.glob("*.jpg"))
    for number in range(RENDERED):
        paths.append(folder / f"{number}.fits")
        paths[-1].write_bytes(rendered(number)[1])
    return paths


def other_fields(folder: Path, count: int) -> list[Path]:
    """Return so many other images of the sky, 30° to 8° wide."""
    rng = np.random.default_rng(1)
    paths = []
    for number, width_deg in enumerate(np.geomspace(30.0, 8.0, count)):
        paths.append(folder / f"{number}.fits")
        paths[-1].write_bytes(render(random_view(rng, width_deg=float(width_deg)), rng).fits_bytes())
    return paths


@cache
def engine(matcher: type[Matcher] | None) -> Engine:
    """Return the engine of this process, made once as in a worker of the server."""
    return engines(matcher=matcher and matcher())["sep"]


def solve(path: Path, matcher: type[Matcher] | None) -> bool:
    """Solve one image in this process."""
    return engine(matcher).solve(path, Hints()) is not None


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and all below it, those that ended too; Linux only."""
    ticks = 0
    for one in [pid, *descendants_of(pid)]:
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def measured(solve_all: Solve, processes: list[int]) -> tuple[Cost, int]:
    """Return the cost of solving, these processes doing the work, and how many are solved."""
    start, start_cpu, start_client = time.perf_counter(), sum(map(cpu_s, processes)), time.process_time()
    solved = solve_all()
    took_s, client_cpu_s = time.perf_counter() - start, time.process_time() - start_client
    return Cost(took_s, sum(map(cpu_s, processes)) - start_cpu, client_cpu_s), solved


@contextlib.contextmanager
def alone(
    paths: list[Path], processes: int, matcher: type[Matcher] | None = None
) -> Iterator[tuple[Solve, list[int]]]:
    """Yield what solves with the engine in so many processes, and their ids."""
    os.environ.update(ONE_THREAD)
    # Sessions of their own, as workers have: where others compute too, each session gets its share.
    with multiprocessing.get_context("spawn").Pool(processes, initializer=os.setsid) as pool:
        solve_one = partial(solve, matcher=matcher)
        pool.map(solve_one, paths[:processes], chunksize=1)
        yield lambda: sum(pool.map(solve_one, paths, chunksize=1)), [one.pid for one in pool._pool]


@contextlib.contextmanager
def through_http(paths: list[Path], processes: int) -> Iterator[tuple[Solve, list[int]]]:
    """Yield what solves with a server of so many workers, and its process id."""
    with LocalServer(workers=processes) as server, requests.Session() as http:
        api = attrs.evolve(Api.login(server.url, server.api_key), http=http)

        def is_solved(submission_id: int) -> bool:
            """Look as the client does: the submission tells of a solution, the job of a failure."""
            while not (seen := api.submission(submission_id))["job_calibrations"]:
                if any(api.status(job) == "failure" for job in seen["jobs"] if job):
                    return False
                time.sleep(POLL_S)
            return True

        def solve_all() -> int:
            submissions = [api.upload(path.read_bytes(), path.name) for path in paths]
            return sum(map(is_solved, submissions))

        yield solve_all, [server.pid or 0]


def compare_throughput(paths: list[Path], rounds: int) -> None:
    """Measure both in turn, so that a busy machine slows both."""
    processes = available_cores()
    ways = {
        "engine alone": alone(paths, processes),
        "engine alone, matcher kept": alone(paths, processes, Matcher),
        "through HTTP": through_http(paths, processes),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    with contextlib.ExitStack() as stack:
        entered = {name: stack.enter_context(way) for name, way in ways.items()}
        for _ in range(rounds):
            for name, (solve_all, pids) in entered.items():
                cost, solved = measured(solve_all, pids)
                costs[name].append(cost)
                print(
                    f"{name}: {solved}/{len(paths)} solved in {cost.took_s:.2f} s, CPU {cost.cpu_s:.2f} s"
                    f" and the client's {cost.client_cpu_s:.2f} s",
                    flush=True,
                )
    *engine_alone, _ = ways
    for name in engine_alone:
        for figure in ("took_s", "cpu_s"):
            ratios = [
                getattr(http, figure) / getattr(engine, figure)
                for engine, http in zip(costs[name], costs["through HTTP"], strict=True)
            ]
            print(f"{figure}, through HTTP / {name}: {median(ratios):.2f} (median of {rounds})")


def memory_bytes(pid: int | None, what: str) -> int:
    """Return memory in use (`VmRSS`) or the most ever (`VmHWM`) of a process; Linux only."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024


@contextlib.contextmanager
def toy_server() -> Iterator[LocalServer]:
    """Run a server whose engine takes no time."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TOY_DIR"] = folder
        os.environ["PYTHONPATH"] = str(Path(__file__).parents[2] / "tests")
        with LocalServer(engine="toy_engines:toy", workers=1) as server:
            yield server


def crowd(uploads: int, size_bytes: int) -> None:
    """Upload so many files at once, each in a connection of its own."""
    with toy_server() as server:
        api = Api.login(server.url, server.api_key)
        before = memory_bytes(server.pid, "VmRSS")

        def upload(number: int) -> Any:
            content = number.to_bytes(4, "big") * (size_bytes // 4)
            files = {"file": (str(number), content)}
            return api.call("upload", {"session": api.session_key}, files=files).json()["hash"]

        start = time.perf_counter()
        with ThreadPoolExecutor(uploads) as threads:
            hashes = set(threads.map(upload, range(uploads)))
        took_s = time.perf_counter() - start
        kept = [server.data_dir / "files" / name[:3] / name for name in hashes]
        whole = sum(path.exists() and path.stat().st_size == size_bytes for path in kept)
        most = memory_bytes(server.pid, "VmHWM")
    print(
        f"{uploads} uploads of {size_bytes / 1e6:.0f} MB at once: {whole} kept, {took_s:.1f} s;"
        f" server {before / MIB:.0f} MiB before, {most / MIB:.0f} MiB at most"
    )


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, help="so many other rendered fields, 30° to 8° wide")
    parser.add_argument("--times", type=int, default=6, help="how often each image is solved in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--megabytes", type=float, default=5.0)
    given = parser.parse_args()
    crowd(given.uploads, int(given.megabytes * 1e6))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = other_fields(folder, given.fields) if given.fields else true_fields(folder)
        compare_throughput(given.times * paths, given.rounds)


if __name__ == "__main__":
    main()
