"""The endpoints of nova's HTTP API, under `/api`."""

import contextlib
import json
import os
import re
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .fetching import file_name
from .files import IncomingFile
from .forms import Form, reading_form
from .options import LISTED, URL, read_options, read_sources
from .service import Desk
from .wire import ApiError, PageError, UnknownPath, json_reply

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
"""nova looks at the method of no API call."""

LONGEST_ECHO = 1000
"""Characters of broken JSON told back; nova tells all of it back, whole files included."""

LARGEST_ID = 2**63 - 1


def service_of(request: Request) -> Desk:
    """Return the service this request came to."""
    service: Desk = request.app.state.service
    return service


def is_strict(request: Request) -> bool:
    """Tell whether nova's bad habits are to be kept."""
    return service_of(request).settings.strict_nova


def id_in_path(request: Request) -> int:
    """Return the id in the path; a word leads nowhere, and `1-2` breaks nova."""
    text = request.path_params["id"]
    if re.fullmatch(r"-?\d{1,19}", text) and abs(int(text)) <= LARGEST_ID:
        return int(text)
    if is_strict(request) and re.fullmatch(r"[-0-9]+", text):
        raise PageError(500, f"{text} is no id")
    raise UnknownPath


def known_job(request: Request) -> int:
    """Return the id of the job in the path, if there is such a job."""
    job_id = id_in_path(request)
    if service_of(request).records.status(job_id) is None:
        raise PageError(404, f"there is no job {job_id}")
    return job_id


def _document(form: Form, *, strict_nova: bool) -> dict[str, Any]:
    if not form.request_json:
        raise ApiError("no json")
    try:
        document = json.loads(form.request_json)
        json.dumps(document, ensure_ascii=False).encode()  # halves of characters cannot be kept
    except (ValueError, RecursionError) as error:
        echo = f': "{form.request_json[:LONGEST_ECHO]}"' if strict_nova else ""  # there may be a key in it
        raise ApiError(f"failed to parse JSON{echo}") from error
    if not isinstance(document, dict):
        raise PageError(500, "request-json must be an object")
    return document


@contextlib.asynccontextmanager
async def _reading(request: Request) -> AsyncIterator[tuple[Form, dict[str, Any]]]:
    service = service_of(request)
    async with reading_form(request, store=service.files, settings=service.settings) as form:
        yield form, _document(form, strict_nova=service.settings.strict_nova)


def _user(service: Desk, document: dict[str, Any]) -> int:
    if "session" not in document:
        raise ApiError('no "session" in JSON.')
    session = document["session"]
    if not isinstance(session, str | None):
        raise PageError(500, "session must be a string")
    return service.accounts.user_of(str(session))


async def login(request: Request) -> Response:
    """Log in with an API key."""
    async with _reading(request) as (_, document):
        made = await run_in_threadpool(service_of(request).accounts.login, document.get("apikey"))
    message = f"authenticated user: {made.user}"
    return json_reply({"status": "success", "message": message, "session": made.session_key})


async def upload(request: Request) -> Response:
    """Take a file, or lists of sources; answer when they are safely on the disk."""
    async with _reading(request) as (form, document):
        return await run_in_threadpool(_upload, service_of(request), form, document)


def _upload(service: Desk, form: Form, document: dict[str, Any]) -> Response:
    user = _user(service, document)
    options, sources = _options(service, document), read_sources(document)
    if sources is None:
        filename = os.path.basename(form.filename.replace("\\", "/"))  # noqa: PTH119
        return _submitted(service, user, form.file, filename=filename, options=options)
    with service.files.begin() as listed:
        listed.write(sources.encode())
        return _submitted(service, user, listed, filename="json-xy", options={**options, LISTED: True})


def _submitted(
    service: Desk, user: int, file: IncomingFile | None, *, filename: str, options: dict[str, Any]
) -> Response:
    sha1 = {} if file is None else {"hash": file.keep().sha1}
    submission_id = service.submit(user, sha1=sha1.get("hash"), filename=filename, options=options)
    return json_reply({"status": "success", "subid": submission_id, **sha1})


async def url_upload(request: Request) -> Response:
    """Take a URL; what is wrong with it shows later, in the submission."""
    async with _reading(request) as (_, document):
        return await run_in_threadpool(_url_upload, service_of(request), document)


