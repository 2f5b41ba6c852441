"""Requests and replies as text for people, with every secret taken out."""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote_plus

import requests

__all__ = ["format_request", "format_response", "redact_headers", "redact_text", "redact_url", "secrets_of"]

HIDDEN: Final = "***"
BODY_SHOWN_CHARS: Final = 1000
_BODY_READ_CHARS: Final = 20_000
_SHORTEST_SECRET: Final = 4

_SECRET_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-csrftoken", "x-api-key"}
)
# Quotes, braces and blanks as they look plain, backslashed and (any number of times) percent-encoded.
_JUNK: Final = r"(?:[\s\"'\\\[{]|\+|%(?:25)*(?:22|27|5C|5B|7B|20))*"
_NAMED_SECRET: Final = re.compile(
    r"(?P<name>(?:api[_-]?key|session(?:[_-]?(?:id|key))?|token|password|secret)"
    + _JUNK
    + r"(?::|=|%(?:25)*3[AD])"
    + _JUNK
    + r")(?P<value>(?:[^\s\"'\\&,;}\]<>)%]|%(?!(?:25)*(?:22|27|2C|5C|5D|7D|26))[0-9A-F]{2})+)",
    re.IGNORECASE,
)
_PATTERNS: Final = (
    # nova quotes the session key it does not know.
    (re.compile(r"(session with key\s*\\?[\"'])[^\"'\\]*", re.IGNORECASE), rf"\g<1>{HIDDEN}"),
    (
        re.compile(
            r"((?:authorization|cookie)\\?[\"']?\s*[:=](?!\s*\*{3})\s*)(?:\"[^\"\r\n]*\"?|'[^'\r\n]*'?|[^\r\n]+)",
            re.IGNORECASE,
        ),
        rf"\g<1>{HIDDEN}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\g<1> {HIDDEN}"),
    (re.compile(r"(://)[^/\s@\"']+@"), rf"\g<1>{HIDDEN}@"),
    (_NAMED_SECRET, rf"\g<name>{HIDDEN}"),
)


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without API keys, session keys, tokens, cookies and passwords.

    Parameters
    ----------
    secrets
        Values to remove wherever they stand, such as those of `secrets_of`.
    """
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_url(url: str | None) -> str:
    """Return the URL without password and without the value of any key or token in its query."""
    return redact_text(url or "")


def redact_headers(headers: Mapping[str, str | bytes]) -> dict[str, str]:
    """Return the headers with the values of those that carry secrets replaced."""
    return {
        name: HIDDEN if name.lower() in _SECRET_HEADERS else redact_text(_as_text(value))
        for name, value in headers.items()
    }


def secrets_of(prepared: requests.PreparedRequest | None) -> tuple[str, ...]:
    """Return the secrets a request carries, so that they can be removed from what comes back."""
    if prepared is None:
        return ()
    authorization = _as_text(prepared.headers.get("Authorization", "")) if prepared.headers else ""
    found = set(authorization.split()[1:])
    for text in (prepared.url or "", _sent_text(prepared.body)):
        found |= {match["value"] for match in _NAMED_SECRET.finditer(unquote_plus(text))}
    found -= {"null", "None", "true", "false"}
    return tuple(sorted((word for word in found if len(word) >= _SHORTEST_SECRET), key=len, reverse=True))


def format_request(prepared: requests.PreparedRequest) -> str:
    """Return a request as readable lines: method, address, headers and body, without secrets."""
    lines = [f"{prepared.method} {redact_url(prepared.url)}", *_header_lines(prepared.headers)]
    if prepared.body:
        lines.append(
            _format_body(prepared.body, prepared.headers.get("Content-Type", ""), secrets_of(prepared))
        )
    return "\n".join(lines)


def format_response(response: requests.Response) -> str:
    """Return a reply as readable lines: status, address, duration, headers and body, without secrets.

    A body that was not read yet is left unread.
    """
    milliseconds = response.elapsed.total_seconds() * 1000
    origin = "cached" if getattr(response, "from_cache", False) else f"{milliseconds:.0f} ms"
    lines = [
        f"{response.status_code} {response.reason or ''}".rstrip()
        + f" {redact_url(response.url)} ({origin})",
        *_header_lines(response.headers),
    ]
    # `content` would read a streamed body that belongs to the caller.
    body = getattr(response, "_content", False)
    if body is False:
        lines.append("<body not read>")
    elif body:
        lines.append(
            _format_body(body, response.headers.get("Content-Type", ""), secrets_of(response.request))
        )
    return "\n".join(lines)


def _header_lines(headers: Mapping[str, str | bytes]) -> list[str]:
    return [f"    {name}: {value}" for name, value in redact_headers(headers).items()]


def _format_body(body: object, content_type: str | bytes, secrets: tuple[str, ...]) -> str:
    if not isinstance(body, str | bytes):
        return redact_text(repr(body), secrets)
    kind = _as_text(content_type).partition(";")[0].strip().lower()
    if isinstance(body, bytes) and (
        kind.startswith(("multipart/", "image/")) or b"\0" in body[:BODY_SHOWN_CHARS]
    ):
        return f"<{len(body)} bytes of {kind or 'unknown kind'}>"
    # Cutting first keeps a page of megabytes cheap; a value cut in two still follows its name.
    text = _as_text(body[:_BODY_READ_CHARS])
    if kind == "application/x-www-form-urlencoded":
        text = unquote_plus(text)
    text = redact_text(text, secrets)
    return text if len(text) <= BODY_SHOWN_CHARS else f"{text[:BODY_SHOWN_CHARS]}… ({len(body)} in all)"


def _sent_text(body: object) -> str:
    """Return the form fields of a body as text; files are no place for keys."""
    if isinstance(body, str | bytes):
        return _as_text(body[:_BODY_READ_CHARS])
    fields = getattr(body, "fields", ())
    return "\n".join(f"{name}={value}" for name, value in fields)


def _as_text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
