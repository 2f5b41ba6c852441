"""The server's JSON documents as values.

Unknown keys are ignored; a missing or mistyped one that is needed is a `MalformedReply` that names it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, Self, TypeVar, cast, get_args

import attrs

from astrometry_client.errors import MalformedReply
from astrometry_client.models.parsing import moment

Document = Mapping[str, Any]
JobState = Literal["processing", "solving", "success", "failure"]
T = TypeVar("T")


def _read(document: Document, key: str, convert: Callable[[Any], T]) -> T:
    if key not in document:
        raise MalformedReply(f"The reply lacks {key!r}; this is not the document asked for.")
    try:
        return convert(document[key])
    except (TypeError, ValueError) as wrong:
        raise MalformedReply(f"{key!r} of the reply is not what it should be: {wrong}.") from wrong


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


def _numbers(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _once(values: Any) -> tuple[int, ...]:
    return tuple(dict.fromkeys(_numbers(values)))


def _numbers_or_none(values: Any) -> tuple[int | None, ...]:
    return tuple(None if value is None else int(value) for value in values)


def _time(text: Any) -> datetime | None:
    # nova writes an unset time as the string "None".
    return None if text in ("None", None) else moment(text)


def _parity(value: Any) -> Literal[1, -1]:
    return 1 if float(value) > 0 else -1


def _job_state(value: Any) -> JobState:
    if value not in get_args(JobState):
        raise ValueError(f"{value!r} is none of {', '.join(get_args(JobState))}")
    return cast(JobState, value)


def _filled_text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{type(value).__name__} where a text is needed")
    return value


@attrs.frozen(kw_only=True)
class LoginReply:
    """What the server answers to a login."""

    session_key: str = attrs.field(repr=False)
    user: str
    """Name of the user; empty if the server does not tell it."""

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Return the key and the name in a reply of `api/login`."""
        _, _, user = str(document.get("message") or "").partition("authenticated user: ")
        return cls(session_key=_read(document, "session", _filled_text), user=user)


@attrs.frozen(kw_only=True)
class UploadReceipt:
    """What the server answers to an upload."""

    submission_id: int
    sha1: str | None
    """SHA-1 of the stored file; `None` for URL uploads."""

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Return the receipt in a reply of `api/upload` or `api/url_upload`."""
        return cls(submission_id=_read(document, "subid", int), sha1=document.get("hash"))


@attrs.frozen(kw_only=True)
class SubmissionStatus:
    """How far a submission has come. A tar has several jobs, an image one."""

    submission_id: int
    started: datetime | None
    finished: datetime | None
    """End of unpacking, normally *before* any job exists; never a sign of a solution."""
    jobs: tuple[int | None, ...]
    """The job of each image, `None` for one that waits in the queue. An id can vanish and be replaced when
    the server's solver restarts."""
    solved_job_ids: tuple[int, ...]
    error_message: str | None
    """The server's own words, the last 252 characters of its traceback."""
    user_images: tuple[int, ...] = ()
    """The image of each job, numbered as the server unpacked them."""

    @property
    def job_ids(self) -> tuple[int, ...]:
        """The jobs that exist."""
        return tuple(job_id for job_id in self.jobs if job_id is not None)

    @property
    def queued(self) -> int:
        """How many images wait for a job."""
        return self.jobs.count(None)

    @property
    def failed(self) -> bool:
        """Whether the upload was rejected for good: it ended, and no job will come."""
        return self.finished is not None and not self.jobs

    @classmethod
    def from_document(cls, document: Document, *, submission_id: int) -> Self:
        """Return the state in a reply of `api/submissions/ID`."""
        jobs = _read(document, "jobs", _numbers_or_none)
        return cls(
            submission_id=submission_id,
            started=_read(document, "processing_started", _time),
            finished=_read(document, "processing_finished", _time),
            jobs=jobs,
            solved_job_ids=_read(document, "job_calibrations", lambda pairs: _numbers(p[0] for p in pairs)),
            error_message=document.get("error_message"),
            user_images=_numbers(document.get("user_images") or ()),
        )


