"""What the ledger knows of an image, as frozen values."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final, Literal, Self

import attrs

from astrometry_client.errors import (
    AstrometryError,
    NotFound,
    StatusFailedException,
    SubmissionFailed,
    UnreadableFileError,
)
from astrometry_client.models import Calibration, Settings, Solution

State = Literal["waiting", "sending", "sent", "solved", "failed"]
"""Nothing was sent; an upload left and its answer is not known; the server has it; how it ended."""

ENDED: Final[frozenset[State]] = frozenset({"solved", "failed"})

VERDICTS: Final = (SubmissionFailed, StatusFailedException, NotFound)
"""The ends that trying again would not change."""

LOCAL: Final = "local"
"""What the server is called that is started for a while: its address is another's after it."""

_MARK_DIGITS: Final = 8


@attrs.frozen(kw_only=True)
class Key:
    """What makes two uploads the same: the content of the file, the settings, and the server."""

    server: str
    content_sha256: str
    settings_json: str
    """The options as the server is told them, in one order."""

    @classmethod
    def of_file(cls, path: str | Path, settings: Settings, *, server: str) -> Self:
        """Return the key of a file, which is read block by block.

        Raises
        ------
        UnreadableFileError
            The file cannot be read.
        """
        try:
            with Path(path).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as cause:
            raise UnreadableFileError(f"{path} cannot be read: {cause.strerror or cause}.") from cause
        return cls.of_content(digest, settings, server=server)

    @classmethod
    def of_content(cls, content_sha256: str, settings: Settings, *, server: str) -> Self:
        """Return the key of a file whose content has this SHA-256, in hexadecimal."""
        return cls(
            server=server.rstrip("/"), content_sha256=content_sha256, settings_json=settings_json(settings)
        )

    def mark(self, attempt: int) -> str:
        """Return what an upload is told apart by in its file name; the same for the same attempt."""
        told = "\n".join([self.server, self.content_sha256, self.settings_json, str(attempt)])
        return hashlib.sha256(told.encode()).hexdigest()[:_MARK_DIGITS]


@attrs.frozen
class NamesInTars:
    """How many jobs of tars were found to be, or not to be, where their file was in its tar."""

    kept: int = 0
    broken: int = 0


@attrs.frozen(kw_only=True)
class Entry:
    """The last attempt to solve an image. Times are seconds since the epoch, `None` for not yet."""

    key: Key
    id: int
    """Of the attempt, in the ledger."""
    attempt: int
    """1 for the first; more if it was solved anew or tried again."""
    state: State
    filename: str | None
    """The file name the server was told."""
    submission_id: int | None
    job_id: int | None
    begun_s: float
    sent_s: float | None
    ended_s: float | None
    calibration: Calibration | None = None
    wcs_file: bytes | None = attrs.field(default=None, repr=False)
    error_kind: str | None = None
    error_message: str | None = None
    server_message: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it was solved or failed for good."""
        return self.state in ENDED

    @property
    def mark(self) -> str:
        """What the upload of this attempt is told apart by in its file name."""
        return self.key.mark(self.attempt)

    @property
    def sent_as(self) -> str | None:
        """The file name the server may know; what was refused may have had another since."""
        return None if self.state == "waiting" else self.filename

    def solution(self, name: str) -> Solution | None:
        """Return the solution under the name of a file; `None` if there is none."""
        if self.state != "solved" or self.calibration is None or self.wcs_file is None or self.job_id is None:
            return None
        return Solution(
            name=name,
            server=self.key.server,
            submission_id=self.submission_id,
            job_id=self.job_id,
            calibration=self.calibration,
            wcs_file=self.wcs_file,
        )

    def error(self) -> AstrometryError | None:
        """Return the error it failed with; `None` if it did not."""
        kind = next((kind for kind in VERDICTS if kind.__name__ == self.error_kind), None)
        if kind is None:
            return None
        return kind(
            self.error_message or "",
            server_message=self.server_message,
            submission_id=self.submission_id,
            job_id=self.job_id,
        )


def settings_json(settings: Settings) -> str:
    """Return settings as the ledger keeps them."""
    told = json.dumps(settings.payload(), sort_keys=True, separators=(",", ":"))
    return sys.intern(told)  # thousands of images in work have the same


def calibration_json(calibration: Calibration) -> str:
    """Return a calibration as the ledger keeps it."""
    return json.dumps(attrs.asdict(calibration))


def calibration_of(kept: str | None) -> Calibration | None:
    """Return the calibration that the ledger keeps."""
    values: dict[str, Any] | None = json.loads(kept) if kept else None
    return None if values is None else Calibration(**values)
