"""Files made to do harm end their submission or their job with a word, in a bounded process."""

import bz2
import contextlib
import gzip
import io
import os
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import hypothesis
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import strategies as st
from live_server import Api
from PIL import Image
from toy_engines import SOLVED

from astrometry_client.server.archive import ArchiveError, is_archive, unpack
from astrometry_client.server.engine import Field, Hints, ImageError, read_field
from astrometry_client.server.files import FileStore
from astrometry_client.server.run import LocalServer
from astrometry_client.server.settings import ServerSettings

LISTED = "".join(f"{number} {number}\n" for number in range(1, SOLVED + 1)).encode()


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return ServerSettings(data_dir=tmp_path / "data", archive_files=100, unpacked_bytes=1_000_000)


def member(name: str, *, content: bytes = b"", **told: Any) -> bytes:
    """Return a member of a tar archive; what is told of it need not be true."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in told.items():
        setattr(info, key, value)
    padding = bytes(-len(content) % tarfile.BLOCKSIZE)
    return info.tobuf(tarfile.GNU_FORMAT) + content + padding


def files_of(archive: bytes, settings: ServerSettings) -> list[tuple[str, bytes]]:
    path = settings.data_dir.with_name("archive")
    path.write_bytes(archive)
    assert is_archive(path)
    store = FileStore(settings.files_dir)
    return [
        (name, store.path(stored.sha1).read_bytes())
        for name, stored in unpack(path, store=store, settings=settings)
    ]


SPECIAL = {
    "symbolic link": {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
    "hard link": {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
    "link to a later member": {"type": tarfile.LNKTYPE, "linkname": "b"},
    "character device": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5},
    "block device": {"type": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0},
    "pipe": {"type": tarfile.FIFOTYPE},
    "folder": {"type": tarfile.DIRTYPE},
}


@pytest.mark.parametrize("told", SPECIAL.values(), ids=SPECIAL)
def test_only_regular_files_come_out(told: dict[str, Any], settings: ServerSettings) -> None:
    assert files_of(member("a", **told) + member("b", content=b"b"), settings) == [("b", b"b")]


@pytest.mark.parametrize("name", ["../../../evil", "/etc/evil", "a/../../evil", "evil", "a\\..\\evil"])
def test_name_leads_nowhere(name: str, settings: ServerSettings) -> None:
    [(told, content)] = files_of(member(name, content=b"x"), settings)
    assert "/" not in told
    assert content == b"x"
    written = [path for path in settings.data_dir.parent.rglob("*") if path.is_file()]
    assert all(path.is_relative_to(settings.files_dir) or path.name == "archive" for path in written)


LYING = {
    "size beyond all": member("a", size=1 << 50),
    "negative size": member("a", size=-5),
    "negative size of a link": member("a", size=-(1 << 40), type=tarfile.SYMTYPE),
    "name of a gigabyte": member("a", size=1 << 30, type=tarfile.GNUTYPE_LONGNAME),
    "header of a gigabyte": member("a", size=1 << 30, type=tarfile.XHDTYPE),
    "sparse file": member("a", size=1 << 30, type=tarfile.GNUTYPE_SPARSE),
    "size in a header": member("a", content=b"13 size=-100\n", type=tarfile.XHDTYPE) + member("a"),
    "10,000 folders": member("a", type=tarfile.DIRTYPE) * 10_000,
    "10,000 files": member("a") * 10_000,
    "cut": member("a", content=bytes(1000))[:600],
}


@pytest.mark.parametrize("archive", LYING.values(), ids=LYING)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_archive_that_lies_is_refused(
    archive: bytes, pack: Callable[[bytes], bytes], settings: ServerSettings
) -> None:
    with pytest.raises(ArchiveError):
        files_of(pack(archive), settings)


def test_skipped_members_are_bounded_too(settings: ServerSettings) -> None:
    skipped = member("a", size=200_000_000, type=tarfile.SYMTYPE)
    with pytest.raises(ArchiveError):
        files_of(gzip.compress(skipped) + gzip.compress(bytes(200_000_000), 1), settings)


def test_archive_in_an_archive_is_not_unpacked(settings: ServerSettings, tmp_path: Path) -> None:
    inner = member("b", content=LISTED)
    [(name, content)] = files_of(member("a.tar", content=inner), settings)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError):
        read_field(tmp_path / name, Hints())


def header(**cards: object) -> bytes:
    text = "".join(f"{key:<8}= {value!s:>20}".ljust(80) for key, value in cards.items()) + "END".ljust(80)
    return text.ljust(-(-len(text) // 2880) * 2880).encode()


PLAIN = {"SIMPLE": "T", "BITPIX": 16, "NAXIS": 2, "NAXIS1": 100, "NAXIS2": 100}
DATA = bytes(20160)


def lying(**cards: object) -> bytes:
    return header(**{**PLAIN, **cards}) + DATA


def extension(kind: str, **cards: object) -> bytes:
    known = {"XTENSION": f"'{kind:<8}'", "BITPIX": 8, "NAXIS": 2, "PCOUNT": 0, "GCOUNT": 1}
    return lying(NAXIS=0)[:2880] + header(**{**known, **cards}) + DATA


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), *chunks, chunk(b"IEND", b"")]
    )


def tiff(width: int, height: int) -> bytes:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: width * height}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, min(value, 2**32 - 1)) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def compressed_fits(name: bytes, value: int) -> bytes:
    """Return a FITS file with a compressed image, of which one number is a lie."""
    out = io.BytesIO()
    image = fits.CompImageHDU(np.zeros((100, 100), dtype=np.int16))
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(out)
    true = name.ljust(8) + b"= " + b"100".rjust(20)
    assert true in out.getvalue()
    return out.getvalue().replace(true, name.ljust(8) + b"= " + str(value).encode().rjust(20))


BAD_IMAGES = {
    "FITS, 999 axes": lying(NAXIS=999),
    "FITS, an axis without end": lying(NAXIS1=2**62),
    "FITS, axes whose product overflows": lying(NAXIS1=2**32, NAXIS2=2**32),
    "FITS, a negative axis": lying(NAXIS1=-5),
    "FITS, half a pixel": lying(NAXIS1=1.5),
    "FITS, a word for an axis": lying(NAXIS1="'wide'"),
    "FITS, no axis": header(SIMPLE="T", BITPIX=16, NAXIS=2) + DATA,
    "FITS, a cube without end": lying(NAXIS=3, NAXIS3=10**9),
    "FITS, a cube of cubes": lying(NAXIS=4, NAXIS3=10**9, NAXIS4=10**9),
    "FITS, 7 bits": lying(BITPIX=-7),
    "FITS, no bits": lying(BITPIX=0),
    "FITS, groups without end": lying(GCOUNT=10**9, PCOUNT=10**12),
    "FITS, a scale beyond all": lying(BSCALE="1E400"),
    "FITS, a word for the zero": lying(BZERO="'x'"),
    "FITS, cut in the data": lying()[:3000],
    "FITS, cut in the header": lying()[:200],
    "FITS, no end of the header": lying()[:400].ljust(2880 * 50),
    "FITS, an extension without end": extension("IMAGE", NAXIS1=2**33, NAXIS2=2**33),
    "FITS, a table without end": extension("BINTABLE", NAXIS1=16, NAXIS2=10**12, TFIELDS=1, TFORM1="'D'"),
    "FITS, 999 columns": extension("BINTABLE", NAXIS1=16, NAXIS2=9, TFIELDS=999, TFORM1="'99999999D'"),
    "FITS, compressed, without end": compressed_fits(b"ZNAXIS1", 10**9),
    "FITS, compressed, another width": compressed_fits(b"ZNAXIS1", 10**6),
    "FITS, compressed, damaged": compressed_fits(b"ZNAXIS1", 100)[:-2880].ljust(8640, b"\xff"),
    "PNG, two thousand million squared": png(2**31 - 1, 2**31 - 1),
    "PNG, 210 megapixels": png(15_000, 14_000),
    "PNG, text without end": png(9, 9, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26)))),
    "PNG, no pixels": png(100, 100),
    "GIF, 4295 megapixels": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\0;",
    "TIFF, two thousand million squared": tiff(2**31, 2**31),
    "TIFF, cut": tiff(1000, 1000),
    "TIFF, tags without end": b"II*\0\x08\0\0\0\xff\xff" + bytes(100),
    "TIFF, a tag of itself": b"II*\0\x08\0\0\0" * 100,
    "JPEG, cut": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(100),
    "BMP, no colours": b"BM" + bytes(100),
    "EPS, which PIL would have run": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
    "list, numbers without end": b"1e999 1e999\n" * 10,
    "list, an image without end": b"1e300 1e300\n" * 10,
    "gzip, nothing": gzip.compress(b""),
    "gzip, cut": gzip.compress(DATA)[:20],
    "gzip in gzip": gzip.compress(gzip.compress(lying())),
}


@pytest.mark.parametrize("content", BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_image_that_lies_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ImageError):
        read_field(tmp_path / "file", Hints())


def test_long_list_gives_its_brightest(tmp_path: Path) -> None:
    lines = [f"{number} 5 {number}\n" for number in range(1, 20_001)]
    (tmp_path / "file").write_text("".join(lines))
    field = read_field(tmp_path / "file", Hints())
    assert isinstance(field, Field)
    assert (len(field.x), field.x[0], field.width_px) == (1000, 20_000.0, 20_000)


def error_message(api: Api, content: bytes) -> str:
    return str(api.read(api.upload(content))["error_message"])


@pytest.mark.soak
def test_image_that_needs_too_much_memory_is_told(toy_dir: Path) -> None:
    picture = io.BytesIO()
    Image.new("L", (10_000, 10_000)).save(picture, "PNG", compress_level=1)
    with LocalServer(engine="toy_engines:toy", workers=1, memory_bytes=800 << 20) as server:
        api = Api.login(server.url, server.api_key)
        assert "more memory is needed" in error_message(api, picture.getvalue())
        assert api.ended(api.upload(LISTED)) == ["success"]


@pytest.mark.soak
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_ten_gigabytes_of_zeros_are_refused(pack: Callable[[bytes], bytes], api: Api) -> None:
    packed = pack(bytes(100_000_000)) * 100
    assert "unpacks to more than" in error_message(api, packed)


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16", "F"])
def test_hundred_megapixels_are_read(mode: str, api: Api) -> None:
    picture = io.BytesIO()
    Image.new(mode, (10_000, 10_000)).save(picture, "TIFF", compression="tiff_deflate")
    assert "error_message" not in api.read(api.upload(picture.getvalue()))


@pytest.mark.parametrize("name", ["session", "apikey", "url", "engine", "scale_units", "album"])
def test_half_a_character_is_refused(name: str, api: Api) -> None:
    for call in ("login", "upload", "url_upload", "myjobs"):
        reply = api.call(call, {"session": api.session_key, name: "\ud800"}, files={"file": ("a", LISTED)})
        assert reply.json()["errormessage"] == "failed to parse JSON"


def test_worker_cannot_be_reached_by_a_name(api: Api, server: LocalServer) -> None:
    for name in ("../../../../evil", "/etc/evil", "a\0b", "a\r\nb: c", "x" * 5000, "", ".", "-rf"):
        assert api.ended(api.upload(LISTED, name=name)) == ["success"]
    assert all(len(path.name) == 40 for path in server.data_dir.rglob("???/*") if path.is_file())
    assert not any(os.path.exists(place) for place in ("/etc/evil", "/evil"))  # noqa: PTH110


def test_settings_bound_what_an_archive_may_hold(settings: ServerSettings) -> None:
    one = member("a", content=bytes(400_000))
    with pytest.raises(ArchiveError, match="100 files of 1000000 bytes"):
        files_of(one * 3, settings)
    assert len(files_of(one * 3, attrs.evolve(settings, unpacked_bytes=1_200_000))) == 3


def pictures() -> dict[str, bytes]:
    """Return a small image of every kind that is read."""
    made = {"list": LISTED, "FITS": lying(), "compressed FITS": compressed_fits(b"ZNAXIS1", 100)}
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 50, 3), dtype=np.uint8))
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "PPM", "WEBP"):
        out = io.BytesIO()
        noise.save(out, kind)
        made[kind] = out.getvalue()
    made["gzip"] = gzip.compress(made["PNG"])
    made["archive"] = member("a", content=made["PNG"]) + member("b", content=LISTED)
    return made


PICTURES = pictures()


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(
    kind=st.sampled_from(sorted(PICTURES)),
    changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=12),
    cut=st.none() | st.integers(0, 2**14),
)
def test_damaged_image_is_read_or_told(
    kind: str, changes: list[tuple[int, int]], cut: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(PICTURES[kind])
    for place, value in changes:
        content[place % min(len(content), 600)] = value  # headers lie at the beginning
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[:cut])
    store = FileStore(path.with_name("damaged files"))
    with contextlib.suppress(ImageError):
        read_field(path, Hints())
    with contextlib.suppress(ArchiveError):
        if is_archive(path):
            list(unpack(path, store=store, settings=ServerSettings(unpacked_bytes=10_000_000)))
