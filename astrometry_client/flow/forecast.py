"""When a look at an unfinished image is worth a request; never what is true of it."""

import bisect
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Literal

import attrs

from astrometry_client.flow.solve_times import SolveTimes
from astrometry_client.flow.steps import Polling

Seen = Literal["queued", "solving", "ended"]
Place = tuple[int, int]

_FIRST_CHANCE: Final = 0.32
"""The first look at an image is due when its solve has ended with this chance."""

_NEXT_CHANCE: Final = 0.3
"""The next ones are due when it has ended with this chance since the last. For solve times that spread by a
factor of two, these two give the shortest delays for 3.2 looks a solve (benchmarks/batch)."""

_SHARED_CHANCE: Final = 0.45
"""Of a look that serves several images: the chances of all of them must come to this times the square root of
how many are being solved, which gives the shortest delays for the looks spent."""

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

_MOST_OVERTAKINGS: Final = 2
"""A vanished job comes again behind others; more often than this, images are not taken up in their order."""

AT_ONCE_S: Final = 1e-3
"""What is due so soon is not waited for."""

_QUICK_LOOK_S: Final = 0.05
"""A look that is answered sooner is rare."""

_GLANCE: Final = 0.25
"""Part of the first wait after which it is asked again whether others have made room in the queue."""


@attrs.define(eq=False)
class Watch:
    """What is known of one image at the server; times are those of the forecast's clock."""

    place: Place
    """Its place among all uploads, such as the number of its submission and that of the file in its tar."""
    uploaded_s: float
    seen_s: float
    """When the last look told something."""
    begun_s: float | None = None
    """When its solve began, about; `None` while nobody has seen it beyond the queue."""
    first_solving_s: float = math.inf
    """When it was first seen beyond the queue."""
    solve_s: float | None = None
    """How long its solve took, about; `None` until it was seen to have ended."""
    looks_in_line: int = 0


