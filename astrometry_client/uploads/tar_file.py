"""Several small files in one tar, which becomes one submission with a job for each."""

import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO

from astrometry_client.uploads.contents import Opener


@contextmanager
def tar_of(files: Iterable[tuple[str, Opener]]) -> Iterator[IO[bytes]]:
    """Give a private temporary file with a tar of these files; it is gone after the block.

    The same files give the same bytes: nothing of this machine or its user is in it.

    Parameters
    ----------
    files
        Each with its name in the tar, which no other has.
    """
    with tempfile.TemporaryFile() as target:
        with tarfile.TarFile(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, opened in files:
                with opened() as file:
                    tar.addfile(_entry(name, file), file)
        target.seek(0)
        yield target


def _entry(name: str, file: IO[bytes]) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = file.seek(0, 2)
    file.seek(0)
    return entry


def opener_of_tar(files: Iterable[tuple[str, Opener]]) -> Opener:
    """Return what opens a tar of these files at its beginning."""
    kept = [*files]

    def opened() -> AbstractContextManager[IO[bytes]]:
        return tar_of(kept)

    return opened
