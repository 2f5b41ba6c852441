"""What went wrong, as one line and one number."""

import errno
from typing import Final

from astrometry_client import errors


class ImagesLeft(errors.AstrometryError):
    """A batch has ended, but not all of it is done."""


# The first class that fits counts, so subclasses stand before their parents.
EXIT_CODES: Final[tuple[tuple[type[BaseException], int, str], ...]] = (
    (errors.APIKeyError, 4, "no API key, or not accepted"),
    (errors.LoginFailedException, 4, "no API key, or not accepted"),
    (errors.UnreadableFileError, 5, "file unreadable or not an image"),
    (errors.InputError, 2, "wrong use"),
    (errors.SubmissionFailed, 6, "image rejected by the server"),
    (errors.StatusFailedException, 7, "image has no solution"),
    (errors.SolveTimeout, 8, "not finished in the time allowed"),
    (errors.Unreachable, 3, "server unreachable or reply unusable"),
    (errors.NoUsableReply, 3, "server unreachable or reply unusable"),
    (errors.ServerRefused, 9, "server refused"),
    (errors.LedgerError, 11, "ledger cannot be read or written"),
    (ImagesLeft, 12, "not all of many images solved"),
    (errors.AstrometryError, 1, "other failure"),
    (OSError, 10, "result cannot be written"),
    (KeyboardInterrupt, 130, "interrupted"),
)


_REMEDIES: Final = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), ": make room, and run the same again"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), ": make it writable, or name another place"),
    errno.ENOENT: ": make its folder, or name another place",
}


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error; 1 for one that nobody foresaw."""
    return next((code for kind, code, _ in EXIT_CODES if isinstance(error, kind)), 1)


def message(error: BaseException) -> str:
    """Return the line that tells what happened."""
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted."
    if isinstance(error, OSError) and not isinstance(error, errors.AstrometryError) and error.strerror:
        remedy = _REMEDIES.get(error.errno or 0, "")
        return f"{error.filename or 'A file'} cannot be written or read: {error.strerror}{remedy}."
    return " ".join(str(error).split()) or type(error).__name__


def table() -> str:
    """Return the exit codes as lines of text, one each."""
    meanings = {0: "all went well", 1: "other failure"} | {code: text for _, code, text in EXIT_CODES}
    return "\n".join(f"  {code:>3}  {text}" for code, text in sorted(meanings.items()))
