"""The async client."""

import warnings
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pyrate_limiter import Rate

from astrometry_client.aio.awaiting import (
    Asynchronous,
    Plans,
    awaitable,
    awaitable_as,
    streamed,
    streamed_as,
)
from astrometry_client.aio.objects import AsyncJob, AsyncSubmission, asynchronous_end, asynchronous_job
from astrometry_client.aio.operations import Operations
from astrometry_client.client import Client
from astrometry_client.config import DEFAULTS, NOT_GIVEN
from astrometry_client.errors import InputError
from astrometry_client.ledger import Ledger
from astrometry_client.login import Session
from astrometry_client.models import Settings
from astrometry_client.session import ClientSession


def _in_pieces(owner: Asynchronous, found: Any) -> Any:
    return owner._in_pieces(found) if isinstance(found, Generator) else found


class AsyncClient(Asynchronous):
    """A `Client` for coroutines: the same methods, awaited, with the same cache, budget, ledger and login.

    Requests are made in 10 threads of the client's own, and waits cost none; one more drives each batch. Who
    cancels a call leaves at once: what waits or is being sent is broken off, the ledger knows how far it
    came, and the same call goes on.
    Use it as an async context manager or close it; nothing goes on after that.

    Parameters
    ----------
    api_key, key_location, base_url, settings
        See `Client`.
    additional_rate_limit, cache_path
        Limits beside the usual ones, and the file of stored replies in place of the user's: see
        `ClientSession`.
    ledger
        See `Client`.
    client_session
        Sends all requests, in place of one of the client's own; stays open.
    on_wait
        Called in the event loop with the seconds a request has to wait for the rate limit.

    Raises
    ------
    InputError
        An argument is not allowed.

    Examples
    --------
    >>> from astrometry_client import AsyncClient
    >>> async def solve():
    ...     async with AsyncClient() as client:
    ...         return await client.solve("m31.jpg")
    """

    if TYPE_CHECKING:
        _inner: Plans

    _closed = True
    """As long as it is not wholly made, there is nothing to be closed."""

    def __init__(
        self,
        api_key: str | None = None,
        key_location: str | Path | None = None,
        *,
        base_url: str = DEFAULTS.base_url,
        settings: Settings | None = None,
        additional_rate_limit: Rate | Iterable[Rate] | None = None,
        cache_path: str | Path | None = None,
        ledger: Ledger | None = None,
        client_session: ClientSession | None = None,
        on_wait: Callable[[float], object] | None = None,
    ) -> None:
        if client_session is not None and (additional_rate_limit or cache_path):
            raise InputError(
                "client_session excludes additional_rate_limit and cache_path: give them to the session."
            )
        sender = client_session or ClientSession(
            NOT_GIVEN if cache_path is None else cache_path, additional_rate_limit=additional_rate_limit
        )
        inner = Plans(
            api_key,
            key_location,
            base_url=base_url,
            settings=settings,
            client_session=sender,
            ledger=ledger,
        )
        super().__init__(inner, Operations(on_wait), sender)
        self._own_session = None if client_session else sender
        self._own_ledger = None if ledger else inner.ledger
        self._closed = False

    def __repr__(self) -> str:
        return f"<AsyncClient of {self.base_url}{', closed' if self._closed else ''}>"

    @property
    def base_url(self) -> str:
        """Address of the server."""
        return self._inner.base_url

    @property
    def session(self) -> Session:
        """The login."""
        return self._inner.session

    @property
    def settings(self) -> Settings:
        """Options of every upload that brings none of its own."""
        return self._inner.settings

    @settings.setter
    def settings(self, value: Settings) -> None:
        self._inner.settings = value

    @property
    def ledger(self) -> Ledger:
        """Where every step is written."""
        return self._inner.ledger

    async def authenticate(self) -> None:
        """Make sure of a login, as every call does that needs one.

        Raises
        ------
        APIKeyError, LoginFailedException
            See `Session.login`.
        """
        await self._awaited("reads", self.session.login)

    solve = awaitable(Client.solve, "local")
    solve_url = awaitable(Client.solve_url, "local")
    solve_sources = awaitable(Client.solve_sources, "local")
    calibrate_file_wcs = awaitable(Client.calibrate_file_wcs, "local")
    calibrate_wcs_file = calibrate_file_wcs
    solve_many = streamed(Client.solve_many)
    upload_file = awaitable_as(asynchronous_job, Client.upload_file, "local")
    upload_files_gen = streamed_as(asynchronous_end, Client.upload_files_gen)

    my_jobs = awaitable(Client.my_jobs)
    jobs_by_tag = awaitable(Client.jobs_by_tag)
    submission_images = awaitable(Client.submission_images)
    annotations = awaitable(Client.annotations)
    generic_request = awaitable_as(_in_pieces, Client.generic_request)
    get_predicates = awaitable(Client.get_predicates, "local")

    def submission(self, submission_id: int) -> AsyncSubmission:
        """Return a submission by its id, such as the one an error carries; asks nothing yet."""
        found = self._inner.submission(submission_id)
        return AsyncSubmission(found, self._operations, self._client_session)

    def job(self, job_id: int) -> AsyncJob:
        """Return a job by its id; asks nothing yet."""
        return asynchronous_job(self, self._inner.job(job_id))

    async def close(self) -> None:
        """Give up what is still in work, and give back threads, connections and files.

        Raises
        ------
        InputError
            Something is in work in another event loop: close it there.
        """
        await self._operations.close()
        self._closed = True
        if self._own_session is not None:
            self._own_session.close()
        if self._own_ledger is not None:
            self._own_ledger.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        if not self._closed:
            warnings.warn(f"{self!r} was never closed.", ResourceWarning, source=self, stacklevel=1)
