"""The list of images as JSON, asked again and again by open pages: cheap while nothing has changed."""

import json
import math
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from astrometry_client.server.api import service_of
from astrometry_client.server.listing import PAGE_ENTRIES, STATES, Entry
from astrometry_client.server.wire import ApiError, PageError

from . import sky

LONGEST_NUMBER = 18
"""Digits of an id or of a page; SQLite takes no more."""


def entries(request: Request) -> Response:
    """List the images of the user whose session key the header `Authorization: Bearer KEY` has.

    With `submission` or `image` in the query it lists these, whoever asks, as the API does.
    """
    service, query = service_of(request), request.query_params
    try:
        which = _which(request)
    except ApiError as error:
        return _json({"error": str(error)}, status=401)
    version = f'"{service.records.listing.version}-{"-".join(map(str, which.values()))}"'
    headers = {"etag": version, "cache-control": "private, no-cache", "vary": "authorization"}
    if request.headers.get("if-none-match") == version:
        return Response(status_code=304, headers=headers)
    number, state = _number(query.get("page", "0")), query.get("state") or None
    if state not in (None, *STATES):
        raise PageError(400, "there is no such state")
    found = service.records.listing.page(number, state=state, **which)
    counts = service.records.listing.counts(**which)
    total = counts[state] if state else sum(counts.values())
    document = {
        "counts": counts,
        "pages": math.ceil(total / PAGE_ENTRIES),
        "entries": [_told(entry) for entry in found],
    }
    return _json(document, headers=headers)


def _which(request: Request) -> dict[str, int]:
    for name in ("submission", "image"):
        if name in request.query_params:
            return {f"{name}_id": _number(request.query_params[name])}
    scheme, _, session_key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise ApiError("no session")
    return {"user_id": service_of(request).accounts.user_of(session_key)}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER):
        raise PageError(400, "this must be a whole number")
    return int(text)


def _told(entry: Entry) -> dict[str, Any]:
    one = entry.image_id is not None
    told = {
        "key": f"image-{entry.image_id}" if one else f"submission-{entry.submission_id}",
        "address": f"/user_images/{entry.image_id}" if one else f"/status/{entry.submission_id}",
        "name": entry.name,
        "state": entry.state,
        "started": entry.started and f"{entry.started}Z".replace(" ", "T"),
        "reason": entry.reason,
    }
    if entry.calibration:
        told["place"], told["size"] = sky.place(entry.calibration), sky.size(entry.calibration)
    return told


def _json(document: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(document), status, headers, media_type="application/json")
