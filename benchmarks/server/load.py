"""What the embedded server costs: its throughput beside the engine's alone, and its memory in a crowd.

Run it: `python benchmarks/server/load.py`, with `--help` for the numbers.
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
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from live_server import Api, children
from sky import random_view, render

from astrometry_client.server.engine import Engine, Hints, engines
from astrometry_client.server.run import LocalServer
from astrometry_client.server.settings import available_cores
from astrometry_client.server.workers import ONE_THREAD

MIB = 2**20

POLL_S = 0.3

Measure = Callable[[], tuple[float, float, int]]
"""Returns seconds, CPU seconds and the number of images solved."""


def rendered(count: int, folder: Path) -> list[Path]:
    """Return so many images of the sky, 30° to 8° wide."""
    rng = np.random.default_rng(1)
    paths = []
    for number, width_deg in enumerate(np.geomspace(30.0, 8.0, count)):
        paths.append(folder / f"{number}.fits")
        paths[-1].write_bytes(render(random_view(rng, width_deg=float(width_deg)), rng).fits_bytes())
    return paths


@cache
def engine() -> Engine:
    """Return the engine of this process, made once as in a worker of the server."""
    return engines()["sep"]


def solve(path: Path) -> bool:
    """Solve one image in this process."""
    return engine().solve(path, Hints()) is not None


def cpu_s(processes: list[int]) -> float:
    """Return the CPU seconds these processes, and those they waited for, have used; Linux only."""
    ticks = 0
    for pid in processes:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def alone(paths: list[Path], processes: int) -> Measure:
    """Return what measures the engine in so many processes."""
    os.environ.update(ONE_THREAD)
    # Sessions of their own, as workers have: where others compute too, each session gets its share.
    pool = multiprocessing.get_context("spawn").Pool(processes, initializer=os.setsid)
    pool.map(solve, paths[:processes], chunksize=1)
    workers = [child.pid for child in multiprocessing.active_children() if child.pid]

    def run() -> tuple[float, float, int]:
        start, start_cpu = time.perf_counter(), cpu_s(workers)
        solved = sum(pool.map(solve, paths, chunksize=1))
        return time.perf_counter() - start, cpu_s(workers) - start_cpu, solved

    return run


def through_http(paths: list[Path], server: LocalServer) -> Measure:
    """Return what measures the server, from the first upload to the last result."""
    api = Api.login(server.url, server.api_key)
    processes = [server.pid or 0, *children(server.pid or 0)]

    def upload(path: Path) -> int:
        return api.upload(path.read_bytes(), path.name)

    def is_solved(submission_id: int) -> bool:
        """Look as the client does: the submission tells of a solution, the job of a failure."""
        while not (seen := api.submission(submission_id))["job_calibrations"]:
            if any(api.status(job) == "failure" for job in seen["jobs"] if job):
                return False
            time.sleep(POLL_S)
        return True

    def run() -> tuple[float, float, int]:
        start, start_cpu = time.perf_counter(), cpu_s(processes)
        with ThreadPoolExecutor(4) as threads:
            submissions = list(threads.map(upload, paths))
        solved = sum(map(is_solved, submissions))
        return time.perf_counter() - start, cpu_s(processes) - start_cpu, solved

    return run


def compare_throughput(count: int, rounds: int) -> None:
    """Measure both in turn, so that a busy machine slows both."""
    processes = available_cores()
    with tempfile.TemporaryDirectory() as folder, LocalServer(workers=processes) as server:
        paths = rendered(count, Path(folder))
        measures = {"engine alone": alone(paths, processes), "through HTTP": through_http(paths, server)}
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in measures}
        for _ in range(rounds):
            for name, measure in measures.items():
                took_s, cpu, solved = measure()
                seconds[name].append((took_s, cpu))
                rate = count / took_s
                print(f"{name}: {solved}/{count} solved in {took_s:.2f} s, {rate:.2f}/s, CPU {cpu:.2f} s")
    for number, what in enumerate(("time", "CPU")):
        ratios = [http[number] / engine[number] for engine, http in zip(*seconds.values(), strict=True)]
        print(
            f"{what}, through HTTP / alone: {median(ratios):.2f} (median of {rounds}, {processes} processes)"
        )


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--megabytes", type=float, default=5.0)
    given = parser.parse_args()
    crowd(given.uploads, int(given.megabytes * 1e6))
    compare_throughput(given.fields, given.rounds)


if __name__ == "__main__":
    main()
