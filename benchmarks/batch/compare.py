"""A night's images through this package and through other clients, against one simulated server.

Run it: `python benchmarks/batch/compare.py [CLIENT …]`. It takes about half an hour, in real time, most of it
for clients that solve one image after the other. 40 images, 4 solvers, solve times log-normal with median 6 s
and sigma 0.8, 0.2 s to every answer, 10 % without a solution. Delays are from the end of a job at the server
to the answer of the first look that tells it, measured at the server.
"""

import asyncio
import contextlib
import heapq
import json
import math
import random
import re
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from astrometry_client import AsyncClient, Client, ClientSession, Ledger
from astrometry_client.testing import UNSOLVED, NovaServer, TableEngine, fits_image, place_of

IMAGES: Final = 40
SOLVERS: Final = 4
LATENCY_S: Final = 0.2
SEED: Final = 1

TARGETS: Final = {"requests": 5.2, "median_s": 1.5, "p95_s": 4.0, "wall": 1.05, "cpu_ms": 25.0}
PACKED_TARGETS: Final = {**TARGETS, "requests": 2.2}

Right = dict[str, float | None]
"""Right ascension that was told for each file; `None` for no solution."""


def solve_times(number: int, seed: int) -> list[float]:
    """Return so many solve times that are log-normal as exactly as so many can be, in random order."""
    normal = statistics.NormalDist(math.log(6.0), 0.8)
    times_s = [math.exp(normal.inv_cdf((place + 0.5) / number)) for place in range(number)]
    random.Random(seed).shuffle(times_s)  # noqa: S311
    return times_s


def make_images(folder: Path, tag: str) -> list[Path]:
    """Write the images of a night; one in ten is dark."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{'dark' if n % 10 == 3 else 'sky'}-{tag}-{n:02d}.fits" for n in range(IMAGES)]
    for path in paths:
        path.write_bytes(fits_image(path.name))
    return paths


@contextlib.contextmanager
def simulated_server(paths: list[Path], seed: int, **options: Any) -> Iterator[NovaServer]:
    """Give a server that knows how long each of these images takes."""
    times_s = dict(zip((path.name for path in paths), solve_times(len(paths), seed), strict=True))
    engine = TableEngine({"dark*": UNSOLVED}, otherwise=place_of)
    with NovaServer(
        solvers=SOLVERS,
        solve_time_s=lambda name: times_s.get(name, 6.0),
        latency_s=LATENCY_S,
        engine=engine,
        **options,
    ) as server:
        yield server


@attrs.frozen(kw_only=True)
class Row:
    """What a client needed."""

    name: str
    requests: float
    median_s: float
    p95_s: float
    wall: float
    cpu_ms: float
    right: int
    uploads: float


def needed_s(solves_s: list[float]) -> float:
    """Return what the solvers alone need for these, taken up in this order."""
    free_s = [0.0] * SOLVERS
    for solve_s in solves_s:
        heapq.heapreplace(free_s, free_s[0] + solve_s)
    return max(free_s)


def _submissions(server: NovaServer) -> dict[int, set[int]]:
    """Return the jobs of each submission, asked past the counting of the benchmark."""
    jobs = {}
    for submission_id in {upload.submission_id for upload in server.uploads}:
        with urllib.request.urlopen(f"{server.url}/api/submissions/{submission_id}") as reply:  # noqa: S310
            jobs[submission_id] = {job for job in json.load(reply)["jobs"] if job}
    return jobs


def _delays_s(server: NovaServer) -> list[float]:
    """Return how long after each job's end its end was told, for the first time."""
    requests = list(server.requests)
    submissions = _submissions(server)
    delays_s = []
    for job in server.jobs:
        told_s = math.inf
        for request in requests:
            number = int((re.findall(r"/(\d+)", request.path) or ["0"])[0])
            of_job = request.call != "submission" and number == job.job_id
            of_submission = request.call == "submission" and job.job_id in submissions.get(number, ())
            tells = of_job or (of_submission and job.state == "success")
            if tells and request.status == 200 and job.ended_s is not None and request.time_s >= job.ended_s:
                told_s = min(told_s, request.time_s + LATENCY_S)
        if job.ended_s is not None and told_s < math.inf:
            delays_s.append(told_s - job.ended_s)
    return sorted(delays_s)


def measure(name: str, server: NovaServer, paths: list[Path], work: Callable[[], Right]) -> Row:
    """Let a client work, and return what it needed."""
    cpu_s, began_s = _client_cpu_s(), server.clock.monotonic()
    found = work()
    cpu_s, ended_s = _client_cpu_s() - cpu_s, server.clock.monotonic()
    requests, uploads = len(server.requests), len(server.uploads)
    right = {
        path.name: None if path.name.startswith("dark") else place_of(path.name).ra_deg for path in paths
    }
    delays_s = _delays_s(server)
    return Row(
        name=name,
        requests=requests / len(paths),
        median_s=statistics.median(delays_s) if delays_s else math.nan,
        p95_s=delays_s[int(0.95 * len(delays_s))] if delays_s else math.nan,
        wall=(ended_s - began_s)
        / needed_s([(job.ended_s or 0.0) - (job.begun_s or 0.0) for job in server.jobs]),
        cpu_ms=1000 * cpu_s / len(paths),
        right=sum(_agree(found.get(file, math.nan), ra_deg) for file, ra_deg in right.items()),
        uploads=uploads / len(paths),
    )


