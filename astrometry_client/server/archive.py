"""Unpack tar archives: regular files only, within limits, never to a name of the archive's choosing."""

import bz2
import contextlib
import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self, cast

import attrs

from .files import FileStore, StoredFile
from .settings import ServerSettings

CHUNK_BYTES = 1 << 20
"""Read at a time."""

NAME_BYTES = 1 << 16
"""Longest name or other description of a member; it is read as a whole."""

HEADERS_BYTES = 1 << 26
"""What an archive may hold beside its files."""

BLOCK_BYTES = 512
"""A tar archive consists of blocks."""


class ArchiveError(Exception):
    """The archive is damaged, or unpacks to more than is allowed."""


_CONTENT = (*tarfile.REGULAR_TYPES, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE)
"""Types of members whose size tells what follows them, not how they are described."""


class _Member(tarfile.TarInfo):
    """A member whose announced sizes make sense; it is asked before anything is read of it."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0 or member.type == tarfile.GNUTYPE_SPARSE:
            raise ArchiveError("the archive holds a file of no size")
        if member.type not in _CONTENT and member.size > NAME_BYTES:
            raise ArchiveError(f"the archive holds a name of {member.size} bytes")
        return member


@attrs.define
class _Bounded:
    """A file that gives no more than is left."""

    content: IO[bytes]
    left_bytes: int

    def read(self, size_bytes: int) -> bytes:
        data = self.content.read(size_bytes)
        self.left_bytes -= len(data)
        if self.left_bytes < 0:
            raise ArchiveError("the archive unpacks to more than this server takes")
        return data


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, gzip or bzip2 around it taken off."""
    with path.open("rb") as packed:
        head = packed.read(3)
        packed.seek(0)
        if head[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=packed) as content:
                yield cast(IO[bytes], content)
        elif head == b"BZh":
            with bz2.BZ2File(packed) as content:
                yield content
        else:
            yield packed


def is_archive(path: Path) -> bool:
    """Tell whether this is a tar archive, compressed or not."""
    try:
        with _unpacked(path) as content:
            tarfile.TarInfo.frombuf(content.read(BLOCK_BYTES), tarfile.ENCODING, "surrogateescape")
    except (tarfile.HeaderError, EOFError, OSError, zlib.error):  # damaged, too
        return False
    return True


def unpack(
    path: Path, *, store: FileStore, settings: ServerSettings, start: int = 0
) -> Iterator[tuple[str, StoredFile]]:
    """Yield name and stored file of every regular file in an archive, the first `start` of them left out.

    Raises
    ------
    ArchiveError
        It is damaged, holds too many entries, or too many bytes.
    """
    try:
        with _unpacked(path) as content:
            members = _members(content, settings=settings)
            for number, (name, member) in enumerate(members):
                if number >= start:
                    yield name, _copy(member, store)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ArchiveError(f"the archive is damaged ({error})") from error


def _members(content: IO[bytes], *, settings: ServerSettings) -> Iterator[tuple[str, IO[bytes]]]:
    left_bytes = settings.unpacked_bytes
    stream = cast(IO[bytes], _Bounded(content, left_bytes + HEADERS_BYTES))
    with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK_BYTES, tarinfo=_Member) as archive:
        for number, member in enumerate(archive, start=1):
            if number > settings.archive_files or not 0 <= member.size <= left_bytes:
                raise ArchiveError(
                    f"an archive may hold {settings.archive_files} files of"
                    f" {settings.unpacked_bytes} bytes together"
                )
            if member.isreg() and not member.issparse():
                left_bytes -= member.size
                name = os.fsencode(PurePosixPath(member.name).name).decode(errors="replace")
                yield name, cast(IO[bytes], archive.extractfile(member))


def _copy(content: IO[bytes], store: FileStore) -> StoredFile:
    with store.begin() as incoming:
        while chunk := content.read(CHUNK_BYTES):
            incoming.write(chunk)
        return incoming.keep()
