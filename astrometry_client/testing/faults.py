"""What can go wrong with a request, as values, and the plan that says with which."""

import random
import threading
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Literal

import attrs

__all__ = [
    "Cut",
    "Drip",
    "ExpireSessions",
    "Fault",
    "Hang",
    "Late",
    "Plan",
    "Planned",
    "Reset",
    "Restart",
    "Status",
    "VanishJob",
]

PAGE = "<!doctype html>\n<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n"


@attrs.frozen
class Fault:
    """What goes wrong with one request. It says nothing of which: see `at` and `rate`."""

    def at(self, call: str, *numbers: int) -> "Planned":
        """Plan this fault for the requests with these numbers, the first is 1; for all without any.

        Parameters
        ----------
        call
            Which requests count: a name such as `login`, `upload`, `submission`, `job`, `info` or
            `wcs_file`, a pattern such as `*_file` or `*`, or a path such as `/api/submissions/2`.
        """
        return Planned(self, call, numbers=numbers)

    def rate(self, share: float, call: str = "*") -> "Planned":
        """Plan this fault for a share of the requests, 0 to 1; the seed of the server decides which."""
        return Planned(self, call, share=share)


@attrs.frozen
class Status(Fault):
    """Another answer stands in its place: a page with this status. 200 is a page of the site.

    Parameters
    ----------
    retry_after_s
        Seconds, told in `Retry-After`.
    body, kind
        What is answered and its media type, in place of a page.
    processed
        Whether the request was carried out all the same.
    """

    status: int
    retry_after_s: float | None = None
    body: str | None = None
    kind: str = "text/html"
    processed: bool = False

    def content(self) -> bytes:
        """Return the body."""
        return (PAGE.format(f"{self.status}") if self.body is None else self.body).encode()

    def headers(self) -> dict[str, str]:
        """Return the headers."""
        named = {"content-type": self.kind}
        return named if self.retry_after_s is None else {**named, "retry-after": f"{self.retry_after_s:g}"}


@attrs.frozen
class Reset(Fault):
    """The connection is reset: before the body of the request is read, after, or when it was processed."""

    when: Literal["arriving", "read", "processed"] = "arriving"


@attrs.frozen
class Hang(Fault):
    """No answer ever comes."""

    processed: bool = False


@attrs.frozen
class Late(Fault):
    """The request is processed; its answer comes this many seconds later."""

    seconds: float


@attrs.frozen
class Cut(Fault):
    """The request is processed; of its answer this share comes, then the connection ends."""

    share: float = 0.5


@attrs.frozen
class Drip(Fault):
    """The request is processed; its answer comes byte by byte, with this pause after each, seconds."""

    pause_s: float = 0.02


@attrs.frozen
class ExpireSessions(Fault):
    """All logins have expired when the request arrives.

    Parameters
    ----------
    purged
        Whether they are forgotten altogether, which the server says in other words.
    """

    purged: bool = True


@attrs.frozen
class VanishJob(Fault):
    """The job the request asks about is gone; its submission names another, which is solved anew."""


@attrs.frozen
class Restart(Fault):
    """The connection is reset, and all others; the server takes none for a while, then goes on.

    Parameters
    ----------
    down_s
        Seconds during which connections are refused.
    """

    down_s: float = 0.0


@attrs.frozen
class Planned:
    """A fault and the requests it is meant for; made by `Fault.at` and `Fault.rate`."""

    fault: Fault
    call: str
    numbers: tuple[int, ...] = attrs.field(default=(), kw_only=True)
    share: float = attrs.field(default=1.0, kw_only=True)


class Plan:
    """All that is planned. The first that fits a request counts.

    Chance depends on the seed, the fault, the name of the call and the number of the request among
    those of its name: not on the order in which threads ask.
    """

    def __init__(self, planned: Iterable[Planned] = (), *, seed: int = 0) -> None:
        self._seed = seed
        self._planned: list[tuple[Planned, dict[str, int]]] = []
        self._lock = threading.Lock()
        self.add(*planned)

    def add(self, *planned: Planned) -> None:
        """Plan more; requests are counted from now on."""
        with self._lock:
            self._planned += [(one, {}) for one in planned]

    def next(self, call: str, path: str = "") -> Fault | None:
        """Return what goes wrong with the next request of this name, to this path."""
        with self._lock:
            found = [
                planned.fault
                for number, (planned, seen) in enumerate(self._planned)
                if fnmatchcase(path if planned.call.startswith("/") else call, planned.call)
                and self._meant(number, planned, seen, call)
            ]
        return found[0] if found else None

    def _meant(self, number: int, planned: Planned, seen: dict[str, int], call: str) -> bool:
        seen[call] = seen.get(call, 0) + 1
        if planned.numbers:
            return sum(seen.values()) in planned.numbers
        if planned.share >= 1.0:
            return True
        chance = random.Random(f"{self._seed} {number} {call} {seen[call]}")  # noqa: S311
        return chance.random() < planned.share
