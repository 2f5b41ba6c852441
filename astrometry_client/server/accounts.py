"""Users, their API keys and logins. Keys are stored as hashes only."""

import hashlib
import secrets
import sqlite3
import string
import time
from collections.abc import Callable

import attrs

from .database import Database
from .wire import ApiError

KEY_LETTERS = string.ascii_lowercase
"""API keys of nova are lower-case letters."""

KEY_LENGTH = 24
"""112 bits; too many to guess, so a plain hash keeps them."""

SESSION_LETTERS = string.ascii_lowercase + string.digits
SESSION_LENGTH = 32
"""As the session keys of nova."""

PURGE_S = 86400.0
"""An expired session answers `user is not authenticated.` this long, then it is forgotten, as on nova."""


ANYONE = "anyone"
"""The user of all keys that are not known, where any key logs in."""

_NEW_USER = "INSERT INTO users (name) VALUES (?) ON CONFLICT DO NOTHING"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _random(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


@attrs.frozen
class Login:
    """A new login; the key is not kept anywhere else."""

    user: str
    session_key: str = attrs.field(repr=False)


class Accounts:
    """The users of one server.

    Parameters
    ----------
    session_s
        Lifetime of a login, seconds.
    anyone
        Whether any key logs in; one that is not known, as the user `anyone`.
    clock
        Tells the time, seconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        *,
        session_s: float,
        anyone: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._clock = clock
        self._session_s = session_s
        self._anyone = anyone

    def has_keys(self) -> bool:
        """Tell whether anybody can log in."""
        return self._database.row("SELECT 1 FROM api_keys LIMIT 1") is not None

    def new_key(self, user: str) -> str:
        """Return a new API key of a user, who is made if new. It cannot be read again later."""
        key = _random(KEY_LETTERS, KEY_LENGTH)
        with self._database.transaction() as connection:
            connection.execute(_NEW_USER, (user,))
            connection.execute(
                "INSERT INTO api_keys (hash, user_id) SELECT ?, id FROM users WHERE name = ?",
                (_hash(key), user),
            )
        return key

    def login(self, api_key: object) -> Login:
        """Return a new login for an API key.

        Raises
        ------
        ApiError
            In nova's words, if the key is missing or not known.
        """
        if api_key is None:
            raise ApiError('need "apikey"')
        user = self._user_with(str(api_key))
        if user is None:
            raise ApiError("bad apikey")
        session_key = _random(SESSION_LETTERS, SESSION_LENGTH)
        now = self._clock()
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM sessions WHERE expires < ?", (now - PURGE_S,))
            connection.execute(
                "INSERT INTO sessions (hash, user_id, expires) VALUES (?, ?, ?)",
                (_hash(session_key), user["id"], now + self._session_s),
            )
        return Login(user["name"], session_key)

    def _user_with(self, api_key: str) -> sqlite3.Row | None:
        known = self._database.row(
            "SELECT users.id, name FROM api_keys JOIN users ON users.id = user_id WHERE hash = ?",
            _hash(api_key),
        )
        if known is not None or not self._anyone or not api_key:
            return known
        with self._database.transaction() as connection:
            connection.execute(_NEW_USER, (ANYONE,))
        return self._database.row("SELECT id, name FROM users WHERE name = ?", ANYONE)

    def user_of(self, session_key: str) -> int:
        """Return the id of the user logged in with this session key.

        Raises
        ------
        ApiError
            In nova's words, if the session is unknown or has expired.
        """
        session = self._database.row("SELECT * FROM sessions WHERE hash = ?", _hash(session_key))
        if session is None:
            raise ApiError(f'no session with key "{session_key}"')
        if session["expires"] < self._clock():
            raise ApiError("user is not authenticated.")
        return int(session["user_id"])
