"""The client: one call from an image to its solution."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

from astrometry_client import flow, job
from astrometry_client.config import DEFAULTS
from astrometry_client.errors import AstrometryError, InputError
from astrometry_client.login import Session
from astrometry_client.models import Annotation, Settings, Solution
from astrometry_client.session import ClientSession, get_local_session, is_dry_run_enabled, is_loopback
from astrometry_client.uploads import FileUpload

logger = logging.getLogger(__name__)

T = TypeVar("T")
Progress = Callable[[flow.Effect], None]

_PUBLIC_POLLING = {"first_s": 5.0, "longest_s": 60.0}
"""The official client looks every 5 s; the maintainers ask for fewer looks, so ours grow apart."""

_OWN_POLLING = {"first_s": 0.25, "longest_s": 2.0}
"""A server on this machine may be asked as often as its solves are short."""


class Client:
    """Plate-solve images with an Astrometry.net server. Safe to share between threads.

    Parameters
    ----------
    api_key, key_location
        The API key, or a file that holds it; else the places `find_api_key` names.
    base_url
        The server: `https://nova.astrometry.net` or your own.
    settings
        Options of every upload that brings none of its own.
    session
        A session to send with; by default each thread has its own on shared limits.

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
        session: ClientSession | None = None,
    ) -> None:
        self.login = Session(api_key, key_location, base_url=_checked_url(base_url))
        self.settings = settings or Settings()
        self._session = session

    @property
    def base_url(self) -> str:
        """Address of the server."""
        return self.login.base_url

    def solve(
        self,
        path: str | Path,
        settings: Settings | None = None,
        *,
        timeout_s: float = DEFAULTS.solve_timeout_s,
        on_step: Progress | None = None,
    ) -> Solution:
        """Upload an image, wait until it is solved, and return its calibration and WCS.

        Parameters
        ----------
        path
            The image; see `FileUpload` for the formats.
        settings
            Options of this upload instead of the client's.
        timeout_s
            Seconds to wait at most, above 0. The solve goes on at the server and can be resumed.
        on_step
            Called before each request and each wait.

        Raises
        ------
        InputError
            The file, a setting or the API key is not usable; no request was made for it.
        SolveError
            The image was rejected, has no solution or is not finished; carries the ids.
        NoUsableReply, ServerRefused
            The server could not be reached, or said no.
        """
        upload = FileUpload(path, settings or self.settings)
        polling = self._polling(timeout_s)
        steps = flow.solve(
            upload.request(self.login), server=self.base_url, name=upload.path.name, polling=polling
        )
        return self._drive(steps, on_step)

    def annotations(self, solution: Solution) -> tuple[Annotation, ...]:
        """Return the known objects in a solved image."""
        return job.annotations(self.base_url, solution.job_id).make(self._session)

    def close(self) -> None:
        """Give back the connections of the calling thread, unless the session was brought along."""
        if self._session is None:
            get_local_session().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _polling(self, timeout_s: float) -> flow.Polling:
        if not timeout_s > 0:
            raise InputError(f"timeout_s={timeout_s!r} is not allowed: give seconds above 0.")
        pace = _OWN_POLLING if is_loopback(self.base_url) else _PUBLIC_POLLING
        return flow.Polling(**pace, timeout_s=timeout_s)

    def _sleep(self, seconds: float) -> None:
        # What a dry run has uploaded is solved at once.
        if not is_dry_run_enabled("POST", self._session):
            time.sleep(seconds)

    def _drive(self, steps: flow.Steps[T], on_step: Progress | None) -> T:
        """Carry out the effects of a flow, one after the other, and return what it ends with."""
        started_s = time.monotonic()
        try:
            effect = next(steps)
            while True:
                if on_step:
                    on_step(effect)
                try:
                    if isinstance(effect, flow.Make):
                        answer = effect.request.make(self._session)
                    else:
                        self._sleep(effect.seconds)
                        answer = time.monotonic() - started_s
                except AstrometryError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value


def _checked_url(base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"base_url={base_url!r} is not allowed: give an http or https address.")
    return base_url
