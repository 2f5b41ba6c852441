"""What happens right now to many images: a moving display on a terminal, a line now and then elsewhere."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from astrometry_client import flow
from astrometry_client.cli.spans import span

_LAST_ENDS: Final = 5
_SUMMARY_S: Final = 60.0
"""Seconds between two lines about all images where no terminal shows them."""

_WORDS: Final[dict[flow.Stage, str]] = {
    "uploading": "uploading",
    "queued": "in the server's queue",
    "solving": "solving",
    "fetching": "fetching",
}


class BatchDisplay:
    """Counts images by what happens to them.

    Parameters
    ----------
    total
        How many there are.
    console
        Standard error.
    clock
        Seconds that never step back.
    """

    def __init__(self, total: int, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.solved = 0
        self.failed = 0
        self.known = 0
        self._console = console
        self._clock = clock
        self._started_s = self._told_s = clock()
        self._begun_s: dict[str, float] = {}
        self._stages: dict[str, flow.Stage] = {}
        self._ends: deque[str] = deque(maxlen=_LAST_ENDS)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._started_s

    @property
    def ended(self) -> int:
        """Images that have ended."""
        return self.solved + self.failed

    def step(self, path: str, effect: flow.Step) -> None:
        """Take note of the next step of an image."""
        self._begun_s.setdefault(path, self._clock())
        self._stages[path] = effect.stage

    def end(self, path: str, line: str, *, solved: bool, known: bool) -> float | None:
        """Take note of an end, and return how long it took; `None` if the image was known."""
        self.solved += solved
        self.failed += not solved
        self.known += known
        self._stages.pop(path, None)
        self._ends.append(line)
        begun_s = self._begun_s.pop(path, None)
        if not self._console.is_terminal:
            self._tell_often()
        elif not solved:
            self.tell(line)
        return None if known or begun_s is None else self._clock() - begun_s

    def lines(self) -> list[str]:
        """Return where all of it stands."""
        under_way = Counter(self._stages.values())
        waiting = self.total - self.ended - sum(under_way.values())
        now = [f"{waiting} to do"]
        now += [f"{under_way[stage]} {words}" for stage, words in _WORDS.items() if under_way[stage]]
        known = f" ({self.known} known already)" if self.known else ""
        ends = [f"{self.solved} solved{known}", f"{self.failed} failed"]
        asked = self.ended - self.known
        if asked:
            per_minute = 60 * asked / max(self.seconds, 1e-3)
            left_s = 60 * (self.total - self.ended) / per_minute
            ends += [f"{per_minute:.1f} a minute", f"about {span(left_s)} left"]
        return [", ".join(now), ", ".join(ends)]

    def __rich__(self) -> Text:
        """Return the display."""
        return Text(
            "\n".join([*(f"  {line}" for line in self._ends), *self.lines()]),
            overflow="ellipsis",
            no_wrap=True,
        )

    def tell(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(Text(line), soft_wrap=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it on a terminal for as long as the block lasts."""
        if not self._console.is_terminal:
            yield
            return
        with Live(self, console=self._console, transient=True, refresh_per_second=4):
            yield

    def _tell_often(self) -> None:
        if self._clock() - self._told_s >= _SUMMARY_S:
            self._told_s = self._clock()
            self.tell("; ".join(self.lines()))
