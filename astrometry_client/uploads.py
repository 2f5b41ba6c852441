"""Uploads: what is sent to be solved, checked before anything is sent."""

import bz2
import gzip
import re
import zlib
from pathlib import Path

import attrs

from astrometry_client.errors import UnreadableFileError
from astrometry_client.login import Session
from astrometry_client.models import Settings, UploadReceipt
from astrometry_client.request import SessionRequest, reading

_MAGIC = {
    b"SIMPLE  =": "FITS",
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"BM": "BMP",
    **{b"P%d" % kind: "PNM" for kind in range(1, 7)},
}
"""First bytes of the formats the server solves. Source: its upload page, read 2026-11."""

_HEAD_BYTES = 512
_TAR_MAGIC_AT = 257
_COORDINATES = re.compile(rb"\s*(#.*\n\s*)*[-+.\d][-+.\deE]*[\s,]+[-+.\d]")


@attrs.frozen
class FileUpload:
    """An image, or a list of x and y, to be sent from disk.

    Parameters
    ----------
    path
        FITS (also fpacked), JPEG, PNG, GIF, TIFF, BMP, PNM, a text list of x and y, or a tar of them;
        gzip and bzip2 are fine. Never read into memory.
    settings
        Options of this upload.

    Raises
    ------
    UnreadableFileError
        The file is missing, unreadable, empty, a folder, or nothing the server could solve.
    """

    path: Path = attrs.field(converter=Path)
    settings: Settings = attrs.field(factory=Settings)

    @path.validator
    def _check(self, _: object, path: Path) -> None:
        if not _is_solvable(_first_bytes(path)):
            raise UnreadableFileError(
                f"{path} is not an image or source list: give FITS, JPEG, PNG, GIF, TIFF, a text list of "
                "x and y, or a tar of them."
            )

    def request(self, login: Session) -> SessionRequest[UploadReceipt]:
        """Return the request that uploads the file."""
        return SessionRequest(
            f"{login.base_url}/api/upload",
            payload=self.settings.payload(),
            file=(self.path.name, self.path),
            login=login,
            read=reading(UploadReceipt.from_document),
        )


def _first_bytes(path: Path) -> bytes:
    """Return the first bytes, of the content where the file is compressed."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        if not head:
            raise UnreadableFileError(f"{path} is empty: give a file that holds an image.")
        for magic, opener in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open)):
            if head.startswith(magic):
                with opener(path, "rb") as packed:
                    return packed.read(_HEAD_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as cause:
        raise UnreadableFileError(f"{path} is damaged and cannot be unpacked ({cause}).") from cause
    except OSError as cause:
        raise UnreadableFileError(f"{path} cannot be read: {cause.strerror or cause}.") from cause
    return head


def _is_solvable(head: bytes) -> bool:
    return (
        any(head.startswith(magic) for magic in _MAGIC)
        or head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar"
        or _COORDINATES.match(head) is not None
    )
