"""Unpack tar archives: regular files only, within limits, never to a name of the archive's choosing."""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from .files import FileStore, StoredFile
from .settings import ServerSettings

CHUNK_BYTES = 1 << 20


class ArchiveError(Exception):
    """The archive is damaged, or unpacks to more than is allowed."""


def is_archive(path: Path) -> bool:
    """Tell whether this is a tar archive, compressed or not."""
    try:
        return tarfile.is_tarfile(path)
    except (EOFError, OSError):  # a cut compressed file
        return False


def unpack(path: Path, *, store: FileStore, settings: ServerSettings) -> Iterator[tuple[str, StoredFile]]:
    """Yield name and stored file of every regular file in an archive.

    Raises
    ------
    ArchiveError
        It is damaged, holds too many files, or too many bytes.
    """
    left_bytes = settings.unpacked_bytes
    try:
        with tarfile.open(path) as archive:
            files = (member for member in archive if member.isreg())
            for number, member in enumerate(files, start=1):
                if number > settings.archive_files or member.size > left_bytes:
                    raise ArchiveError(
                        f"an archive may hold {settings.archive_files} files of"
                        f" {settings.unpacked_bytes} bytes together"
                    )
                left_bytes -= member.size
                content = cast(IO[bytes], archive.extractfile(member))
                yield PurePosixPath(member.name).name, _copy(content, store)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArchiveError(f"the archive is damaged ({error})") from error


def _copy(content: IO[bytes], store: FileStore) -> StoredFile:
    with store.begin() as incoming:
        while chunk := content.read(CHUNK_BYTES):
            incoming.write(chunk)
        return incoming.keep()
