"""The job: the solving of one image, and its results."""

from functools import partial
from typing import Any

from astrometry_client.models import Annotation, Calibration, JobInfo
from astrometry_client.models.replies import JobState, job_state
from astrometry_client.request import Request, content, reading


def job_status(server: str, job_id: int) -> Request[JobState]:
    """Return the request that answers `processing`, `solving`, `success` or `failure`."""
    return Request(f"{server}/api/jobs/{job_id}", read=reading(job_state))


def job_info(server: str, job_id: int) -> Request[JobInfo]:
    """Return the request that answers file name, tags, objects and calibration at once."""
    return Request(
        f"{server}/api/jobs/{job_id}/info", read=reading(partial(JobInfo.from_document, job_id=job_id))
    )


def calibration(server: str, job_id: int) -> Request[Calibration]:
    """Return the request that answers where a solved image lies on the sky."""
    return Request(f"{server}/api/jobs/{job_id}/calibration", read=reading(Calibration.from_document))


def annotations(server: str, job_id: int) -> Request[tuple[Annotation, ...]]:
    """Return the request that answers the known objects in a solved image."""
    return Request(f"{server}/api/jobs/{job_id}/annotations", read=reading(_annotations))


def wcs_file(server: str, job_id: int) -> Request[bytes]:
    """Return the request that answers the WCS of a solved image as a FITS file without data."""
    return Request(f"{server}/wcs_file/{job_id}", read=content)


def _annotations(document: Any) -> tuple[Annotation, ...]:
    return tuple(Annotation.from_document(entry) for entry in document.get("annotations", ()))