def job_state(document: Document) -> JobState:
    """Return the state in a reply of `api/jobs/ID`."""
    return _read(document, "status", _job_state)


def job_ids(document: Document, *, key: str) -> tuple[int, ...]:
    """Return the ids in a reply of `api/myjobs` or `api/jobs_by_tag`, which repeats some, each once."""
    return _read(document, key, _once)


def image_ids(document: Document) -> tuple[int, ...]:
    """Return the ids in a reply of `api/submission_images`."""
    return _read(document, "image_ids", _once)


def words(document: Document, *, key: str) -> tuple[str, ...]:
    """Return the tags or names in a reply about a job."""
    return _read(document, key, _texts)


@attrs.frozen(kw_only=True)
class Calibration:
    """Where the image lies on the sky."""

    ra_deg: float
    dec_deg: float
    radius_deg: float
    """From the centre to a corner."""
    pixel_scale_arcsec: float
    """Arc seconds per pixel."""
    orientation_deg: float
    """Direction of the image's up, east of north."""
    parity: Literal[1, -1]
    """Sign of the determinant of the CD matrix: -1 as the sky is seen, 1 mirrored, rows counted upwards."""
    width_arcsec: float | None = None
    height_arcsec: float | None = None

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Return the calibration in a reply of `api/jobs/ID/calibration` or inside a job's info."""
        size = {key: document.get(key) for key in ("width_arcsec", "height_arcsec")}
        return cls(
            ra_deg=_read(document, "ra", float),
            dec_deg=_read(document, "dec", float),
            radius_deg=_read(document, "radius", float),
            pixel_scale_arcsec=_read(document, "pixscale", float),
            orientation_deg=_read(document, "orientation", float),
            parity=_read(document, "parity", _parity),
            **size,
        )


@attrs.frozen(kw_only=True)
class JobInfo:
    """Everything the server tells about a job in one reply."""

    job_id: int
    state: JobState
    original_filename: str
    """Name of the file as it was uploaded, also of a member of a tar."""
    tags: tuple[str, ...]
    machine_tags: tuple[str, ...]
    objects_in_field: tuple[str, ...]
    calibration: Calibration | None

    @classmethod
    def from_document(cls, document: Document, *, job_id: int) -> Self:
        """Return the facts in a reply of `api/jobs/ID/info`."""
        return cls(
            job_id=job_id,
            state=job_state(document),
            original_filename=_read(document, "original_filename", str),
            tags=_read(document, "tags", _texts),
            machine_tags=_read(document, "machine_tags", _texts),
            objects_in_field=_read(document, "objects_in_field", _texts),
            calibration=_read(document, "calibration", Calibration.from_document)
            if "calibration" in document
            else None,
        )


@attrs.frozen(kw_only=True)
class Annotation:
    """A known object in the image."""

    kind: str
    """The server's class of it, such as `bright` (star), `ngc`, `hd`."""
    names: tuple[str, ...]
    x_px: float
    y_px: float
    """Position; the centre of the first pixel is 1, rows counted as they are stored."""
    radius_px: float
    magnitude: float | None

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Return one entry of a reply of `api/jobs/ID/annotations`."""
        return cls(
            kind=_read(document, "type", str),
            names=_read(document, "names", _texts),
            x_px=_read(document, "pixelx", float),
            y_px=_read(document, "pixely", float),
            radius_px=float(document.get("radius") or 0.0),
            magnitude=document.get("vmag"),
        )

    @classmethod
    def all_from_document(cls, document: Document) -> tuple[Self, ...]:
        """Return the objects in a reply of `api/jobs/ID/annotations`."""
        return _read(document, "annotations", lambda entries: tuple(map(cls.from_document, entries)))
