import bz2
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from astrometry_client.server.engine.images import read_pixels, unpack
from astrometry_client.server.engine.values import ImageError

PLANE = np.arange(48, dtype=np.uint16).reshape(6, 8) * 5


def as_fits(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    fits.PrimaryHDU(pixels).writeto(out)
    return out.getvalue()


def as_fpack(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, compression_type="RICE_1")]).writeto(out)
    return out.getvalue()


def as_picture(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


COLOURS = np.stack([PLANE, PLANE, PLANE], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    "data",
    [
        as_fits(PLANE),
        as_fits(PLANE.astype(">f8")),
        as_fits(np.stack([PLANE, PLANE, PLANE])),
        as_fits(np.stack([PLANE] * 9)),
        as_fits(PLANE[None, None]),
        as_fpack(PLANE),
        as_picture(PLANE.astype(np.uint8)),
        as_picture(PLANE),
        as_picture(PLANE, "TIFF"),
        as_picture(PLANE.astype(np.float32), "TIFF"),
        as_picture(COLOURS),
        as_picture(COLOURS, "TIFF"),
        as_picture(np.concatenate([COLOURS, np.full((6, 8, 1), 255, np.uint8)], axis=-1)),
    ],
    ids=[
        "int16",
        "double",
        "colours",
        "cube",
        "4-d",
        "fpack",
        "png",
        "png16",
        "tiff16",
        "tiff32f",
        "rgb",
        "rgb-tiff",
        "rgba",
    ],
)
def test_every_kind_gives_the_same_brightness(data: bytes) -> None:
    image = read_pixels(data, name="image")
    assert np.array_equal(image.values, PLANE)
    assert not image.unusable.any()
    assert image.top_down is not data.startswith(b"SIMPLE")


def test_jpeg_is_read() -> None:
    grey = np.full((16, 24), 77, np.uint8)
    assert np.abs(read_pixels(as_picture(grey, "JPEG"), name="image").values - 77).max() < 2


def test_palette_is_turned_into_brightness() -> None:
    out = io.BytesIO()
    Image.fromarray(PLANE.astype(np.uint8)).quantize(256).save(out, "PNG")
    assert np.abs(read_pixels(out.getvalue(), name="image").values - PLANE).max() < 2


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, bytes])
def test_compressed_files_are_unpacked(tmp_path: Path, pack: type) -> None:
    path = tmp_path / "image"
    path.write_bytes(pack(as_fits(PLANE)))
    assert np.array_equal(read_pixels(unpack(path), name="image").values, PLANE)


def test_pixels_without_value_are_marked_and_filled() -> None:
    holed = PLANE.astype(np.float32)
    holed[2, 3] = np.nan
    holed[4, 5] = np.inf
    image = read_pixels(as_fits(holed), name="image")
    assert np.argwhere(image.unusable).tolist() == [[2, 3], [4, 5]]
    assert np.isfinite(image.values).all()


@pytest.mark.parametrize(
    "data",
    [
        b"hello, I am not an image",
        b"<!DOCTYPE html><html></html>",
        b"PK\x03\x04" + bytes(60),
        b"\x00" * 5000,
        as_fits(PLANE)[:2880],
        as_fits(PLANE)[:2000],
        as_fits(np.zeros(50, np.int16)),
        fits.PrimaryHDU().header.tostring().encode(),
        as_fits(np.full((5, 5), np.nan)),
        as_picture(COLOURS)[:-30],
        as_picture(np.zeros((300, 300, 3), np.uint8), "JPEG")[:700],
    ],
    ids=["text", "html", "zip", "zeros", "header", "half", "1-d", "empty", "nan", "cut png", "cut jpeg"],
)
def test_what_is_no_image_is_said_in_one_line(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^holiday\.jpg: ") as caught:
        read_pixels(data, name="holiday.jpg")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"", gzip.compress(b"x" * 5000)[:-9], b"\x1f\x8b" + bytes(30), b"BZh9" + bytes(30), gzip.compress(b"")],
    ids=["empty", "cut", "no gzip", "no bzip2", "nothing packed"],
)
def test_empty_or_damaged_files_are_said_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "image.fits.gz"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"^image\.fits\.gz: "):
        unpack(path)


def test_missing_file_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^nowhere\.fits: No such file"):
        unpack(tmp_path / "nowhere.fits")
