"""Looking at something unfinished again and again, through all trouble, until it has ended or time is up."""

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, TypeVar

from astrometry_client.errors import (
    AstrometryError,
    LoginFailedException,
    NoUsableReply,
    Overloaded,
    ServerRefused,
    SolveTimeout,
    StaleSession,
)
from astrometry_client.flow.forecast import Forecast, Seen, Watch
from astrometry_client.flow.steps import Make, Polling, Stage, Steps, Wait
from astrometry_client.request import Request

T = TypeVar("T")

_FINAL: Final = (LoginFailedException, StaleSession)
"""What the next try would be refused too."""


class Looks(Protocol):
    """When to look, and what the looks told."""

    @property
    def stage(self) -> Stage:
        """How far it seems to have come."""

    def waits(self) -> Iterator[float]:
        """Yield the seconds to wait before the next look; at least once."""

    def saw(self, seen: Seen) -> None:
        """Take note of what the look told."""

    def close(self) -> None:
        """Look no more."""


class PacedLooks:
    """Looks at waits that grow, whatever they tell."""

    def __init__(self, polling: Polling, *, at_once: bool) -> None:
        self.stage: Stage = "queued"
        self._waits_s = polling.waits_s(at_once=at_once)

    def waits(self) -> Iterator[float]:
        """Yield the next wait."""
        yield next(self._waits_s)

    def saw(self, seen: Seen) -> None:
        """Take note of how far it has come."""
        self.stage = "queued" if seen == "queued" else "solving"

    def close(self) -> None:
        """Do nothing: nobody else is concerned."""


class ForeseenLooks:
    """Looks at the times that a forecast gives for an image, which the server has got before the first wait.

    Parameters
    ----------
    at_once
        Whether the first look is not waited for.
    """

    def __init__(self, forecast: Forecast, *, at_once: bool = False) -> None:
        self.at_once = at_once
        self.submission_id: int | None = None
        """Tells the place among all uploads, if it is known before the first wait."""
        self._forecast = forecast
        self._watch: Watch | None = None
        self._asked_s: float | None = None

    @property
    def stage(self) -> Stage:
        """How far it seems to have come."""
        return self._forecast.stage(self._watched)

    @property
    def solve_s(self) -> float | None:
        """How long the solve took, about; `None` if its end was not seen."""
        return None if self._watch is None else self._watch.solve_s

    def waits(self) -> Iterator[float]:
        """Yield wait after wait until the look is due."""
        watch = self._watched
        if self.at_once:
            self.at_once = False
            yield 0.0
        else:
            yield from self._forecast.waits(watch)
        self._asked_s = self._forecast.now_s()

    def saw(self, seen: Seen) -> None:
        """Tell the forecast."""
        self._forecast.saw(self._watched, seen, asked_s=self._asked_s)
        self._asked_s = None

    def close(self) -> None:
        """Watch it no more."""
        if self._watch is not None:
            self._forecast.forget(self._watch)

    @property
    def _watched(self) -> Watch:
        if self._watch is None:
            place = None if self.submission_id is None else (self.submission_id, 0)
            self._watch = self._forecast.uploaded(place)
        return self._watch


def looks_at(forecast: Forecast | None, polling: Polling, *, at_once: bool) -> Looks:
    """Return when to look at an image: as a forecast says, if there is one, else at the pace of `polling`."""
    return ForeseenLooks(forecast, at_once=at_once) if forecast else PacedLooks(polling, at_once=at_once)


def looking(
    look: Callable[[], Steps[T | None]],
    *,
    looks: Looks,
    polling: Polling,
    late: Callable[[float], SolveTimeout],
) -> Steps[T]:
    """Look until a look returns something, and return that.

    Parameters
    ----------
    late
        Makes the error for a wait of so many seconds that was too long. If the last look met an error, that
        one is raised.
    """
    troubles_s = polling.waits_s()
    trouble: AstrometryError | None = None
    waited_s = 0.0
    while True:
        for wait_s in [next(troubles_s)] if trouble else looks.waits():
            waited_s = yield Wait(max(0.0, min(wait_s, polling.timeout_s - waited_s)), looks.stage)
            if waited_s >= polling.timeout_s:
                break
        try:
            found = yield from look()
        except AstrometryError as error:
            if not is_no_news(error):
                raise
            trouble = error
        else:
            if found is not None:
                return found
            trouble, troubles_s = None, polling.waits_s()
        if waited_s >= polling.timeout_s:
            raise trouble or late(waited_s)


def patiently(request: Request[T], stage: Stage, *, polling: Polling, ready: bool = True) -> Steps[T]:
    """Make a request until it is answered or time is up, and return what it answers.

    Parameters
    ----------
    ready
        Whether a refusal is final; otherwise what is asked for may not be there yet.
    """
    for wait_s in polling.waits_s():
        try:
            answer: T = yield Make(request, stage)
        except AstrometryError as error:
            not_yet = not ready and isinstance(error, ServerRefused)
            if not (not_yet or is_no_news(error)):
                raise
            trouble = error
        else:
            return answer
        waited_s: Any = yield Wait(wait_s, stage)
        if waited_s >= polling.timeout_s:
            raise trouble
    raise AssertionError("unreachable")


def is_no_news(error: AstrometryError) -> bool:
    """Return whether an error tells nothing of what was asked for, so that it is worth asking again."""
    if isinstance(error, _FINAL):
        return False
    failed = isinstance(error, ServerRefused) and (error.status or 0) >= 500
    return failed or isinstance(error, NoUsableReply | Overloaded)
