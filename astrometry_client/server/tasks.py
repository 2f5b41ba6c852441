"""What workers are asked to do, and what they find out."""

from typing import Any

import attrs


@attrs.frozen
class FetchTask:
    """A submission whose file is to be fetched from a URL."""

    submission_id: int
    url: str


@attrs.frozen
class ReadTask:
    """A submission whose file is to be read.

    Parameters
    ----------
    members_read
        Of an archive, at earlier turns.
    """

    submission_id: int
    sha1: str | None
    filename: str
    options: dict[str, Any]
    members_read: int = 0


@attrs.frozen
class SolveTask:
    """A job whose image is to be solved."""

    job_id: int
    sha1: str
    field: str
    options: dict[str, Any]


@attrs.frozen
class MakeTask:
    """A result file to be made of what is known of a job.

    Parameters
    ----------
    product
        Its name in the address.
    wcs, stars, annotations
        Of the solution, as `Solved` has them; the WCS in base64. Nothing before there is one.
    """

    product: str
    sha1: str
    field: str
    options: dict[str, Any]
    wcs: str | None
    stars: list[list[float]]
    annotations: list[dict[str, Any]]


@attrs.frozen
class FoundImage:
    """An image found in a submission; `field` names the file of its sources."""

    sha1: str
    filename: str
    field: str


@attrs.frozen
class Found:
    """What was found in a submission, see `Queue.finish_reading`."""

    images: list[FoundImage]
    members_read: int | None = None
    reason: str | None = None


@attrs.frozen
class Solved:
    """What is kept of a solution, in nova's shapes.

    Parameters
    ----------
    stars
        The stars it rests on: x, y (pixels, first is 1), right ascension and declination (degrees) of each.
    """

    calibration: dict[str, float]
    annotations: list[dict[str, Any]]
    wcs: bytes
    stars: list[list[float]] = attrs.field(factory=list)


@attrs.frozen
class Fetched:
    """The file of a URL is in the store."""

    sha1: str


Work = FetchTask | ReadTask | SolveTask
