"""Looking at something unfinished again and again, through all trouble, until it has ended or time is up."""

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, TypeVar

from astrometry_client.errors import (
    AstrometryError,
    LoginFailedException,
    NotFound,
    NoUsableReply,
    Overloaded,
    ServerRefused,
    SolveTimeout,
    StaleSession,
)
from astrometry_client.flow.forecast import AT_ONCE_S, Forecast, Seen
from astrometry_client.flow.line import Watch
from astrometry_client.flow.steps import Make, Polling, Stage, Steps, Wait, add_ids
from astrometry_client.request import Request

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_FINAL: Final = (LoginFailedException, StaleSession)
"""What the next try would be refused too."""


class Looks(Protocol):
    """When to look, and what the looks told."""

    @property
    def stage(self) -> Stage:
        """How far it seems to have come."""

    @property
    def until(self) -> Callable[[], bool] | None:
        """Tells whether others have brought news, if any do."""

    def next_wait(self) -> tuple[float, bool]:
        """Return the seconds to wait, and whether to look then; otherwise ask again."""

    def saw(self, seen: Seen) -> None:
        """Take note of what the look told."""

    def close(self) -> None:
        """Look no more."""


class PacedLooks:
    """Looks at waits that grow, whatever they tell."""

    until: None = None

    def __init__(self, polling: Polling, *, at_once: bool) -> None:
        self.stage: Stage = "queued"
        self._waits_s = polling.waits_s(at_once=at_once)

    def next_wait(self) -> tuple[float, bool]:
        """Return the next wait, after which to look."""
        return next(self._waits_s), True

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

    until: None = None

    def __init__(self, forecast: Forecast, *, at_once: bool = False) -> None:
        self.at_once = at_once
        self.submission_id: int | None = None
        """Tells the place among all uploads, if it is known before the first wait."""
        self._forecast = forecast
        self._watch: Watch | None = None
        self._is_closed = False
        self._asked_s: float | None = None

    @property
    def stage(self) -> Stage:
        """How far it seems to have come."""
        return self._forecast.stage(self._watched)

    @property
    def solve_s(self) -> float | None:
        """How long the solve took, about; `None` if its end was not seen."""
        return None if self._watch is None else self._watch.solve_s

    def next_wait(self) -> tuple[float, bool]:
        """Return how long to wait until the look is due, as it seems."""
        wait_s = 0.0 if self.at_once else self._forecast.wait_s(self._watched)
        if wait_s > AT_ONCE_S:
            return wait_s, False
        self.at_once = False
        self._asked_s = self._forecast.now_s()
        return 0.0, True

    def saw(self, seen: Seen) -> None:
        """Tell the forecast."""
        self._forecast.saw(self._watched, seen, asked_s=self._asked_s)
        self._asked_s = None

    def close(self) -> None:
        """Watch it no more, unless it is looked at again."""
        self._is_closed = True
        if self._watch is not None:
            self._forecast.forget(self._watch)

    @property
    def _watched(self) -> Watch:
        if self._watch is None or self._is_closed:
            self._is_closed = False
            place = None if self.submission_id is None else (self.submission_id, 0)
            self._watch = self._forecast.uploaded(place)
        return self._watch


def looks_at(forecast: Forecast | None, polling: Polling, *, at_once: bool) -> Looks:
    """Return when to look at an image: as a forecast says, if there is one, else at the pace of `polling`."""
    return ForeseenLooks(forecast, at_once=at_once) if forecast else PacedLooks(polling, at_once=at_once)


class Unfinished(Protocol[T_co]):
    """What is looked at until it has ended."""

    @property
    def submission_id(self) -> int | None:
        """Its submission, if that is known."""

    @property
    def job_id(self) -> int | None:
        """Its job, if that is known."""

    @property
    def looks(self) -> Looks:
        """When to look."""

    def look(self) -> Steps[T_co | None]:
        """Look, and return what it came to if it has ended."""


def looking(unfinished: Unfinished[T], polling: Polling) -> Steps[T]:
    """Look until a look returns something, and return that.

    Raises
    ------
    SolveTimeout
        It took too long. If the last look met an error, that one is raised.
    """
    looks = unfinished.looks
    troubles_s: Iterator[float] | None = None
    trouble: AstrometryError | None = None
    waited_s = 0.0
    try:
        while True:
            due = False
            while not due and waited_s < polling.timeout_s:
                wait_s, due = looks.next_wait() if troubles_s is None else (next(troubles_s), True)
                left_s = max(0.0, min(wait_s, polling.timeout_s - waited_s))
                waited_s = yield Wait(left_s, looks.stage, looks.until if troubles_s is None else None)
            try:
                found = yield from unfinished.look()
            except AstrometryError as error:
                if not is_no_news(error):
                    raise
                trouble, troubles_s = error, troubles_s or polling.waits_s()
            else:
                if found is not None:
                    return found
                trouble = troubles_s = None
            if waited_s >= polling.timeout_s:
                raise trouble or _late(unfinished, waited_s)
    except AstrometryError as error:
        add_ids(error, unfinished.submission_id, unfinished.job_id)
        raise
    finally:
        looks.close()


def _late(unfinished: Unfinished[Any], waited_s: float) -> SolveTimeout:
    of_submission = unfinished.submission_id is not None
    what = f"Submission {unfinished.submission_id}" if of_submission else f"Job {unfinished.job_id}"
    return SolveTimeout(
        f"{what} is not finished after {waited_s:.0f} s: look again later.", waited_s=waited_s
    )


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
            not_yet = not ready and isinstance(error, ServerRefused) and not isinstance(error, NotFound)
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
