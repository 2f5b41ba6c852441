"""What an image may be held in, and what of it reaches the server."""

import gc
import io
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import Table

from astrometry_client import FileUpload, Session, Settings
from astrometry_client.errors import InputError, OutcomeUnknown, UnreadableFileError
from astrometry_client.testing import NovaServer, Status

PIXELS = np.arange(600, dtype=np.uint16).reshape(20, 30)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture
def session(nova_server: NovaServer) -> Session:
    return Session(base_url=nova_server.url)


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Watch the folder of temporary files: nothing may be left in it."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    gc.collect()
    assert list(folder.iterdir()) == []


def pixels(content: bytes) -> Any:
    return fits.getdata(io.BytesIO(content))


@pytest.mark.parametrize(
    "source",
    [
        PIXELS,
        PIXELS.astype(np.float32),
        PIXELS.astype(np.float16),
        PIXELS.astype(">i4"),
        np.ma.masked_array(PIXELS, PIXELS > 500),
        fits.PrimaryHDU(PIXELS),
        fits.HDUList([fits.PrimaryHDU(PIXELS)]),
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(PIXELS)]),
        CCDData(PIXELS, unit="adu", mask=PIXELS > 5),
    ],
    ids=["uint16", "float32", "float16", "big-endian", "masked", "hdu", "hdulist", "extension", "ccddata"],
)
def test_pixels_in_memory_are_sent_as_fits(nova_server: NovaServer, session: Session, source: Any) -> None:
    submission = FileUpload(source, session=session).submit()
    assert submission.id == 1
    (stored,) = nova_server.uploads
    assert stored.filename == "image.fits"
    assert np.array_equal(pixels(stored.content), PIXELS)
    assert len(stored.content) < 2880 * 5, "neither mask nor uncertainty are sent"


def test_path_is_sent_under_its_name_or_another(
    nova_server: NovaServer, session: Session, tmp_path: Path
) -> None:
    path = tmp_path / "m 31.png"
    path.write_bytes(PNG)
    FileUpload(str(path), session=session).submit()
    FileUpload(path, session=session, name="other.png").submit()
    assert [(stored.filename, stored.content) for stored in nova_server.uploads] == [
        ("m 31.png", PNG),
        ("other.png", PNG),
    ]


def test_hdus_are_called_as_the_file_they_come_from(session: Session, tmp_path: Path) -> None:
    fits.PrimaryHDU(PIXELS).writeto(tmp_path / "m31.fits")
    with fits.open(tmp_path / "m31.fits") as hdus:
        assert FileUpload(hdus, session=session).name == "m31.fits"


def test_bytes_and_open_files_are_sent_from_where_they_stand(
    nova_server: NovaServer, session: Session, tmp_path: Path
) -> None:
    path = tmp_path / "m31.png"
    path.write_bytes(b"skip" + PNG)
    with path.open("rb") as file:
        file.seek(4)
        upload = FileUpload(file, session=session)
        upload.submit()
        upload.submit()
    FileUpload(PNG, session=session).submit()
    FileUpload(io.BytesIO(PNG), session=session, name="x.png").submit()
    assert [stored.filename for stored in nova_server.uploads] == [
        "m31.png",
        "m31.png",
        "image.fits",
        "x.png",
    ]
    assert {stored.content for stored in nova_server.uploads} == {PNG}


@pytest.mark.parametrize("given", ["path", "open file"])
def test_pipe_is_read_once_and_may_be_sent_twice(
    nova_server: NovaServer, session: Session, tmp_path: Path, given: str
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(PNG,))
    writer.start()
    with nullcontext(fifo) if given == "path" else fifo.open("rb") as pipe:
        upload = FileUpload(pipe, session=session, name="pipe.png")
    writer.join()
    upload.submit()
    upload.submit()
    assert [stored.content for stored in nova_server.uploads] == [PNG, PNG]


