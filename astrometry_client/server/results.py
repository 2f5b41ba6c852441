"""The result files of a job."""

import os
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import BinaryIO
from urllib.parse import quote

import attrs
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from .api import is_strict, known_job, service_of
from .making import NotMade
from .records import ENDED
from .wire import PageError, fits_reply, page

COOKIE = "NovaAstrometrySession"
"""Whoever is logged in at nova's web page has it, and counts as human."""

CHUNK_BYTES = 1 << 18


@attrs.frozen(kw_only=True)
class Product:
    """A file made on demand.

    Parameters
    ----------
    filename
        Under which it is offered for download; None to show it.
    human
        nova gives it only to requests that look like a reader's: with a Referer, an empty one too.
    states
        Of a job that has it.
    failure
        What nova says, as a page of status 200, when the job has none; None for a failure of status 500.
    """

    media_type: str = "application/fits"
    filename: str | None = None
    human: bool = False
    states: tuple[str, ...] = ("success",)
    failure: str | None = None


SIZES = ("display", "full")
ANY = ("processing", "solving", *ENDED)

PRODUCTS = {
    "axy_file": Product(filename="axy.fits", states=ENDED),
    "rdls_file": Product(filename="rdls.fits"),
    "image_rd_file": Product(filename="image-radec.fits", failure="wcs-xy2rd failed"),
    "corr_file": Product(filename="corr.fits", human=True),
    "new_fits_file": Product(filename="new-image.fits", human=True, failure="plot failed"),
    **{f"annotated_{size}": Product(media_type="image/jpeg", human=True) for size in SIZES},
    **{f"red_green_image_{size}": Product(media_type="image/png", human=True) for size in SIZES},
    **{f"image_{size}": Product(media_type="image/jpeg", states=ANY) for size in SIZES},
    **{f"extraction_image_{size}": Product(media_type="image/png", human=True, states=ANY) for size in SIZES},
}


def wcs_file(request: Request) -> Response:
    """Send the WCS of a solved job; nova breaks with 500 on any other."""
    job_id = known_job(request)
    wcs = service_of(request).records.wcs(job_id)
    if wcs is None:
        raise PageError(500, f"job {job_id} has no WCS")
    return fits_reply(wcs, filename="wcs.fits")


def job_log(request: Request) -> Response:
    """Tell how the solve of a job went."""
    log = service_of(request).records.log(known_job(request))
    return Response(log, headers={"content-type": "text/plain"})


def kml_file(_request: Request) -> Response:
    """Say what nova says too, whatever the job."""
    return page("KML", "KML files are not made here.")


def ask_human(_request: Request) -> Response:
    """Ask the reader back: clients that send no Referer end here."""
    return page("Are you human?", "Go back, and follow the link again; programs send a Referer header.")


async def product_file(request: Request, *, name: str) -> Response:
    """Make a file and send it."""
    product, service = PRODUCTS[name], service_of(request)
    strict = is_strict(request)
    if strict and product.human and "referer" not in request.headers and COOKIE not in request.cookies:
        return _to_ask_human(request)
    job_id = await run_in_threadpool(known_job, request)
    if await run_in_threadpool(service.records.status, job_id) not in product.states:
        return _failure(product, f"job {job_id} has no {name}", strict_nova=strict)
    task = await run_in_threadpool(service.records.material, job_id, name)
    try:
        made = await service.make(task)
    except NotMade as error:
        return _failure(product, str(error), strict_nova=strict)
    return _sent(made, product)


def _to_ask_human(request: Request) -> Response:
    headers = {"location": f"/ask_human?next={quote(request.scope['path'])}"}
    return Response(status_code=302, headers=headers, media_type="text/html")


def _failure(product: Product, reason: str, *, strict_nova: bool) -> Response:
    if product.failure is None or not strict_nova:
        raise PageError(500, reason)
    return page(product.failure, reason)


def _sent(file: BinaryIO, product: Product) -> Response:
    def content() -> Iterator[bytes]:
        with file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    headers = {"content-length": str(os.fstat(file.fileno()).st_size)}
    if product.filename:
        headers["content-disposition"] = f"attachment; filename={product.filename}"
    return StreamingResponse(content(), headers=headers, media_type=product.media_type)


Endpoint = Callable[[Request], Response | Awaitable[Response]]

ENDPOINTS: dict[str, Endpoint] = {
    "wcs_file/{id}": wcs_file,
    "joblog/{id}": job_log,
    "joblog2/{id}": job_log,
    "kml_file/{id}": kml_file,
    "ask_human": ask_human,
    **{f"{name}/{{id}}": partial(product_file, name=name) for name in PRODUCTS},
}

ROUTES = [
    Route(f"/{path}{slash}", endpoint, methods=["GET", "HEAD"])
    for path, endpoint in ENDPOINTS.items()
    for slash in ("", "/")
]
