"""Several images that travelled in one tar: one submission whose looks serve them all.

Each job is matched with its file by the name that the server kept, or by its place where that never failed.
"""

import math
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Literal, Self

import attrs

from astrometry_client import api
from astrometry_client.errors import AstrometryError, NotFound
from astrometry_client.flow.forecast import AT_ONCE_S, Forecast, Seen
from astrometry_client.flow.line import Watch
from astrometry_client.flow.looking import looking
from astrometry_client.flow.order import Order
from astrometry_client.flow.steps import Make, Polling, Stage, Steps
from astrometry_client.flow.waiting import ENDED
from astrometry_client.models import JobInfo, SubmissionStatus

SlotState = Literal["queued", "solving", "success", "failure"]


@attrs.frozen
class Found:
    """What became of a file of a pack: its job, if the server did not drop it, and whether that solved it."""

    job_id: int | None
    solved: bool = False


@attrs.define(eq=False)
class _Slot:
    """One image of the submission."""

    watch: Watch
    job_id: int | None = None
    state: SlotState = "queued"
    filename: str | None = None
    """As the server tells it; `None` until it was asked."""

    @property
    def over(self) -> bool:
        return self.state in {"success", "failure"}


class Pack:
    """The files of a tar at the server.

    Parameters
    ----------
    submission_id
        What the tar has become.
    filenames
        Of its files, in their order, or of those that are still of interest.
    whole
        Whether these are all.
    looking
        Which tars of a batch are being looked at: one at a time, as what it tells may spare the next look.
    """

    def __init__(
        self,
        submission_id: int,
        filenames: Sequence[str],
        *,
        forecast: Forecast,
        order: Order,
        polling: Polling,
        whole: bool = True,
        looking: set["Pack"] | None = None,
    ) -> None:
        self.submission_id = submission_id
        self.filenames = [*filenames]
        self.status: SubmissionStatus | None = None
        self.waiting: list[_File] = []
        self._forecast = forecast
        self._order = order
        self._rest_s = polling.first_s
        self._whole = whole
        self._looking: set[Pack] = set() if looking is None else looking
        now_s = forecast.now_s()
        self._slots: list[_Slot] = []
        for _ in filenames if whole else ():
            self._add_slot()
        self._rests_until_s = now_s
        self._is_doubted = False
        self._asked_s = now_s

    def found(self, filename: str) -> Found | None:
        """Return what became of a file; `None` while that is not known."""
        if self.status is not None and self.status.failed:
            return Found(None)
        slot = next((slot for slot in self._slots if slot.filename == filename), None)
        if slot is None and self._in_place:
            slot = self._slots[self.filenames.index(filename)]
        if slot is not None:
            return Found(slot.job_id, slot.state == "success") if slot.over else None
        complete = self.status is not None and self.status.finished is not None and self.status.jobs
        return Found(None) if complete and all(slot.filename for slot in self._slots) else None

    def doubt(self, filename: str) -> bool:
        """Have all names asked for, and return whether that of this file's job was not known before."""
        self._is_doubted = True
        self.tell()
        return all(slot.filename != filename for slot in self._slots)

    def vanished(self, job_id: int) -> None:
        """Wait for the job anew that comes in place of one that the server does not know any more."""
        for slot in self._slots:
            if slot.job_id == job_id:
                self._queue_again(slot)
                slot.job_id = slot.filename = None

    def stage(self, filename: str) -> Stage:
        """Return how far a file seems to have come."""
        place = self.filenames.index(filename)
        slot = self._slots[place] if place < len(self._slots) else None
        return "queued" if slot is None or slot.over else self._forecast.stage(slot.watch)

    def wait_s(self) -> float:
        """Return the seconds until a look is due."""
        rest_s = self._rests_until_s - self._forecast.now_s()
        if rest_s > 0 or self._nameless() is not None:
            return rest_s
        left = [slot.watch for slot in self._slots if not slot.over]
        if not left:
            return 0.0
        return min(
            self._forecast.wait_s(*left, ends="solved"), *(self._doubt_s(slot) for slot in self._slots)
        )

    def look(self, server: str) -> Steps[None]:
        """Make the look that tells most."""
        slot = self._nameless() or self._doubtful()
        self._looking.add(self)
        self._asked_s = self._forecast.now_s()
        try:
            if slot is None or slot.job_id is None:
                self._took((yield Make(api.submission_status(server, self.submission_id), "solving")))
            else:
                yield from self._took_name(slot, (yield Make(api.job_info(server, slot.job_id), "solving")))
        except NotFound:
            if slot is None:
                raise
            self._rests_until_s = self._forecast.now_s() + self._rest_s
            self._queue_again(slot)
            slot.job_id = None
        except AstrometryError:
            self._rests_until_s = self._forecast.now_s() + self._rest_s
            raise
        finally:
            self._looking.discard(self)

    @property
    def is_looking(self) -> bool:
        """Whether this tar, or another, is being looked at."""
        return bool(self._looking)

    def join(self, file: "_File") -> None:
        """Let a file wait; the first of those who do looks for all of them."""
        if not self.waiting:
            for slot in self._slots:
                if not slot.over:
                    slot.watch = self._forecast.uploaded(slot.watch.place)
        self.waiting.append(file)

    def leave(self, file: "_File") -> None:
        """Let a file wait no more; what nobody waits for is watched no more."""
        self.waiting.remove(file)
        self.tell()
        if not self.waiting:
            for slot in self._slots:
                self._forecast.forget(slot.watch)

    def tell(self) -> None:
        """Bring news to those whose ends are known, and to who is to look."""
        for place, file in enumerate(self.waiting):
            file.has_news = place == 0 or self.found(file.filename) is not None

    @property
    def _fits(self) -> bool:
        return self._whole and len(self._slots) == len(self.filenames)

    @property
    def _is_trusted(self) -> bool:
        """Whether one name will do for all."""
        return self._fits and self._order.is_known and not self._is_doubted

    @property
    def _in_place(self) -> bool:
        """Whether the job of a file is the one in its place."""
        return self._is_trusted and any(slot.filename for slot in self._slots)

    def _nameless(self) -> _Slot | None:
        """Return a job whose name must be known before its end is believed, or whether a file was dropped."""
        if self._in_place:
            return None
        jobs = [slot for slot in self._slots if slot.job_id is not None and slot.filename is None]
        over = [slot for slot in jobs if slot.over or not self._fits]
        if over and self._is_trusted:
            # Take the name of a job of which the state is worth knowing, too.
            return min(jobs, key=self._doubt_s)
        return over[0] if over else None

    def _doubtful(self) -> _Slot | None:
        """Return the job that is worth a look most, if one is: its submission does not tell of failures."""
        slot = min(self._slots, key=self._doubt_s, default=None)
        return slot if slot is not None and self._doubt_s(slot) <= AT_ONCE_S else None

    def _doubt_s(self, slot: _Slot) -> float:
        """Return the seconds until a look at a job is worth more than one at all of them."""
        if slot.state != "solving":
            return math.inf
        alone = sum(not slot.over for slot in self._slots) == 1
        return self._forecast.wait_s(slot.watch, ends="all" if alone else "failed")

    def _took(self, status: SubmissionStatus) -> None:
        """Take note of what the submission tells."""
        self.status, now_s = status, self._forecast.now_s()
        if status.failed:
            for slot in self._slots:
                self._forecast.forget(slot.watch)
        if status.finished is None or not status.jobs:
            self._see_queued(self._slots)
            self._rests_until_s = now_s + self._rest_s
            return
        places = sorted(range(len(status.jobs)), key=lambda n: (*status.user_images[n : n + 1], n))
        jobs = [status.jobs[place] for place in places]
        while len(self._slots) < len(jobs):
            self._add_slot()
        for slot in self._slots[len(jobs) :]:
            self._forecast.forget(slot.watch)
        del self._slots[len(jobs) :]
        self._note_jobs(jobs, {*status.solved_job_ids})

    def _add_slot(self) -> None:
        watch = self._forecast.uploaded((self.submission_id, len(self._slots)))
        self._slots.append(_Slot(watch))

    def _queue_again(self, slot: _Slot) -> None:
        """Watch a job anew that comes again."""
        if slot.over:
            slot.watch = self._forecast.uploaded(slot.watch.place)
        slot.state = "queued"

    def _note_jobs(self, jobs: Sequence[int | None], solved: set[int]) -> None:
        for slot, job_id in zip(self._slots, jobs, strict=True):
            if slot.job_id is not None and job_id != slot.job_id:
                # The server's solver was restarted: the image is solved anew, in another job.
                self._queue_again(slot)
                slot.filename = None
            slot.job_id = job_id
            if job_id in solved:
                self._ended(slot, "success")
        for slot in self._slots:
            if slot.job_id is not None and not slot.over:
                slot.state = "solving"
                self._saw(slot, "unsolved")
        self._see_queued([slot for slot in self._slots if slot.job_id is None])

    def _saw(self, slot: _Slot, seen: Seen) -> None:
        self._forecast.saw(slot.watch, seen, asked_s=self._asked_s)

    def _see_queued(self, slots: Sequence[_Slot]) -> None:
        # The first of them comes last: it tells most.
        for slot in reversed(slots):
            self._saw(slot, "queued")

    def _took_name(self, slot: _Slot, info: JobInfo) -> Steps[None]:
        """Take note of what a job itself tells."""
        if info.state in ENDED:
            self._ended(slot, "success" if info.state == "success" else "failure")
        else:
            self._saw(slot, "solving")
        if slot.filename is None:
            slot.filename = PurePosixPath(info.original_filename).name
            if self._fits:
                yield from self._order.checked(slot.filename == self.filenames[self._slots.index(slot)])

    def _ended(self, slot: _Slot, state: SlotState) -> None:
        if not slot.over:
            slot.state = state
            self._saw(slot, "ended")