class Forecast:
    """The images of one user at one server, in the order of their uploads.

    Servers take up the images of a user about in that order, and each one that ends makes room for another.
    So while one waits in the queue those behind it are not looked at, and the turn of each follows from the
    ends that were seen. What is guessed wrong costs a few looks.

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
        self._polling = polling
        self._clock = clock
        self._solves_s = [*known_s][-_KEPT:]
        self._supposed = SolveTimes.supposed(polling.first_s, _FIRST_CHANCE)
        self._times: SolveTimes | None = None
        self._first_age_s: float | None = None
        self._dues_s: dict[tuple[Watch, ...], float] = {}
        """When looks are due, as long as nothing new is known."""
        self._places: list[Place] = []
        self._in_line: dict[Place, Watch] = {}
        self._solving: dict[Place, Watch] = {}
        self._ends_s: list[float] = []
        self._room = math.inf
        """So many are solved at once, as it seems."""
        self._last_begun: Place = (0, 0)
        """The latest upload that was seen beyond the queue."""
        self._overtakings = 0
        self._moved_s = -math.inf
        """When the queue was last seen to move."""
        self._queued: tuple[Place, float] | None = None
        """The image last seen in the queue, and when."""

    @property
    def times(self) -> SolveTimes:
        """What the solve times are like, as far as is known."""
        if self._times is None:
            running = [watch for watch, _ in zip(self._solving.values(), range(_KEPT), strict=False)]
            ages_s = [watch.seen_s - (watch.begun_s or watch.seen_s) for watch in running]
            self._times = self._supposed.learned(self._solves_s, ages_s)
        return self._times

    @property
    def _due_age_s(self) -> float:
        """After how long a first look is due; thousands of images that wait ask for it."""
        if self._first_age_s is None:
            self._first_age_s = self.times.age_s(_FIRST_CHANCE)
        return self._first_age_s

    def uploaded(self, place: Place | None = None) -> Watch:
        """Begin to watch an image that the server has got just now; by default behind all others."""
        self._changed()
        if place is None:
            place = (self._places[-1][0] + 1, 0) if self._places else (1, 0)
        now_s = self._clock()
        watch = Watch(place, now_s, now_s)
        if place not in self._in_line and place not in self._solving:
            bisect.insort(self._places, place)
        self._stand_in_line(watch)
        return watch

    def stage(self, watch: Watch) -> Literal["queued", "solving"]:
        """Return how far an image was seen to have come."""
        return "queued" if watch.begun_s is None else "solving"

    def now_s(self) -> float:
        """Return the time by the clock of the forecast."""
        return self._clock()

    @property
    def unfinished(self) -> int:
        """How many images are watched."""
        return len(self._in_line) + len(self._solving)

    @property
    def last_place(self) -> Place | None:
        """The place of the last upload."""
        return self._places[-1] if self._places else None

    def is_queued_up_to(self, place: Place | None) -> bool:
        """Return whether one of the first uploads, up to a place, seems to wait for its turn."""
        first = self._head
        if first is None or place is None:
            return False
        return first.place <= place and self._begins_s(first) is None

    def unseen_ends(self, begun: Watch, among: Collection[Watch]) -> int:
        """Return how many of these have ended unseen, as another has begun; 0 if it may have been others."""
        if self._room == math.inf or not {*self._solving.values()} <= {*among}:
            return 0
        return max(0, self._rank(begun.place) - int(self._room) - len(self._ends_s))

    def saw(self, watch: Watch, seen: Seen, *, asked_s: float | None = None) -> None:
        """Take note of what a look told.

        Parameters
        ----------
        asked_s
            When the look was sent, by the clock; the answer may have been long on its way.
        """
        if watch.place not in self._in_line and watch.place not in self._solving:
            return
        now_s, before_s = self._clock(), watch.seen_s
        watch.seen_s = now_s if asked_s is None else asked_s
        self._changed()
        if seen == "queued":
            self._saw_queued(watch)
            return
        self._moved_s = now_s
        self._last_begun = max(self._last_begun, watch.place)
        if watch.place in self._in_line:
            guessed_s = self._begins_s(watch)
            if guessed_s is None:
                # Its turn came sooner than what was seen of the queue said.
                self._queued = None
                self._room = max(self._room, self._rank(watch.place) - len(self._ends_s))
            watch.begun_s = (before_s + now_s) / 2 if guessed_s is None else min(guessed_s, now_s)
            watch.first_solving_s = watch.seen_s
            self._solving[watch.place] = self._in_line.pop(watch.place)
        self._measure_room()
        if seen == "ended" and watch.begun_s is not None:
            ended_s = (max(before_s, watch.begun_s) + now_s) / 2
            watch.solve_s = max(ended_s - watch.begun_s, 1e-3)
            self._solves_s = [*self._solves_s, watch.solve_s][-_KEPT:]
            self.forget(watch, ended_s)

    def forget(self, watch: Watch, ended_s: float | None = None) -> None:
        """Watch an image no more: it has ended, at this time or just now."""
        if self._in_line.pop(watch.place, None) or self._solving.pop(watch.place, None):
            bisect.insort(self._ends_s, self._clock() if ended_s is None else ended_s)
            self._changed()
            self._measure_room()

    def wait_s(self, *watches: Watch) -> float:
        """Return the seconds after which a look that serves these images may be due; ask again then."""
        return min(self._due_s(*watches) - self._clock(), *(self._glance_s(watch) for watch in watches))

    def _rank(self, place: Place) -> int:
        """Return 1 for the first upload, as far as they are known here."""
        return bisect.bisect_left(self._places, place) + 1

    def _stand_in_line(self, watch: Watch) -> None:
        last = next(reversed(self._in_line), watch.place)
        is_new = watch.place not in self._in_line
        self._in_line[watch.place] = watch
        if is_new and watch.place < last:
            self._in_line = dict(sorted(self._in_line.items()))

    def _changed(self) -> None:
        self._times = self._first_age_s = None
        self._dues_s.clear()

    def _saw_queued(self, watch: Watch) -> None:
        self._solving.pop(watch.place, None)
        self._stand_in_line(watch)
        watch.begun_s = None
        watch.looks_in_line += 1
        self._overtakings += watch.place < self._last_begun
        self._queued = watch.place, watch.seen_s
        self._measure_room()

    def _measure_room(self) -> None:
        """Bound the room by what was seen.

        All before the one that was seen in the queue had begun, and some of them ended; and those that were
        seen to be solved at the same time had room.
        """
        if self._queued is None:
            return
        place, seen_s = self._queued
        most = self._rank(place) - 1 - bisect.bisect(self._ends_s, seen_s)
        solving = [watch for watch in self._solving.values() if watch.first_solving_s <= watch.seen_s]
        moment_s = min((watch.seen_s for watch in solving), default=math.inf)
        least = sum(watch.first_solving_s <= moment_s for watch in solving)
        self._room = max(most, least, 0)

    def _begins_s(self, watch: Watch) -> float | None:
        """Return when the solve of an image began, as it seems; `None` if it seems to wait for its turn."""
        if watch.begun_s is not None:
            return watch.begun_s
        if not self._in_order:
            return None
        turn = self._rank(watch.place) - self._room - 1
        if turn < 0:
            return watch.uploaded_s
        return max(watch.uploaded_s, self._ends_s[int(turn)]) if turn < len(self._ends_s) else None

    @property
    def _in_order(self) -> bool:
        return self._overtakings <= _MOST_OVERTAKINGS

    @property
    def _head(self) -> Watch | None:
        """The first image not seen beyond the queue: only this one is looked at."""
        return next(iter(self._in_line.values()), None)

    def _glance_s(self, watch: Watch) -> float:
        """Return after how long others may have changed when an image is due."""
        head = self._head
        if watch.begun_s is not None or head is None:
            return math.inf
        if watch is head:
            return _GLANCE * self._due_age_s
        # Each of those in front is looked at first, and a look takes this long at least.
        looks_s = _QUICK_LOOK_S * (self._rank(watch.place) - self._rank(head.place))
        return max(0.0, min(self._due_s(head) - self._clock(), self._glance_s(head))) + looks_s

    def _due_s(self, *watches: Watch) -> float:
        """Return when a look that serves these images is due."""
        if watches not in self._dues_s:
            self._dues_s[watches] = self._next_due_s(watches)
        return self._dues_s[watches]

    def _next_due_s(self, watches: Sequence[Watch]) -> float:
        head = self._head
        # While nobody knows how many are solved at once, those behind the first wait for what is seen of it.
        is_known = self._room < math.inf or head in watches
        begun = [watch for watch in watches if is_known or watch.begun_s is not None]
        # Each look in vain at the first lets another one be looked at: it may have been overtaken.
        front = [*itertools.islice(self._in_line.values(), 1 + head.looks_in_line)] if head else []
        dues = [self._patience_ends_s(watch, watch in front) for watch in watches if watch.begun_s is None]
        begins_s = {watch: begun_s for watch in begun if (begun_s := self._begins_s(watch)) is not None}
        if begins_s:
            dues.append(self._likely_s(begins_s))
        return min(dues, default=-math.inf)

    def _patience_ends_s(self, watch: Watch, first: bool) -> float:
        """Return when an image that seems to wait in the queue is looked at all the same."""
        median_s, longest_s = self.times.median_s, min(self._polling.longest_s, 1e9)
        growth = _GROWTH ** min(watch.looks_in_line, _MOST_GROWTHS)
        first_s = max(self._polling.first_s, self._due_age_s)
        if not self._in_order:
            return watch.seen_s + min(first_s * growth, max(longest_s, median_s))
        if not first:
            wait_s = max(longest_s, _PATIENCE * median_s)
        else:
            wait_s = _HEAD_PATIENCE * median_s if self._solving else min(first_s, max(longest_s, median_s))
        return max(watch.seen_s, self._moved_s) + wait_s * growth

    def _likely_s(self, begins_s: dict[Watch, float]) -> float:
        """Return when solves that began so have ended with the chance that is worth a look."""
        times = self.times
        least_s = max(max(watch.seen_s, begun_s) for watch, begun_s in begins_s.items())
        most_s = least_s + max(min(self._polling.longest_s, 1e9), times.median_s)
        if len(begins_s) > 1:
            wanted = _SHARED_CHANCE * math.sqrt(len(begins_s))
        else:
            wanted = _FIRST_CHANCE if next(iter(begins_s)).begun_s is None else _NEXT_CHANCE
        for _ in range(24):
            middle_s = (least_s + most_s) / 2
            likely = sum(
                times.chance(w.seen_s - began_s, middle_s - began_s) for w, began_s in begins_s.items()
            )
            least_s, most_s = (least_s, middle_s) if likely > wanted else (middle_s, most_s)
        return most_s
