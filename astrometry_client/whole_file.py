"""Files that are either all there or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO


@contextmanager
def writing_whole(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """Give a file to write that takes the name `path` when all went well, and vanishes otherwise.

    Parameters
    ----------
    path
        The final name; a file that has it is replaced in one step.
    private
        Whether only the owner may read the file; otherwise the user's umask decides.
    """
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False) as part:
        try:
            yield part
            part.flush()
            os.fsync(part.fileno())
            if not private:
                Path(part.name).chmod(0o666 & ~_umask())
            Path(part.name).replace(path)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def write_whole(path: Path, content: bytes, *, private: bool = False) -> Path:
    """Write `content` under the name `path`, whole or not at all, and return the path."""
    with writing_whole(path, private=private) as file:
        file.write(content)
    return path


def private_folder(path: Path) -> Path:
    """Make a folder only its owner may enter, if it does not exist, and return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
