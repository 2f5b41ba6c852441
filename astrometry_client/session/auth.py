"""Credentials for a server behind a login: found in the usual places, sent to that server alone."""

import logging
import time
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests.sessions import SessionRedirectMixin
from requests.utils import get_netrc_auth

from astrometry_client.errors import InputError
from astrometry_client.session.bearer_tokens import BearerToken, find_token
from astrometry_client.session.formatting import redact_url

__all__ = ["SessionAuthMixin"]

logger = logging.getLogger(__name__)

_REDIRECTS: Final = SessionRedirectMixin()
RELOAD_EARLY_S: Final = 300.0
"""Default of `auth_reload_timeout`, in seconds: longer than any single request takes."""


class SessionAuthMixin(requests.Session):
    """Sends credentials to one server. This is the login of a server's gate, not nova's API key.

    The first of these counts: `token`, or `username` and `password`; a bearer token in `BEARER_TOKEN`, in the
    file `BEARER_TOKEN_FILE`, in `$XDG_RUNTIME_DIR/bt_u<UID>`, in `/tmp/bt_u<UID>`; the entry of the server in
    netrc; nothing. They never go to another server, neither by address nor by redirect.

    Parameters
    ----------
    url
        Address of the server they are for. `None`: there are none, and none are looked for.
    token
        A bearer token.
    username, password
        For basic authentication; both or neither.
    force_noauth
        Send none, wherever there may be some.
    fail_if_noauth
        Refuse to work without.
    auth_reload
        Look again for a token that was found rather than given: before it expires, or, if it does not tell,
        when its file changed.
    auth_reload_timeout
        How long before the end of a token to look for its successor, in seconds.
    **kwargs
        Passed on to the next class.

    Raises
    ------
    InputError
        The arguments contradict each other, or there are no credentials and `fail_if_noauth` is set.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        force_noauth: bool = False,
        fail_if_noauth: bool = False,
        auth_reload: bool = False,
        auth_reload_timeout: float = RELOAD_EARLY_S,
        **kwargs: Any,
    ) -> None:
        if force_noauth and fail_if_noauth:
            raise InputError("force_noauth and fail_if_noauth exclude each other: give one of them.")
        if auth_reload_timeout < 0:
            raise InputError(f"auth_reload_timeout={auth_reload_timeout} is negative: give seconds.")
        given = _given(token, username, password)
        _check_url(url, needed=given is not None or fail_if_noauth)
        early_s = auth_reload_timeout if auth_reload else None
        credentials = None if force_noauth or url is None else given or _found(url, early_s)
        if credentials is None and fail_if_noauth:
            raise InputError(
                f"There are no credentials for {redact_url(url)}: give token=, or username= and password=."
            )
        super().__init__(**kwargs)
        # Always set: requests would look into netrc by itself otherwise.
        self.auth = _ForOneServer(url, credentials)

    def request(  # type: ignore[override]
        self, method: str, url: str, *, access_token: str | None = None, **options: Any
    ) -> requests.Response:
        """Send a request; `access_token` replaces the session's credentials this once, for this address."""
        if access_token is not None:
            if options.get("auth") is not None:
                raise InputError("access_token= and auth= exclude each other: give one of them.")
            options["auth"] = _Bearer(BearerToken(access_token))
        return super().request(method, url, **options)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Drop the credentials where a redirect leaves the server, and take none from netrc instead."""
        if _leads_elsewhere(response.request.url, prepared_request.url):
            prepared_request.headers.pop("Authorization", None)


def _leads_elsewhere(old_url: str | None, new_url: str | None) -> bool:
    """Tell whether two addresses are of different servers; http and https of one host are the same."""
    return bool(_REDIRECTS.should_strip_auth(old_url or "", new_url or ""))  # type: ignore[no-untyped-call]


def _check_url(url: str | None, *, needed: bool) -> None:
    if url is None and needed:
        raise InputError("url is missing: say which server the credentials are for.")
    if url is not None and (urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname):
        raise InputError(f"url={redact_url(url)!r} is no address of a server: begin with https://.")


def _given(token: str | None, username: str | None, password: str | None) -> AuthBase | None:
    if (username is None) != (password is None):
        raise InputError("username and password belong together: give both or neither.")
    if token is not None and username is not None:
        raise InputError("token and username exclude each other: give a token, or user name and password.")
    if token is not None:
        return _Bearer(BearerToken(token))
    return None if username is None or password is None else _basic(username, password)


def _found(url: str, early_s: float | None) -> AuthBase | None:
    token = find_token()
    if token is not None:
        return _Bearer(token) if early_s is None else _ReloadedBearer(token, early_s=early_s)
    entry = get_netrc_auth(url)
    return _basic(*entry) if entry else None


def _basic(username: str, password: str) -> AuthBase:
    # As text, requests would encode them in Latin-1. RFC 7617 allows UTF-8.
    return HTTPBasicAuth(username.encode(), password.encode())


class _Bearer(AuthBase):
    def __init__(self, token: BearerToken) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token.value}"
        return request


class _ReloadedBearer(_Bearer):
    """A token that is looked up again when it is about to expire."""

    def __init__(self, token: BearerToken, *, early_s: float) -> None:
        super().__init__(token)
        self._early_s = early_s

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token.is_stale(time.time(), early_s=self._early_s):
            self._reload()
        return super().__call__(request)

    def _reload(self) -> None:
        try:
            self.token = find_token() or self.token
        except InputError as error:
            # It may be just being replaced, and the old one may still work.
            logger.warning("The token could not be read again: %s", error)


class _ForOneServer(AuthBase):
    """Credentials that stay with one server, and give way to an `Authorization` header set by hand."""

    def __init__(self, url: str | None, credentials: AuthBase | None) -> None:
        self._url = url
        self._credentials = credentials

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._credentials is None or "Authorization" in request.headers:
            return request
        return request if _leads_elsewhere(self._url, request.url) else self._credentials(request)
