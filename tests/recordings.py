"""The recorded exchanges with the real server, as test cases."""

import json
from pathlib import Path

import attrs

RECORDINGS = Path(__file__).with_name("transcripts")


@attrs.frozen
class Recording:
    """One exchange; bodies hold at most their first 2 kB."""

    name: str
    method: str
    path: str
    request_headers: dict[str, str]
    request_body: bytes
    status: int | None
    headers: dict[str, str]
    body: bytes
    body_length: int
    socket_error: str | None

    @property
    def complete(self) -> bool:
        """Whether the whole reply body was recorded."""
        return len(self.body) == self.body_length


def _body(part: dict) -> bytes:
    first = part.get("body_first_2k")
    if not first:
        return b""
    return first["text"].encode() if "text" in first else first["latin1"].encode("latin1")


def recording(name: str) -> Recording:
    """Return the exchange of this name."""
    raw = json.loads((RECORDINGS / f"{name}.json").read_text())
    request, response = raw["request"], raw["response"] or {}
    method, path, _ = request["line"].split(" ", 2)
    return Recording(
        name=name,
        method=method,
        path=path,
        request_headers=request["headers"],
        request_body=_body(request),
        status=response.get("status"),
        headers=dict(response.get("headers", [])),
        body=_body(response),
        body_length=response.get("body_length", 0),
        socket_error=raw["socket_error"],
    )


def recordings() -> list[Recording]:
    """Return every recorded exchange, by name."""
    return [recording(path.stem) for path in sorted(RECORDINGS.glob("*.json"))]