def _url_upload(service: Desk, document: dict[str, Any]) -> Response:
    user = _user(service, document)
    url = str(document.get("url"))
    options = {**_options(service, document), URL: url}
    submission_id = service.submit(user, sha1=None, filename=file_name(url), options=options)
    return json_reply({"status": "success", "subid": submission_id})


def _options(service: Desk, document: dict[str, Any]) -> dict[str, Any]:
    if document.get("album"):  # there are none here
        raise ApiError(f'Failed to find an Album with title "{document["album"]}"')
    return read_options(document, strict_nova=service.settings.strict_nova)


async def myjobs(request: Request) -> Response:
    """List the jobs of the user."""
    service = service_of(request)
    async with _reading(request) as (_, document):
        user = await run_in_threadpool(_user, service, document)
    jobs = await run_in_threadpool(service.records.jobs_of, user)
    return json_reply({"jobs": jobs, "status": "success"})


async def submission_images(request: Request) -> Response:
    """List the images of a submission, whoever sent it."""
    service = service_of(request)
    async with _reading(request) as (_, document):
        await run_in_threadpool(_user, service, document)
    number = _whole_number(document.get("subid", 0), name="subid")
    images = await run_in_threadpool(service.records.images_of, number)
    if images is None:
        raise ApiError("submission does not exist")
    return json_reply({"status": "success", "image_ids": images})


def _whole_number(value: Any, *, name: str) -> int:
    """Return a number of a request; whatever else is given breaks it, as on nova."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise PageError(500, f"{name} must be a whole number") from error
    if abs(number) > LARGEST_ID:
        raise PageError(500, f"{name} is too large")
    return number


def jobs_by_tag(request: Request) -> Response:
    """List the jobs whose images hold something of this name."""
    query = request.query_params.get("query")
    if query is None:
        raise PageError(500, "query is missing")
    exact = bool(request.query_params.get("exact"))
    found = service_of(request).records.jobs_by_tag(query, exact=exact)
    return json_reply({"job_ids": found if is_strict(request) else list(dict.fromkeys(found))})


def submission(request: Request) -> Response:
    """Tell what became of a submission."""
    document = service_of(request).records.submission(id_in_path(request))
    if document is None:
        raise PageError(404, "there is no such submission")
    return json_reply(document)


def job_status(request: Request) -> Response:
    """Tell the status of a job."""
    return json_reply({"status": service_of(request).records.status(known_job(request))})


def job_info(request: Request) -> Response:
    """Tell everything about a job."""
    return json_reply(service_of(request).records.info(known_job(request)) or {})


def job_calibration(request: Request) -> Response:
    """Tell where the image of a job lies."""
    job_id = known_job(request)
    return json_reply(service_of(request).records.calibration(job_id) or _no_calibration(job_id))


def job_annotations(request: Request) -> Response:
    """Tell where in the image of a job the named objects are."""
    job_id = known_job(request)
    bright_stars = _whole_number(request.query_params.get("nbright", 0), name="nbright")
    found = service_of(request).records.annotations(job_id, bright_stars=bright_stars)
    return json_reply(_no_calibration(job_id) if found is None else {"annotations": found})


def job_tags(request: Request) -> Response:
    """Tell the names in the image of a job."""
    return json_reply({"tags": service_of(request).records.tags(known_job(request))})


def job_objects(request: Request) -> Response:
    """Tell the objects in the image of a job."""
    return json_reply({"objects_in_field": sorted(service_of(request).records.tags(known_job(request)))})


def _no_calibration(job_id: int) -> dict[str, Any]:
    return {"error": f"no calibration data available for job {job_id}"}


ENDPOINTS = {
    "login": login,
    "upload": upload,
    "url_upload": url_upload,
    "myjobs": myjobs,
    "submission_images": submission_images,
    "submissions/{id}": submission,
    "jobs_by_tag": jobs_by_tag,
    "jobs/{id}": job_status,
    "jobs/{id}/info": job_info,
    "jobs/{id}/calibration": job_calibration,
    "jobs/{id}/annotations": job_annotations,
    "jobs/{id}/tags": job_tags,
    "jobs/{id}/machine_tags": job_tags,
    "jobs/{id}/objects_in_field": job_objects,
}

ROUTES = [
    Route(f"/api/{path}{slash}", endpoint, methods=METHODS)
    for path, endpoint in ENDPOINTS.items()
    for slash in ("", "/")
]
