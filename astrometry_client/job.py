"""The job: the solving of one image, and its results."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from astrometry_client import api, flow
from astrometry_client.config import DEFAULTS, NOT_GIVEN, NotGiven
from astrometry_client.driver import drive, pace_of
from astrometry_client.errors import NotFound, StillProcessingException
from astrometry_client.login import Session
from astrometry_client.models import Annotation, Calibration, JobInfo
from astrometry_client.models.fits_files import hdus_of, header_of, wcs_of
from astrometry_client.models.replies import JobState
from astrometry_client.request import Request

if TYPE_CHECKING:
    from astropy.io.fits import HDUList, Header
    from astropy.wcs import WCS

    from astrometry_client.submission import Submission

T = TypeVar("T")

_WITHOUT_SOLUTION: Final = (
    "axy_file",
    "extraction_image_display",
    "extraction_image_full",
    "joblog",
    "joblog2",
)
"""Files the server makes of the sources it found, whether they led to a solution or not."""


class Job:
    """The solving of one image. Everything about it is asked for when needed, once, and kept.

    Before the job has ended, its results raise `StillProcessingException`; if it ended without a solution,
    those that need one raise `StatusFailedException`.

    Parameters
    ----------
    job_id
        Its id on the server.
    session
        The login whose server is asked; by default one to nova.astrometry.net. Reading needs no API key.

    Attributes
    ----------
    id : int
        Its id on the server. It can vanish when the server's solver restarts; a job that was taken from its
        submission then takes over the new one.
    submission : Submission or None
        The submission it was taken from.
    """

    def __init__(self, job_id: int, *, session: Session | None = None) -> None:
        self.id = job_id
        self.session = session or Session()
        self.submission: Submission | None = None
        self._state: JobState | None = None
        self._kept: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Job {self.id}, {self._state or 'not asked for yet'}>"

    def status(self, force: bool = False) -> JobState:
        """Return how far it has come; the server is asked unless the end is known.

        Parameters
        ----------
        force
            Whether to ask although the end is known.

        Returns
        -------
        JobState
            `processing` (waiting), `solving`, `success` or `failure`.

        Raises
        ------
        NotFound
            The server does not know the job, and no submission that would name its successor is known.
        """
        if force or self._state not in flow.ENDED:
            try:
                state: JobState = self._make(api.job_status(self.session.base_url, self.id))
                self._state = state
            except NotFound:
                if self.submission is None:
                    raise
                self._state = "processing"
                self.submission.status(force=True)
        return self._state

    def until_done(
        self,
        start: float | NotGiven = NOT_GIVEN,
        end: float | NotGiven | None = NOT_GIVEN,
        timeout: float | None = DEFAULTS.solve_timeout_s,
    ) -> JobState:
        """Wait until the job has ended.

        Parameters
        ----------
        start, end
            Seconds between the first two looks and between the last ones, above 0; by default 5 and 60,
            on this machine 0.25 and 2. An `end` of `None` lets the waits grow for ever.
        timeout
            Seconds to wait at most, above 0; `None` waits as long as it takes.

        Returns
        -------
        JobState
            `success` or `failure`.

        Raises
        ------
        SolveTimeout
            It has not ended in time: wait again later.
        """
        return drive(self._to_its_end(start, end, timeout), self.session.client_session)

    def done(self) -> bool:
        """Return whether it has ended, with or without a solution."""
        return self.status() in flow.ENDED

    def success(self) -> bool:
        """Return whether it has ended with a solution."""
        return self.status() == "success"

    def info(self) -> JobInfo:
        """Return file name, tags, objects and calibration in one; also of a job without a solution."""
        return self._once("info", api.job_info(self.session.base_url, self.id), solved=False)

    @property
    def calibration(self) -> Calibration:
        """Where the image lies on the sky."""
        return self._once("calibration", api.calibration(self.session.base_url, self.id))

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """The known objects in the image."""
        return self._once("annotations", api.annotations(self.session.base_url, self.id))

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that visitors and the server gave the image. Visitors may add more at any time."""
        return self._once("tags", api.tags(self.session.base_url, self.id), solved=False)

    @property
    def machine_tags(self) -> tuple[str, ...]:
        """The tags the server gave the image."""
        return self._once("machine_tags", api.machine_tags(self.session.base_url, self.id), solved=False)

    @property
    def objects_in_field(self) -> tuple[str, ...]:
        """The names of the known objects in the image."""
        request = api.objects_in_field(self.session.base_url, self.id)
        return self._once("objects_in_field", request, solved=False)

    def wcs_file(self) -> "Header":
        """Return the WCS as an astropy header. Needs astropy."""
        return header_of(self._file("wcs_file"))

    def wcs(self) -> "WCS":
        """Return the WCS, SIP distortion included, as an astropy WCS. Needs astropy."""
        return wcs_of(self._file("wcs_file"))

    def new_fits_file(self) -> "HDUList":
        """Return the image with the WCS in its header. Needs astropy, and memory for the whole file."""
        return hdus_of(self._file("new_fits_file"))

    def rdls_file(self) -> "HDUList":
        """Return the places of the catalogue stars used, a table of RA and DEC in degrees. Needs astropy."""
        return hdus_of(self._file("rdls_file"))

    def axy_file(self) -> "HDUList":
        """Return the sources found, a table of X and Y (first pixel 1) and FLUX. Needs astropy.

        There is one without a solution too.
        """
        return hdus_of(self._file("axy_file"))

    def corr_file(self) -> "HDUList":
        """Return the matches of sources and catalogue stars, a table. Needs astropy."""
        return hdus_of(self._file("corr_file"))

    def annotated_display(self) -> bytes:
        """Return a picture with the known objects, a JPEG."""
        return self._file("annotated_display")

    def red_green_image_display(self) -> bytes:
        """Return a picture with sources (red) and catalogue stars (green), a PNG."""
        return self._file("red_green_image_display")

    def extraction_image_display(self) -> bytes:
        """Return a picture with the sources found, a PNG. There is one without a solution too."""
        return self._file("extraction_image_display")

    def download(self, kind: str, path: str | Path) -> Path:
        """Write a result file to the disk in constant memory, whole or not at all, and return its path.

        Parameters
        ----------
        kind
            Such as `new_fits_file` or `corr_file`; of the pictures there are `_display` and `_full` sizes.
            `joblog` is the solver's own report.
        path
            Where to; a file of that name is replaced.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        InputError
            The server makes no such file; the message lists the kinds there are.
        NotAvailable
            The server has no such file of this job.
        """
        request = api.result_file(self.session.base_url, self.id, kind)
        self._check_end(solved=kind not in _WITHOUT_SOLUTION)
        return request.download(path, self.session.client_session)

    def _to_its_end(
        self, start: float | NotGiven, end: float | NotGiven | None, timeout: float | None
    ) -> flow.Steps[JobState]:
        if self._state not in flow.ENDED:
            server = self.session.base_url
            polling = pace_of(server, first_s=start, longest_s=end, timeout_s=timeout)
            try:
                self._state = yield from flow.wait_for_job(self.id, server=server, polling=polling)
            except NotFound:
                if self.submission is None:
                    raise
                yield from self.submission._to_its_end(start, end, timeout)
        return cast(JobState, self._state)

    def _take_note(self, job_id: int, state: JobState | None) -> None:
        """Take over what the submission has learned: the id that counts now, and its state if known."""
        if job_id != self.id:
            self.id, self._state = job_id, "processing"
        self._state = state or self._state

    def _is_over(self) -> bool:
        """Return whether the end is known here already; the server is not asked."""
        return self._state in flow.ENDED

    def _file(self, kind: str) -> bytes:
        request = api.result_file(self.session.base_url, self.id, kind)
        return self._once(kind, request, solved=kind not in _WITHOUT_SOLUTION)

    def _once(self, name: str, request: Request[T], *, solved: bool = True) -> T:
        if name not in self._kept:
            self._check_end(solved=solved)
            self._kept[name] = self._make(request)
        return cast(T, self._kept[name])

    def _check_end(self, *, solved: bool) -> None:
        state = self.status()
        if state not in flow.ENDED:
            raise StillProcessingException(
                f"Job {self.id} is {state}: wait for it with until_done(), then ask again.", job_id=self.id
            )
        if solved and state != "success":
            raise flow.unsolved(self.id, self.submission.id if self.submission else None)

    def _make(self, request: Request[T]) -> T:
        return request.make(self.session.client_session)
