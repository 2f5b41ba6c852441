"""What became of an image, as one row of a table."""

from pathlib import Path
from typing import Any, Final, Literal

import attrs

from astrometry_client.batch import BatchResult
from astrometry_client.errors import AstrometryError, InputError
from astrometry_client.ledger import Entry
from astrometry_client.ledger.values import VERDICTS
from astrometry_client.models import Calibration

End = Literal["solved", "failed", "unfinished"]
"""`unfinished`: the same again may go on with it."""


def _column(kind: type, meaning: str, unit: str = "", **field: Any) -> Any:
    return attrs.field(**field, metadata={"kind": kind, "meaning": meaning, "unit": unit})


def printable(text: str) -> str:
    """Return a name that may not be UTF-8 as one that can be written."""
    return text.encode(errors="backslashreplace").decode()


@attrs.frozen(kw_only=True)
class Row:
    """A row. Its fields are the columns, with kind, meaning and unit (in astropy's words)."""

    # The path stands first because a line that begins with # would be taken for a comment.
    path: str = _column(str, "Path of the file", converter=printable)
    name: str = _column(str, "Its name", converter=printable)
    state: str = _column(str, "solved, failed, or unfinished: the same again goes on with it")
    server: str | None = _column(str, "Server that was asked", default=None)
    submission_id: int | None = _column(int, "Submission on that server", default=None)
    job_id: int | None = _column(int, "Job on that server", default=None)
    ra_deg: float | None = _column(float, "Right ascension of the centre, ICRS", "deg", default=None)
    dec_deg: float | None = _column(float, "Declination of the centre, ICRS", "deg", default=None)
    radius_deg: float | None = _column(float, "From the centre to a corner", "deg", default=None)
    pixel_scale_arcsec: float | None = _column(float, "Pixel scale", "arcsec / pix", default=None)
    orientation_deg: float | None = _column(float, "Direction of up, east of north", "deg", default=None)
    parity: int | None = _column(int, "Sign of the determinant of the CD matrix", default=None)
    width_arcsec: float | None = _column(float, "Width of the field", "arcsec", default=None)
    height_arcsec: float | None = _column(float, "Height of the field", "arcsec", default=None)
    error: str | None = _column(str, "Why there is no solution", default=None)
    seconds: float | None = _column(float, "From the upload to the end", "s", default=None)


COLUMNS: Final = tuple(field.name for field in attrs.fields(Row))
_CALIBRATION: Final = tuple(field.name for field in attrs.fields(Calibration))


def end_of(error: AstrometryError | None) -> End:
    """Return how an image ended that met this error."""
    if error is None:
        return "solved"
    return "failed" if isinstance(error, (*VERDICTS, InputError)) else "unfinished"


def row_of_result(result: BatchResult, *, server: str, seconds: float | None) -> Row:
    """Return the row of an image of a batch.

    Parameters
    ----------
    server
        The one that was asked, if there is no solution that names it.
    seconds
        Since the image was taken up; `None` if it was known.
    """
    known = result.solution or result.error
    return Row(
        name=result.name,
        path=str(result.path),
        state=end_of(result.error),
        server=result.solution.server if result.solution else server,
        submission_id=known.submission_id if known else None,
        job_id=known.job_id if known else None,
        error=_one_line(result.error),
        seconds=None if seconds is None else round(seconds, 3),
        **_placed(result.solution.calibration if result.solution else None),
    )


def row_of_entry(entry: Entry, path: str) -> Row:
    """Return the row of an image of the ledger."""
    took_s = entry.ended_s - entry.sent_s if entry.ended_s and entry.sent_s else None
    return Row(
        name=Path(path).name,
        path=path,
        state=entry.state if entry.ended else "unfinished",
        server=entry.key.server,
        submission_id=entry.submission_id,
        job_id=entry.job_id,
        error=_one_line(entry.error()),
        seconds=None if took_s is None else round(took_s, 3),
        **_placed(entry.calibration),
    )


def _placed(calibration: Calibration | None) -> dict[str, Any]:
    return {name: getattr(calibration, name) for name in _CALIBRATION} if calibration else {}


def _one_line(error: AstrometryError | None) -> str | None:
    return " ".join(str(error).split()) if error else None
