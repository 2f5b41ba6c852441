"""What the server is told and what it answers, as frozen values."""

from astrometry_client.models.options import Option
from astrometry_client.models.replies import (
    Annotation,
    Calibration,
    JobInfo,
    JobState,
    SubmissionStatus,
    UploadReceipt,
)
from astrometry_client.models.settings import Settings
from astrometry_client.models.solution import Solution

__all__ = [
    "Annotation",
    "Calibration",
    "JobInfo",
    "JobState",
    "Option",
    "Settings",
    "Solution",
    "SubmissionStatus",
    "UploadReceipt",
]
