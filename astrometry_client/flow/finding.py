"""Finding an upload again whose reply got lost, by the name that its job has."""

import math
from collections import Counter
from typing import Final

import attrs

from astrometry_client import api
from astrometry_client.errors import NotFound
from astrometry_client.flow.forecast import Forecast
from astrometry_client.flow.looking import patiently
from astrometry_client.flow.steps import Polling, Steps, Wait
from astrometry_client.models import JobInfo
from astrometry_client.request import Request

_LOOKS_FOR_LOST: Final = 6
"""After this many looks, 80 s at the public pace, a lost upload without a job counts as never stored, unless
images that were uploaded before it are still in the queue."""

_NEWEST_JOBS: Final = 16
"""As many jobs of the user are looked at, newest first, to find a lost upload among them."""


@attrs.define(eq=False)
class Names:
    """The file names of jobs: flows that look at the same time look once, for all of them."""

    of_jobs: dict[int, str | None] = attrs.field(factory=dict)
    wanted: Counter[str] = attrs.field(factory=Counter)
    """How many flows look for each name."""
    begun: int = 0
    """Looks so far."""
    complete: int = 0
    """The number of the last look that came to its end."""
    is_looking: bool = False

    def job_id(self, filename: str) -> int | None:
        """Return the job of a file, if its name was seen."""
        return next((job_id for job_id, name in self.of_jobs.items() if name == filename), None)

    def is_over(self, look: int) -> bool:
        """Return whether nobody is looking, or a look has come to its end."""
        return self.complete >= look or not self.is_looking


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
    """Look for the job of an upload whose reply got lost; `None` if there is none.

    Parameters
    ----------
    at_once
        Whether the first look is not waited for.
    """
    names, forecast = lookup.names or Names(), lookup.forecast
    before = forecast.last_place if forecast else None
    waited_s = 0.0
    names.wanted[lookup.filename] += 1
    try:
        for looks, wait_s in enumerate(polling.waits_s(at_once=at_once)):
            queued = forecast is not None and forecast.is_queued_up_to(before)
            if looks >= _LOOKS_FOR_LOST and (not queued or waited_s >= polling.timeout_s):
                break
            waited_s = yield Wait(wait_s, "uploading")
            yield from _looked(names, lookup, server, polling)
            job_id = names.job_id(lookup.filename)
            if job_id is not None:
                return job_id
    finally:
        names.wanted[lookup.filename] -= 1
    return None


def _looked(names: Names, lookup: Lookup, server: str, polling: Polling) -> Steps[None]:
    """Wait for a look that begins from now on, or make it."""
    look = names.begun + 1
    while names.complete < look:
        if names.is_looking:
            yield Wait(math.inf, "uploading", lambda: names.is_over(look))
            continue
        names.is_looking = True
        names.begun = number = names.begun + 1
        try:
            yield from _look(names, lookup, server, polling)
            names.complete = number
        finally:
            names.is_looking = False


def _look(names: Names, lookup: Lookup, server: str, polling: Polling) -> Steps[None]:
    """Take down the names of the newest jobs, until all are found that are looked for."""
    jobs = yield from patiently(lookup.my_jobs, "uploading", polling=polling)
    for job_id in sorted(jobs, reverse=True)[: lookup.newest]:
        if all(names.job_id(filename) for filename in +names.wanted):
            return
        if job_id not in names.of_jobs:
            names.of_jobs[job_id] = yield from _filename(job_id, server, polling)


def _filename(job_id: int, server: str, polling: Polling) -> Steps[str | None]:
    try:
        info: JobInfo = yield from patiently(api.job_info(server, job_id), "uploading", polling=polling)
    except NotFound:
        return None
    return info.original_filename
