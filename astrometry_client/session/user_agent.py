"""Who is asking: programs and contact details in the `User-Agent`."""

import importlib.metadata
import re
from typing import Any, Final

import requests

from astrometry_client.config import APP_NAME
from astrometry_client.errors import InputError

__all__ = ["SessionUserAgentMixin", "user_agent_header"]

# Source: RFC 9110, 10.1.5: programs with versions, comments in brackets.
_PROGRAM: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+/[\w!#$%&'*+.^`|~-]+( |$)", re.ASCII)


class SessionUserAgentMixin(requests.Session):
    """Says who is asking, so that a server's operators can write before they block.

    Parameters
    ----------
    user_agent
        Your program, such as `survey/2.1`, or contact details, such as an e-mail or web address.
    **kwargs
        Passed on to the next class.

    Raises
    ------
    InputError
        `user_agent` cannot be sent in a header.
    """

    def __init__(self, *, user_agent: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.headers["User-Agent"] = user_agent_header(user_agent)


def user_agent_header(user_agent: str | None = None) -> str:
    """Return `survey/2.1 astrometry-client/1.0 python-requests/2.34`, contacts in brackets after our name."""
    ours = f"{APP_NAME}/{_version()}"
    library = f"python-requests/{requests.__version__}"
    if not user_agent:
        return f"{ours} {library}"
    if not user_agent.isascii() or not user_agent.isprintable():
        raise InputError(f"user_agent={user_agent!r} cannot be sent: use printable ASCII characters only.")
    if _PROGRAM.match(user_agent):
        return f"{user_agent} {ours} {library}"
    return f"{ours} (+{user_agent.strip('()+ ')}) {library}"


def _version() -> str:
    try:
        return importlib.metadata.version(APP_NAME)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
