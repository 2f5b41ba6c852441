"""The limit as several processes of several threads keep it."""

import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from arrivals import busiest

JITTER_S = 0.020
PROCESSES = 4
THREADS = 4

WORKER = """
    import json, sys, threading, time
    from pyrate_limiter import Rate
    from astrometry_client.session.limiting import make_limiter

    path, limits, threads, seconds = json.loads(sys.argv[1])
    # The second window keeps the whole log, so that it can be read afterwards.
    limiter = make_limiter(**limits, ratelimit_path=path, additional_rate_limit=Rate(1_000_000, 600_000))
    left = []
    print("ready", flush=True)
    start = float(sys.stdin.readline())
    time.sleep(max(0, start - time.time()))

    def work():
        while time.time() < start + seconds:
            limiter.try_acquire("nova")
            left.append(time.time())

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(json.dumps(left))
"""

Left = list[tuple[float, int]]


def start_workers(path: Path, limits: dict[str, float], seconds: float) -> list[subprocess.Popen[str]]:
    """Start the processes, and let them begin together."""
    given = json.dumps([str(path), limits, THREADS, seconds])
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WORKER), given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    start = time.time() + 0.2
    for worker in workers:
        worker.stdin.write(f"{start}\n")
        worker.stdin.flush()
    return workers


def left_of(workers: list[subprocess.Popen[str]]) -> Left:
    """Return when requests left, and from which process."""
    return sorted(
        (at, number)
        for number, worker in enumerate(workers)
        for at in json.loads(worker.communicate(timeout=120)[0] or "[]")
    )


def slots_in(path: Path) -> list[float]:
    with closing(sqlite3.connect(path)) as connection:
        return [at for (at,) in connection.execute("SELECT at FROM slots ORDER BY number")]


def check_fair(left: Left) -> None:
    shares = Counter(number for _, number in left)
    assert len(shares) == PROCESSES
    assert min(shares.values()) >= len(left) / PROCESSES / 2


def test_processes_take_their_slots_from_one_log_and_share_it_fairly(tmp_path):
    path = tmp_path / "r.db"
    left = left_of(start_workers(path, {"per_second": 100, "burst": 1}, seconds=2))
    slots = slots_in(path)
    assert busiest(slots, 1.0) <= 100
    assert len(left) <= len(slots)
    assert all(at >= slot for (at, _), slot in zip(left, slots, strict=False))
    check_fair(left)


def test_a_killed_process_stops_nobody(tmp_path):
    path = tmp_path / "r.db"
    workers = start_workers(path, {"per_second": 100, "burst": 1}, seconds=2)
    workers[0].send_signal(signal.SIGKILL)
    left = left_of(workers)
    assert {number for _, number in left} == {1, 2, 3}
    assert busiest(slots_in(path), 1.0) <= 100


@pytest.mark.soak
@pytest.mark.parametrize(("per_second", "seconds"), [(5, 60), (50, 30), (200, 20)])
def test_a_storm_of_processes_leaves_within_the_limit_and_uses_it(tmp_path, per_second, seconds):
    left = left_of(start_workers(tmp_path / "r.db", {"per_second": per_second}, seconds))
    times = [at for at, _ in left if at < left[0][0] + seconds]
    assert busiest(times, 1 - JITTER_S) <= per_second
    assert len(times) >= 0.95 * per_second * seconds
    check_fair(left)
