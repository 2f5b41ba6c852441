"""An image, or several in a tar, sent from here."""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import attrs

from astrometry_client import api
from astrometry_client.errors import InputError, UnreadableFileError
from astrometry_client.login import Session
from astrometry_client.models import Settings, Solution, UploadReceipt
from astrometry_client.models.wcs_cards import size_told
from astrometry_client.request import SessionRequest
from astrometry_client.session import is_loopback
from astrometry_client.session.file_contents import Version, version_of
from astrometry_client.session.interrupting import check_interrupt
from astrometry_client.uploads.contents import Opener, hdus_in_memory, opener_of, own_name, writer_of
from astrometry_client.uploads.formats import (
    FITS_MAGIC,
    first_bytes,
    is_archive,
    is_compressed,
    is_picture,
    is_solvable,
)
from astrometry_client.uploads.packing import Compress, packed, pays
from astrometry_client.uploads.upload import Upload

_SMALL_BYTES = 2 * 2**20
"""Ten of them are sent in a few seconds at 10 MB/s; larger ones gain nothing, and would be late."""

_LONGEST_STEM = 200
"""Characters of a file name: the server's database takes 256, with mark and suffix."""


_BLOCK_BYTES = 2**20
_HEADER_BYTES = 2**16


@attrs.frozen(init=False, eq=False)
class FileUpload(Upload):
    """An image, or a list of x and y, sent from here.

    Parameters
    ----------
    source
        A path, `-` for standard input, an open binary file (from where it stands), bytes, an astropy
        `HDUList` or `CCDData`, or a 2-dimensional array whose row 0 is the first of the FITS file. Files
        hold FITS (also fpacked), JPEG, PNG, GIF, TIFF, BMP, PNM, a text list of x and y (first pixel 1), or a
        tar of them, which becomes one submission with a job for each; gzip and bzip2 are fine. Files are
        never read into memory.
    session
        The login to upload with; by default one to nova.astrometry.net.
    settings
        Options of this upload; by default everything is the server's choice.
    name
        The file name the server is told; by default the source's own.
    compress
        Whether to gzip the file on the way: `auto` does with FITS of 4 MiB and more that shrinks to 80 % or
        less, and not to a server on this machine; `on` with all that is not compressed yet; `off` never.

    Raises
    ------
    UnreadableFileError
        The file is missing, unreadable, empty, a folder, a device, or nothing the server could solve.
    InputError
        The source is something else, has a name that is not UTF-8, or `compress` is none of the three.
    """

    source: Any = attrs.field(repr=False)
    name: str
    compress: Compress = attrs.field(repr=False)
    is_archive: bool = attrs.field(repr=False)
    """Whether it is a tar, which becomes several jobs."""
    _top_down: bool = attrs.field(repr=False, alias="top_down")
    _opened: Opener = attrs.field(repr=False, alias="opened")
    _hashed: list[Version | None] = attrs.field(factory=list, init=False, repr=False)
    """What the file was when it was read for its SHA-256."""

    def __init__(
        self,
        source: Any,
        session: Session | None = None,
        *,
        settings: Settings | None = None,
        name: str | None = None,
        compress: Compress = "auto",
    ) -> None:
        if compress not in {"auto", "on", "off"}:
            raise InputError(f"compress={compress!r} is not allowed: give 'auto', 'on' or 'off'.")
        name = name or own_name(source) or "image.fits"
        label = str(source) if isinstance(source, str | os.PathLike) else name
        _check_utf8(label, name)
        hdus = hdus_in_memory(source)
        opened = opener_of(source) if hdus is None else writer_of(hdus)
        head = FITS_MAGIC if hdus is not None else _checked_head(opened, label)
        self.__attrs_init__(
            source=source,
            name=name,
            compress=compress,
            is_archive=is_archive(head),
            top_down=is_picture(head),
            opened=opened,
            session=session,
            settings=settings,
        )

    @property
    def label(self) -> str:
        """The path, or the name of what has none."""
        return str(self.source) if isinstance(self.source, str | os.PathLike) else self.name

    @property
    def top_down(self) -> bool:
        """Whether it is a picture: rows of FITS and source lists are counted upwards."""
        return self._top_down

    def request(self, *, mark: str = "") -> SessionRequest[UploadReceipt]:
        """Return the request that uploads the file; see `Upload.request`."""
        name = self.marked_name(mark) if mark else self.name
        return api.upload(self.session, payload=self.settings.payload(), file=(name, self.opened_to_send))

    def marked_name(self, mark: str) -> str:
        """Return the file name by which this upload is told from all others."""
        path = Path(self.name)
        return f"{path.stem[:_LONGEST_STEM]}.{mark}{path.suffix}"

    def is_small(self) -> bool:
        """Return whether it may travel in a tar: 2 MiB at most, and not compressed as a whole."""
        with self._opened() as file:
            compressed = is_compressed(file.read(_BLOCK_BYTES))
            return not (compressed or self.is_archive) and file.seek(0, io.SEEK_END) <= _SMALL_BYTES

    def is_of_another_size(self, solution: Solution) -> bool:
        """Return whether a solution tells another size than this file, as far as both tell theirs."""
        try:
            with self._opened() as file:
                own = size_told(file.read(_HEADER_BYTES), "NAXIS1", "NAXIS2")
        except UnreadableFileError:
            return False  # it has gone since
        told = size_told(solution.wcs_file, "IMAGEW", "IMAGEH")
        return own is not None and told is not None and own != told

    def content_sha256(self) -> str:
        """Return the SHA-256 of the file; see `Upload.content_sha256`. No other version is sent later."""
        self._hashed.append(self._version())
        digest = hashlib.sha256()
        with self._opened() as file:
            while block := file.read(_BLOCK_BYTES):
                check_interrupt()
                digest.update(block)
        return digest.hexdigest()

    def _version(self) -> Version | None:
        return version_of(self.source) if isinstance(self.source, str | os.PathLike) else None

    @contextmanager
    def opened_to_send(self) -> Iterator[IO[bytes]]:
        """Open what is sent, compressed if that pays.

        Yields
        ------
        file
            At its beginning; open as long as the block.

        Raises
        ------
        UnreadableFileError
            It was changed since its content was read, or is while it is read to be sent.
        """
        compress = "off" if self.compress == "auto" and is_loopback(self.session.base_url) else self.compress
        with self._opened() as file:
            # Once it is open: from now on it gives no bytes of another version.
            if any(version != self._version() for version in self._hashed):
                raise UnreadableFileError(f"{self.source} was changed while it was in work: solve it again.")
            size_bytes = file.seek(0, io.SEEK_END)
            if pays(file, size_bytes, compress):
                with packed(file) as smaller:
                    yield smaller
            else:
                file.seek(0)
                yield file


def single(upload: FileUpload) -> FileUpload:
    """Return an upload that becomes one job.

    Raises
    ------
    InputError
        It becomes several.
    """
    if upload.is_archive:
        raise InputError(
            f"{upload.name} holds several images: upload it with FileUpload(...).submit() and iterate over "
            "its jobs, or give it to upload_files_gen."
        )
    return upload


def _check_utf8(*names: str) -> None:
    """Make sure that a server can be told these names, and a ledger can keep them."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as cause:
            raise InputError(f"{name!r} has a name that is not UTF-8: rename it.") from cause


def _checked_head(opened: Opener, label: str) -> bytes:
    """Return the first bytes of a file that the server could solve."""
    with opened() as file:
        head = first_bytes(file, label)
    if not is_solvable(head):
        raise UnreadableFileError(
            f"{label} is not an image or source list: give FITS, JPEG, PNG, GIF, TIFF, a text list of "
            "x and y, or a tar of them."
        )
    return head