@attrs.define(kw_only=True, eq=False)
class _File:
    """A file of a pack: the first of those who wait looks for all of them."""

    pack: Pack
    filename: str
    server: str
    job_id: None = None
    has_news: bool = False
    is_held: bool = False

    @property
    def submission_id(self) -> int:
        return self.pack.submission_id

    @property
    def looks(self) -> Self:
        return self

    @property
    def stage(self) -> Stage:
        return self.pack.stage(self.filename)

    def look(self) -> Steps[Found | None]:
        """Look at the pack, unless another has or does."""
        if self.pack.found(self.filename) is None and not self.pack.is_looking:
            try:
                yield from self.pack.look(self.server)
            finally:
                self.pack.tell()
        return self.pack.found(self.filename)

    def next_wait(self) -> tuple[float, bool]:
        """Return how long to wait, until a look is due or another brings news."""
        self.has_news = self.is_held = False
        if self.pack.found(self.filename) is not None:
            return 0.0, True
        if self.pack.waiting[0] is not self:
            return math.inf, False
        self.is_held = self.pack.is_looking
        if self.is_held:
            return math.inf, False
        wait_s = self.pack.wait_s()
        return (wait_s, False) if wait_s > AT_ONCE_S else (0.0, True)

    def until(self) -> bool:
        """Return whether another has brought news."""
        return self.has_news or (self.is_held and not self.pack.is_looking)

    def saw(self, _seen: object) -> None:
        """Do nothing: the pack takes note itself."""

    def close(self) -> None:
        """Leave the looks to the others."""
        self.pack.leave(self)


def wait_in_pack(pack: Pack, filename: str, *, server: str, polling: Polling) -> Steps[Found]:
    """Wait until it is known what became of a file of a pack; raises as `wait_for_jobs`."""
    file = _File(pack=pack, filename=filename, server=server)
    pack.join(file)
    return looking(file, polling)
