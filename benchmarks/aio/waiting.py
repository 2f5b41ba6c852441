"""Thousands of solves that wait at once: threads, memory, and how long the event loop is held up.

Run it: `python benchmarks/aio/waiting.py [SOLVES]`. The server is another process, in which nothing is ever
solved. Targets: at most 12 threads, 60 MB above idle, stalls of the loop under 50 ms at the 99th percentile.
"""

import asyncio
import contextlib
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from astrometry_client import AsyncClient

TICK_S: Final = 0.005
WATCHED_S: Final = 20.0
FOREVER_S: Final = 1e6

SERVER: Final = f"""
import sys
from astrometry_client.testing import NovaServer
with NovaServer(queue_delay_s={FOREVER_S}) as server:
    print(server.url, server.api_key, flush=True)
    sys.stdin.read()
"""


def memory_mb() -> float:
    """Return the memory this process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


async def watch(stalls_s: list[float]) -> None:
    """Take down how much later than asked for the loop comes back."""
    while True:
        begun_s = time.perf_counter()
        await asyncio.sleep(TICK_S)
        stalls_s.append(time.perf_counter() - begun_s - TICK_S)


async def measure(url: str, api_key: str, folder: Path, count: int) -> None:
    """Let so many solves wait, and print what that takes."""
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(b"\x89PNG\r\n\x1a\n%d" % number)
    async with AsyncClient(api_key, base_url=url) as client:
        await client.authenticate()
        idle_mb, begun_s = memory_mb(), time.monotonic()
        told: set[int] = set()

        async def solve(number: int) -> None:
            await client.solve(
                paths[number],
                timeout_s=None,
                on_step=lambda step: told.add(number) if step.stage == "queued" else None,
            )

        stalls_s: list[float] = []
        watching = asyncio.create_task(watch(stalls_s))
        solves = [asyncio.create_task(solve(number)) for number in range(count)]
        while len(told) < count:
            await asyncio.sleep(0.1)
        uploaded_s, sent = time.monotonic() - begun_s, len(stalls_s)
        await asyncio.sleep(WATCHED_S)
        for phase, found_s in (("while uploading", stalls_s[:sent]), ("while waiting", stalls_s[sent:])):
            p99_ms = statistics.quantiles(found_s, n=100)[98] * 1000
            print(
                f"stalls {phase:<16} p99 {p99_ms:6.1f} ms (target 50), longest {max(found_s) * 1000:.1f} ms"
            )
        print(f"threads {threading.active_count()} (target 12)")
        print(f"memory above idle {memory_mb() - idle_mb:.1f} MB (target 60)")
        print(f"{count} uploads in {uploaded_s:.0f} s")
        begun_s = time.monotonic()
        for task in (*solves, watching):
            task.cancel()
        await asyncio.gather(*solves, watching, return_exceptions=True)
        print(f"all cancelled after {time.monotonic() - begun_s:.2f} s")
        begun_s = time.monotonic()
    print(f"closed after {time.monotonic() - begun_s:.2f} s, {threading.active_count()} thread left")


def main(count: int) -> None:
    """Run a server and measure."""
    command = [sys.executable, "-c", SERVER]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("the server has no pipes")
        with contextlib.closing(server.stdin):
            url, api_key = server.stdout.readline().split()
            asyncio.run(measure(url, api_key, Path(folder), count))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
