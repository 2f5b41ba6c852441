"""How a client carries out what takes long: the places where another driver takes over."""

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from astrometry_client import flow
from astrometry_client.course import Course
from astrometry_client.driver import Progress, drive, pace_of
from astrometry_client.ledger import Ledger, State
from astrometry_client.lookups import Lookups
from astrometry_client.models import Solution
from astrometry_client.recorded import RecordedSolves, forecast_of
from astrometry_client.scheduler import drive_many
from astrometry_client.session import is_dry_run_enabled
from astrometry_client.uploads import FileUpload, SourcesUpload

if TYPE_CHECKING:
    from astropy.io.fits import Header

T = TypeVar("T")


class Ways(Lookups):
    """Opens the ways of images, and has them driven in the calling thread."""

    ledger: Ledger

    def _recording(self, ledger: Ledger | None = None) -> Ledger:
        """Return where steps are written: what happens in a dry run must be forgotten."""
        if is_dry_run_enabled("POST", self.session.client_session):
            return Ledger.in_memory()
        return ledger or self.ledger

    @contextmanager
    def _solving(
        self, upload: FileUpload | SourcesUpload, redo: Collection[State], timeout_s: float | None
    ) -> Iterator[flow.Steps[Solution]]:
        """Give the way of an image, which is in hand until the end of the block."""
        ledger = self._recording()
        with ledger.holder() as holder:
            pace = pace_of(self.base_url, timeout_s=timeout_s)
            foreseen = self._foreseen(ledger, pace)
            solves = RecordedSolves(
                login=self.session, holder=holder, polling=pace, forecast=foreseen, redo=redo
            )
            yield solves.solution(upload)

    def _foreseen(self, ledger: Ledger, pace: flow.Polling) -> flow.Forecast:
        return forecast_of(self.session, ledger, pace)

    @contextmanager
    def _calibrating(self, upload: FileUpload, timeout_s: float | None) -> Iterator[flow.Steps["Header"]]:
        with self._solving(upload, (), timeout_s) as steps:
            yield _header(steps)

    def _carry_out(self, opened: AbstractContextManager[flow.Steps[T]], on_step: Progress | None = None) -> T:
        with opened as steps:
            return drive(steps, self.session.client_session, on_step=on_step)

    def _carry_out_many(self, opened: AbstractContextManager[Course[Any, Any, T]]) -> Iterator[T]:
        with opened as course:
            yield from drive_many(course, self.session.client_session)


def _header(steps: flow.Steps[Solution]) -> flow.Steps["Header"]:
    solution = yield from steps
    return (yield flow.Local(solution.header))
