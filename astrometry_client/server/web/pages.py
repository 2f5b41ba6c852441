"""The pages people see."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from astrometry_client.server.api import id_in_path, service_of
from astrometry_client.server.listing import STATES, Entry
from astrometry_client.server.wire import PageError

from .html import Html, filled, repeated, template
from .image_page import image_content

FILTER = (
    """<button type="button" data-state="$state" aria-pressed="$pressed">$label <span>0</span></button>"""
)


def home(request: Request) -> Response:
    """Show the form for uploads and all images of the user."""
    settings = service_of(request).settings
    content = filled(
        template("home.html"),
        anyone="yes" if settings.allow_anyone else "",
        upload_bytes=settings.upload_bytes,
        listing=_listing("Submitted", submission_id=""),
    )
    return _page("Images", content)


def submission(request: Request) -> Response:
    """Show the images of a submission; the image itself, if it is the only one."""
    entries = service_of(request).records.listing.page(0, submission_id=id_in_path(request))
    if not entries:
        raise PageError(404, "There is no such submission.")
    if len(entries) > 1 or entries[0].state == "queued":
        return _several(entries[0].submission_id)
    if entries[0].image_id is None:
        return _one(request, entries[0])
    return RedirectResponse(f"/user_images/{entries[0].image_id}", 302)


def image(request: Request) -> Response:
    """Show an image: where it lies, or why that is not known."""
    entries = service_of(request).records.listing.page(0, image_id=id_in_path(request))
    if not entries:
        raise PageError(404, "There is no such image.")
    return _one(request, entries[0])


def _several(submission_id: int) -> Response:
    listing = _listing("Images", submission_id=submission_id)
    content = filled(template("submission.html"), submission_id=submission_id, listing=listing)
    return _page(f"Submission {submission_id}", content)


def _one(request: Request, entry: Entry) -> Response:
    return _page(entry.name, image_content(service_of(request).records, entry))


def _listing(heading: str, **values: Any) -> Html:
    filters = [
        {"state": state, "label": state.capitalize() or "All", "pressed": str(not state).lower()}
        for state in ("", *STATES)
    ]
    return filled(template("listing.html"), heading=heading, filters=repeated(FILTER, filters), **values)


def _page(title: str, content: Html) -> Response:
    html = filled(template("frame.html"), title=f"{title} · Astrometry server", content=content)
    return Response(html, media_type="text/html", headers={"cache-control": "no-cache"})
