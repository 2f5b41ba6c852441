"""Compression on the way, where it pays."""

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final, Literal

from astrometry_client.uploads.formats import FITS_MAGIC, is_dense

Compress = Literal["auto", "on", "off"]

_WORTH_BYTES: Final = 4 * 2**20
"""Smaller files are sent in seconds as they are."""

_WORTH_SHARE: Final = 0.8
"""What must be left at most. Sky in 16 bits shrinks to about a half, in floating point hardly at all."""

_SAMPLE_BYTES: Final = 2**18
_SAMPLED_AT: Final = (0.25, 0.5, 0.75)
_LEVEL: Final = 1
"""gzip's fastest: for images of the sky the others gain a few percent for several times the work."""


def pays(file: IO[bytes], size_bytes: int, compress: Compress) -> bool:
    """Return whether a file is to be compressed before it is sent.

    Parameters
    ----------
    compress
        `on`: unless it is compressed already; `auto`: if it is FITS of 4 MiB or more and samples of it
        shrink to 80 % or less; `off`: never.
    """
    file.seek(0)
    head = file.read(len(FITS_MAGIC))
    if compress != "auto":
        return compress == "on" and not is_dense(head)
    if size_bytes < _WORTH_BYTES or head != FITS_MAGIC:
        return False
    sample = b"".join(_block(file, int(share * size_bytes)) for share in _SAMPLED_AT)
    return len(zlib.compress(sample, _LEVEL)) <= _WORTH_SHARE * len(sample)


@contextmanager
def packed(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give a private temporary file with the gzip of another; it is gone after the block."""
    file.seek(0)
    with tempfile.TemporaryFile() as target:
        # Without name and time, the same content gives the same bytes.
        with gzip.GzipFile("", "wb", _LEVEL, target, mtime=0) as pack:
            shutil.copyfileobj(file, pack, _SAMPLE_BYTES)
        target.seek(0)
        yield target


def _block(file: IO[bytes], start: int) -> bytes:
    file.seek(start)
    return file.read(_SAMPLE_BYTES)
