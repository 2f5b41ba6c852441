"""Many images: none uploaded twice, none lost, each result under the name of its own file."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

from astrometry_client import api, flow
from astrometry_client.driver import pace_of
from astrometry_client.errors import (
    APIKeyError,
    AstrometryError,
    InputError,
    LedgerError,
    LoginFailedException,
    RateLimitExceeded,
    ServerRefused,
    SolveTimeout,
    Unreachable,
)
from astrometry_client.ledger import Claim, Entry, Holder, Key, LeaseLostError, Ledger, State
from astrometry_client.ledger.values import VERDICTS
from astrometry_client.login import Session
from astrometry_client.models import Settings, Solution, UploadReceipt
from astrometry_client.request import PostRequest, Request
from astrometry_client.scheduler import drive_many
from astrometry_client.session import ClientSession, is_dry_run_enabled, is_loopback
from astrometry_client.uploads import FileUpload, single

__all__ = ["BatchProgress", "BatchResult", "redo_states", "solved_images"]

logger = logging.getLogger(__name__)

BatchProgress = Callable[[str | Path, flow.Step], None]

_NEVER_STORED: Final = (InputError, Unreachable, RateLimitExceeded, ServerRefused)
"""After these errors the server certainly has not got the upload."""

_ENDS_THE_BATCH: Final = (APIKeyError, LoginFailedException, LedgerError)
"""What would happen to every other image too."""

_LOOK_S: Final = 1.0
"""Seconds between two looks into the ledger for an image that another process works on."""


@attrs.frozen(kw_only=True)
class BatchResult:
    """What became of one file of a batch: a solution or an error."""

    path: str | Path
    """The file, as it was given."""
    solution: Solution | None = None
    """Under the name of this file."""
    error: AstrometryError | None = None
    """Why there is no solution; carries the ids."""
    from_ledger: bool = False
    """Whether it was known already, and nothing was asked."""

    @property
    def name(self) -> str:
        """Name of the file."""
        return Path(self.path).name

    @property
    def solved(self) -> bool:
        """Whether there is a solution."""
        return self.solution is not None


def redo_states(*, force: bool, retry_failed: bool) -> Collection[State]:
    """Return the ends that are not good enough."""
    if force:
        return {"solved", "failed"}
    return {"failed"} if retry_failed else set()


def solved_images(
    files: Iterable[str | Path],
    *,
    login: Session,
    settings: Settings,
    ledger: Ledger | None,
    redo: Collection[State],
    timeout_s: float | None,
    max_unfinished: int,
    on_step: BatchProgress | None,
) -> Iterator[BatchResult]:
    """Solve images, several at once, and yield what became of each, as they end; see `Client.solve_many`.

    Parameters
    ----------
    redo
        See `redo_states`.
    """
    if max_unfinished < 1:
        raise InputError(f"max_unfinished={max_unfinished!r} is not allowed: give 1 or more.")
    polling = pace_of(login.base_url, timeout_s=timeout_s)
    batch = _Batch(login=login, settings=settings, redo=redo, polling=polling, newest=2 * max_unfinished)
    return _results(files, batch, _ledger_for(login, ledger), max_unfinished, on_step)


def _ledger_for(login: Session, given: Ledger | None) -> Ledger:
    if is_dry_run_enabled("POST", login.client_session):
        return Ledger.in_memory()
    return given or (Ledger.in_memory() if is_loopback(login.base_url) else Ledger())


def _results(
    files: Iterable[str | Path],
    batch: "_Batch",
    ledger: Ledger,
    max_unfinished: int,
    on_step: BatchProgress | None,
) -> Iterator[BatchResult]:
    with ledger.holder() as holder:
        ends = drive_many(
            batch.flows(files, holder),
            batch.login.client_session,
            server=batch.login.base_url,
            most=max_unfinished,
            on_step=on_step and (lambda image, effect: on_step(image.paths[0], effect)),
        )
        try:
            for image, end in ends:
                if isinstance(end, _ENDS_THE_BATCH):
                    raise end
                yield from batch.results(image, end)
        finally:
            # Uploads on their way are written down before the images are let go of.
            ends.close()


@attrs.define(eq=False)
class _Image:
    """An image in work, and the files it was given in."""

    paths: list[str | Path]
    key: Key | None = None


@attrs.frozen
class _End:
    """What is known of an image at last."""

    solution: Solution | None = None
    error: AstrometryError | None = None
    from_ledger: bool = False


@attrs.frozen
class _WrittenUpload(Request[UploadReceipt]):
    """An upload that is written down before and after it is sent, by the thread that sends it."""

    upload: PostRequest[UploadReceipt]
    entry: Entry
    holder: Holder

    def make(self, client_session: ClientSession | None = None) -> UploadReceipt:
        """Send it; see `Request.make`."""
        filename = self.upload.file[0] if self.upload.file else ""
        in_doubt = self.holder.sending(self.entry, filename=filename)
        try:
            receipt = self.upload.make(client_session)
        except _NEVER_STORED:
            if not in_doubt:
                self.holder.not_sent(self.entry)
            raise
        self.holder.sent(self.entry, submission_id=receipt.submission_id)
        return receipt


@attrs.define(kw_only=True, eq=False)
class _Batch:
    """The images of a batch, and how each of them is solved."""

    login: Session
    settings: Settings
    redo: Collection[State]
    polling: flow.Polling
    newest: int
    _in_work: dict[Key, _Image] = attrs.field(factory=dict, init=False)
    _filenames: dict[int, str | None] = attrs.field(factory=dict, init=False)

    def flows(self, files: Iterable[str | Path], holder: Holder) -> Iterator[tuple[_Image, flow.Steps[_End]]]:
        """Yield each image with the way it goes; a file with the same content joins the one in work."""
        for path in files:
            try:
                upload = single(FileUpload(path, session=self.login, settings=self.settings))
                key = Key.of_file(path, self.settings, server=self.login.base_url)
            except InputError as error:
                yield _Image([path]), _end_at_once(_End(error=error))
                continue
            if key in self._in_work:
                self._in_work[key].paths.append(path)
                continue
            image = self._in_work[key] = _Image([path], key)
            yield image, self._solve(upload, key, holder)

    def results(self, image: _Image, end: _End | AstrometryError) -> Iterator[BatchResult]:
        """Yield the end of an image for each file it was given in."""
        if image.key is not None:
            del self._in_work[image.key]
        known = _End(error=end) if isinstance(end, AstrometryError) else end
        for path in image.paths:
            solution = known.solution and attrs.evolve(known.solution, name=Path(path).name)
            yield BatchResult(path=path, solution=solution, error=known.error, from_ledger=known.from_ledger)

    def _solve(self, upload: FileUpload, key: Key, holder: Holder) -> flow.Steps[_End]:
        while True:
            claim = yield from self._claim(upload, key, holder)
            if not claim.granted:
                known = claim.entry
                return _End(known.solution(upload.name), known.error(), from_ledger=True)
            try:
                solution = yield from self._work(upload, claim, holder)
            except LeaseLostError as lost:
                logger.info("%s: %s", upload.name, lost)
            except LedgerError:
                raise
            except VERDICTS as verdict:
                holder.failed(claim.entry, verdict)
                raise
            except AstrometryError:
                holder.release(claim.entry)
                raise
            else:
                holder.solved(claim.entry, solution)
                return _End(solution)

    def _claim(self, upload: FileUpload, key: Key, holder: Holder) -> flow.Steps[Claim]:
        """Take the image in hand, or wait until the one who has it is done with it."""
        waited_s = 0.0
        while waited_s < self.polling.timeout_s:
            claim = holder.claim(key, name=str(upload.source), redo=self.redo)
            if claim.granted or claim.entry.ended:
                return claim
            waited_s = yield flow.Wait(_LOOK_S, "queued")
        raise SolveTimeout(
            f"{upload.name} is in the hands of another process for {waited_s:.0f} s: look again later.",
            submission_id=claim.entry.submission_id,
            waited_s=waited_s,
        )

    def _work(self, upload: FileUpload, claim: Claim, holder: Holder) -> flow.Steps[Solution]:
        """Upload unless the server has it, wait, and fetch the results."""
        server, polling = self.login.base_url, self.polling
        known = claim.entry.state == "sent"
        submission_id, job_id = claim.entry.submission_id, claim.entry.job_id
        if not known:
            submission_id, job_id = yield from self._send(upload, claim, holder)
        if submission_id is not None:
            return (
                yield from flow.follow(
                    submission_id, server=server, name=upload.name, polling=polling, at_once=known
                )
            )
        if job_id is None:
            raise LedgerError(f"The ledger has no id of {upload.name}: solve it with force.")
        return (yield from flow.follow_job(job_id, server=server, name=upload.name, polling=polling))

    def _send(
        self, upload: FileUpload, claim: Claim, holder: Holder
    ) -> flow.Steps[tuple[int | None, int | None]]:
        """Bring the image to the server, and return its submission, or its job if only that was found."""
        server, polling, entry = self.login.base_url, self.polling, claim.entry
        request = upload.request(mark=entry.mark)
        lookup = flow.Lookup(
            my_jobs=api.my_jobs(self.login),
            filename=request.file[0] if request.file else "",
            newest=self.newest,
            known=self._filenames,
        )
        job_id = None
        if claim.maybe_sent:
            earlier = attrs.evolve(lookup, filename=entry.filename or lookup.filename)
            job_id = yield from flow.find(earlier, server=server, polling=polling, at_once=True)
        if job_id is None:
            written = _WrittenUpload(request.url, request, entry, holder)
            sent = yield from flow.send(written, server=server, polling=polling, lookup=lookup)
            if not isinstance(sent, int):
                return sent.submission_id, None
            job_id = sent
        holder.sent(entry, job_id=job_id)
        return None, job_id


def _end_at_once(end: _End) -> flow.Steps[_End]:
    """Return a way that has only an end."""
    return end
    yield
