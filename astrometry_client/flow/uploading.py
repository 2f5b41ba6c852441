"""Uploading: nothing is stored twice if that can be told."""

from typing import Final

import attrs

from astrometry_client import api
from astrometry_client.errors import NotFound, OutcomeUnknown, Overloaded
from astrometry_client.flow.forecast import Forecast
from astrometry_client.flow.looking import patiently
from astrometry_client.flow.steps import Make, Polling, Steps, Wait
from astrometry_client.models import JobInfo, UploadReceipt
from astrometry_client.request import Request

_MOST_SENDS: Final = 3
"""An upload whose reply gets lost is sent so often at most."""

_LOOKS_FOR_LOST: Final = 6
"""After this many looks, 80 s at the public pace, a lost upload without a job counts as never stored, unless
images that were uploaded before it are still in the queue."""

_NEWEST_JOBS: Final = 16
"""As many jobs of the user are looked at, newest first, to find a lost upload among them."""


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
    known
        File names of jobs, kept here for the other lookups that are given the same.
    """

    my_jobs: Request[tuple[int, ...]]
    filename: str
    newest: int = _NEWEST_JOBS
    forecast: Forecast | None = attrs.field(default=None, repr=False)
    known: dict[int, str | None] | None = attrs.field(default=None, repr=False)


def send(
    upload: Request[UploadReceipt], *, server: str, polling: Polling, lookup: Lookup | None
) -> Steps[UploadReceipt | int]:
    """Upload, and return the receipt; or the job, if only that could be found."""
    lost = 0
    waited_s = 0.0
    for wait_s in polling.waits_s():
        try:
            receipt: UploadReceipt = yield Make(upload, "uploading")
        except Overloaded as refused:
            # What was refused was not stored.
            if waited_s >= polling.timeout_s:
                raise
            waited_s = yield Wait(max(wait_s, refused.retry_after_s or 0.0), "uploading")
        except OutcomeUnknown:
            job_id = (yield from find(lookup, server=server, polling=polling)) if lookup else None
            if job_id is not None:
                return job_id
            lost += 1
            if lost == _MOST_SENDS:
                raise
        else:
            return receipt
    raise AssertionError("unreachable")


def find(lookup: Lookup, *, server: str, polling: Polling, at_once: bool = False) -> Steps[int | None]:
    """Look for the job of an upload whose reply got lost; `None` if there is none.

    Parameters
    ----------
    at_once
        Whether the first look is not waited for.
    """
    known = {} if lookup.known is None else lookup.known
    before = lookup.forecast.last_place if lookup.forecast else None
    waited_s = 0.0
    for looks, wait_s in enumerate(polling.waits_s(at_once=at_once)):
        queued = lookup.forecast is not None and lookup.forecast.is_queued_up_to(before)
        if looks >= _LOOKS_FOR_LOST and (not queued or waited_s >= polling.timeout_s):
            break
        waited_s = yield Wait(wait_s, "uploading")
        jobs = yield from patiently(lookup.my_jobs, "uploading", polling=polling)
        for job_id in sorted(jobs, reverse=True)[: lookup.newest]:
            if job_id not in known:
                known[job_id] = yield from _filename(job_id, server, polling)
            if known[job_id] == lookup.filename:
                return job_id
    return None


def _filename(job_id: int, server: str, polling: Polling) -> Steps[str | None]:
    try:
        info: JobInfo = yield from patiently(api.job_info(server, job_id), "uploading", polling=polling)
    except NotFound:
        return None
    return info.original_filename
