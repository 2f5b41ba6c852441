"""What may be uploaded, checked before anything is sent."""

import bz2
import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from astrometry_client.errors import InputError, UnreadableFileError
from astrometry_client.uploads import FileUpload

FITS = b"SIMPLE  =                    T".ljust(2880)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


def tar_of(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("a.png")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        FITS,
        PNG,
        b"\xff\xd8\xff\xe0" + bytes(50),
        b"GIF89a" + bytes(50),
        b"II*\x00" + bytes(50),
        b"MM\x00*" + bytes(50),
        b"P5 10 10 255\n" + bytes(100),
        gzip.compress(FITS),
        bz2.compress(FITS),
        tar_of(PNG),
        gzip.compress(tar_of(PNG)),
        b"# x y\n1.5 2.5\n3 4\n",
        b"12,34.5\n",
        b"  -1.5e1\t7\n",
    ],
    ids=[
        "fits",
        "png",
        "jpeg",
        "gif",
        "tiff-le",
        "tiff-be",
        "pgm",
        "fits.gz",
        "fits.bz2",
        "tar",
        "tar.gz",
        "xy",
        "csv",
        "xy-signed",
    ],
)
def test_what_the_server_solves_is_accepted(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "field"
    path.write_bytes(content)
    assert FileUpload(path).source == path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"not an image at all", "is not an image"),
        (bytes(1000), "is not an image"),
        (b"PK\x03\x04" + bytes(100), "is not an image"),
        (b"<html><body>12 34</body>", "is not an image"),
        (gzip.compress(b"hello"), "is not an image"),
        (gzip.compress(FITS)[:15], "damaged"),
        (b"\x1f\x8bgarbage", "damaged"),
    ],
    ids=["empty", "text", "zeros", "zip", "html", "gz-text", "gz-cut", "gz-garbage"],
)
def test_what_the_server_would_reject_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "field"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=words) as caught:
        FileUpload(path)
    assert str(path) in str(caught.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="No such file"):
        FileUpload(tmp_path / "nowhere.fits")


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="directory"):
        FileUpload(tmp_path)


def test_file_in_a_folder_that_may_not_be_entered_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "a.png").write_bytes(PNG)
    folder.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # root may enter any folder
        with pytest.raises(UnreadableFileError, match="Permission denied"):
            FileUpload(folder / "a.png")
    finally:
        os.seteuid(user)
        folder.chmod(0o700)


@pytest.mark.parametrize("path", ["a\udcff.png", "\udcff/a.png"])
def test_name_that_is_not_utf8_is_refused(path: str, tmp_path: Path) -> None:
    image = tmp_path / path
    image.parent.mkdir(exist_ok=True)
    image.write_bytes(PNG)
    with pytest.raises(InputError, match="is not UTF-8: rename it"):
        FileUpload(image)
    with image.open("rb") as file, pytest.raises(InputError, match="is not UTF-8: rename it"):
        FileUpload(file, name="a\udcff.png")


def test_name_that_no_file_can_have_cannot_be_read() -> None:
    with pytest.raises(UnreadableFileError, match="embedded null"):
        FileUpload("a\0b.fits")
