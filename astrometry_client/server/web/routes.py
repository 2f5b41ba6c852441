"""The addresses of the web page; those of submissions and images are nova's."""

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import PurePath

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import listed, pages

MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

FILES = sorted(path.name for path in (files(__package__) / "files").iterdir())


def file(request: Request) -> Response:
    """Send a file of the page; browsers ask each time whether it is new, so an update shows at once."""
    name = request.url.path.rpartition("/")[2]
    content, etag = _content(name)
    headers = {"etag": etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=MEDIA_TYPES[PurePath(name).suffix])


@cache
def _content(name: str) -> tuple[bytes, str]:
    content = (files(__package__) / "files" / name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()}"'


ROUTES = [
    Route("/", pages.home),
    *(Route(f"/status/{{id}}{slash}", pages.submission) for slash in ("", "/")),
    *(Route(f"/user_images/{{id}}{slash}", pages.image) for slash in ("", "/")),
    Route("/web/list", listed.entries),
    *(Route(f"/web/{name}", file, name=name) for name in FILES),
]
