"""Uploading: nothing is stored twice if that can be told."""

from typing import Final

from astrometry_client.errors import OutcomeUnknown, Overloaded
from astrometry_client.flow.finding import Lookup, find
from astrometry_client.flow.steps import Make, Polling, Steps, Wait
from astrometry_client.models import UploadReceipt
from astrometry_client.request import Request

_MOST_SENDS: Final = 3
"""An upload whose reply gets lost is sent so often at most."""


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
