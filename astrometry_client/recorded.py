"""The way of one image with every step in the ledger, so that nobody sends it twice."""

import itertools
import logging
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from typing import Final, Self, cast

import attrs

from astrometry_client import flow
from astrometry_client.errors import AstrometryError, LedgerError, NotFound, OutcomeUnknown, SolveTimeout
from astrometry_client.ledger import Claim, Entry, Key, LeaseLostError, Ledger, State
from astrometry_client.ledger.values import ENDED, VERDICTS
from astrometry_client.login import Session
from astrometry_client.models import Solution
from astrometry_client.packed import Packing
from astrometry_client.recorded_upload import RecordedUploads
from astrometry_client.session import get_local_session, is_dry_run_enabled
from astrometry_client.uploads import FileUpload, Upload

__all__ = ["End", "RecordedSolves", "forecast_of", "key_of", "redo_states"]

logger = logging.getLogger(__name__)

_LEAP_S: Final = 3600.0
"""Longer than any wait for a look."""

_LOOK_S: Final = 1.0
"""Seconds between two looks into the ledger for an image that somebody else works on."""


@attrs.frozen(kw_only=True)
class End:
    """What is known of an image at last."""

    solution: Solution | None = None
    error: AstrometryError | None = None
    from_ledger: bool = False

    def value(self) -> Solution:
        """Return the solution, or raise the error."""
        if self.solution is None:
            raise self.error or LedgerError("The ledger knows no end of the image: solve it with force.")
        return self.solution

    @classmethod
    def known(cls, entry: Entry, name: str) -> Self:
        """Return what the ledger knows of an image that ended before, under the name of a file."""
        return cls(solution=entry.solution(name), error=entry.error(), from_ledger=True)


def redo_states(*, force: bool, retry_failed: bool) -> Collection[State]:
    """Return the ends that are not good enough."""
    if force:
        return ENDED
    failed: frozenset[State] = frozenset({"failed"})
    return failed if retry_failed else ()


def key_of(upload: Upload) -> Key:
    """Return what an image is known by; its content is read.

    Raises
    ------
    UnreadableFileError
        It cannot be read.
    """
    return Key.of_content(upload.content_sha256(), upload.settings, server=upload.session.base_url)


def forecast_of(login: Session, ledger: Ledger, polling: flow.Polling) -> flow.Forecast:
    """Return when looks at a server are worth it, by what the ledger knows of its solve times.

    Raises
    ------
    LedgerError
        The ledger cannot be read.
    """
    session = login.client_session or get_local_session()
    # No wait lasts in a dry run, so that its time must leap for a look to be due.
    dry = is_dry_run_enabled("POST", session)
    clock = itertools.count(step=_LEAP_S).__next__ if dry else session.retrying.clock
    return flow.Forecast(polling, known_s=ledger.solve_times_s(login.base_url), clock=clock)


