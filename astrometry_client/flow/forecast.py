"""When a look at unfinished images is worth a request; never what is true of them."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

from astrometry_client.flow.doubts import Doubt, Doubts, Ends
from astrometry_client.flow.line import Line, Place, Watch
from astrometry_client.flow.solve_times import SolveTimes
from astrometry_client.flow.steps import Polling

Seen = Literal["queued", "unsolved", "solving", "ended"]
"""What a look tells: `unsolved` is beyond the queue and not solved, but may have failed."""

_PRICES: Final[Mapping[Ends, float]] = {"all": 0.065, "solved": 0.15, "failed": 0.09}
"""A look is worth it when the ends that it would tell are overdue by so many typical solve times in all: one
at an image, one at all of a tar, one at a job of it that may have failed. For solve times that spread by a
factor of two, these give the shortest delays for the looks spent (benchmarks/batch)."""

_FIRST_CHANCE: Final = 0.32
"""A first look at an image that a pace asks for finds its solve ended with this chance."""

_KEPT: Final = 64
"""Servers change: only the latest solve times count."""

_GROWTH: Final = 1.4
"""From one wait to the next while nothing is learned."""

_MOST_GROWTHS: Final = 20
"""That makes hours of seconds."""

_PATIENCE: Final = 8
"""An image whose turn seems not to have come is looked at after so many solve times all the same."""

_HEAD_PATIENCE: Final = 2
"""The same for the first in the queue, while others of ours are being solved: their ends tell of its turn."""

AT_ONCE_S: Final = 1e-3
"""What is due so soon is not waited for."""

_HALVINGS: Final = 16
"""They make that of a minute."""

_QUICK_LOOK_S: Final = 0.05
"""A look that is answered sooner is rare."""

_QUICK_TURN: Final = 0.5
"""Part of the mean time from one turn in the queue to the next; seldom do many come sooner in a row."""

_GLANCE: Final = 0.25
"""Part of the first wait after which it is asked again whether others have made room in the queue."""


class Forecast:
    """The images of one user at one server, in the order of their uploads; see `Line`.

    While one waits in the queue those behind it are not looked at, and the turn of each follows from the ends
    that were seen. A look is due when what it would tell is overdue by its price. What is guessed wrong costs
    a few looks.

    Parameters
    ----------
    polling
        The pace while nothing is known of the server, and the longest waits.
    known_s
        Earlier solve times of this server, the oldest first.
    clock
        Seconds since any moment.
    """

    def __init__(
        self, polling: Polling, *, known_s: Iterable[float] = (), clock: Callable[[], float]
    ) -> None:
        self.now_s = clock
        """Tells the time by the clock of the forecast."""
        self._polling = polling
        self._solves_s = [*known_s][-_KEPT:]
        self._supposed = SolveTimes.supposed(polling.first_s, _FIRST_CHANCE)
        self._line = Line()
        self._moved_s = -math.inf
        """When the queue was last seen to move."""
        self._times: SolveTimes | None = None
        self._first_age_s: float | None = None
        self._doubts: Doubts | None = None
        self._dues_s: dict[tuple[Ends, tuple[Watch, ...]], float] = {}
        """When looks are due, as long as nothing new is known."""

    @property
    def times(self) -> SolveTimes:
        """What the solve times are like, as far as is known."""
        if self._times is None:
            running = itertools.islice(self._line.solving.values(), _KEPT)
            ages_s = [watch.seen_s - (watch.begun_s or watch.seen_s) for watch in running]
            self._times = self._supposed.learned(self._solves_s, ages_s)
        return self._times

    @property
    def unfinished(self) -> int:
        """How many images are watched."""
        return len(self._line)

    @property
    def is_idle(self) -> bool:
        """Whether all images in work were seen beyond the queue: the server may have solvers to spare."""
        return bool(self._line.solving) and not self._line.waiting

    @property
    def last_place(self) -> Place | None:
        """The place of the last upload."""
        return self._line.last_place

    def uploaded(self, place: Place | None = None) -> Watch:
        """Begin to watch an image that the server has got just now; by default behind all others."""
        self._changed()
        return self._line.add(place, self.now_s())

    def stage(self, watch: Watch) -> Literal["queued", "solving"]:
        """Return how far an image was seen to have come."""
        return "queued" if watch.begun_s is None else "solving"

    def is_busy_up_to(self, place: Place | None) -> bool:
        """Return whether one of the first uploads, up to a place, has not ended."""
        unfinished = itertools.chain(self._line.waiting, self._line.solving)
        return place is not None and any(one <= place for one in unfinished)

    def saw(self, watch: Watch, seen: Seen, *, asked_s: float | None = None) -> None:
        """Take note of what a look told.

        Parameters
        ----------
        asked_s
            When the look was sent, by the clock; the answer may have been long on its way.
        """
        now_s, before_s = self.now_s(), watch.seen_s
        watch.seen_s = now_s if asked_s is None else asked_s
        if watch not in self._line:
            return
        self._changed()
        if seen == "queued":
            self._line.saw_queued(watch)
            return
        if watch.begun_s is None or seen != "unsolved":
            self._moved_s = now_s
        if seen == "solving":
            watch.unfinished_s = watch.told_s = watch.seen_s
        self._line.saw_begun(watch, now_s, before_s)
        if seen == "ended" and watch.begun_s is not None:
            ended_s = (max(before_s, watch.begun_s) + now_s) / 2
            watch.solve_s = max(ended_s - watch.begun_s, 1e-3)
            self._solves_s = [*self._solves_s, watch.solve_s][-_KEPT:]
            self.forget(watch, ended_s)

    def forget(self, watch: Watch, ended_s: float | None = None) -> None:
        """Watch an image no more: it has ended, at this time or just now."""
        self._line.remove(watch, self.now_s() if ended_s is None else ended_s)
        self._changed()

    def wait_s(self, *watches: Watch, ends: Ends = "all") -> float:
        """Return the seconds after which a look that tells of these images may be due; ask again then."""
        due_s = self._due_s(*watches, ends=ends) - self.now_s()
        first = next((watch for watch in watches if watch.begun_s is None), None)
        return due_s if first is None else min(due_s, self._glance_s(first))

    @property
    def _due_age_s(self) -> float:
        """After how long a first look is due; thousands of images that wait ask for it."""
        if self._first_age_s is None:
            self._first_age_s = self.times.age_s(_FIRST_CHANCE)
        return self._first_age_s

    def _changed(self) -> None:
        self._times = self._first_age_s = self._doubts = None
        self._dues_s.clear()

    def _glance_s(self, watch: Watch) -> float:
        """Return after how long others may have changed when an image is due."""
        head = self._line.head
        if head is None or watch is head:
            return _GLANCE * self._due_age_s
        # Each of those in front has its turn first, and is looked at.
        turn_s = max(_QUICK_LOOK_S, _QUICK_TURN * self.times.median_s / max(1.0, self._line.room))
        turns_s = turn_s * (self._line.rank(watch.place) - self._line.rank(head.place))
        return max(0.0, min(self._due_s(head) - self.now_s(), self._glance_s(head))) + turns_s

    def _due_s(self, *watches: Watch, ends: Ends = "all") -> float:
        """Return when a look that tells of these images is due."""
        known = ends, watches
        if known not in self._dues_s:
            self._dues_s[known] = self._next_due_s(watches, ends)
        return self._dues_s[known]

    def _next_due_s(self, watches: Sequence[Watch], ends: Ends) -> float:
        line, head = self._line, self._line.head
        # While nobody knows how many are solved at once, those behind the first wait for what is seen of it.
        is_known = line.room < math.inf or head in watches
        begun = [watch for watch in watches if is_known or watch.begun_s is not None]
        # Each look in vain at the first submission lets another one be looked at: it may have been overtaken.
        in_line = itertools.groupby(submission for submission, _ in line.waiting)
        front = {one for one, _ in itertools.islice(in_line, 1 + head.looks_in_line if head else 0)}
        waiting = [watch for watch in watches if watch.begun_s is None]
        dues = [self._patience_ends_s(watch, watch.place[0] in front) for watch in waiting]
        self._doubts = self._doubts or Doubts(line, self.times)
        doubts = [doubt for watch in begun if (doubt := self._doubts.of(watch)) is not None]
        if doubts:
            dues.append(self._overdue_at_s(doubts, ends))
        return min(dues, default=-math.inf)

    def _patience_ends_s(self, watch: Watch, first: bool) -> float:
        """Return when an image that seems to wait in the queue is looked at all the same."""
        median_s, longest_s = self.times.median_s, min(self._polling.longest_s, 1e9)
        growth = _GROWTH ** min(watch.looks_in_line, _MOST_GROWTHS)
        first_s = max(self._polling.first_s, self._due_age_s)
        if not self._line.is_in_order:
            return watch.seen_s + min(first_s * growth, max(longest_s, median_s))
        if not first:
            wait_s = max(longest_s, _PATIENCE * median_s)
        else:
            alone_s = min(first_s, max(longest_s, median_s))
            wait_s = _HEAD_PATIENCE * median_s if self._line.solving else alone_s
        return max(watch.seen_s, self._moved_s) + wait_s * growth

    def _overdue_at_s(self, doubts: Sequence[Doubt], ends: Ends) -> float:
        """Return when the ends of these solves are overdue by the price of a look."""
        times = self.times
        price_s = _PRICES[ends] * times.median_s
        least_s = max(max(doubt.known_s, doubt.begun_s) for doubt in doubts)
        most_s = least_s + max(min(self._polling.longest_s, 1e9), times.median_s)
        for _ in range(_HALVINGS):
            middle_s = (least_s + most_s) / 2
            overdue_s = sum(doubt.overdue_s(middle_s, times, ends) for doubt in doubts)
            least_s, most_s = (least_s, middle_s) if overdue_s > price_s else (middle_s, most_s)
        return most_s
