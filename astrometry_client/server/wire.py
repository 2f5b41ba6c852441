"""How nova answers: JSON as plain text, and HTML pages for everything else."""

import json
from html import escape
from typing import Any

from starlette.responses import Response


class ApiError(Exception):
    """A refusal nova answers with status 200 and an `errormessage`."""


class PageError(Exception):
    """A refusal nova answers with an HTML page of this status."""

    def __init__(self, status: int, detail: str = "") -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail


class UnknownPath(Exception):
    """No such address here."""


TITLES = {
    400: "Bad Request (400)",
    403: "403 Forbidden",
    404: "Not Found",
    500: "Server Error (500)",
}


def json_reply(document: dict[str, Any], *, status: int = 200) -> Response:
    """Return a JSON document as nova sends it: `text/plain`, without charset."""
    return Response(json.dumps(document), status_code=status, headers={"content-type": "text/plain"})


def error_reply(message: str, *, status: int = 200) -> Response:
    """Return a refusal in JSON."""
    return json_reply({"status": "error", "errormessage": message}, status=status)


def page(title: str, text: str = "", *, status: int = 200) -> Response:
    """Return an HTML page."""
    html = (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="/web/icon.svg" type="image/svg+xml">'
        f'<link rel="stylesheet" href="/web/page.css"><title>{escape(title)}</title></head>\n'
        f'<body><main class="alone"><h1>{escape(title)}</h1><p>{escape(text)}</p>'
        '<p><a href="/">All images</a></p></main></body>\n</html>\n'
    )
    return Response(html, status_code=status, media_type="text/html")


def error_page(status: int, detail: str = "") -> Response:
    """Return the HTML page of a failure."""
    return page(TITLES[status], detail, status=status)


def fits_reply(content: bytes, *, filename: str) -> Response:
    """Return a FITS file for download."""
    headers = {"content-disposition": f"attachment; filename={filename}"}
    return Response(content, media_type="application/fits", headers=headers)
