"""Nights in virtual time, with the real flows: what a batch costs, and how late its ends are known."""

import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
from simulated_solves import LATENCY_S, SERVER, SimulatedServer, Upload, run, solve_times

from astrometry_client import flow
from astrometry_client.errors import StatusFailedException

IMAGES = 40
PUBLIC = flow.Polling(first_s=5, longest_s=60)
OWN = flow.Polling(first_s=0.25, longest_s=2)


@attrs.frozen
class Night:
    """What a batch needed, and how late its ends were known."""

    requests: float
    """For each image, with the login and the files of results."""
    delays_s: list[float]
    """From the end of each job to its being known, the shortest first."""
    wall: float
    """Time to the last result, in units of what the solvers alone need."""
    ends: dict[str, Any]

    @property
    def median_s(self) -> float:
        return statistics.median(self.delays_s)

    @property
    def p95_s(self) -> float:
        return self.delays_s[int(0.95 * len(self.delays_s))]

    @property
    def longest_s(self) -> float:
        return self.delays_s[-1]


def mean_of(nights: Sequence[Night], name: str) -> float:
    return statistics.mean(getattr(night, name) for night in nights)


def one_by_one(
    seed: int,
    *,
    known: bool,
    polling: flow.Polling = PUBLIC,
    solvers: int = 4,
    median_s: float = 6.0,
    order: Callable[[int], float] = float,
) -> Night:
    """Solve a batch as many a user has it: 10 % without a solution, 16 in work at once."""
    chance = random.Random(seed)
    times_s = solve_times(IMAGES, chance, median_s=median_s)
    server = SimulatedServer(solvers, iter(times_s).__next__, order)
    earlier_s = solve_times(IMAGES, chance, median_s=median_s) if known else []
    forecast = flow.Forecast(polling, known_s=earlier_s, clock=server.clock)
    names = [f"{'dark' if number % 10 == 3 else 'sky'}{number}.fits" for number in range(IMAGES)]

    def way(name: str) -> flow.Steps[Any]:
        upload: Any = Upload(server, [name])
        return flow.solve(
            upload, server=SERVER, name=name, polling=polling, forecast=forecast, top_down=False
        )

    ends = run(server, ((name, way(name)) for name in names), most=16)
    delays_s = []
    for image in server.images.values():
        known_s, end = ends[image.name]
        dark = "dark" in image.name
        assert isinstance(end, StatusFailedException if dark else object)
        assert dark or end.job_id == image.id
        delays_s.append(known_s - image.ended_s - (0 if dark else LATENCY_S))
    return _night(server, delays_s, ends, others=1)


def in_tars(
    seed: int,
    *,
    images: int = 40,
    shuffle: bool = False,
    dropped: tuple[str, ...] = (),
    known: int = 10,
    by_name: bool = False,
    solvers: int = 4,
    sd_log: float = 0.8,
    dark: float = 0.1,
    queue: Callable[[int], float] = float,
) -> Night:
    """Let tars of ten be solved one after the other by a simulated server."""
    chance = random.Random(seed)
    server = SimulatedServer(solvers, iter(solve_times(images, chance, sd_log=sd_log)).__next__, queue)
    forecast = flow.Forecast(PUBLIC, known_s=solve_times(40, chance), clock=server.clock)
    order = flow.Order(kept=known, is_trusted=not by_name)
    is_dark = [3 - 10 * dark < number % 10 <= 3 for number in range(images)]
    names = [f"{'dark' if is_dark[number] else 'sky'}{number}.fits" for number in range(images)]

    looking: set[flow.Pack] = set()

    def flows() -> Iterator[tuple[str, flow.Steps[flow.Found]]]:
        for first in range(0, images, 10):
            files = names[first : first + 10]
            stored = [name for name in files if name not in dropped]
            if shuffle:
                chance.shuffle(stored)
            submission = server.take(stored, server.now_s)
            server.requests.append("api/upload")
            pack = flow.Pack(
                submission, files, forecast=forecast, order=order, polling=PUBLIC, looking=looking
            )
            for name in files:
                yield name, flow.wait_in_pack(pack, name, server=SERVER, polling=PUBLIC)

    ends = run(server, flows(), most=16)
    delays_s = []
    for image in server.images.values():
        known_s, found = ends[image.name]
        assert found == flow.Found(image.id, "dark" not in image.name)
        delays_s.append(known_s - image.ended_s + LATENCY_S / 2)
    solved = sum(found.solved for _, found in ends.values())
    return _night(server, delays_s, ends, others=1 + solved)


def _night(
    server: SimulatedServer, delays_s: list[float], ends: dict[str, tuple[float, Any]], *, others: int
) -> Night:
    """Return what a batch needed; `others` are requests that were not made, such as the login."""
    return Night(
        requests=(len(server.requests) + others) / len(server.images),
        delays_s=sorted(delays_s),
        wall=max(known_s for known_s, _ in ends.values())
        / max(image.ended_s for image in server.images.values()),
        ends={name: end for name, (_, end) in ends.items()},
    )
