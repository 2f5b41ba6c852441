"""The login: one session key for all threads and processes of a user."""

import contextlib
import hashlib
import logging
from pathlib import Path
from urllib.parse import urlsplit

from astrometry_client import api
from astrometry_client.api_key import find_api_key
from astrometry_client.child_lock import ChildLock
from astrometry_client.config import DEFAULTS, state_dir
from astrometry_client.errors import InputError, LoginFailedException
from astrometry_client.session import ClientSession, is_dry_run_enabled, is_loopback
from astrometry_client.session_key_file import KeyFile

logger = logging.getLogger(__name__)


class Session:
    """A login to a server, shared by all threads and processes of a user.

    Nothing is looked up or sent before it is needed.

    Parameters
    ----------
    api_key, key_location
        The API key, or a file that holds it. Without either it is looked for in the environment
        (`ASTROMETRY_API_KEY`, `AN_API_KEY`), the netrc entry of the host, the system keyring, our
        configuration file, and the configuration of astroquery.
    base_url
        The server: `https://nova.astrometry.net` or your own.
    shared
        Whether the session key is kept on disk for the user's other processes. By default it is, but
        not for a server on this machine: such servers come and go.
    client_session
        Sends the requests of this login and of what is made with it; by default each thread has its own
        on shared limits.

    Raises
    ------
    InputError
        The address is none.
    """

    def __init__(
        self,
        api_key: str | None = None,
        key_location: str | Path | None = None,
        *,
        base_url: str = DEFAULTS.base_url,
        shared: bool | None = None,
        client_session: ClientSession | None = None,
    ) -> None:
        self.base_url = _checked_url(base_url).rstrip("/")
        self.client_session = client_session
        self._shared = not is_loopback(base_url) if shared is None else shared
        self._given = (api_key, key_location)
        self._api_key: str | None = None
        self._key: str | None = None
        self._user: str | None = None
        self._lock = ChildLock()

    def __repr__(self) -> str:
        return f"<Session at {self.base_url}, {'' if self.logged_in else 'not '}logged in>"

    @property
    def api_key(self) -> str:
        """The API key. Raises `APIKeyError`, which names the places that were looked at, if there is none."""
        if self._api_key is None:
            self._api_key = find_api_key(*self._given, base_url=self.base_url)
        return self._api_key

    @property
    def logged_in(self) -> bool:
        """Whether a session key is at hand; the server may have forgotten it."""
        return self._key is not None

    @property
    def key(self) -> str:
        """The session key; logs in if there is none yet."""
        return self.session_key()

    def login(self, force: bool = False) -> None:
        """Make sure of a session key.

        Parameters
        ----------
        force
            Whether to log in anew although there is a key.

        Raises
        ------
        APIKeyError
            There is no API key to log in with.
        LoginFailedException
            The server does not accept the API key: check it on the site's profile page.
        """
        renew = force and not is_dry_run_enabled("POST", self.client_session)
        self.session_key(instead_of=(self._key or self._store().read()) if renew else None)

    def whoami(self) -> str:
        """Return the name of the user, as the server tells it at a login; asks once.

        Returns
        -------
        str
            On nova.astrometry.net the e-mail address.

        Raises
        ------
        APIKeyError, LoginFailedException
            See `login`.
        """
        if self._user is None:
            self.login(force=True)
        return "dry-run" if self._user is None else self._user

    def logout(self) -> None:
        """Forget the session key, here and on disk. The API has no call that ends the session itself.

        Raises
        ------
        APIKeyError
            Without an API key nobody knows whose login to forget.
        """
        with self._lock:
            self._key = self._user = None
            with self._store().locked() as store:
                store.forget()

    def session_key(
        self, client_session: ClientSession | None = None, *, instead_of: str | None = None
    ) -> str:
        """Return a session key, logging in when there is none or only the one that no longer works.

        Parameters
        ----------
        client_session
            Sends the request, instead of that of this login.
        instead_of
            A key the server no longer accepts.

        Returns
        -------
        str
            The key.

        Raises
        ------
        APIKeyError, LoginFailedException
            See `login`.
        """
        sender = client_session or self.client_session
        if is_dry_run_enabled("POST", sender):
            return "dry-run"
        with self._lock:
            if self._key is None or self._key == instead_of:
                self._key = self._shared_key(sender, instead_of)
            return self._key

    def _shared_key(self, client_session: ClientSession | None, stale: str | None) -> str:
        with self._store().locked() as store:
            known = store.read()
            if known is not None and known != stale:
                return known
            logger.info("Logging in at %s", self.base_url)
            try:
                reply = api.login(self.base_url, api_key=self.api_key).make(client_session)
            except LoginFailedException as refused:
                raise LoginFailedException(
                    f"{self.base_url} does not accept the API key: check it on your profile page there.",
                    url=refused.url,
                    status=refused.status,
                    server_message=refused.server_message,
                ) from refused
            self._user = reply.user
            store.write(reply.session_key)
            return reply.session_key

    def _store(self) -> KeyFile:
        if not self._shared:
            return KeyFile(None)
        # The name must not let anybody guess the key, and must differ by server and key.
        digest = hashlib.sha256(f"{self.base_url}\n{self.api_key}".encode()).hexdigest()
        return KeyFile(state_dir() / f"login-{digest[:32]}.json")


def _checked_url(base_url: str) -> str:
    with contextlib.suppress(ValueError, AttributeError):  # no address, or no text
        parts = urlsplit(base_url)
        if parts.scheme in ("http", "https") and parts.hostname:
            return base_url
    raise InputError(f"base_url={base_url!r} is not allowed: give an http or https address.")
