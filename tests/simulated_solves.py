"""A server and its clients in virtual time: hours of solving in milliseconds, with the real flows."""

import heapq
import itertools
import math
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
from small_nova import fits_file

from astrometry_client import flow
from astrometry_client.errors import AstrometryError, NotFound
from astrometry_client.models import JobInfo, SubmissionStatus, UploadReceipt

_Due = tuple[float, int, str, flow.Steps[Any], Any, float]
"""When, in which order, who, its steps, the answer they get, and when they began."""

SERVER = "http://127.0.0.1:1"
LATENCY_S = 0.2
_SKY = {"CRVAL1": 1.0, "CRVAL2": 2.0, "CRPIX1": 50.5, "CRPIX2": 50.5, "IMAGEW": 100, "IMAGEH": 100}
_SCALE = {"CD1_1": -1e-3, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-3}
WCS = fits_file(**_SKY, **_SCALE)


@attrs.define
class Image:
    """An image at the simulated server."""

    id: int
    name: str
    begun_s: float | None = None
    ended_s: float = float("inf")

    def job(self, now_s: float) -> int | None:
        return self.id if self.begun_s is not None and self.begun_s <= now_s else None

    def state(self, now_s: float) -> str:
        if now_s < self.ended_s:
            return "solving"
        return "failure" if "dark" in self.name else "success"


class SimulatedServer:
    """Solves the images of one user in their order, as many at once as it has solvers.

    Parameters
    ----------
    solve_s
        Gives the time of the next solve.
    order
        Gives the place in the queue of the next image; its number, if they are solved in their order.
    """

    def __init__(
        self, solvers: int, solve_s: Callable[[], float], order: Callable[[int], float] = float
    ) -> None:
        self.now_s = 0.0
        self.images: dict[int, Image] = {}
        self.submissions: dict[int, list[int]] = {}
        self.requests: list[str] = []
        self._free = [0.0] * solvers
        self._queue: list[tuple[float, int]] = []
        self._solve_s = solve_s
        self._order = order

    def clock(self) -> float:
        return self.now_s

    def take(self, names: Iterable[str], at_s: float) -> int:
        """Take an upload and return its submission."""
        self.solve_until(at_s)
        submission = len(self.submissions) + 1
        self.submissions[submission] = []
        for name in names:
            image = Image(len(self.images) + 1, name)
            self.images[image.id] = image
            self.submissions[submission].append(image.id)
            heapq.heappush(self._queue, (self._order(image.id), image.id))
            self._free = sorted(max(free, at_s) for free in self._free)
        return submission

    def solve_until(self, now_s: float) -> None:
        """Let the solvers work."""
        while self._queue and min(self._free) <= now_s:
            begun_s = heapq.heappop(self._free) if self._free else 0.0
            image = self.images[heapq.heappop(self._queue)[1]]
            image.begun_s, image.ended_s = begun_s, begun_s + self._solve_s()
            heapq.heappush(self._free, image.ended_s)

    def answer(self, url: str, at_s: float) -> Any:
        """Return what a request gets, or the error to throw."""
        self.solve_until(at_s)
        path = url.removeprefix(SERVER).strip("/")
        self.requests.append(path)
        number = int(path.split("/")[2]) if path.startswith("api/") else 0
        if path.startswith("api/submissions/"):
            images = [self.images[image] for image in self.submissions[number]]
            jobs = tuple(image.job(at_s) for image in images)
            solved = [image.id for image in images if image.job(at_s) and image.state(at_s) == "success"]
            return SubmissionStatus(
                submission_id=number,
                started=None,
                finished=datetime.now(UTC),
                jobs=jobs,
                solved_job_ids=tuple(solved),
                error_message=None,
            )
        if path.endswith("/info"):
            image = self.images[number]
            return JobInfo(
                job_id=number,
                state=image.state(at_s),
                original_filename=image.name,
                tags=(),
                machine_tags=(),
                objects_in_field=(),
                calibration=None,
            )
        if path.startswith("api/jobs/"):
            image = self.images.get(number)
            return image.state(at_s) if image else NotFound("gone")
        return WCS


@attrs.frozen
class Upload:
    """A request that brings images to the simulated server."""

    server: SimulatedServer
    names: Sequence[str]

    def __call__(self, at_s: float) -> UploadReceipt:
        self.server.requests.append("api/upload")
        return UploadReceipt(submission_id=self.server.take(self.names, at_s), sha1=None)


def run(
    server: SimulatedServer, flows: Iterable[tuple[str, flow.Steps[Any]]], *, most: int
) -> dict[str, tuple[float, Any]]:
    """Carry out flows in virtual time, and return when each of them ended, and with what."""
    order = itertools.count()
    due: list[_Due] = []
    ends: dict[str, tuple[float, Any]] = {}
    waits: dict[str, Callable[[], bool]] = {}
    waiting: Iterator[tuple[str, flow.Steps[Any]]] = iter(flows)

    def begin() -> None:
        while len(due) < most and (more := next(waiting, None)):
            heapq.heappush(due, (server.now_s, next(order), *more, None, server.now_s))

    begin()
    while due:
        at_s, _, name, steps, answer, since_s = heapq.heappop(due)
        server.now_s = at_s
        try:
            throws = isinstance(answer, AstrometryError)
            effect = steps.throw(answer) if throws else steps.send(answer)
        except StopIteration as end:
            ends[name] = at_s, end.value
        except AstrometryError as error:
            ends[name] = at_s, error
        else:
            waits[name] = getattr(effect, "until", None) or _never
            if isinstance(effect, flow.Wait):
                later = at_s + effect.seconds
                entry = later, later - since_s
            elif isinstance(effect, flow.Local):
                entry = at_s, effect.make()
            else:
                entry = at_s + LATENCY_S, _answer(effect.request, server, at_s + LATENCY_S / 2)
            heapq.heappush(due, (entry[0], next(order), name, steps, entry[1], since_s))
        _end_waits(due, waits, at_s)
        begin()
    return ends


def _end_waits(due: list[_Due], waits: dict[str, Callable[[], bool]], at_s: float) -> None:
    """Make due now what others have brought about."""
    for place, (_, number, name, steps, _, since_s) in enumerate(due):
        if waits.get(name, _never)():
            due[place] = at_s, number, name, steps, at_s - since_s, since_s
    heapq.heapify(due)


def _never() -> bool:
    return False


def _answer(request: Any, server: SimulatedServer, at_s: float) -> Any:
    return request(at_s) if callable(request) else server.answer(request.url, at_s)


def solve_times(
    number: int, chance: random.Random, *, median_s: float = 6.0, sd_log: float = 0.8
) -> list[float]:
    """Return so many solve times that are log-normal as exactly as so many can be, in random order."""
    normal = statistics.NormalDist(math.log(median_s), sd_log)
    times_s = [math.exp(normal.inv_cdf((place + 0.5) / number)) for place in range(number)]
    chance.shuffle(times_s)
    return times_s
