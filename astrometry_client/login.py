"""The login: one session key for all threads and processes of a user."""

import hashlib
import json
import logging
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import filelock

from astrometry_client.api_key import find_api_key
from astrometry_client.config import DEFAULTS, state_dir
from astrometry_client.errors import LoginFailedException, MalformedReply
from astrometry_client.request import PostRequest, reading
from astrometry_client.session import ClientSession, is_dry_run_enabled, is_loopback
from astrometry_client.whole_file import private_folder, write_whole

logger = logging.getLogger(__name__)

_LOCK_WAIT_S = 60.0
"""Longest wait for another process that is logging in: its own time-outs end before."""


def login_request(server: str, *, api_key: str) -> PostRequest[str]:
    """Return the request that answers a session key."""
    return PostRequest(
        f"{server}/api/login", payload={"apikey": api_key}, read=reading(_session_key), idempotent=True
    )


def _session_key(document: Any) -> str:
    key = document.get("session")
    if not isinstance(key, str) or not key:
        raise MalformedReply("The login was answered without a session key: try again later.")
    return key


class Session:
    """A login to a server, shared by all threads and processes of a user.

    Nothing is looked up or sent before it is needed.

    Parameters
    ----------
    api_key, key_location
        The API key, or a file that holds it; see `find_api_key` for the other places.
    base_url
        The server.
    shared
        Whether the session key is kept on disk for the user's other processes. By default it is, but
        not for a server on this machine: such servers come and go.
    """

    def __init__(
        self,
        api_key: str | None = None,
        key_location: str | Path | None = None,
        *,
        base_url: str = DEFAULTS.base_url,
        shared: bool | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._shared = not is_loopback(base_url) if shared is None else shared
        self._given = (api_key, key_location)
        self._api_key: str | None = None
        self._key: str | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Session at {self.base_url}, {'' if self.logged_in else 'not '}logged in>"

    @property
    def api_key(self) -> str:
        """The API key. Raises `APIKeyError` if there is none."""
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

    def login(self, *, force: bool = False) -> None:
        """Make sure of a session key; with `force`, of a new one.

        Raises
        ------
        LoginFailedException
            The server does not accept the API key: check it on the site's profile page.
        """
        self.session_key(instead_of=self._key if force else None)

    def session_key(self, session: ClientSession | None = None, *, instead_of: str | None = None) -> str:
        """Return a session key, logging in when there is none or only the one that no longer works."""
        if is_dry_run_enabled("POST", session):
            return "dry-run"
        with self._lock:
            if self._key is None or self._key == instead_of:
                self._key = self._shared_key(session, instead_of)
            return self._key

    def _shared_key(self, session: ClientSession | None, stale: str | None) -> str:
        store = self._store()
        with store.locked():
            known = store.read()
            if known is not None and known != stale:
                return known
            logger.info("Logging in at %s", self.base_url)
            try:
                key = login_request(self.base_url, api_key=self.api_key).make(session)
            except LoginFailedException as refused:
                raise LoginFailedException(
                    f"{self.base_url} does not accept the API key: check it on your profile page there.",
                    url=refused.url,
                    status=refused.status,
                    server_message=refused.server_message,
                ) from refused
            store.write(key)
            return key

    def _store(self) -> "_KeyStore":
        if not self._shared:
            return _KeyStore(None)
        # The name must not let anybody guess the key, and must differ by server and key.
        digest = hashlib.sha256(f"{self.base_url}\n{self.api_key}".encode()).hexdigest()
        return _KeyStore(state_dir() / f"login-{digest[:32]}.json")


class _KeyStore:
    """The session key on disk, readable by its owner alone; without a path, nowhere."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def locked(self) -> AbstractContextManager[object]:
        if self._path is None:
            return nullcontext()
        try:
            private_folder(self._path.parent)
            return filelock.FileLock(self._path.with_suffix(".lock"), timeout=_LOCK_WAIT_S).acquire()
        except (OSError, filelock.Timeout) as cause:
            logger.warning("The login cannot be shared with other processes: %s", cause)
            self._path = None
            return nullcontext()

    def read(self) -> str | None:
        try:
            return _session_key(json.loads(self._path.read_text())) if self._path else None
        except (OSError, ValueError, AttributeError, MalformedReply):
            return None

    def write(self, key: str) -> None:
        if self._path:
            try:
                write_whole(self._path, json.dumps({"session": key}).encode(), private=True)
            except OSError as cause:
                logger.warning("The login cannot be shared with other processes: %s", cause)
