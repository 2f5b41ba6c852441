"""The errors a reply turns into: the server's words and status, what they mean and what to do."""

import email.utils
import json
import math
import re
import time
from datetime import UTC
from typing import Any, Final

import attrs
import requests

from astrometry_client import errors
from astrometry_client.session.endpoints import Endpoint, endpoint_of, ids_in
from astrometry_client.session.formatting import redact_text, redact_url, secrets_of

__all__ = [
    "NO_SUCH_ADDRESS",
    "NO_SUCH_FILE",
    "Refusal",
    "endpoint_asked",
    "json_object",
    "malformed",
    "method_of",
    "plain_words",
    "refusal_by_body",
    "refusal_by_status",
    "refused",
    "retry_after_s",
]

_MESSAGE_CHARS: Final = 300


@attrs.frozen
class Refusal:
    """A way of saying no: the error it is, the fact, and what can be done."""

    error: type[errors.ServerRefused]
    fact: str
    remedy: str


NO_SUCH_FILE: Final = Refusal(errors.NotAvailable, "this file does not exist", "check that the job is solved")
NO_SUCH_ADDRESS: Final = Refusal(errors.NotFound, "the server has no such address", "check the address")
_NO_SUCH_RESULT: Final = Refusal(errors.NotAvailable, "no such result", "check that the job is solved")
_REFUSED: Final = Refusal(errors.ServerRefused, "the server refused", "check the values sent")
_FAILED: Final = Refusal(
    errors.ServerRefused, "the server failed", "try again later, or check the values sent"
)
_PAUSE: Final = Refusal(errors.Overloaded, "the server asks for a pause", "wait before asking again")

_STATUSES: Final = {
    401: Refusal(errors.ServerRefused, "the server wants a login", "give a token, or user name and password"),
    403: _PAUSE,
    404: Refusal(errors.NotFound, "the server does not know this", "check the id and the address"),
    410: Refusal(errors.NotFound, "the server no longer knows this", "check the id and the address"),
    429: _PAUSE,
    503: _PAUSE,
}
# nova's own words, as recorded, and what they mean. All of them come with status 200.
_WORDS: Final = (
    (
        r'(bad|need) "?apikey',
        Refusal(
            errors.LoginFailedException,
            "the API key is not accepted",
            "check it on the site's profile page",
        ),
    ),
    (
        r"no session with key|user is not authenticated",
        Refusal(errors.StaleSession, "the session key is no longer accepted", "log in again"),
    ),
    (
        r".*\bdoes not exist",
        Refusal(errors.NotFound, "the server does not know this", "check the id"),
    ),
)


def refusal_by_status(response: requests.Response, first_bytes: bytes) -> errors.ServerRefused:
    """Return the error for a status of 400 and above."""
    status = response.status_code
    body = json_object(first_bytes)
    words = _body_words(body) if body else plain_words(first_bytes)
    refusal = _STATUSES.get(status, _FAILED if status >= 500 else _REFUSED)
    if status == 500 and endpoint_asked(response).result_file:
        # nova's answer for files of a job without a solution.
        refusal = NO_SUCH_FILE
    elif status == 403 and b"CSRF verification failed" in first_bytes:
        # nova's answer for a POST to an address that takes none; waiting would not help.
        refusal = NO_SUCH_ADDRESS
    return refused(response, (_meaning(words) if body else None) or refusal, words)


def refusal_by_body(response: requests.Response, body: dict[str, Any]) -> errors.ServerRefused | None:
    """Return the error a JSON reply with status 200 reports, if any. A failed job is none: that is data."""
    words = _body_words(body)
    if body.get("status") == "error":
        return refused(response, _meaning(words) or _REFUSED, words)
    if "status" not in body and body.get("error"):
        return refused(response, _NO_SUCH_RESULT, words)
    return None


def plain_words(first_bytes: bytes) -> str:
    """Return what a page or a plain text says: the title of the one, the other itself."""
    text = first_bytes.decode("utf-8", "replace")
    if not text.lstrip().startswith("<"):
        return text
    title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return title[1] if title else ""


def refused(response: requests.Response, refusal: Refusal, words: str = "") -> errors.ServerRefused:
    """Return the error that says what was asked and why not, with what is needed to resume.

    Parameters
    ----------
    words
        The server's own, as they came.
    """
    said = _presentable(response, words)
    fact = f"{refusal.fact} ({said})" if said else refusal.fact
    return refusal.error(
        f"{_asked(response)}: {fact}: {refusal.remedy}", server_message=said or None, **_context(response)
    )


def malformed(response: requests.Response, fact: str) -> errors.MalformedReply:
    """Return the error for a reply that cannot be believed."""
    return errors.MalformedReply(
        f"{_asked(response)}: the reply {fact}: try again later", **_context(response)
    )


def endpoint_asked(response: requests.Response) -> Endpoint:
    """Return the endpoint that was asked, before any redirect."""
    return endpoint_of(_first_url(response))


def method_of(response: requests.Response) -> str:
    """Return the method of the request behind a reply."""
    return (response.request.method if response.request is not None else None) or "GET"


def json_object(content: bytes) -> dict[str, Any] | None:
    """Return the JSON object a body consists of; nothing if it is cut or anything else."""
    if not content.lstrip().startswith(b"{"):
        return None
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def retry_after_s(response: requests.Response) -> float | None:
    """Return how many seconds the server asks us to stay away (`Retry-After` in either form), if it does.

    A date is read against the server's own clock where the reply has one.
    """
    value = response.headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        until = _timestamp(value)
        if until is None:
            return None
        seconds = until - (_timestamp(response.headers.get("Date", "")) or time.time())
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _timestamp(http_date: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(http_date)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _body_words(body: dict[str, Any]) -> str:
    return str(body.get("errormessage") or body.get("error") or "")


def _meaning(words: str) -> Refusal | None:
    return next((refusal for said, refusal in _WORDS if re.match(said, words, re.IGNORECASE)), None)


def _presentable(response: requests.Response, words: str) -> str:
    """Return the server's words on one line of sane length; it may have echoed what it was sent."""
    words = " ".join("".join(char if char.isprintable() else " " for char in words).split())
    # Echoes of 246 kB were seen: most of it goes before, the rest after the search for secrets.
    text = redact_text(words[: 10 * _MESSAGE_CHARS], secrets_of(response.request))
    return text if len(text) <= _MESSAGE_CHARS else f"{text[:_MESSAGE_CHARS]}…"


def _context(response: requests.Response) -> dict[str, Any]:
    return {
        "url": _address(response),
        "status": response.status_code,
        "retry_after_s": retry_after_s(response),
        "response": response,
        **ids_in(_first_url(response)),
    }


def _asked(response: requests.Response) -> str:
    return f"{method_of(response)} {_address(response)} (HTTP {response.status_code})"


def _address(response: requests.Response) -> str:
    return redact_url(_first_url(response).partition("?")[0])


def _first_url(response: requests.Response) -> str:
    """Return the address asked first; redirects lead elsewhere."""
    return (response.history[0] if response.history else response).url or ""
