"""What each endpoint takes, and the request made of it."""

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Annotated, Any, Final

import attrs

from astrometry_client import api
from astrometry_client.errors import InputError
from astrometry_client.login import Session
from astrometry_client.models import Settings
from astrometry_client.models.options import TEXT, Argument, Kind, Option, arguments_of, checking
from astrometry_client.request import Request
from astrometry_client.uploads import FileUpload, SourcesUpload, URLUpload

__all__ = ["Predicate", "predicates_of", "request_of"]


@attrs.frozen(kw_only=True)
class Predicate:
    """An argument of an endpoint, described."""

    name: str
    type: str
    """What is given, such as `number`, `whole number`, `choice`, `yes or no`, `text`."""
    unit: str = ""
    """Empty where there is none; `scale_units` means that this other argument names it."""
    default: str
    """What is taken if it is left out; `none` if nothing is."""
    allowed: str
    required: bool
    description: str


# What these are of, the uploads themselves check.
_FILE: Final = Kind("file", "a path, an open binary file, bytes, an HDUList or an array", lambda _: True)
_NUMBERS: Final = Kind("list of numbers", "finite pixel positions", lambda _: True)


@checking
def _upload(
    session: Session,
    settings: Settings,
    file: Annotated[Any, Argument(_FILE, "The image; this, or `x` and `y`.")] = None,
    x: Annotated[Any, Argument(_NUMBERS, "Columns of sources, the first pixel is 1; with `y`.")] = None,
    y: Annotated[Any, Argument(_NUMBERS, "Rows of sources, the first pixel is 1; with `x`.")] = None,
) -> Request[Any]:
    if (file is None) is (x is None and y is None):
        raise InputError("upload takes a file, or x and y: give one of the two.")
    if file is not None:
        return FileUpload(file, session=session, settings=settings).request()
    return SourcesUpload(x, y, session=session, settings=settings).request()


@checking
def _url_upload(
    session: Session, settings: Settings, url: Annotated[str, Argument(TEXT, "Address of the image.")]
) -> Request[Any]:
    return URLUpload(url=url, session=session, settings=settings).request()


_CALLS: Final[Mapping[str, Callable[..., Request[Any]]]] = {
    **api.CALLS,
    "upload": _upload,
    "url_upload": _url_upload,
}


def request_of(
    endpoint: str, arguments: Mapping[str, Any], *, login: Session, settings: Settings
) -> Request[Any]:
    """Return the request that asks an endpoint, by its name.

    Parameters
    ----------
    settings
        Options of an upload that is given none.

    Raises
    ------
    InputError
        There is no such endpoint, or it does not take these arguments.
    """
    predicates = predicates_of(endpoint)
    _check_names(endpoint, arguments, predicates)
    call = _CALLS[endpoint]
    given = {name: arguments[name] for name in arguments_of(call) if name in arguments}
    options = {name: value for name, value in arguments.items() if name not in given}
    own: dict[str, Callable[[], Any]] = {
        "session": lambda: login,
        "server": lambda: login.base_url,
        "api_key": lambda: login.api_key,
        "settings": lambda: Settings(**options) if options else settings,
    }
    given |= {name: own[name]() for name in inspect.signature(call).parameters if name in own}
    return call(**given)


def _check_names(endpoint: str, given: Collection[str], predicates: Collection[Predicate]) -> None:
    known = [predicate.name for predicate in predicates]
    for name in given:
        if name not in known:
            raise InputError(f"{name} is not allowed: {endpoint} takes {', '.join(known) or 'nothing'}.")
    for predicate in predicates:
        if predicate.required and predicate.name not in given:
            raise InputError(f"{predicate.name} is missing: {endpoint} needs {predicate.allowed}.")


@cache
def predicates_of(endpoint: str) -> tuple[Predicate, ...]:
    """Return what an endpoint takes.

    Raises
    ------
    InputError
        There is no such endpoint.
    """
    call = _CALLS.get(endpoint)
    if call is None:
        raise InputError(f"endpoint={endpoint!r} is not allowed: give one of {', '.join(_CALLS)}.")
    own = (_of_argument(name, argument, call) for name, argument in arguments_of(call).items())
    options = map(_of_option, Settings.describe()) if _takes_settings(call) else ()
    return (*own, *options)


def _takes_settings(call: Callable[..., Any]) -> bool:
    return "settings" in inspect.signature(call).parameters


def _of_argument(name: str, argument: Argument, call: Callable[..., Any]) -> Predicate:
    default = inspect.signature(call).parameters[name].default
    return Predicate(
        name=name,
        type=argument.kind.name,
        default="none" if default in (inspect.Parameter.empty, None) else str(default),
        allowed=argument.kind.allowed,
        required=default is inspect.Parameter.empty,
        description=argument.meaning,
    )


def _of_option(option: Option) -> Predicate:
    return Predicate(
        name=option.name,
        type=option.kind,
        unit=option.unit,
        default=option.default,
        allowed=option.allowed,
        required=False,
        description=option.meaning,
    )
