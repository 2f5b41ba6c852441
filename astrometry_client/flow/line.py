"""The images of one user at a server, in the order of their uploads: who waits, who is being solved."""

import bisect
import itertools
import math
from typing import Final

import attrs

Place = tuple[int, int]
Seen = tuple[Place, float]
"""The last image that was seen to have begun, or the first that was seen to wait, and when."""

_MOST_OVERTAKINGS: Final = 2
"""A vanished job comes again behind others; more often than this, images are not taken up in their order."""

_MOST_AT_ONCE: Final = 64
"""No more are taken to be solved at once, so that thousands in line cost no thought; nova has 16 solvers."""


@attrs.define(eq=False)
class Watch:
    """What is known of one image at the server; times are those of the forecast's clock."""

    place: Place
    """Its place among all uploads, such as the number of its submission and that of the file in its tar."""
    uploaded_s: float
    seen_s: float
    """When the last look told something; it was not solved then."""
    unfinished_s: float = -math.inf
    """When it was last known to have ended neither way, also by what was seen of others."""
    told_s: float = -math.inf
    """When it was last seen itself that it had not."""
    begun_s: float | None = None
    """When its solve began, about; `None` while nobody has seen it beyond the queue."""
    solve_s: float | None = None
    """How long its solve took, about; `None` until it was seen to have ended."""
    looks_in_line: int = 0


class Line:
    """Images in the order of their uploads.

    Servers take up the images of a user about in that order, and each one that ends makes room for another.
    So the turn of each follows from the ends that were seen; and who is seen to wait tells that all before it
    have begun, and how many of those have ended.
    """

    def __init__(self) -> None:
        self.waiting: dict[Place, Watch] = {}
        """Those that nobody has seen beyond the queue."""
        self.solving: dict[Place, Watch] = {}
        self.room = math.inf
        """So many are solved at once, as it seems."""
        self._places: list[Place] = []
        self._ends_s: list[float] = []
        self._overtakings = 0
        self._begun: Seen = (0, 0), -math.inf
        self._queued: Seen = (0, 0), -math.inf

    def __contains__(self, watch: Watch) -> bool:
        return watch.place in self.waiting or watch.place in self.solving

    def __len__(self) -> int:
        return len(self.waiting) + len(self.solving)

    @property
    def head(self) -> Watch | None:
        """The first image not seen beyond the queue."""
        return next(iter(self.waiting.values()), None)

    @property
    def last_place(self) -> Place | None:
        """The place of the last upload."""
        return self._places[-1] if self._places else None

    @property
    def is_in_order(self) -> bool:
        """Whether images are taken up in the order of their uploads."""
        return self._overtakings <= _MOST_OVERTAKINGS

    def add(self, place: Place | None, now_s: float) -> Watch:
        """Put a new image in its place, by default behind all others."""
        if place is None:
            # The submission of this number may follow; none has a file in this place.
            place = ((self._places[-1][0] if self._places else 0) + 1, -1)
        watch = Watch(place, now_s, now_s)
        if watch not in self:
            bisect.insort(self._places, place)
        self._put_in_queue(watch)
        return watch

    def rank(self, place: Place) -> int:
        """Return 1 for the first upload, as far as they are known here."""
        return bisect.bisect_left(self._places, place) + 1

    def begins_s(self, watch: Watch) -> float | None:
        """Return when the solve of an image began, as it seems; `None` if it seems to wait for its turn."""
        if watch.begun_s is not None:
            return watch.begun_s
        if not self.is_in_order:
            return None
        turn = self.rank(watch.place) - self.room - 1
        if turn < 0:
            return watch.uploaded_s
        return max(watch.uploaded_s, self._ends_s[int(turn)]) if turn < len(self._ends_s) else None

    def saw_queued(self, watch: Watch) -> None:
        """Take note that an image waits: all before it have begun."""
        self.solving.pop(watch.place, None)
        self._put_in_queue(watch)
        watch.begun_s = None
        watch.looks_in_line += 1
        if watch.place < self._begun[0]:
            self._overtakings += 1
            return
        self._queued = watch.place, watch.seen_s
        ahead = self._ahead()
        # Ends that nobody has seen make it seem more at first.
        self.room = min(self.room, len(ahead))
        if len(ahead) == self.room:
            for one in ahead:
                one.unfinished_s = max(one.unfinished_s, watch.seen_s)

    def saw_begun(self, watch: Watch, now_s: float, before_s: float) -> None:
        """Take note that an image is beyond the queue: all before it are, too."""
        if watch.place in self.waiting:
            first, waited_s = self._queued
            if watch.place >= first:
                before_s = max(before_s, waited_s)
            guessed_s = self.begins_s(watch)
            watch.begun_s = (before_s + now_s) / 2 if guessed_s is None else min(guessed_s, now_s)
            self.solving[watch.place] = self.waiting.pop(watch.place)
        self._begun = max(self._begun, (watch.place, watch.seen_s))

    def remove(self, watch: Watch, ended_s: float) -> None:
        """Take an image out: it has made room for another."""
        if self.waiting.pop(watch.place, None) or self.solving.pop(watch.place, None):
            bisect.insort(self._ends_s, ended_s)

    def ended_unseen(self) -> tuple[int, list[Watch]]:
        """Return how many had ended unseen when the queue was last seen, and among which of them."""
        if self.room == math.inf or not self.is_in_order:
            return 0, []
        ahead = self._ahead()
        maybe = [watch for watch in ahead if watch.unfinished_s < self.counted_s]
        unseen = len(ahead) - int(self.room)
        if unseen > len(maybe):
            # It was none of them: more are solved at once than it seemed.
            self.room += unseen - len(maybe)
        return (min(unseen, len(maybe)), maybe) if unseen > 0 else (0, [])

    @property
    def counted_s(self) -> float:
        """When it was last seen how far the queue has moved."""
        return max(self._begun[1], self._queued[1])

    def _ahead(self) -> list[Watch]:
        """Return those in work that have begun, as was seen of others."""
        first, (last, _) = self._queued[0], self._begun

        def has_begun(one: Watch) -> bool:
            return one.place < first or one.place <= last

        queued = itertools.takewhile(has_begun, self.waiting.values())
        begun = itertools.chain(filter(has_begun, self.solving.values()), queued)
        return [*itertools.islice(begun, _MOST_AT_ONCE)]

    def _put_in_queue(self, watch: Watch) -> None:
        last = next(reversed(self.waiting), watch.place)
        is_new = watch.place not in self.waiting
        self.waiting[watch.place] = watch
        if is_new and watch.place < last:
            self.waiting = dict(sorted(self.waiting.items()))
