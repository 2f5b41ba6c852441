"""What a server for tests writes down."""

from pathlib import Path
from typing import Any

import attrs

from .faults import Fault

__all__ = ["JobRecord", "RequestRecord", "UploadRecord"]


@attrs.frozen(kw_only=True)
class RequestRecord:
    """One request that arrived; `NovaServer.requests` has them in the order of their answers.

    Parameters
    ----------
    call
        The name of the call, such as `upload`, `submission`, `job`, `info` or `wcs_file`.
    time_s
        When it arrived, on the server's clock.
    status
        What was answered; None for nothing.
    fault
        What went wrong with it.
    headers
        As sent, names in lower case.
    connection
        Which connection it came on; the first is 1.
    """

    method: str
    path: str
    call: str
    time_s: float
    status: int | None
    fault: Fault | None
    headers: dict[str, str]
    connection: int


@attrs.frozen
class UploadRecord:
    """One upload that was processed, whether its answer arrived or not.

    Parameters
    ----------
    name, filename
        Of the file, without a client's mark and with it; the last part of the address of a URL upload.
    sha256
        Of the content, in hexadecimal; None without a file.
    time_s
        On the server's clock.
    options
        What came with it, as the server understood it.
    """

    name: str
    filename: str
    sha256: str | None
    submission_id: int
    time_s: float
    options: dict[str, Any]
    path: Path | None = attrs.field(repr=False)

    @property
    def content(self) -> bytes:
        """What was uploaded, as long as the server is there; lists of sources are a text of x and y."""
        return b"" if self.path is None else self.path.read_bytes()


@attrs.frozen
class JobRecord:
    """One job, as `NovaServer.jobs` lists it.

    Parameters
    ----------
    name
        Of the file, without a client's mark.
    begun_s, ended_s
        When a solver took it and was done with it, seconds on the server's clock; None before.
    state
        `processing`, `solving`, `success`, `failure`, or `vanished`.
    """

    job_id: int
    name: str
    begun_s: float | None
    ended_s: float | None
    state: str