def _client_cpu_s() -> float:
    """Return the processor time of this process without that of the server's thread."""
    server = (thread.ident for thread in threading.enumerate() if thread.name == "nova-server")
    clocks = [time.pthread_getcpuclockid(number) for number in server if number]
    return time.process_time() - sum(time.clock_gettime(clock) for clock in clocks)


def _agree(told_deg: float | None, right_deg: float | None) -> bool:
    if told_deg is None or right_deg is None:
        return told_deg is right_deg
    return abs(told_deg - right_deg) < 1e-3


def _session() -> ClientSession:
    return ClientSession(per_second=None, per_minute=None)


def ours(server: NovaServer, paths: list[Path], ledger: Path, **options: Any) -> Right:
    """Solve with `Client.solve_many`."""
    with _session() as session:
        client = Client(server.api_key, base_url=server.url, client_session=session)
        results = client.solve_many(paths, ledger=_ledger(ledger, server), **options)
        return {one.name: one.solution.calibration.ra_deg if one.solution else None for one in results}


def ours_async(server: NovaServer, paths: list[Path], ledger: Path) -> Right:
    """Solve with `AsyncClient.solve_many`."""

    async def work() -> Right:
        found: Right = {}
        with _session() as session:
            async with AsyncClient(server.api_key, base_url=server.url, client_session=session) as client:
                async for one in client.solve_many(paths, ledger=_ledger(ledger, server)):
                    found[one.name] = one.solution.calibration.ra_deg if one.solution else None
        return found

    return asyncio.run(work())


def _ledger(path: Path, server: NovaServer) -> Ledger:
    """Return a ledger; each server of the benchmark has another port, but they are alike."""
    ledger = Ledger(path)
    ledger.solve_times_s(server.url)  # makes the file
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE images SET server = ?", (server.url,))
        connection.execute("UPDATE orders SET server = ?", (server.url,))
    return ledger


def astroquery(server: NovaServer, paths: list[Path], _ledger: Path) -> Right:
    """Solve with astroquery's `AstrometryNet`, one after the other, as it does."""
    from astroquery.astrometry_net import AstrometryNet

    client = AstrometryNet()
    client.URL, client.API_URL, client.api_key = server.url, f"{server.url}/api", server.api_key
    found: Right = {}
    for path in paths:
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            header = client.solve_from_image(
                str(path), force_image_upload=True, solve_timeout=120, verbose=False
            )
            found[path.name] = float(header["CRVAL1"]) if header else None
    return found


def net_client(server: NovaServer, paths: list[Path], _ledger: Path) -> Right:
    """Solve with the package astrometry-net-client, as its description says."""
    import astrometry_net_client
    from astrometry_net_client import session, statusables, uploads

    kinds = (session.Session, statusables.Submission, statusables.Job, uploads.FileUpload, uploads.URLUpload)
    for kind in kinds:
        for name, value in list(vars(kind).items()):
            if isinstance(value, str) and re.match(r"http://(nova\.astrometry\.net|127\.0\.0\.1:\d+)", value):
                setattr(kind, name, re.sub(r"^http://[^/]+", server.url, value))
    client = astrometry_net_client.Client(api_key=server.api_key)
    found: Right = {}
    with contextlib.suppress(Exception):
        for job, path in client.upload_files_gen([str(path) for path in paths]):
            found[Path(path).name] = float(job.wcs_file()["CRVAL1"]) if job.success() else None
    return found


CLIENTS: Final[dict[str, Callable[[NovaServer, list[Path], Path], Right]]] = {
    "cold": ours,
    "warm": ours,
    "packed-first": partial(ours, pack=True),
    "packed": partial(ours, pack=True),
    "async": ours_async,
    "astrometry-net-client": net_client,
    "astroquery": astroquery,
}
"""Ours share a ledger, which is empty at first; each night has other images. The first tars at a
server have all their names asked for."""


def compare(names: list[str], folder: Path) -> Iterator[Row]:
    """Yield what each client needed for images of its own that take the same times."""
    for name in names:
        paths = make_images(folder / name, name)
        # What is imported when it is first used is not to be measured.
        with NovaServer() as server:
            CLIENTS[name](server, paths[:1], folder / "first.sqlite")
        with simulated_server(paths, SEED) as server:
            work = partial(CLIENTS[name], server, paths, folder / "ledger.sqlite")
            yield measure(name, server, paths, work)


def main() -> None:
    """Print the table."""
    names = sys.argv[1:] or list(CLIENTS)
    head = ("requests", "median_s", "p95_s", "wall", "cpu_ms", "right", "uploads")
    print(f"{'':24}" + "".join(f"{title:>10}" for title in head))
    print(f"{'target':24}" + "".join(f"{TARGETS.get(title, ''):>10}" for title in head))
    print(f"{'target, packed':24}" + "".join(f"{PACKED_TARGETS.get(title, ''):>10}" for title in head))
    with tempfile.TemporaryDirectory() as folder:
        for row in compare(names, Path(folder)):
            cells = "".join(f"{getattr(row, title):>10.2f}" for title in head)
            print(f"{row.name:24}{cells}", flush=True)


if __name__ == "__main__":
    main()
