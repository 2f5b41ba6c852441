"""From a request to a judged reply on the wire: redirects followed, failures repeated, tokens taken."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import requests
from requests.utils import rewind_body
from requests_ratelimiter import LimiterMixin

from astrometry_client.errors import AstrometryError, NoUsableReply, ServerRefused
from astrometry_client.session.bodies import read_body, was_read
from astrometry_client.session.failures import WIRE_ERRORS, typed_error
from astrometry_client.session.formatting import redact_url
from astrometry_client.session.loopback import is_loopback
from astrometry_client.session.replies import judge
from astrometry_client.session.retrying import Retrying

__all__ = ["SendingMixin"]

T = TypeVar("T")


class SendingMixin(LimiterMixin):
    """Sends below the cache and above the limiter, so that each attempt and each redirect takes a token."""

    retrying: Retrying
    limited: bool
    """Whether there is a limit."""

    limits_loopback: bool
    """Whether it holds for servers on this machine too."""

    def send(  # type: ignore[override]
        self,
        request: requests.PreparedRequest,
        *,
        is_read: bool = False,
        raise_for_status: bool = True,
        stream: bool = False,
        **options: Any,
    ) -> requests.Response:
        """Send a request until it has a usable reply, as far as that is allowed.

        Parameters
        ----------
        is_read
            Whether it may be repeated.
        raise_for_status
            Whether a reply that is not usable raises; otherwise the last one comes as it is.
        stream
            Whether to leave the body of a successful reply unread.
        """

        def receive(response: requests.Response) -> requests.Response:
            if stream and response.status_code < 400:
                return response
            _, read_s = options["timeout"]
            if not was_read(response):
                read_body(response, grace_s=read_s)
            judge(response)
            return response

        try:
            return self.exchange(request, receive, is_read=is_read, **options)
        except (NoUsableReply, ServerRefused) as error:
            if raise_for_status or error.response is None or not was_read(error.response):
                raise
            return error.response

    def exchange(
        self,
        request: requests.PreparedRequest,
        receive: Callable[[requests.Response], T],
        *,
        is_read: bool,
        allow_redirects: bool = True,
        **options: Any,
    ) -> T:
        """Send a request and return what `receive` makes of the reply; a failure of either is repeated.

        Parameters
        ----------
        receive
            Reads and judges a reply whose body is still on the wire.
        """
        options |= self.merge_environment_settings(
            request.url or "",
            dict(options.get("proxies") or {}),
            True,
            options.get("verify"),
            options.get("cert"),
        )
        first = True

        def attempt() -> T:
            nonlocal request, first
            if not first:
                _rewind(request)
            first = False
            history: list[requests.Response] = []
            current = request
            hop_options = dict(options)
            while True:
                response = self._hop(current, hop_options)
                following = response.next if allow_redirects else None
                if following is None:
                    response.history = history
                    return _received(response, receive)
                self._check_redirect(response, following, len(history))
                history.append(response)
                hop_options["proxies"] = self.rebuild_proxies(  # type: ignore[no-untyped-call]
                    following, hop_options.get("proxies")
                )
                current = following
                if not is_read:
                    # The first address has had this write; only where it was sent on to may see it again.
                    request = following

        return self.retrying(
            attempt, is_read=is_read, back_off=lambda wait_s: self._back_off(request, wait_s)
        )

    def _hop(self, request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
        """Send once, with a token, and return the reply with its body still on the wire."""
        # Without a limit, go past the limiter's own `send`.
        below: Any = super() if self._is_limited(request) else super(LimiterMixin, self)
        try:
            response: requests.Response = below.send(request, allow_redirects=False, **options)
        except AstrometryError:
            raise
        except WIRE_ERRORS as cause:
            raise typed_error(cause, request) from cause
        return response

    def _is_limited(self, request: requests.PreparedRequest) -> bool:
        return self.limited and (self.limits_loopback or not is_loopback(request.url or ""))

    def _back_off(self, request: requests.PreparedRequest, wait_s: float) -> None:
        penalize = getattr(self.limiter, "penalize", None)
        if penalize is not None and self._is_limited(request):
            penalize(self._bucket_name(request), wait_s)  # type: ignore[no-untyped-call]

    def _check_redirect(
        self, response: requests.Response, following: requests.PreparedRequest, taken: int
    ) -> None:
        """Refuse endless redirects, and ones that would hand the keys in a body to another server."""
        old, new = redact_url(response.url), redact_url(following.url)
        if taken >= self.max_redirects:
            problem = f"{old} redirects without end: check the address."
        elif following.body is not None and self.should_strip_auth(response.url, following.url):  # type: ignore[no-untyped-call]
            problem = f"{old} wants the request sent on to {new}: give that address if you trust it."
        else:
            return
        raise ServerRefused(problem, url=old, status=response.status_code, response=response)


def _received(response: requests.Response, receive: Callable[[requests.Response], T]) -> T:
    try:
        with _closed_on_failure(response):
            return receive(response)
    except AstrometryError as error:
        if isinstance(error, requests.RequestException) and error.response is None:
            error.response, error.request = response, response.request
        raise
    except WIRE_ERRORS as cause:
        raise typed_error(cause, response.request) from cause


@contextmanager
def _closed_on_failure(response: requests.Response) -> Iterator[None]:
    """Give up the connection if what is left of a reply will not be read."""
    try:
        yield
    except BaseException:
        if not was_read(response):
            response.close()
        raise


def _rewind(request: requests.PreparedRequest) -> None:
    """Make a body that is read from a file start anew."""
    if getattr(request, "_body_position", None) is not None:
        rewind_body(request)
