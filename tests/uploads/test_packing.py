"""Compression on the way: where it pays, and nowhere else."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from astrometry_client import FileUpload, Session
from astrometry_client.errors import InputError
from astrometry_client.testing import NovaServer
from astrometry_client.uploads.packing import packed, pays

MIB = 2**20
FITS = b"SIMPLE  =                    T".ljust(2880)
NOISE = np.random.default_rng(5).bytes(5 * MIB)


@pytest.mark.parametrize(
    ("content", "compress", "expected"),
    [
        (FITS + bytes(5 * MIB), "auto", True),
        (FITS + bytes(5 * MIB), "off", False),
        (FITS + bytes(MIB), "auto", False),
        (FITS + bytes(MIB), "on", True),
        (FITS + NOISE, "auto", False),
        (b"\x89PNG\r\n\x1a\n" + bytes(5 * MIB), "auto", False),
        (b"\x89PNG\r\n\x1a\n" + bytes(5 * MIB), "on", False),
        (gzip.compress(FITS), "on", False),
        (b"1 2\n", "on", True),
    ],
)
def test_where_it_pays(content: bytes, compress: str, expected: bool) -> None:
    assert pays(io.BytesIO(content), len(content), compress) is expected


def test_sixteen_bit_sky_pays() -> None:
    sky = np.random.default_rng(5).normal(1000, 30, 3 * MIB).astype(">i2").tobytes()
    assert pays(io.BytesIO(FITS + sky), len(FITS + sky), "auto")


def test_same_content_packs_to_the_same_bytes() -> None:
    results = []
    for _ in range(2):
        with packed(io.BytesIO(FITS)) as file:
            results.append(file.read())
    assert results[0] == results[1]
    assert gzip.decompress(results[0]) == FITS


@pytest.mark.parametrize(("compress", "is_packed"), [("auto", False), ("on", True), ("off", False)])
def test_file_arrives_packed_where_asked_for(
    nova_server: NovaServer, tmp_path: Path, compress: str, is_packed: bool
) -> None:
    path = tmp_path / "m31.fits"
    path.write_bytes(FITS)
    FileUpload(path, session=Session(base_url=nova_server.url), compress=compress).submit()
    (stored,) = nova_server.uploads
    assert stored.filename == "m31.fits"
    assert (stored.content != FITS) is is_packed
    if is_packed:
        assert gzip.decompress(stored.content) == FITS


def test_other_words_are_refused() -> None:
    with pytest.raises(InputError, match="compress='yes'"):
        FileUpload(FITS, compress="yes")
