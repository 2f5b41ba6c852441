"""The application: addresses, and what is answered when something is refused."""

import sqlite3

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from . import api, results
from .files import NoRoom
from .forms import TooLarge
from .service import Desk
from .web.guard import Guard
from .web.routes import ROUTES as PAGES
from .wire import ApiError, PageError, UnknownPath, error_page, error_reply, page

NAME = "Astrometry server"
STATUS: dict[type[Exception], int] = {TooLarge: 413, NoRoom: 503, sqlite3.OperationalError: 503}
"""Of refusals that are told in JSON, and that nova does not have."""

WELCOME = "This server answers the HTTP API of nova.astrometry.net, under /api/."


def elsewhere(request: Request) -> Response:
    """Answer an address that does not exist; nova shows a page to a reader, and refuses a writer."""
    if not api.is_strict(request):
        return error_page(404, "There is no such address here.")
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return page(NAME, WELCOME)
    return error_page(403, "There is nothing to be sent to this address.")


async def _refused(_request: Request, error: Exception) -> Response:
    if isinstance(error, PageError):
        return error_page(error.status, error.detail)
    return error_reply(str(error), status=STATUS.get(type(error), 200))


async def _unknown_path(request: Request, _error: Exception) -> Response:
    return elsewhere(request)


async def _gone(_request: Request, _error: Exception) -> Response:
    return error_page(400, "The request was cut.")  # nobody listens any more


async def _broken(_request: Request, _error: Exception) -> Response:
    return error_page(500)


def make_app(service: Desk) -> Starlette:
    """Return the application that shows a service to the world."""
    app = Starlette(
        routes=[*api.ROUTES, *results.ROUTES, *PAGES, Route("/{path:path}", elsewhere, methods=api.METHODS)],
        middleware=[Middleware(Guard, host=service.settings.host, host_names=service.settings.host_names)],
        exception_handlers={
            ApiError: _refused,
            PageError: _refused,
            **dict.fromkeys(STATUS, _refused),
            UnknownPath: _unknown_path,
            ClientDisconnect: _gone,
            Exception: _broken,
        },
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app
