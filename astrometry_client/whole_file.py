"""Files that are either all there or not there."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from astrometry_client.errors import InputError

_ABOUT_THE_FILE: Final = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG),
}
"""Not of a connection from which its content comes."""


@contextmanager
def writing_whole(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """Give a file to write that takes the name `path` when all went well, and vanishes otherwise.

    Parameters
    ----------
    path
        The final name; a file that has it is replaced in one step, and where it is a link, what that names.
    private
        Whether only the owner may read the file; otherwise the user's umask decides.

    Raises
    ------
    InputError
        Something has the name that is no file, such as a folder or a device.
    OSError
        The file cannot be written.
    """
    real = Path(os.path.realpath(path))
    if real.exists() and not real.is_file():
        raise InputError(f"{path} is there and is no plain file: name another.")
    part = real.with_name(f".{secrets.token_hex(8)}.part")  # no longer than names may be
    mode = 0o600 if private else 0o666
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(real)
    except OSError as error:
        if error.errno in _ABOUT_THE_FILE:
            error.filename = str(path)  # the name that the user knows
        raise
    finally:
        if part.exists():  # a disk that is read-only refuses to remove even what is not there
            part.unlink()


def write_whole(path: Path, content: bytes, *, private: bool = False) -> Path:
    """Write `content` under the name `path`, whole or not at all, and return the path."""
    with writing_whole(path, private=private) as file:
        file.write(content)
    return path


def private_folder(path: Path) -> Path:
    """Make a folder only its owner may enter, if it does not exist, and return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