def test_standard_input_is_sent(nova_server: NovaServer) -> None:
    program = (
        "import sys; from astrometry_client import FileUpload, Session\n"
        "print(FileUpload('-', session=Session(base_url=sys.argv[1]), name='sky.png').submit().id)"
    )
    command = [sys.executable, "-W", "error", "-c", program, nova_server.url]
    done = subprocess.run(command, input=PNG, capture_output=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == (b"1\n", b"")
    assert (nova_server.uploads[0].filename, nova_server.uploads[0].content) == ("sky.png", PNG)


def test_options_and_privacy_travel_inside_the_json(nova_server: NovaServer, session: Session) -> None:
    settings = Settings(publicly_visible="n", allow_commercial_use="n", tweak_order=0)
    FileUpload(PNG, session=session, settings=settings).submit()
    assert nova_server.uploads[0].options == {
        "publicly_visible": "n",
        "allow_commercial_use": "n",
        "tweak_order": 0,
    }


def test_mark_goes_into_the_name_before_the_suffix(session: Session) -> None:
    request = FileUpload(PNG, session=session, name="m31.fit.png").request(mark="cafe")
    assert request.file is not None
    assert request.file[0] == "m31.fit.cafe.png"
    long = FileUpload(PNG, session=session, name="m" * 250 + ".png").request(mark="cafe").file
    assert long is not None
    assert len(long[0]) < 256


def test_lost_reply_to_an_upload_leaves_nothing_behind(nova_server: NovaServer, session: Session) -> None:
    session.login()
    nova_server.plan(Status(200).at("upload"))
    with pytest.raises(OutcomeUnknown):
        FileUpload(PIXELS, session=session).submit()


@pytest.mark.parametrize("kind", ["path", "bytes", "open file", "array"])
def test_image_is_sent_whole_again_after_the_login_was_renewed(
    nova_server: NovaServer, session: Session, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    session.login()
    with (tmp_path / "a.png").open("rb") as file:
        sources = {"path": tmp_path / "a.png", "bytes": PNG, "open file": file, "array": PIXELS}
        upload = FileUpload(sources[kind], session=session)
        nova_server.expire_sessions(purged=False)
        upload.submit()
    (stored,) = nova_server.uploads
    assert stored.content == PNG or np.array_equal(pixels(stored.content), PIXELS)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (PIXELS[0], "shape"),
        (PIXELS > 5, "bool"),
        (PIXELS.astype(complex), "complex"),
        (np.zeros((0, 5)), "shape"),
        (Table({"x": [1], "y": [2]}), "SourcesUpload"),
        (fits.HDUList([fits.PrimaryHDU()]), "no data"),
        (5, "source is int: give a path"),
        (None, "source is NoneType"),
        ([1, 2], "source is list"),
        (io.StringIO("12 34"), "binary"),
        (b"", "empty"),
        (b"hello", "not an image"),
    ],
)
def test_what_holds_no_image_is_refused(
    nova_server: NovaServer, session: Session, source: Any, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        FileUpload(source, session=session)
    assert nova_server.requests == []


def test_broken_header_is_told_before_any_request(nova_server: NovaServer, session: Session) -> None:
    hdu = fits.PrimaryHDU(PIXELS)
    hdu.header["EXPTIME"] = 5
    hdu.header.cards["EXPTIME"]._image = "EXPTIME = 5 / \x00".ljust(80)
    hdu.header.cards["EXPTIME"]._modified = False
    hdu.header.cards["EXPTIME"]._verified = False
    upload = FileUpload(fits.HDUList([hdu]), session=session)
    with pytest.raises(InputError, match="written as FITS"):
        upload.submit()
    assert nova_server.uploads == []


def test_file_that_vanished_is_told(nova_server: NovaServer, session: Session, tmp_path: Path) -> None:
    path = tmp_path / "m31.png"
    path.write_bytes(PNG)
    upload = FileUpload(path, session=session)
    path.unlink()
    with pytest.raises(UnreadableFileError, match="No such file"):
        upload.submit()
    assert nova_server.uploads == []


def test_many_uploads_hold_no_file_open(tmp_path: Path) -> None:
    path = tmp_path / "m31.png"
    path.write_bytes(PNG)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  one call, whatever is open
    uploads = [FileUpload(path) for _ in range(50)]
    assert len(os.listdir("/proc/self/fd")) - before < 5  # noqa: PTH208
    assert len(uploads) == 50
