"""Whatever an image is held in, as a file that can be read from its beginning, more than once."""

import io
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from astrometry_client.errors import InputError
from astrometry_client.session.file_contents import STANDARD_INPUT, Content, content_of, version_of

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

Opener = Callable[[], AbstractContextManager[IO[bytes]]]
"""Opens the image at its beginning."""


def opener_of(source: Any) -> Opener:
    """Return what opens a path, standard input (`-`), an open file, or bytes.

    Raises
    ------
    UnreadableFileError
        There is nothing to be read.
    InputError
        It is something else.
    """
    if isinstance(source, str | os.PathLike) and version_of(source):
        return lambda: _opened_path(Path(source))
    if not isinstance(source, str | os.PathLike | bytes | bytearray) and not hasattr(source, "read"):
        raise InputError(
            f"source is {type(source).__name__}: give a path, '-' for standard input, an open binary file, "
            "bytes, an HDUList, a CCDData or a 2-dimensional array."
        )
    return _reading(content_of(source, field="source"))


def hdus_in_memory(source: Any) -> "HDUList | None":
    """Return the image in an `HDUList`, an HDU, a `CCDData` or an array; `None` for anything else.

    Raises
    ------
    InputError
        It holds no image.
    """
    if hasattr(source, "to_hdu"):
        # Mask and uncertainty would double the upload, and the server ignores them.
        source = source.to_hdu(hdu_mask=None, hdu_uncertainty=None)
    if hasattr(source, "writeto"):
        hdus = source if isinstance(source, list) else [source]
        if all(hdu.data is None for hdu in hdus):
            raise InputError("source holds no data: give an HDUList with an image.")
        return source
    return _hdus_of_array(source) if hasattr(source, "__array__") else None


def writer_of(hdus: "HDUList") -> Opener:
    """Return what opens a private temporary file with these HDUs, which is gone after the block."""

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        from astropy.io import fits

        with tempfile.TemporaryFile() as file:
            try:
                hdus.writeto(file)
            except fits.VerifyError as cause:
                found = " ".join(str(cause).split())
                raise InputError(f"source cannot be written as FITS: mend it ({found}).") from cause
            file.seek(0)
            yield file

    return opened


@contextmanager
def _opened_path(path: Path) -> Iterator[IO[bytes]]:
    content = content_of(path, field="source")
    try:
        yield _as_file(content)
    finally:
        content.close()


def _hdus_of_array(source: Any) -> "HDUList":
    import numpy as np
    from astropy.io import fits

    array = np.asarray(source)
    if array.ndim != 2 or array.dtype.kind not in "iuf" or not array.size:
        raise InputError(
            f"source is an array of shape {array.shape} and type {array.dtype}: give a 2-dimensional one "
            "(rows, columns) of integers or floating-point numbers; for lists of sources use SourcesUpload."
        )
    # FITS has no floating-point numbers of 16 bits.
    return fits.PrimaryHDU(array.astype(np.float32) if array.dtype == np.float16 else array)


def _reading(content: Content) -> Opener:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        yield _as_file(content)

    # What was read from standard input lies in a temporary file for as long as it may be sent.
    weakref.finalize(opened, content.close)
    return opened


def _as_file(content: Content) -> IO[bytes]:
    return io.BufferedReader(_ContentFile(content))


class _ContentFile(io.RawIOBase):
    """A content as a file."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._position = 0
        self.name = content.label

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._content.size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = self._content.read(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def own_name(source: Any) -> str | None:
    """Return the file name of a path, an open file, or an `HDUList` that was opened from a file."""
    if hasattr(source, "writeto"):
        given = getattr(source, "filename", lambda: None)()
    else:
        given = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    if not isinstance(given, str | os.PathLike) or str(given) == STANDARD_INPUT or str(given).startswith("<"):
        return None
    return Path(given).name
