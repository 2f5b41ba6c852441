"""What happens right now: a moving line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

from astrometry_client import flow

_WORDS: dict[flow.Stage, str] = {
    "uploading": "uploading",
    "queued": "waiting in the server's queue",
    "solving": "solving",
    "fetching": "fetching the results",
}


class StageLine:
    """Tells each new stage of a solve once, with the seconds since the start."""

    def __init__(self, console: Console, name: str, status: Status | None) -> None:
        self._console = console
        self._name = name
        self._status = status
        self._stage: flow.Stage | None = None
        self._started_s = time.monotonic()

    def __call__(self, effect: flow.Step) -> None:
        """Take note of the next step of a flow."""
        seconds = time.monotonic() - self._started_s
        if self._status is not None:
            self._status.update(f"{self._name}: {_WORDS[effect.stage]} ({seconds:.0f} s)")
        elif effect.stage != self._stage:
            self._console.print(f"{self._name}: {_WORDS[effect.stage]} ({seconds:.1f} s)", highlight=False)
        self._stage = effect.stage


@contextmanager
def stage_line(console: Console, name: str) -> Iterator[StageLine]:
    """Give a progress display that is cleared away at the end."""
    if console.is_terminal:
        with console.status(f"{name}: starting") as status:
            yield StageLine(console, name, status)
    else:
        yield StageLine(console, name, None)
