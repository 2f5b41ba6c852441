"""The server for tests, behind one that can be told each answer byte by byte."""

import hashlib
import http.client
import json
from urllib.parse import urlencode

from faulty_server import Answer, Arrival, FaultyServer

from astrometry_client.testing import (
    UNSOLVED,
    NovaServer,
    Place,
    Rejected,
    TableEngine,
    Unsolved,
    UploadRecord,
)

TOLD = ("location", "content-disposition")


def ra_of(content: bytes) -> float:
    """Return where `ByContent` says an image lies: somewhere else for each content."""
    return int(hashlib.sha256(content).hexdigest()[:6], 16) % 36000 / 100


class ByContent(TableEngine):
    """Knows images by their content; what holds the word `dark` has no solution."""

    def outcome(self, name: str, content: bytes) -> Place | Unsolved | Rejected:
        return UNSOLVED if b"dark" in content else Place(ra_of(content), 1.0, objects=("M 1",))


def fits_file(**cards: float) -> bytes:
    """Return a FITS file without data."""
    lines = [
        "SIMPLE  =                    T",
        "BITPIX  =                    8",
        "NAXIS   =                    0",
    ]
    lines += [f"{name:<8}= {value!r:>20}" for name, value in cards.items()]
    return "".join(line.ljust(80) for line in [*lines, "END"]).encode().ljust(2880)


class SmallNova(FaultyServer):
    """Takes any API key; solves at once. A subclass or `responder` may answer in its place."""

    kept_bytes = 1 << 26

    def __init__(self) -> None:
        super().__init__()
        self._nova = NovaServer(engine=ByContent()).__enter__()
        self.responder = self.answer

    def close(self) -> None:
        """Stop both."""
        super().close()
        self._nova.__exit__(None)

    @property
    def uploads(self) -> list[UploadRecord]:
        """What was stored."""
        return self._nova.uploads

    def asked(self, path: str) -> int:
        """Return how often a path was asked for."""
        return sum(arrival.path == path for arrival in self.arrivals)

    def answer(self, arrival: Arrival) -> Answer:
        """Answer as nova would if nothing went wrong."""
        body, headers = arrival.body, dict(arrival.headers)
        if arrival.path == "/api/login":
            body = urlencode({"request-json": json.dumps({"apikey": self._nova.api_key})}).encode()
        headers["content-length"] = str(len(body))
        connection = http.client.HTTPConnection(self._nova.url.removeprefix("http://"), timeout=20)
        connection.request(arrival.method, arrival.path, body, headers)
        with connection.getresponse() as reply:
            content, heads = reply.read(), reply.headers
        connection.close()
        told = {name: heads[name] for name in TOLD if name in heads}
        return Answer(status=reply.status, body=content, kind=heads["content-type"], headers=told)
