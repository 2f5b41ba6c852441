"""What a flow asks of its driver, and how long it lets it wait."""

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any, Literal, TypeVar

import attrs

from astrometry_client.errors import AstrometryError, InputError
from astrometry_client.request import Request

T = TypeVar("T")
Stage = Literal["uploading", "queued", "solving", "fetching"]


@attrs.frozen
class Make:
    """Effect: make this request and send back what it returns, or throw in its error."""

    request: Request[Any]
    stage: Stage


@attrs.frozen
class Wait:
    """Effect: wait, then send back the seconds that have passed since the start."""

    seconds: float
    stage: Stage
    until: Callable[[], bool] | None = None
    """Whether another flow has brought about what is waited for, which may happen among many flows only."""


@attrs.frozen
class Local:
    """Effect: take this step on this machine, such as one of the ledger, and send back what it returns."""

    step: Callable[[], Any]
    reads_file: bool = False
    """Whether it may take long, and nothing is half done if it is not taken."""

    def make(self, _client_session: object = None) -> Any:
        """Take the step, in the manner of a request."""
        return self.step()


Step = Make | Wait
"""What those are told who watch a flow."""

Effect = Step | Local
Steps = Generator[Effect, Any, T]


def positive(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    """Refuse what is no span of time; a validator."""
    if not isinstance(value, Real) or not value > 0:
        raise InputError(f"{attribute.name}={value!r} is not allowed: give seconds above 0.")


@attrs.frozen(kw_only=True)
class Polling:
    """How long to wait between two looks at an unfinished image.

    Parameters
    ----------
    first_s, longest_s
        Seconds before the first look, and between the last ones.
    growth
        Factor from one wait to the next.
    timeout_s
        Seconds after which the wait is given up; the solve can be resumed. By default there is no end.

    Raises
    ------
    InputError
        A number is not above 0.
    """

    first_s: float = attrs.field(validator=positive)
    longest_s: float = attrs.field(default=math.inf, validator=positive)
    timeout_s: float = attrs.field(default=math.inf, validator=positive)
    growth: float = 1.4

    def waits_s(self, *, at_once: bool = False) -> Iterator[float]:
        """Yield the seconds to wait before each look, growing up to the longest.

        Parameters
        ----------
        at_once
            Whether the first look is not waited for.
        """
        if at_once:
            yield 0.0
        wait_s = min(self.first_s, self.longest_s)
        while True:
            yield wait_s
            wait_s = min(wait_s * self.growth, self.longest_s)


@contextmanager
def ids_in_errors(submission_id: int | None, job_id: int | None = None) -> Iterator[None]:
    """Let every error that leaves carry what is needed to resume."""
    try:
        yield
    except AstrometryError as error:
        add_ids(error, submission_id, job_id)
        raise


def add_ids(error: AstrometryError, submission_id: int | None, job_id: int | None = None) -> None:
    """Let an error carry what is needed to resume."""
    error.submission_id = error.submission_id or submission_id
    error.job_id = error.job_id or job_id
