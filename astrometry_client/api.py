"""The server's calls: one function for each, which returns the request to make."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from urllib.parse import urlencode

from astrometry_client.errors import InputError
from astrometry_client.models import Annotation, Calibration, JobInfo, SubmissionStatus, UploadReceipt
from astrometry_client.models.options import TEXT, YES_OR_NO, Argument, checking, number
from astrometry_client.models.replies import JobState, LoginReply, image_ids, job_ids, job_state, words
from astrometry_client.request import PostRequest, Request, SessionRequest, content, reading
from astrometry_client.session.endpoints import ENDPOINTS, endpoint_of

if TYPE_CHECKING:
    from astrometry_client.login import Session

RESULT_FILES: Final = tuple(endpoint.name for endpoint in ENDPOINTS if endpoint.result_file)
"""The kinds of result files of a job."""

Call = TypeVar("Call", bound=Callable[..., Request[Any]])
CALLS: Final[dict[str, Callable[..., Request[Any]]]] = {}
"""The function for each endpoint, by its name in `session.endpoints`."""

_ID: Final = number(low=1, whole=True)
JobId = Annotated[int, Argument(_ID, "Id of the job.")]
SubmissionId = Annotated[int, Argument(_ID, "Id of the submission.")]


def _asks(endpoint: str) -> Callable[[Call], Call]:
    """Register the function that asks an endpoint."""

    def register(call: Call) -> Call:
        CALLS[endpoint] = checked = checking(call)
        return checked

    return register


@_asks("login")
def login(server: str, *, api_key: str) -> PostRequest[LoginReply]:
    """Return the request that answers a session key, and whose it is."""
    return PostRequest(
        f"{server}/api/login",
        payload={"apikey": api_key},
        read=reading(LoginReply.from_document),
        idempotent=True,
    )


@_asks("upload")
def upload(
    session: "Session", *, payload: Mapping[str, Any], file: tuple[str, Any] | None = None
) -> SessionRequest[UploadReceipt]:
    """Return the request that uploads a file, or the `x` and `y` in the payload."""
    return SessionRequest(
        session,
        f"{session.base_url}/api/upload",
        payload=payload,
        file=file,
        read=reading(UploadReceipt.from_document),
    )


@_asks("url_upload")
def url_upload(session: "Session", *, payload: Mapping[str, Any]) -> SessionRequest[UploadReceipt]:
    """Return the request that lets the server fetch the `url` in the payload."""
    address = f"{session.base_url}/api/url_upload"
    return SessionRequest(session, address, payload=payload, read=reading(UploadReceipt.from_document))


@_asks("myjobs")
def my_jobs(session: "Session") -> SessionRequest[tuple[int, ...]]:
    """Return the request that answers the ids of all jobs of the user."""
    address = f"{session.base_url}/api/myjobs"
    return SessionRequest(session, address, read=reading(partial(job_ids, key="jobs")), idempotent=True)


@_asks("submission_images")
def submission_images(session: "Session", submission_id: SubmissionId) -> SessionRequest[tuple[int, ...]]:
    """Return the request that answers the ids of the images of a submission."""
    return SessionRequest(
        session,
        f"{session.base_url}/api/submission_images",
        payload={"subid": submission_id},
        read=reading(image_ids),
        idempotent=True,
    )


@_asks("jobs_by_tag")
def jobs_by_tag(
    server: str,
    tag: Annotated[str, Argument(TEXT, "The tag, or a part of it.")],
    *,
    exact: Annotated[bool, Argument(YES_OR_NO, "Whether it must be the whole tag.")] = False,
) -> Request[tuple[int, ...]]:
    """Return the request that answers the ids of the jobs with a tag; each once, however often it is sent."""
    query = urlencode({"query": tag, **({"exact": "yes"} if exact else {})})
    return Request(f"{server}/api/jobs_by_tag?{query}", read=reading(partial(job_ids, key="job_ids")))


@_asks("submission")
def submission_status(server: str, submission_id: SubmissionId) -> Request[SubmissionStatus]:
    """Return the request that answers how far a submission has come."""
    return Request(
        f"{server}/api/submissions/{submission_id}",
        read=reading(partial(SubmissionStatus.from_document, submission_id=submission_id)),
    )


@_asks("job")
def job_status(server: str, job_id: JobId) -> Request[JobState]:
    """Return the request that answers `processing`, `solving`, `success` or `failure`."""
    return Request(f"{server}/api/jobs/{job_id}", read=reading(job_state))


@_asks("info")
def job_info(server: str, job_id: JobId) -> Request[JobInfo]:
    """Return the request that answers file name, tags, objects and calibration at once."""
    return _of_job(server, job_id, "info", partial(JobInfo.from_document, job_id=job_id))


@_asks("calibration")
def calibration(server: str, job_id: JobId) -> Request[Calibration]:
    """Return the request that answers where a solved image lies on the sky."""
    return _of_job(server, job_id, "calibration", Calibration.from_document)


@_asks("annotations")
def annotations(server: str, job_id: JobId) -> Request[tuple[Annotation, ...]]:
    """Return the request that answers the known objects in a solved image."""
    return _of_job(server, job_id, "annotations", Annotation.all_from_document)


@_asks("tags")
def tags(server: str, job_id: JobId) -> Request[tuple[str, ...]]:
    """Return the request that answers the tags that visitors and the server gave an image."""
    return _of_job(server, job_id, "tags", partial(words, key="tags"))


@_asks("machine_tags")
def machine_tags(server: str, job_id: JobId) -> Request[tuple[str, ...]]:
    """Return the request that answers the tags the server gave an image."""
    return _of_job(server, job_id, "machine_tags", partial(words, key="tags"))


@_asks("objects_in_field")
def objects_in_field(server: str, job_id: JobId) -> Request[tuple[str, ...]]:
    """Return the request that answers the names of the known objects in an image."""
    return _of_job(server, job_id, "objects_in_field", partial(words, key="objects_in_field"))


@checking
def result_file(server: str, job_id: JobId, kind: str) -> Request[bytes]:
    """Return the request that answers a result file.

    Parameters
    ----------
    kind
        One of `RESULT_FILES`.

    Raises
    ------
    InputError
        The server makes no such file.
    """
    if kind not in RESULT_FILES:
        raise InputError(f"kind={kind!r} is not allowed: give one of {', '.join(RESULT_FILES)}.")
    address = f"{server}/{kind}/{job_id}"
    # Any value would do; this is the one the API's description names.
    headers = {"Referer": f"{server}/api/login"} if endpoint_of(address).needs_referer else {}
    return Request(address, read=content, headers=headers)


CALLS.update({kind: partial(result_file, kind=kind) for kind in RESULT_FILES})


def _of_job(server: str, job_id: int, what: str, build: Any) -> Request[Any]:
    return Request(f"{server}/api/jobs/{job_id}/{what}", read=reading(build))
