"""The result files of a job."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .api import known_job, service_of
from .wire import PageError, fits_reply


def wcs_file(request: Request) -> Response:
    """Send the WCS of a solved job; nova breaks with 500 on any other."""
    job_id = known_job(request)
    wcs = service_of(request).records.wcs(job_id)
    if wcs is None:
        raise PageError(500, f"job {job_id} has no WCS")
    return fits_reply(wcs, filename="wcs.fits")


ROUTES = [Route(f"/wcs_file/{{id}}{slash}", wcs_file, methods=["GET", "HEAD"]) for slash in ("", "/")]
