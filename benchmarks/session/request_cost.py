"""What a request costs through `ClientSession`, beside a bare `requests.Session`, on the loopback.

Run it: `python benchmarks/session/request_cost.py`. The rounds alternate, and medians are compared, so that
other work on the machine touches both alike.
"""

import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from astrometry_client.session import ClientSession

ROUNDS = 20
REQUESTS = 100
MODELLED = "pyinaturalist==0.21.1"
STATUS = b'{"status": "solving"}'
CALIBRATION = (
    b'{"ra": 83.63, "dec": 22.01, "radius": 0.7, "pixscale": 3.6, "orientation": 12.5, "parity": 1.0, '
    b'"width_arcsec": 3600.0, "height_arcsec": 3600.0}'
)


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    while request := connection.recv(65536):
        body = CALIBRATION if b"/calibration" in request else STATUS
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)


def _timed(request: Callable[[], object]) -> Callable[[], float]:
    """Return what takes one round of requests and answers the seconds."""

    def round_s() -> float:
        started_s = time.perf_counter()
        for _ in range(REQUESTS):
            request()
        return time.perf_counter() - started_s

    return round_s


@contextmanager
def _modelled(address: str) -> Iterator[dict[str, Callable[[], float]]]:
    """Give the same for cached requests through pyinaturalist's session, in an environment of its own."""
    if shutil.which("uv") is None:
        print("pyinaturalist is left out: its environment is made by uv, which is not installed.")
        yield {}
        return
    script = Path(__file__).with_name("modelled_session.py")
    command = ["uv", "run", "--quiet", "--no-project", "--with", MODELLED, "python", str(script), address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def round_s() -> float:
            process.stdin.write(f"{REQUESTS}\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        yield {"pyinaturalist's session, cached": round_s}
        process.stdin.close()


def _compare(ways: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Return the median milliseconds of a request for each way; the rounds alternate."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, round_s in ways.items():
            spent[name].append(round_s() / REQUESTS * 1000)
    return {name: statistics.median(times) for name, times in spent.items()}


def main() -> None:
    """Print the costs side by side."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    server = f"http://127.0.0.1:{listener.getsockname()[1]}"
    status, calibration = f"{server}/api/jobs/1", f"{server}/api/jobs/1/calibration"
    with (
        tempfile.TemporaryDirectory() as folder,
        requests.Session() as bare,
        ClientSession() as plain,
        ClientSession(
            Path(folder) / "replies.sqlite", per_second=100_000, ratelimit_path=Path(folder) / "rates.sqlite"
        ) as full,
        _modelled(calibration) as modelled,
    ):
        ways = {
            "requests.Session": _timed(lambda: bare.get(status).content),
            "ClientSession, no limit": _timed(lambda: plain.get(status).content),
            "ClientSession, limit kept in SQLite": _timed(lambda: full.get(status).content),
            "ClientSession, cached": _timed(lambda: full.get(calibration).content),
        }
        costs = _compare(ways | modelled)
    base = costs["requests.Session"]
    for name, cost_ms in costs.items():
        print(f"{name:40} {cost_ms:6.3f} ms  {cost_ms / base:5.2f} x")


if __name__ == "__main__":
    main()
