"""The submission: what became of an upload."""

from functools import partial

from astrometry_client.models import SubmissionStatus
from astrometry_client.request import Request, reading


def submission_status(server: str, submission_id: int) -> Request[SubmissionStatus]:
    """Return the request that answers how far a submission has come."""
    return Request(
        f"{server}/api/submissions/{submission_id}",
        read=reading(partial(SubmissionStatus.from_document, submission_id=submission_id)),
    )
