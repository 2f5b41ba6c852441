"""Finding an upload again whose reply got lost, by the name that its job has."""

import math
from collections import Counter
from typing import Final, TypeVar

import attrs

from astrometry_client import api
from astrometry_client.errors import AstrometryError, NotFound, OutcomeUnknown
from astrometry_client.flow.forecast import Forecast
from astrometry_client.flow.line import Place
from astrometry_client.flow.looking import is_no_news
from astrometry_client.flow.steps import Make, Polling, Steps, Wait
from astrometry_client.models import JobInfo
from astrometry_client.request import Request

T = TypeVar("T")

_LOOKS_FOR_LOST: Final = 8
"""After so many looks, almost three minutes at the public pace, a lost upload without a job counts as never
stored; they count from when the server has nothing left to solve that came before it."""

_ROUNDS: Final = 3
"""What else was on its way when an upload got lost has arrived after so many looks."""

_NEWEST_JOBS: Final = 16
"""As many jobs of the user are looked at, newest first, to find a lost upload among them."""


@attrs.define(eq=False)
class Names:
    """The file names of jobs: flows that look at the same time look once, for all of them."""

    of_jobs: dict[int, str | None] = attrs.field(factory=dict)
    wanted: Counter[str] = attrs.field(factory=Counter)
    """How many flows look for each name."""
    found: int = 0
    """How many of those that were looked for were found."""
    begun: int = 0
    """Looks so far."""
    ended: int = 0
    """The number of the last look that came to its end."""
    was_whole: bool = False
    """Whether that look told all it was to tell."""
    is_looking: bool = False

    def job_id(self, filename: str) -> int | None:
        """Return the job of a file, if its name was seen."""
        return next((job_id for job_id, name in self.of_jobs.items() if name == filename), None)

    def is_over(self, look: int) -> bool:
        """Return whether nobody is looking, or a look has come to its end."""
        return self.ended >= look or not self.is_looking


@attrs.frozen(kw_only=True)
class Lookup:
    """How an upload whose reply got lost is found again.

    Parameters
    ----------
    my_jobs
        The request that answers the jobs of the user.
    filename
        The name the file was sent under, which no other upload has.
    newest
        So many of the jobs are looked at, newest first.
    forecast
        Tells of other images of the user that wait in the server's queue.
    names
        The names that were seen, where lookups of flows that one driver carries out share them.
    """

    my_jobs: Request[tuple[int, ...]]
    filename: str
    newest: int = _NEWEST_JOBS
    forecast: Forecast | None = attrs.field(default=None, repr=False)
    names: Names | None = attrs.field(default=None, repr=False)


def find(lookup: Lookup, *, server: str, polling: Polling, at_once: bool = False) -> Steps[int | None]:
    """Look for the job of an upload whose reply got lost; `None` if it was never stored.

    Parameters
    ----------
    at_once
        Whether the first look is not waited for.

    Raises
    ------
    OutcomeUnknown
        There is still no telling when time is up: look again later.
    """
    names, forecast = lookup.names or Names(), lookup.forecast
    rounds = looks = found = 0
    before: Place | None = None
    waited_s = 0.0
    names.wanted[lookup.filename] += 1
    try:
        for wait_s in polling.waits_s(at_once=at_once):
            if names.found > found:
                # Another was found that had got lost: this one may have come with it, and be behind it.
                rounds, found = 0, names.found
            if forecast is not None:
                before = forecast.last_place if rounds < _ROUNDS else before
                looks = 0 if forecast.is_busy_up_to(before) else looks
            if looks >= _LOOKS_FOR_LOST:
                return None
            if waited_s >= polling.timeout_s:
                raise OutcomeUnknown(f"Whether {lookup.filename} was stored is not known: look again later.")
            look = names.begun + 1
            waited_s = yield Wait(wait_s, "uploading")
            was_whole = yield from _looked(names, look, lookup, server)
            job_id = names.job_id(lookup.filename)
            if job_id is not None:
                names.found += 1
                return job_id
            rounds, looks = rounds + 1, looks + was_whole
    finally:
        names.wanted[lookup.filename] -= 1
    raise AssertionError("unreachable")


def _looked(names: Names, look: int, lookup: Lookup, server: str) -> Steps[bool]:
    """Make a look unless another flow has or does, and return whether it told all."""
    while names.ended < look:
        if names.is_looking:
            yield Wait(math.inf, "uploading", lambda: names.is_over(look))
            continue
        names.is_looking = True
        names.begun = number = names.begun + 1
        try:
            names.was_whole = yield from _look(names, lookup, server)
            names.ended = number
        finally:
            names.is_looking = False
    return names.was_whole


def _look(names: Names, lookup: Lookup, server: str) -> Steps[bool]:
    """Take down the names of the newest jobs, until all are found that are looked for."""
    jobs: tuple[int, ...] | None = yield from _unless_no_news(lookup.my_jobs)
    for gone in names.of_jobs.keys() - set(jobs or ()):
        del names.of_jobs[gone]
    was_whole = jobs is not None
    for job_id in sorted(jobs or (), reverse=True)[: lookup.newest]:
        if all(names.job_id(filename) for filename in +names.wanted):
            break
        if job_id not in names.of_jobs:
            try:
                info: JobInfo | None = yield from _unless_no_news(api.job_info(server, job_id))
            except NotFound:
                names.of_jobs[job_id] = None
            else:
                if info is None:
                    was_whole = False
                else:
                    names.of_jobs[job_id] = info.original_filename
    return was_whole


def _unless_no_news(request: Request[T]) -> Steps[T | None]:
    """Make a request once, and return its answer if there is one."""
    try:
        answer: T = yield Make(request, "uploading")
    except AstrometryError as error:
        if not is_no_news(error):
            raise
        return None
    return answer
