"""`astrometry-client login`, `logout` and `whoami`: the API key of this user."""

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from astrometry_client.api_key import key_sources
from astrometry_client.cli.options import json_option
from astrometry_client.config import DEFAULTS
from astrometry_client.errors import APIKeyError, LoginFailedException
from astrometry_client.login import Session
from astrometry_client.session import is_dry_run_enabled
from astrometry_client.stored_api_key import forget_api_key, store_api_key

F = TypeVar("F", bound=Callable[..., Any])

_STDIN: Final = Path("-")
_LONGEST_KEY: Final = 1000
"""Bytes; keys of nova have 16 characters."""


def _asking_a_server(command: F) -> F:
    """Add the options all three have."""
    server = click.option(
        "--server",
        "base_url",
        metavar="URL",
        default=DEFAULTS.base_url,
        show_default=True,
        help="The server.",
    )
    return server(json_option(command))


@click.command
@click.option(
    "--key-file", type=click.Path(path_type=Path), help="File that holds the API key; - is standard input."
)
@_asking_a_server
def login(base_url: str, *, key_file: Path | None, as_json: bool) -> None:
    """Try an API key, and keep it for all later commands and programs.

    It is asked for without showing it, or read from standard input or a file. There is no option for the key
    itself: others on this machine could see it.
    """
    session = _session_to_try(base_url, key_file)
    user = session.whoami()
    if is_dry_run_enabled("POST"):
        click.echo("Dry run: nothing was sent, nothing was stored.")
        return
    path = store_api_key(session.api_key, base_url=base_url)
    found_first = _place_of_key(base_url)
    if as_json:
        document = {"server": base_url, "user": user, "stored_in": str(path), "key_from": found_first}
        click.echo(json.dumps(document))
    else:
        click.echo(f"Logged in at {base_url} as {user}. The API key is kept in {path}")
    if found_first != f"file {path}":
        click.echo(f"Another key comes before it: {found_first}.", err=True)


@click.command
@_asking_a_server
def logout(base_url: str, *, as_json: bool) -> None:
    """Forget the API key that `login` keeps, and the login that programs share."""
    forgotten = forget_api_key(base_url=base_url)
    for key in (forgotten, None):
        # Without any key there is no login to forget.
        with contextlib.suppress(APIKeyError):
            Session(key, base_url=base_url).logout()
    left = _place_of_key(base_url)
    if as_json:
        click.echo(json.dumps({"server": base_url, "forgotten": forgotten is not None, "key_from": left}))
        return
    click.echo("API key forgotten." if forgotten else f"No API key was kept for {base_url}.")
    if left is not None:
        click.echo(f"There still is one: {left}. Remove it there.", err=True)


@click.command
@_asking_a_server
def whoami(base_url: str, *, as_json: bool) -> None:
    """Tell whose API key is used, where it comes from, and whether it works. The key itself is not shown."""
    place = _place_of_key(base_url)
    try:
        user = Session(base_url=base_url).whoami()
    except LoginFailedException:
        _tell(base_url, place, None, as_json=as_json)
        raise
    _tell(base_url, place, user, as_json=as_json)


def _tell(base_url: str, place: str | None, user: str | None, *, as_json: bool) -> None:
    works = user is not None
    if as_json:
        click.echo(json.dumps({"server": base_url, "key_from": place, "works": works, "user": user}))
        return
    rows = (("Server", base_url), ("Key from", place or "nowhere"), ("Works", "yes" if works else "no"))
    for name, text in (*rows, *([("User", user)] if works else [])):
        click.echo(f"{name:<12} {text}")


def _session_to_try(base_url: str, key_file: Path | None) -> Session:
    if key_file is not None and key_file != _STDIN:
        return Session(key_location=key_file, base_url=base_url)
    if key_file == _STDIN or not sys.stdin.isatty():
        given = sys.stdin.buffer.read(_LONGEST_KEY).decode(errors="replace")
        if not given.strip():
            raise APIKeyError("Standard input holds no API key: type it at a terminal, or give --key-file.")
        return Session(given, base_url=base_url)
    try:
        key = click.prompt(f"API key for {base_url} (not shown)", hide_input=True, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
    return Session(key, base_url=base_url)


def _place_of_key(base_url: str) -> str | None:
    """Return where the API key is found; `None` if nowhere."""
    places = key_sources(None, None, urlsplit(base_url).hostname or "")
    return next((place for place, look in places if look() is not None), None)
