"""Bearer tokens: where they are found on this machine, and when they expire.

The places are those of the document "WLCG Bearer Token Discovery", in its order.
"""

import base64
import json
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import attrs

from astrometry_client.errors import InputError, UnreadableFileError

__all__ = ["BearerToken", "find_token"]

logger = logging.getLogger(__name__)

_SHARED_FOLDER: Final = Path("/tmp")  # noqa: S108, the place the discovery names last


def _check_value(_: object, __: object, value: str) -> None:
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise InputError("token is not one word of ASCII characters: give the token and nothing else.")


@attrs.frozen
class BearerToken:
    """A token and what is known of how long it works.

    Parameters
    ----------
    path
        The file it was read from, if it was.
    modified_ns
        When that file was changed, in nanoseconds since 1970.
    """

    value: str = attrs.field(repr=False, validator=_check_value)
    path: Path | None = None
    modified_ns: int | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the token in a file.

        Raises
        ------
        UnreadableFileError
            There is no such file, or it cannot be read.
        InputError
            It does not hold a token.
        """
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                text = file.read().decode("ascii", "replace").strip()
        except OSError as cause:
            raise UnreadableFileError(f"Token file {path}: {cause.strerror or cause}.") from cause
        if os.name == "posix" and status.st_mode & (stat.S_IRGRP | stat.S_IROTH):
            warnings.warn(f"Others can read the token in {path}: chmod 600 it.", stacklevel=2)
        return cls(text, path, status.st_mtime_ns)

    @property
    def expires_s(self) -> float | None:
        """When it expires, in seconds since 1970: the `exp` claim of a JWT; unknown for other tokens."""
        parts = self.value.split(".")
        if len(parts) != 3:
            return None
        try:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
            return float(claims["exp"])
        except (ValueError, KeyError, TypeError, OverflowError):
            return None

    def is_stale(self, now_s: float, *, early_s: float) -> bool:
        """Tell whether it is time to look for a new one: it expires within `early_s`, or its file changed."""
        if self.expires_s is not None:
            return now_s >= self.expires_s - early_s
        if self.path is None:
            return False
        try:
            return self.path.stat().st_mtime_ns != self.modified_ns
        except OSError:
            return True


def find_token() -> BearerToken | None:
    """Return the token of this user on this machine, if there is one.

    The first of these counts: `BEARER_TOKEN`, the file `BEARER_TOKEN_FILE`, the file `bt_u<UID>` in
    `XDG_RUNTIME_DIR`, the same in `/tmp`.

    Raises
    ------
    UnreadableFileError, InputError
        What a variable names is no file, or holds no token.
    """
    if value := os.environ.get("BEARER_TOKEN", "").strip():
        return BearerToken(value)
    if named := os.environ.get("BEARER_TOKEN_FILE"):
        return BearerToken.read(Path(named))
    for path in _usual_places():
        if _is_ours(path):
            return BearerToken.read(path)
    return None


def _usual_places() -> Iterator[Path]:
    if not hasattr(os, "geteuid"):
        return
    name = f"bt_u{os.geteuid()}"
    if folder := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(folder) / name
    yield _SHARED_FOLDER / name


def _is_ours(path: Path) -> bool:
    """Tell whether there is such a file; one that somebody else put there is passed over."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return False
    if owner != os.geteuid():
        logger.warning("Token file %s belongs to somebody else and is not used.", path)
        return False
    return True
