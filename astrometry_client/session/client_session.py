"""The session: everything that is asked of a server goes through `ClientSession.send`."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import requests
from pyrate_limiter import Rate
from requests.hooks import default_hooks, dispatch_hook
from requests_cache.backends.base import BaseCache
from requests_cache.models import AnyResponse
from requests_cache.policy import CacheSettings
from requests_cache.session import CacheMixin
from requests_ratelimiter import LimiterMixin

from astrometry_client.config import DEFAULTS, NOT_GIVEN, NotGiven
from astrometry_client.errors import InputError, NotAvailable
from astrometry_client.session.auth import SessionAuthMixin
from astrometry_client.session.caching import shared_cache
from astrometry_client.session.connections import CuttableAdapter
from astrometry_client.session.downloads import download
from astrometry_client.session.dry_run import dry_answer, is_dry_id, is_dry_run_enabled
from astrometry_client.session.endpoints import UNKNOWN, endpoint_of
from astrometry_client.session.files import SessionFileMixin
from astrometry_client.session.formatting import redact_url
from astrometry_client.session.limiting import make_limiter
from astrometry_client.session.loopback import is_loopback
from astrometry_client.session.open_sessions import note_closed, note_open
from astrometry_client.session.rates import rates_of
from astrometry_client.session.requesting import RequestingMixin, Timeout, log_request
from astrometry_client.session.retrying import Retrying, RetryPolicy
from astrometry_client.session.sending import SendingMixin
from astrometry_client.session.slots_sqlite import SQLiteSlots
from astrometry_client.session.timeouts import RequestTimeout
from astrometry_client.session.user_agent import SessionUserAgentMixin

__all__ = ["ClientSession"]

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_POOL_SIZE: Final = 32
"""Connections one session keeps open at most, when many threads share it."""

_OPTIONS: Final = frozenset(
    {
        *("always_revalidate", "filter_fn", "read_only", "stale_if_error"),
        *("url", "token", "username", "password", "force_noauth", "fail_if_noauth"),
        *("auth_reload", "auth_reload_timeout"),
    }
)
"""Keywords handed on: those of the cache, and of `SessionAuthMixin`."""


class ClientSession(  # type: ignore[misc]
    SessionAuthMixin,
    SessionFileMixin,
    SessionUserAgentMixin,
    RequestingMixin,
    CacheMixin,
    SendingMixin,
    LimiterMixin,
    requests.Session,
):
    """A `requests.Session` that is polite, patient and forgetful of secrets.

    All sessions of a process with the same settings share one cache and one budget of requests; connections,
    cookies and headers are their own. Servers on this machine are neither limited nor cached unless a limit
    or a cache is asked for here.

    Parameters
    ----------
    cache_file
        Where final replies are kept; `None` keeps none. The default is the user's own cache.
    cache_control
        Whether `Cache-Control` of a reply decides how long it is kept.
    expire_after, urls_expire_after
        How long stored replies are used, as `requests_cache` has it: seconds, `timedelta`, -1 for ever;
        the second by URL pattern. Status replies and writes are never stored.
    per_second, per_minute, per_day, burst
        The allowance, see `make_limiter`. `None` is no such limit. Giving `per_second` or `per_minute`
        replaces the defaults of both.
    bucket_class, ratelimit_path, use_file_lock, additional_rate_limit
        How and where it is kept, see `make_limiter`.
    backoff_factor, max_retries
        See `RetryPolicy`.
    timeout, write_timeout
        Longest silence in seconds after a read and after a write; `None` waits for ever.
    user_agent
        Added to the `User-Agent`, such as a contact address.
    max_delay
        Longest wait in seconds for a free slot; then `RateLimitExceeded`. `None` waits as long as it takes.
    on_wait
        Called with the seconds of a wait for a free slot, when it begins.
    dry_run
        `True` answers all requests without sending them, `False` sends them whatever the environment says.
    **kwargs
        `always_revalidate`, `filter_fn`, `read_only` and `stale_if_error` of `requests_cache`; for a server
        behind a login those of `SessionAuthMixin`.

    Raises
    ------
    InputError
        A value is not allowed, or the limits cannot hold together.
    """

    def __init__(
        self,
        cache_file: str | Path | NotGiven | None = NOT_GIVEN,
        cache_control: bool = False,
        *,
        expire_after: Any = NOT_GIVEN,
        urls_expire_after: Mapping[Any, Any] | None = None,
        per_second: float | NotGiven | None = NOT_GIVEN,
        per_minute: float | NotGiven | None = NOT_GIVEN,
        per_day: float | NotGiven | None = NOT_GIVEN,
        burst: int | None = None,
        bucket_class: type[Any] = SQLiteSlots,
        backoff_factor: float = DEFAULTS.backoff_factor,
        ratelimit_path: str | os.PathLike[str] | None = None,
        use_file_lock: bool = True,
        max_retries: int = DEFAULTS.max_retries,
        timeout: float | None = DEFAULTS.timeout_s,
        write_timeout: float | None = DEFAULTS.write_timeout_s,
        user_agent: str | None = None,
        additional_rate_limit: Rate | Iterable[Rate] | None = None,
        max_delay: float | None = None,
        on_wait: Callable[[float], None] | None = None,
        dry_run: bool | None = None,
        bucket_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        _check_known(kwargs)
        rates = (per_second, per_minute, per_day)
        others = rates_of(additional_rate_limit)
        limiter = make_limiter(
            **_rates(others, *rates),
            burst=burst,
            bucket_class=bucket_class,
            bucket_kwargs=bucket_kwargs,
            ratelimit_path=ratelimit_path,
            use_file_lock=use_file_lock,
            additional_rate_limit=others,
            on_wait=on_wait,
        )
        self.limited = limiter is not None
        self.limits_loopback = any(rate is not NOT_GIVEN for rate in rates) or bool(others)
        self.caching = cache_file is not None
        self.caches_loopback = not isinstance(cache_file, NotGiven)
        self._keeps_others = cache_control or bool(urls_expire_after) or expire_after is not NOT_GIVEN
        super().__init__(
            backend=_cache(cache_file),
            cache_control=cache_control,
            expire_after=-1 if expire_after is NOT_GIVEN else expire_after,
            urls_expire_after=dict(urls_expire_after or {}),
            autoclose=False,
            limiter=limiter,
            max_delay=max_delay,
            # The loop that repeats tells the limiter about overloads itself.
            limit_statuses=(),
            user_agent=user_agent,
            **kwargs,
        )
        # Retries of an adapter would take no token.
        for scheme in ("https://", "http://"):
            self.mount(scheme, CuttableAdapter(max_retries=0, pool_maxsize=_POOL_SIZE))
        self.retrying = Retrying(policy=RetryPolicy(max_retries=max_retries, backoff_factor=backoff_factor))
        self.timeout, self.write_timeout = timeout, write_timeout
        for method in ("GET", "POST"):
            self.timeouts(method)
        self.dry_run = dry_run
        note_open(self)

    @property
    def settings(self) -> CacheSettings:
        """How this session uses the cache; the cache itself is shared."""
        return self._settings

    @settings.setter
    def settings(self, value: CacheSettings) -> None:
        self._settings = value

    def send(  # type: ignore[override]
        self,
        request: requests.PreparedRequest,
        *,
        dry_run: bool | None = None,
        raise_for_status: bool = True,
        idempotent: bool | None = None,
        timeout: Timeout = None,
        stream: bool | None = None,
        verify: bool | str | None = None,
        expire_after: Any = None,
        only_if_cached: bool = False,
        refresh: bool = False,
        force_refresh: bool = False,
        **options: Any,
    ) -> requests.Response:
        """Send a prepared request and return its judged reply.

        In this order: a dry run answers at once. A read is looked up in the cache. What must be sent is
        sent in one loop, each attempt with a token of the budget: a read until it has a usable reply,
        within bounds; a write again only if the connection never opened. Only final replies are stored.

        Parameters
        ----------
        dry_run
            `True` or `False` overrides the session and the environment.
        raise_for_status
            Whether a reply that is not usable raises, whatever its status; otherwise it comes as it is.
        idempotent
            Whether repeating the request changes nothing at the server, such as a login. By default that
            holds for GET, HEAD and OPTIONS; the method alone does not tell a harmless POST from an upload.
        timeout
            Longest silence in seconds, or (connect, read); `None` uses the session's.
        stream
            Leave the body unread. Such replies are not stored.
        expire_after, only_if_cached, refresh, force_refresh
            As in `requests_cache`.

        Raises
        ------
        NoUsableReply
            Nothing that can be trusted came back: try again later. After a write it is `OutcomeUnknown`.
        ServerRefused
            The server said no; the subclass says what to do.
        """
        started_s = time.perf_counter()
        method = request.method or "GET"
        stream = self.stream if stream is None else stream
        if self.answers_dry(method, request.url, dry_run):
            answer = dry_answer(request)
            log_request(request, answer.status_code, started_s, "dry run")
            return answer
        wire: dict[str, Any] = {
            "is_read": method in _READS if idempotent is None else idempotent,
            "raise_for_status": raise_for_status,
            "timeout": self.timeouts(method, timeout),
            "verify": self.verify if verify is None else verify,
            **options,
        }
        consulted = not stream and self.consults_cache(
            method, request.url or "", expire_after=expire_after, only_if_cached=only_if_cached
        )
        if not consulted:
            # Past the cache layer, which would read the whole body of a request to make a key of it.
            response = super(CacheMixin, self).send(request, stream=stream, **wire)
            response.from_cache = False  # type: ignore[attr-defined]
            log_request(request, response.status_code, started_s)
            return response
        kept = {"expire_after": expire_after, "refresh": refresh, "force_refresh": force_refresh}
        response = self._through_cache(request, only_if_cached=only_if_cached, **kept, **wire)
        log_request(request, response.status_code, started_s, "cached" if response.from_cache else "")
        return response

    download = download

    def get_refresh_params(self, endpoint: str) -> dict[str, Any]:  # noqa: ARG002
        """Return the keyword arguments of a `request` that must not be answered from the cache.

        The servers of this service keep no cache of their own, so nothing else is needed for any endpoint.
        """
        return {"force_refresh": True}

    def close(self) -> None:
        """Give the connections back; with the last session of its kind also the files of cache and budget.

        A closed session can be used again.
        """
        others = [other for other in note_closed(self) if isinstance(other, ClientSession)]
        for adapter in self.adapters.values():
            if isinstance(adapter, CuttableAdapter):
                adapter.close_connections()
        # `CacheMixin.close` goes on to the adapters; it leaves the cache alone.
        super().close()  # type: ignore[no-untyped-call]
        if all(other.cache is not self.cache for other in others):
            self.cache.close()  # type: ignore[no-untyped-call]
        if self.limited and all(other.limiter is not self.limiter for other in others):
            self.limiter.close()

    def __repr__(self) -> str:
        cache = self.cache.cache_name if self.caching else None
        return f"<ClientSession, cache {cache}, {'limited' if self.limited else 'not limited'}>"

    def _through_cache(
        self, request: requests.PreparedRequest, *, only_if_cached: bool, **options: Any
    ) -> AnyResponse:
        """Return the stored reply, or that of the layers below."""
        # The cache layer calls hooks for each reply, those below for the ones from the wire: once will do.
        looked_up = request
        if request.hooks.get("response"):
            looked_up = request.copy()
            looked_up.hooks = default_hooks()
        response = super().send(looked_up, only_if_cached=only_if_cached, **options)
        if only_if_cached and options["raise_for_status"] and response.status_code == 504:
            url = redact_url(request.url)
            raise NotAvailable(f"{url} is not stored: ask the server for it.", url=url)
        return cast(
            AnyResponse,
            dispatch_hook("response", request.hooks, response),  # type: ignore[no-untyped-call]
        )

    def answers_dry(self, method: str, url: str | None, override: bool | None) -> bool:
        """Return whether a request is answered without being sent."""
        if is_dry_run_enabled(method, self if override is None else override):
            return True
        # In a dry run of the writes alone, what they made exists only here.
        return is_dry_id(url) and is_dry_run_enabled("POST", self if override is None else override)

    def timeouts(self, method: str, timeout: Timeout = None) -> tuple[float | None, float | None]:
        """Return the time-outs of a request in seconds: to connect, and of silence."""
        if isinstance(timeout, tuple):
            return timeout
        if timeout is not None:
            return RequestTimeout(
                method, timeout, timeout, connect_timeout=min(DEFAULTS.connect_timeout_s, timeout)
            )
        return RequestTimeout(method, self.timeout, self.write_timeout)

    def consults_cache(
        self, method: str, url: str, *, expire_after: Any = None, only_if_cached: bool = False
    ) -> bool:
        """Return whether a request is looked up in the cache: its reply may be final, or kept by wish."""
        if method != "GET" or not self.caching:
            return False
        if not self.caches_loopback and is_loopback(url):
            return only_if_cached
        endpoint = endpoint_of(url)
        others = self._keeps_others or expire_after is not None or only_if_cached
        return endpoint.final or (others and endpoint is UNKNOWN)


def _rates(others: list[Rate], *chosen: float | NotGiven | None) -> dict[str, float | None]:
    """Return the rates to hold: the first two are those of the defaults unless one of them was chosen.

    A default beside which there is a stricter limit would never matter, and is left out.
    """
    if all(rate is NOT_GIVEN for rate in chosen[:2]):
        usual = ((DEFAULTS.per_second, 1000), (DEFAULTS.per_minute, 60_000))
        kept = (
            None if any(rate.limit <= limit and rate.interval >= interval_ms for rate in others) else limit
            for limit, interval_ms in usual
        )
        chosen = (*kept, *chosen[2:])
    given = (None if isinstance(rate, NotGiven) else rate for rate in chosen)
    return dict(zip(("per_second", "per_minute", "per_day"), given, strict=True))


def _cache(cache_file: str | Path | NotGiven | None) -> BaseCache:
    if cache_file is None:
        return BaseCache()
    return shared_cache(None if isinstance(cache_file, NotGiven) else cache_file)


def _check_known(names: Iterable[str]) -> None:
    for name in names:
        if name not in _OPTIONS:
            # Without the value, which may be a key.
            raise InputError(f"{name} is no option of a ClientSession: see its documentation.")
