"""What a batch of 10,000 files takes in memory, what it costs again, and how it lives through faults.

Run it: `python benchmarks/batch/limits.py [FILES]`. The server is simulated and solves at once.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from astrometry_client import Client, Ledger
from astrometry_client.testing import (
    UNSOLVED,
    Cut,
    NovaServer,
    Reset,
    Status,
    TableEngine,
    fits_image,
    place_of,
)

TABLE: Final = TableEngine({"dark*": UNSOLVED}, otherwise=place_of)
FAULTS: Final = (
    *(Status(503).rate(0.05), Status(200, processed=True).rate(0.01)),
    *(fault.rate(0.01) for fault in (Reset("arriving"), Reset("processed"), Cut())),
)
WORK: Final = """
import re, sys
from pathlib import Path
from astrometry_client import Client, ClientSession, Ledger
url, key, ledger, folder = sys.argv[1:]
with ClientSession(per_second=None, per_minute=None) as session:
    client = Client(key, base_url=url, client_session=session)
    files = sorted(Path(folder).iterdir())
    solved = sum(result.solved for result in client.solve_many(files, ledger=Ledger(ledger)))
# Not from `getrusage`, which counts the process that this one was forked from.
print(solved, int(re.search("VmHWM:.*?([0-9]+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""


def make_images(folder: Path, count: int) -> list[Path]:
    """Write images, one in ten of them dark."""
    folder.mkdir()
    paths = [folder / f"{'dark' if number % 10 == 3 else 'sky'}{number:05d}.fits" for number in range(count)]
    for path in paths:
        path.write_bytes(fits_image(path.name))
    return paths


def memory(count: int, folder: Path) -> float:
    """Print and return the most memory a process takes for so many files, MiB, and what it asks again."""
    make_images(folder / "images", count)
    with NovaServer(solvers=16, engine=TABLE) as server:
        asked = []
        for _ in range(2):
            command = [sys.executable, "-c", WORK, server.url, server.api_key, str(folder / "ledger")]
            told = subprocess.run(
                [*command, str(folder / "images")], check=True, capture_output=True, text=True
            )
            solved, mebibytes = told.stdout.split()
            asked.append(len(server.requests))
            print(
                f"{count:6} files: {solved} solved, {float(mebibytes):.0f} MiB, {asked[-1]} requests so far"
            )
    return float(mebibytes)


def right_of(seed: int, folder: Path, *, pack: bool) -> tuple[int, int]:
    """Return how many of 40 images got their right result on a bad day, and how many uploads that took."""
    paths = make_images(folder / f"{seed}{pack}", 40)
    with (
        NovaServer(solvers=4, engine=TABLE, faults=FAULTS, seed=seed, session_uses=30) as server,
        server.client_session(per_second=None, per_minute=None) as session,
    ):
        client = Client(server.api_key, base_url=server.url, client_session=session)
        results = client.solve_many(paths, ledger=Ledger.in_memory(), timeout_s=1e6, pack=pack)
        right = sum(
            place_of(one.name).ra_deg - one.solution.calibration.ra_deg < 1e-3
            if one.solution
            else one.name.startswith("dark")
            for one in results
        )
        return right, len(server.uploads)


def main() -> None:
    """Print all."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        for pack in (False, True):
            told = [right_of(seed, Path(folder), pack=pack) for seed in range(10)]
            print(
                f"faults, {'in tars' if pack else 'one by one'}: right of 40, and uploads: {told}", flush=True
            )
        few, many = Path(folder) / "few", Path(folder) / "many"
        few.mkdir()
        many.mkdir()
        grown = -memory(10, few) + memory(count, many)
        print(f"{count} files take {grown:.0f} MiB more than 10 (target 50)")


if __name__ == "__main__":
    main()
