"""Replies made by hand or from recorded exchanges, without a network."""

import io

import requests
from recordings import Recording

SITE = "http://127.0.0.1:8901"


def made_response(
    path: str,
    body: bytes = b"",
    *,
    method: str = "GET",
    status: int = 200,
    headers: dict[str, str] | None = None,
    sent: dict[str, str] | str | None = None,
    site: str = SITE,
) -> requests.Response:
    """Return the reply to a request for this path, its body unread."""
    response = requests.Response()
    response.request = requests.Request(method, site + path, data=sent).prepare()
    response.url = response.request.url
    response.status_code = status
    response.headers.update(headers or {})
    response.raw = io.BytesIO(body)
    return response


def recorded_response(recording: Recording) -> requests.Response:
    """Return the recorded reply; its `Content-Length` is that of the part that was recorded."""
    response = made_response(
        recording.path,
        recording.body,
        method=recording.method,
        status=recording.status,
        headers=recording.headers,
    )
    response.request.body = recording.request_body
    if "Content-Length" in response.headers and recording.method != "HEAD":
        response.headers["Content-Length"] = str(len(recording.body))
    return response
