"""The client: one call from an image to its solution."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from astrometry_client import flow
from astrometry_client.batch import Batch, BatchProgress, BatchResult, several
from astrometry_client.batch_upload import UploadsInTurn, ended_job
from astrometry_client.config import DEFAULTS
from astrometry_client.driver import Progress, pace_of
from astrometry_client.errors import InputError
from astrometry_client.job import Job
from astrometry_client.ledger import Ledger
from astrometry_client.login import Session
from astrometry_client.models import Settings, Solution
from astrometry_client.recorded import redo_states
from astrometry_client.session import ClientSession, get_local_session, is_loopback
from astrometry_client.submission import Submission
from astrometry_client.uploads import FileUpload, SourcesUpload, URLUpload, single
from astrometry_client.ways import Ways

if TYPE_CHECKING:
    from astropy.io.fits import Header

T = TypeVar("T")


class Client(Ways):
    """Plate-solve images with an Astrometry.net server. Safe to share between threads.

    Parameters
    ----------
    api_key, key_location
        The API key, or a file that holds it; else the places `Session` names.
    base_url
        The server: `https://nova.astrometry.net` or your own.
    settings
        Options of every upload that brings none of its own.
    client_session
        Sends all requests; by default each thread has its own on shared limits.
    session
        A login to use, in place of all of the above but `settings`.
    ledger
        Where every step is written, so that no image is uploaded twice; by default the user's own. Servers on
        this machine give out the same ids again and again: their default is gone with the client.

    Examples
    --------
    >>> from astrometry_client import Client
    >>> solution = Client().solve("m31.jpg")  # doctest: +SKIP
    >>> solution.calibration.ra_deg, solution.calibration.dec_deg  # doctest: +SKIP
    (10.68, 41.27)
    """

    def __init__(
        self,
        api_key: str | None = None,
        key_location: str | Path | None = None,
        *,
        base_url: str = DEFAULTS.base_url,
        settings: Settings | None = None,
        client_session: ClientSession | None = None,
        session: Session | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.session = session or Session(
            api_key, key_location, base_url=base_url, client_session=client_session
        )
        self.settings = settings or Settings()
        self.ledger = ledger or (Ledger.in_memory() if is_loopback(self.base_url) else Ledger())

    def solve(
        self,
        image: Any,
        settings: Settings | None = None,
        *,
        force: bool = False,
        retry_failed: bool = False,
        timeout_s: float | None = DEFAULTS.solve_timeout_s,
        on_step: Progress | None = None,
    ) -> Solution:
        """Upload an image, wait until it is solved, and return its calibration and WCS.

        An image is known by its content, the settings and the server: what the ledger knows is not asked for
        again, and what an earlier run or another thread began is gone on with. The server is told the file's
        name with a mark of eight characters, by which an upload is found again if its reply gets lost.

        Parameters
        ----------
        image
            A path, or one of the other things `FileUpload` takes.
        settings
            Options of this upload instead of the client's.
        force, retry_failed
            Whether to solve it again if it has ended, or only if it failed.
        timeout_s
            Seconds to wait at most, above 0; `None` waits as long as it takes. The solve goes on at the
            server; the same call goes on with it.
        on_step
            Called before each request and each wait.

        Returns
        -------
        Solution
            Under the name of the file.

        Raises
        ------
        InputError
            The file, a setting or the API key is not usable; no request was made for it.
        SolveError
            The image was rejected, has no solution or is not finished; carries the ids.
        NoUsableReply, ServerRefused
            The server could not be reached, or said no.
        LedgerError
            The ledger cannot be read or written.
        """
        redo = redo_states(force=force, retry_failed=retry_failed)
        return self._carry_out(self._solving(single(self._file(image, settings)), redo, timeout_s), on_step)

    def solve_url(
        self,
        url: str,
        settings: Settings | None = None,
        *,
        timeout_s: float | None = DEFAULTS.solve_timeout_s,
        on_step: Progress | None = None,
    ) -> Solution:
        """Let the server fetch an image, wait until it is solved, and return its calibration and WCS.

        The ledger has no part in it: tomorrow the address may answer another image.

        Parameters
        ----------
        url
            Address of the image: http, https or ftp.
        settings, timeout_s, on_step
            See `solve`.

        Returns
        -------
        Solution
            Under the last part of the address.

        Raises
        ------
        AstrometryError
            See `solve`.
        """
        upload = URLUpload(url=url, session=self.session, settings=settings or self.settings)
        pace = pace_of(self.base_url, timeout_s=timeout_s)
        steps = flow.solve(upload.request(), server=self.base_url, name=upload.name, polling=pace)
        return self._carry_out(steps, on_step)

    def solve_sources(
        self,
        /,
        x: Any,
        y: Any = None,
        *,
        settings: Settings | None = None,
        force: bool = False,
        retry_failed: bool = False,
        timeout_s: float | None = DEFAULTS.solve_timeout_s,
        on_step: Progress | None = None,
        **sources: Any,
    ) -> Solution:
        """Solve a list of sources, and return its calibration and WCS.

        Parameters
        ----------
        x, y
            Positions: see `SourcesUpload`.
        settings, force, retry_failed, timeout_s, on_step
            See `solve`.
        **sources
            Size of the image, origin, brightness and name: see `SourcesUpload`.

        Returns
        -------
        Solution
            Under the `name` given, else `sources`. Its pixels count from 1, whatever the origin given.

        Raises
        ------
        AstrometryError
            See `solve`.
        """
        upload = SourcesUpload(x, y, session=self.session, settings=settings or self.settings, **sources)
        redo = redo_states(force=force, retry_failed=retry_failed)
        return self._carry_out(self._solving(upload, redo, timeout_s), on_step)

    def upload_file(
        self,
        image: Any,
        settings: Settings | None = None,
        *,
        timeout_s: float | None = DEFAULTS.solve_timeout_s,
    ) -> Job:
        """Upload an image, wait until its job has ended, and return the job, solved or not.

        Parameters
        ----------
        image, settings, timeout_s
            See `solve`.

        Returns
        -------
        Job
            Ask it for `success()`.

        Raises
        ------
        SubmissionFailed, SolveTimeout
            The image was rejected, or is not finished.
        InputError, NoUsableReply, ServerRefused
            See `solve`.
        """
        upload = single(self._file(image, settings))
        return self._carry_out(ended_job(upload, timeout_s=timeout_s))

    def upload_files_gen(
        self,
        images: Iterable[str | Path],
        settings: Settings | None = None,
        *,
        workers: int = DEFAULTS.max_unfinished,
        timeout_s: float | None = DEFAULTS.solve_timeout_s,
    ) -> Iterator[tuple[Job | Submission, str | Path]]:
        """Upload images, several at once, and yield each as it ends together with its name.

        Parameters
        ----------
        images
            Paths. All are looked at before the first is uploaded.
        settings
            See `solve`.
        workers
            Images in work at once, 1 or more; the public server solves no more than 16 of one user.
        timeout_s
            Seconds to wait for each: see `solve`.

        Yields
        ------
        result : Job or Submission
            The job that ended, solved or not (a tar has several); or the submission, if it was rejected or
            did not end in time. Both tell by `success()`.
        name : str or Path
            The element of `images` it belongs to, in the order in which they end.

        Raises
        ------
        InputError
            A file is not usable; nothing was uploaded.
        NoUsableReply, ServerRefused
            The server could not be reached, or said no; those under way were yielded before.
        """
        if workers < 1:
            raise InputError(f"workers={workers!r} is not allowed: give 1 or more.")
        files = [(self._file(image, settings), image) for image in several(images)]
        uploads = UploadsInTurn(uploads=files, server=self.base_url, workers=workers, timeout_s=timeout_s)
        return self._carry_out_many(uploads.course())

    def solve_many(
        self,
        files: Iterable[str | Path],
        settings: Settings | None = None,
        *,
        ledger: Ledger | None = None,
        force: bool = False,
        retry_failed: bool = False,
        timeout_s: float | None = DEFAULTS.solve_timeout_s,
        deadline_s: float | None = None,
        max_unfinished: int = DEFAULTS.max_unfinished,
        pack: bool | None = None,
        on_step: BatchProgress | None = None,
    ) -> Iterator[BatchResult]:
        """Solve images, several at once, and yield what became of each, as they end.

        An image is known by its content, the settings and the server. What is solved is not asked for again,
        what an earlier run began is gone on with, what another process works on is waited for.

        Parameters
        ----------
        files, settings
            Paths, taken as there is room for them, and options in place of the client's.
        ledger
            Where every step is written, in place of the client's. That of a dry run is gone with the call.
        force, retry_failed
            Whether to solve again all that has ended, or only what failed; earlier results are kept too.
        timeout_s, deadline_s
            Seconds to wait for each, and for all, at most; the next run goes on with what is not finished.
        max_unfinished
            Images in work at once, 1 or more.
        pack
            Whether files of 2 MiB at most travel in tars of up to ten. By default they do, to servers on
            other machines, and each job is matched with its file by its name: two thirds of the requests.
            With `True` they do to any server, and after ten names that were in the order of their tar, a
            job is matched by its place, with one name a tar: half the requests, but nothing that a server
            promises says that its order will stay. `False` sends each file alone.
        on_step
            Called with the file before each request and each wait for it.

        Yields
        ------
        result : BatchResult
            A solution, or the error that this file met; the others go on.

        Raises
        ------
        InputError, APIKeyError, LoginFailedException, LedgerError
            An argument is not allowed, the login fails, or the ledger cannot be read or written.
        Unreachable
            The server cannot be reached at all. One that answered before is waited for.
        """
        batch = Batch(
            login=self.session,
            ledger=self._recording(ledger),
            settings=settings or self.settings,
            redo=redo_states(force=force, retry_failed=retry_failed),
            timeout_s=timeout_s,
            deadline_s=deadline_s,
            max_unfinished=max_unfinished,
            pack=pack,
        )
        return self._carry_out_many(batch.course(files, on_step))

    def calibrate_file_wcs(
        self,
        image: Any,
        settings: Settings | None = None,
        *,
        timeout_s: float | None = DEFAULTS.solve_timeout_s,
    ) -> "Header":
        """Upload an image, wait until it is solved, and return its WCS as an astropy header. Needs astropy.

        Parameters
        ----------
        image, settings, timeout_s
            See `solve`.

        Returns
        -------
        astropy.io.fits.Header
            SIP distortion included.

        Raises
        ------
        AstrometryError
            See `solve`; without a solution it is `StatusFailedException`.
        """
        return self._carry_out(self._calibrating(single(self._file(image, settings)), timeout_s))

    calibrate_wcs_file = calibrate_file_wcs

    def close(self) -> None:
        """Give back the connections of the calling thread, unless the session was brought along."""
        if self.session.client_session is None:
            get_local_session().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _file(self, image: Any, settings: Settings | None) -> FileUpload:
        return FileUpload(image, session=self.session, settings=settings or self.settings)
