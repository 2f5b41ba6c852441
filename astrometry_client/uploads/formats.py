"""What the server can solve, told by the first bytes of it."""

import bz2
import gzip
import re
import zlib
from typing import IO, Any, Final

from astrometry_client.errors import UnreadableFileError

FITS_MAGIC: Final = b"SIMPLE  ="
_MAGIC: Final = (
    FITS_MAGIC,
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\x00", b"MM\x00*", b"BM"),
    *(b"P%d" % kind for kind in range(1, 7)),
)
"""FITS; JPEG, PNG, GIF, TIFF, BMP; PNM. Source: the site's upload page, read 2026-11."""

_PACKED: Final[dict[bytes, Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}
_DENSE: Final = (*_PACKED, b"\xff\xd8\xff", b"\x89PNG", b"GIF8")
_HEAD_BYTES: Final = 512
_TAR_MAGIC_AT: Final = 257
_COORDINATES: Final = re.compile(rb"\s*(#.*\n\s*)*[-+.\d][-+.\deE]*[\s,]+[-+.\d]")


def first_bytes(file: IO[bytes], label: str) -> bytes:
    """Return the first bytes of a file, of what is inside where it is compressed.

    Raises
    ------
    UnreadableFileError
        The file cannot be read, is empty, or is damaged so that it cannot be unpacked.
    """
    try:
        head = file.read(_HEAD_BYTES)
    except OSError as cause:
        raise UnreadableFileError(f"{label} cannot be read: {cause.strerror or cause}.") from cause
    if not head:
        raise UnreadableFileError(f"{label} is empty: give a file that holds an image.")
    file.seek(0)
    opener = next((opener for magic, opener in _PACKED.items() if head.startswith(magic)), None)
    if opener is None:
        return head
    try:
        with opener(file, "rb") as packed:
            return bytes(packed.read(_HEAD_BYTES))
    except (OSError, EOFError, zlib.error) as cause:
        raise UnreadableFileError(f"{label} is damaged and cannot be unpacked ({cause}).") from cause


def is_solvable(head: bytes) -> bool:
    """Return whether these are the first bytes of an image, a list of sources, or a tar."""
    return head.startswith(_MAGIC) or is_archive(head) or _COORDINATES.match(head) is not None


def is_archive(head: bytes) -> bool:
    """Return whether these are the first bytes of a tar, which becomes several jobs."""
    return head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar"


def is_picture(head: bytes) -> bool:
    """Return whether these are the first bytes of a picture, whose first row is shown at the top."""
    return head.startswith(_MAGIC) and not head.startswith(FITS_MAGIC)


def is_compressed(head: bytes) -> bool:
    """Return whether a file that begins so is compressed as a whole."""
    return head.startswith((*_PACKED,))


def is_dense(head: bytes) -> bool:
    """Return whether a file that begins so is compressed already."""
    return head.startswith(_DENSE)
