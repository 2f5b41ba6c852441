"""Cached requests through pyinaturalist's session, which ours is modelled on; started by `request_cost.py`.

It runs in an environment of its own, because it stands on older releases of the same libraries. For each line
on standard input it makes as many requests to the address given, and prints the seconds they took.
"""

import sys
import tempfile
import time
from pathlib import Path

from pyinaturalist import ClientSession


def main() -> None:
    """Time rounds of requests until standard input ends."""
    address = sys.argv[1]
    with (
        tempfile.TemporaryDirectory() as folder,
        ClientSession(
            cache_file=Path(folder) / "replies.sqlite",
            per_second=100_000,
            per_minute=10_000_000,
            per_day=1_000_000_000,
            ratelimit_path=Path(folder) / "rates.sqlite",
        ) as session,
    ):
        session.request("GET", address)
        for line in sys.stdin:
            started_s = time.perf_counter()
            for _ in range(int(line)):
                session.request("GET", address)
            print(time.perf_counter() - started_s, flush=True)


if __name__ == "__main__":
    main()
