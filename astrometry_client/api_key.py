"""Where the API key is found."""

import configparser
import netrc
import os
import stat
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from astrometry_client.config import APP_NAME, config_file
from astrometry_client.errors import APIKeyError

_ASTROQUERY_FILE = "astroquery.cfg"

_Source = tuple[str, Callable[[], str | None]]


def find_api_key(api_key: str | None = None, key_location: str | Path | None = None, *, base_url: str) -> str:
    """Return the first API key found: argument, file, environment, netrc, keyring, configuration.

    Parameters
    ----------
    api_key
        The key itself.
    key_location
        A file that holds the key and nothing else.
    base_url
        The server it is for; its host is what netrc, keyring and our configuration file are asked for.

    Raises
    ------
    APIKeyError
        No place has a key (the message names them all), or the key found cannot be one.
    """
    looked_at = []
    for place, look in key_sources(api_key, key_location, urlsplit(base_url).hostname or ""):
        key = look()
        if key is not None:
            return _checked(key, place)
        looked_at.append(place)
    raise APIKeyError(
        f"No API key found. Looked at: {'; '.join(looked_at)}. "
        "Copy yours from the profile page of the site into one of them, as `astrometry-client login` does."
    )


def key_sources(api_key: str | None, key_location: str | Path | None, host: str) -> Iterator[_Source]:
    """Give the places a key may be, in order: what they are called, and how to look there."""
    yield "argument api_key", lambda: api_key
    if key_location is None:
        yield "argument key_location", lambda: None
    else:
        yield f"file {key_location}", lambda: _from_file(Path(key_location))
    for variable in ("ASTROMETRY_API_KEY", "AN_API_KEY"):
        yield f"environment {variable}", lambda name=variable: os.environ.get(name) or None  # type: ignore[misc]
    yield f"netrc entry of {host}", lambda: _from_netrc(host)
    yield "system keyring", lambda: _from_keyring(host)
    yield f"file {config_file()}", lambda: _from_config_file(config_file(), host)
    yield "astroquery configuration", _from_astroquery


def _checked(key: str, place: str) -> str:
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise APIKeyError(
            f"What {place} holds cannot be an API key: one word of ASCII letters and digits is allowed."
        )
    return key


def _from_file(path: Path) -> str:
    path = path.expanduser()
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as cause:
        raise APIKeyError(
            f"key_location={str(path)!r} cannot be read ({cause}): give a text file."
        ) from cause
    _warn_if_others_can_read(path)
    return text


def _from_netrc(host: str) -> str | None:
    try:
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return found[2] if found else None


def _from_keyring(host: str) -> str | None:
    try:
        import keyring
    except ImportError:
        return None
    try:
        return keyring.get_password(APP_NAME, host)
    except keyring.errors.KeyringError:
        return None


def _from_config_file(path: Path, host: str) -> str | None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        if not parser.read(path):
            return None
    except (configparser.Error, UnicodeDecodeError) as cause:
        raise APIKeyError(f"{path} is not a configuration file: {type(cause).__name__}; mend it.") from cause
    _warn_if_others_can_read(path)
    return parser.get(host, "api_key", fallback=None)


def _from_astroquery() -> str | None:
    loaded = sys.modules.get("astroquery.astrometry_net")
    if loaded is not None:
        return str(loaded.conf.api_key) or None
    # Importing astroquery would cost seconds, so its file is read. Source of the places: astropy 7.
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config", "astropy").expanduser()
    for path in (folder / _ASTROQUERY_FILE, Path("~/.astropy/config", _ASTROQUERY_FILE).expanduser()):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read(path)
        except (configparser.Error, UnicodeDecodeError):
            continue
        key = parser.get("astrometry_net", "api_key", fallback="").strip("'\" ")
        if key:
            return key
    return None


def _warn_if_others_can_read(path: Path) -> None:
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        warnings.warn(f"Others can read the API key in {path}: chmod 600 it.", stacklevel=2)
