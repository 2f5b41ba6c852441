"""The API key in our configuration file, one for each server."""

import configparser
import io
from pathlib import Path
from urllib.parse import urlsplit

from astrometry_client.config import config_file
from astrometry_client.errors import APIKeyError
from astrometry_client.whole_file import private_folder, write_whole

_OPTION = "api_key"


def store_api_key(api_key: str, *, base_url: str) -> Path:
    """Keep an API key for the host of a server, readable by its owner alone, and return the file.

    Raises
    ------
    APIKeyError
        The file that is there is not a configuration file; it is left as it is.
    OSError
        It cannot be written.
    """
    parser = _read()
    host = _host(base_url)
    if not parser.has_section(host):
        parser.add_section(host)
    parser.set(host, _OPTION, api_key)
    return _write(parser)


def forget_api_key(*, base_url: str) -> str | None:
    """Remove the API key of a server's host from the file, and return it; `None` if there was none.

    Raises
    ------
    APIKeyError, OSError
        See `store_api_key`.
    """
    parser = _read()
    host = _host(base_url)
    forgotten = parser.get(host, _OPTION, fallback=None)
    if forgotten is not None:
        parser.remove_option(host, _OPTION)
        if not parser.options(host):
            parser.remove_section(host)
        _write(parser)
    return forgotten


def _host(base_url: str) -> str:
    return urlsplit(base_url).hostname or ""


def _read() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(config_file())
    except (configparser.Error, UnicodeDecodeError) as cause:
        raise APIKeyError(
            f"{config_file()} is not a configuration file: {type(cause).__name__}; mend it."
        ) from cause
    return parser


def _write(parser: configparser.ConfigParser) -> Path:
    text = io.StringIO()
    parser.write(text)
    path = config_file()
    private_folder(path.parent)
    write_whole(path, text.getvalue().encode(), private=True)
    return path
