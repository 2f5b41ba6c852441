"""Judging replies: the status proves nothing on this service, so body and kind decide."""

from typing import Any, Final

import requests

from astrometry_client import errors
from astrometry_client.session.endpoints import UNKNOWN, Endpoint, Kind
from astrometry_client.session.formatting import redact_url
from astrometry_client.session.refusals import (
    NO_SUCH_ADDRESS,
    NO_SUCH_FILE,
    Refusal,
    endpoint_asked,
    json_object,
    malformed,
    method_of,
    plain_words,
    refusal_by_body,
    refusal_by_status,
    refused,
    retry_after_s,
)

__all__ = ["FIRST_BYTES", "is_final", "is_transient", "judge", "judge_end", "judge_head", "retry_after_s"]

FIRST_BYTES: Final = 2880
"""What `judge_head` needs of a body, in bytes: one FITS block."""

_FITS_BLOCK_BYTES: Final = 2880
_FITS_MAGIC: Final = b"SIMPLE  ="
_IMAGE_STARTS: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8")
_DATA_STARTS: Final = (b"{", _FITS_MAGIC, *_IMAGE_STARTS)
_IMAGE_ENDS: Final = (b"\xff\xd9", b"IEND\xaeB`\x82", b"\x00;")
_END_BYTES: Final = 64
_NO_REFERER: Final = Refusal(
    errors.ServerRefused,
    "the server gives this file only to requests with a Referer header",
    "send one, such as the address of the site's api/login",
)


def judge(response: requests.Response) -> None:
    """Accept a usable success, raise the error that fits anything else. The body has been or will be read.

    Raises
    ------
    errors.MalformedReply
        The reply was cut or is not of the kind asked for; a read may be repeated.
    errors.ServerRefused
        The server said no, in one of its many ways; see its subclasses for the remedy.
    """
    content = response.content or b""
    judge_head(response, content[:FIRST_BYTES])
    if _has_no_data(response):
        return
    judge_end(response, content[-_END_BYTES:], len(content))
    if endpoint_asked(response).kind is Kind.JSON:
        body = json_object(content)
        if body is None:
            raise malformed(response, "is no JSON object")
        _judge_words(response, body)


def judge_head(response: requests.Response, first_bytes: bytes) -> None:
    """Judge a reply by its status, headers and first bytes, as far as these can tell.

    Parameters
    ----------
    first_bytes
        The first `FIRST_BYTES` of the body, or all of a shorter one.
    """
    _judge_redirect(response)
    if response.status_code >= 400:
        raise refusal_by_status(response, first_bytes)
    if _has_no_data(response):
        return
    body = json_object(first_bytes)
    if body is not None:
        _judge_words(response, body)
    _judge_kind(response, first_bytes)


def judge_end(response: requests.Response, last_bytes: bytes, size_bytes: int) -> None:
    """Make sure that the body arrived whole: its length, and how files of its kind end.

    Parameters
    ----------
    last_bytes
        At least the last 64 bytes of the body, or all of a shorter one.
    size_bytes
        Length of the whole body.
    """
    promised = response.headers.get("Content-Length", "")
    if promised.isdigit() and "Content-Encoding" not in response.headers and int(promised) != size_bytes:
        raise malformed(response, f"was cut after {size_bytes} of {promised} bytes")
    kind = endpoint_asked(response).kind
    if kind is Kind.FITS and size_bytes % _FITS_BLOCK_BYTES:
        raise malformed(response, f"was cut: {size_bytes} bytes are no whole number of FITS blocks")
    if kind is Kind.IMAGE and not any(end in last_bytes[-_END_BYTES:] for end in _IMAGE_ENDS):
        raise malformed(response, f"was cut: the image has no end after {size_bytes} bytes")


def is_final(response: requests.Response) -> bool:
    """Tell whether this reply will never change and may be stored."""
    endpoint = endpoint_asked(response)
    if not endpoint.final or method_of(response) != "GET" or response.status_code != 200:
        return False
    try:
        judge(response)
    except (errors.NoUsableReply, errors.ServerRefused):
        return False
    return _is_complete(endpoint, response)


