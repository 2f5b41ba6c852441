"""What nights cost on average: the real flows in virtual time, each night with other solve times.

Run it: `python benchmarks/batch/nights.py [NIGHTS]`. A single night of `compare.py` is off by chance: 40 ends
give their median within 0.25 s, and the requests within 0.1 an image. The last rows show what fewer looks at
tars cost in time: the prices of looks (`flow/forecast.py`) times a factor.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from nights import OWN, PUBLIC, Night, in_tars, mean_of, one_by_one

from astrometry_client.flow import forecast

FACTORS: Final = (0.7, 1.0, 1.4, 2.0, 2.8)

KINDS: Final[dict[str, Callable[[int], Night]]] = {
    "nova's pace, known": partial(one_by_one, known=True, polling=PUBLIC),
    "nova's pace, never met": partial(one_by_one, known=False, polling=PUBLIC),
    "own server, known": partial(one_by_one, known=True, polling=OWN),
    "own server, never met": partial(one_by_one, known=False, polling=OWN),
    "in tars, all by name": partial(in_tars, by_name=True),
    "in tars": in_tars,
    "in tars, never met": partial(in_tars, known=0),
}


def at_price(factor: float, seed: int) -> Night:
    """Return a night in tars with looks at other prices."""
    usual = dict(forecast._PRICES)
    forecast._PRICES = {ends: factor * price for ends, price in usual.items()}
    try:
        return in_tars(seed)
    finally:
        forecast._PRICES = usual


def rows(nights: int) -> Iterator[tuple[str, list[Night]]]:
    """Yield each kind of batch with its nights."""
    kinds = {**KINDS, **{f"in tars, price × {factor:g}": partial(at_price, factor) for factor in FACTORS}}
    with ProcessPoolExecutor() as pool:
        for name, night in kinds.items():
            yield name, list(pool.map(night, range(nights), chunksize=10))


def main() -> None:
    """Print the table."""
    nights = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    heads = ("requests", "median_s", "p95_s", "longest_s", "wall")
    print(f"{'':24}" + "".join(f"{head:>10}" for head in heads))
    for name, measured in rows(nights):
        print(f"{name:24}" + "".join(f"{mean_of(measured, head):>10.2f}" for head in heads), flush=True)


if __name__ == "__main__":
    main()