@attrs.define(kw_only=True, eq=False)
class RecordedSolves(RecordedUploads):
    """Solves images with one login and one ledger.

    Parameters
    ----------
    login, holder, polling, forecast, newest
        See `RecordedUploads`.
    redo
        See `redo_states`.
    packing
        Sends small images together.
    """

    packing: Packing | None = None
    redo: Collection[State] = ()

    def solve(self, upload: Upload, key: Key, *, label: str) -> flow.Steps[End]:
        """Solve an image unless that is known, or somebody else is about to.

        Parameters
        ----------
        label
            What the user calls it, such as its path.

        Raises
        ------
        AstrometryError
            See `flow.solve`. What trying again would not change is written down.
        """
        while True:
            claim = yield from self.claim(upload, key, label=label)
            if not claim.granted:
                return End.known(claim.entry, upload.name)
            looks = flow.ForeseenLooks(self.forecast)
            try:
                solution = yield from self._work(upload, claim, looks)
            except LeaseLostError as lost:
                logger.info("%s: %s", upload.name, lost)
            except LedgerError:
                raise
            except VERDICTS as verdict:
                yield flow.Local(partial(self.holder.failed, claim.entry, verdict, solve_s=looks.solve_s))
                raise
            except AstrometryError:
                yield flow.Local(partial(self.holder.release, claim.entry))
                raise
            except GeneratorExit:
                # Nobody is left to take the step for us, or to be told; the holder lets go of all at its end.
                with suppress(LedgerError):
                    self.holder.release(claim.entry)
                raise
            else:
                yield flow.Local(partial(self.holder.solved, claim.entry, solution, solve_s=looks.solve_s))
                return End(solution=solution)

    def solution(self, upload: Upload) -> flow.Steps[Solution]:
        """Return the solution of an image, which is in hand until then, or raise its error; see `solve`."""
        with self.holder:
            key = yield flow.Local(partial(key_of, upload), reads_file=True)
            end = yield from self.solve(upload, key, label=upload.label)
        return end.value()

    def claim(self, upload: Upload, key: Key, *, label: str) -> flow.Steps[Claim]:
        """Take an image in hand, or wait until the one who has it is done with it."""
        waited_s = 0.0
        while waited_s < self.polling.timeout_s:
            claim: Claim = yield flow.Local(partial(self.holder.claim, key, name=label, redo=self.redo))
            if claim.granted or claim.entry.ended:
                return claim
            waited_s = yield flow.Wait(_LOOK_S, "queued")
        raise SolveTimeout(
            f"{upload.name} is in the hands of somebody else for {waited_s:.0f} s: look again later.",
            submission_id=claim.entry.submission_id,
            waited_s=waited_s,
        )

    def _work(self, upload: Upload, claim: Claim, looks: flow.ForeseenLooks) -> flow.Steps[Solution]:
        """Upload unless the server has it, wait, and fetch the results."""
        entry = claim.entry
        try:
            pack = yield from self._pack_of(upload, claim)
        except OutcomeUnknown:
            pack, claim = None, attrs.evolve(claim, maybe_sent=True)
        if pack is not None:
            found = yield from self._wait_in_pack(upload, pack, claim)
            if found is not None:
                return found
            yield flow.Local(partial(self.holder.not_sent, entry))
        if pack is None and entry.state == "sent":
            looks.at_once = True
            submission_id, job_id = entry.submission_id, entry.job_id
        else:
            submission_id, job_id = yield from self.send(upload, claim)
        if submission_id is None and job_id is None:
            raise LedgerError(f"The ledger has no id of {upload.name}: solve it with force.")
        gone: set[int] = set()
        while True:
            looks.submission_id = submission_id
            try:
                return (yield from self._followed(upload, looks, submission_id, job_id))
            except NotFound:
                if job_id is None or job_id in gone:
                    raise
                gone.add(job_id)
            # A restart of the server's solver made the job vanish: it comes again under another id.
            claim = attrs.evolve(claim, maybe_sent=True)
            submission_id, job_id = yield from self.send(upload, claim)

    def _followed(
        self, upload: Upload, looks: flow.ForeseenLooks, submission_id: int | None, job_id: int | None
    ) -> flow.Steps[Solution]:
        """Wait for a submission, or for a job whose submission is not known, and fetch the results."""
        if submission_id is not None:
            follower = partial(flow.follow, submission_id)
        else:
            looks.at_once = True
            follower = partial(flow.follow_job, cast(int, job_id))
        return (
            yield from follower(
                server=self.login.base_url,
                name=upload.name,
                polling=self.polling,
                looks=looks,
                top_down=upload.top_down,
            )
        )

    def _pack_of(self, upload: Upload, claim: Claim) -> flow.Steps[flow.Pack | None]:
        """Return the pack an image is in, was in, or is sent in now; `None` if it goes alone."""
        entry = claim.entry
        if entry.state == "sent":
            if entry.submission_id is None or entry.filename is None:
                return None
            shared = yield flow.Local(partial(self.holder.shares_submission, entry))
            packs = (yield flow.Local(self._packs)) if shared else None
            return packs and packs.earlier(entry.submission_id, entry.filename)
        if self.packing is None or not self.packing.is_wanted or claim.maybe_sent:
            return None
        if not isinstance(upload, FileUpload) or not (yield flow.Local(upload.is_small)):
            return None
        return (yield from self.packing.send(upload, entry))

    def _packs(self) -> Packing:
        """Return what keeps the packs of an earlier run."""
        if self.packing is None:
            self.packing = Packing(
                login=self.login, holder=self.holder, polling=self.polling, forecast=self.forecast
            )
        return self.packing

    def _wait_in_pack(self, upload: Upload, pack: flow.Pack, claim: Claim) -> flow.Steps[Solution | None]:
        """Return the solution of an image that was sent with others; `None` if the server has dropped it."""
        filename = claim.entry.sent_as or cast(FileUpload, upload).marked_name(claim.entry.mark)
        server, polling = self.login.base_url, self.polling
        gone: set[int] = set()
        while True:
            found = yield from flow.wait_in_pack(pack, filename, server=server, polling=polling)
            if found.job_id is None:
                return None
            if not found.solved:
                raise flow.unsolved(found.job_id, pack.submission_id)
            try:
                solution = yield from flow.fetch(
                    found.job_id,
                    pack.submission_id,
                    server=server,
                    name=upload.name,
                    polling=polling,
                    top_down=upload.top_down,
                )
            except NotFound:
                if found.job_id in gone:
                    raise
                gone.add(found.job_id)
                pack.vanished(found.job_id)
                continue
            is_of_another = yield flow.Local(partial(cast(FileUpload, upload).is_of_another_size, solution))
            if not (is_of_another and pack.doubt(filename)):
                return solution
