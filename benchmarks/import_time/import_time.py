"""Print how much longer `import astrometry_client` takes than the libraries it stands on.

Both are timed in turns, each in an interpreter of its own, so that a slow moment hits both alike.
"""

import argparse
import os
import statistics
import subprocess
import sys

OURS = "import astrometry_client"
LIBRARIES = "import requests_cache, requests_ratelimiter"
TIMED = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"


def import_s(statement: str) -> float:
    """Return the seconds a statement takes in a new interpreter."""
    command = [sys.executable, "-P", "-c", TIMED.format(statement)]
    # With bytecode kept, as it is for users: otherwise compiling is what would be timed.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


def main() -> None:
    """Time both statements and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    import_s(OURS)  # writes the bytecode
    pairs = [(import_s(OURS), import_s(LIBRARIES)) for _ in range(rounds)]
    ours, libraries = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    print(f"{OURS}: {ours * 1000:.0f} ms")
    print(f"{LIBRARIES}: {libraries * 1000:.0f} ms")
    print(f"ratio, median of {rounds} pairs: {ratio:.2f} (wanted: at most 1.30)")


if __name__ == "__main__":
    main()
