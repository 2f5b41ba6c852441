"""How a client carries out what takes long: the places where another driver takes over."""

from collections.abc import Collection, Iterator
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

    def _solving(
        self, upload: FileUpload | SourcesUpload, redo: Collection[State], timeout_s: float | None
    ) -> flow.Steps[Solution]:
        """Return the way of an image."""
        ledger = self._recording()
        pace = pace_of(self.base_url, timeout_s=timeout_s)
        solves = RecordedSolves(
            login=self.session,
            holder=ledger.holder(),
            polling=pace,
            forecast=self._foreseen(ledger, pace),
            redo=redo,
        )
        return solves.solution(upload)

    def _foreseen(self, ledger: Ledger, pace: flow.Polling) -> flow.Forecast:
        return forecast_of(self.session, ledger, pace)

    def _calibrating(self, upload: FileUpload, timeout_s: float | None) -> flow.Steps["Header"]:
        return _header(self._solving(upload, (), timeout_s))

    def _carry_out(self, steps: flow.Steps[T], on_step: Progress | None = None) -> T:
        return drive(steps, self.session.client_session, on_step=on_step)

    def _carry_out_many(self, course: Course[Any, Any, T]) -> Iterator[T]:
        return drive_many(course, self.session.client_session)


def _header(steps: flow.Steps[Solution]) -> flow.Steps["Header"]:
    solution = yield from steps
    return (yield flow.Local(solution.header))