def is_transient(error: BaseException) -> bool:
    """Tell whether a read may be repeated after this error with a chance of success.

    A status of 500 and above counts, but not where it is nova's way of saying that a file does not exist.
    """
    if isinstance(error, errors.NotAvailable | errors.NotFound):
        return False
    if isinstance(error, errors.ServerRefused):
        return isinstance(error, errors.Overloaded) or (error.status or 0) >= 500
    return isinstance(error, errors.MalformedReply | errors.ReplyTimeout | errors.Unreachable)


def _is_complete(endpoint: Endpoint, response: requests.Response) -> bool:
    """Tell whether a reply that is given before the job ended is the last word."""
    body = json_object(response.content) or {}
    match endpoint.name:
        case "info":
            return body.get("status") == "success"
        case "machine_tags":
            return bool(body.get("tags"))
        case "objects_in_field":
            return bool(body.get("objects_in_field"))
    return True


def _judge_redirect(response: requests.Response) -> None:
    target = response.headers.get("Location", "") if response.is_redirect else response.url or ""
    if "/ask_human" in target:
        raise refused(response, _NO_REFERER)
    asked = response.history[0] if response.history else response
    if endpoint_asked(response).kind is Kind.JSON and method_of(asked) != method_of(response):
        # A redirect turns POST into GET and drops the body: nothing arrived.
        fact = f"the server redirected to {redact_url(target)} and what was sent got lost"
        raise refused(response, Refusal(errors.ServerRefused, fact, "use that site as the server's address"))


def _judge_words(response: requests.Response, body: dict[str, Any]) -> None:
    refusal = refusal_by_body(response, body)
    if refusal is not None and endpoint_asked(response) is not UNKNOWN:
        raise refusal


def _judge_kind(response: requests.Response, first_bytes: bytes) -> None:
    endpoint = endpoint_asked(response)
    html = _is_html(response, first_bytes)
    if html and not endpoint.known:
        # Unknown addresses are answered with a page of the site and status 200. Repeating would not help.
        raise refused(response, NO_SUCH_ADDRESS)
    if endpoint.kind is Kind.ANY and not endpoint.result_file:
        return
    if endpoint.result_file and _is_notice(response, html, first_bytes):
        raise refused(response, NO_SUCH_FILE, plain_words(first_bytes))
    if html:
        raise malformed(response, f"is an HTML page in place of {endpoint.kind.value}")
    if not _looks_like(endpoint.kind, first_bytes):
        raise malformed(response, f"is not {endpoint.kind.value}" if first_bytes else "is empty")


def _is_html(response: requests.Response, first_bytes: bytes) -> bool:
    if first_bytes.lstrip().startswith(_DATA_STARTS):
        return False
    start = first_bytes.lstrip()[:1000].lower()
    declared = response.headers.get("Content-Type", "").lower().startswith("text/html")
    return declared or (start.startswith(b"<") and (b"<!doctype html" in start or b"<html" in start))


def _is_notice(response: requests.Response, html: bool, first_bytes: bytes) -> bool:
    """Tell whether nova says in a sentence, or by an empty reply, that it cannot make a file."""
    if not first_bytes:
        return response.headers.get("Content-Length") == "0"
    return html and not first_bytes.lstrip().startswith(b"<")


def _looks_like(kind: Kind, first_bytes: bytes) -> bool:
    match kind:
        case Kind.JSON:
            return first_bytes.lstrip().startswith(b"{")
        case Kind.FITS:
            return first_bytes.startswith(_FITS_MAGIC)
        case Kind.IMAGE:
            return first_bytes.startswith(_IMAGE_STARTS)
    return True


def _has_no_data(response: requests.Response) -> bool:
    return method_of(response) == "HEAD" or 300 <= response.status_code < 400
