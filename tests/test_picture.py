"""Pictures of solved images."""

import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from astrometry_client.errors import InputError
from astrometry_client.models import Annotation
from astrometry_client.picture import draw_objects

WIDTH_PX, HEIGHT_PX = 1000, 800


def star(x_px: float, y_px: float, *names: str) -> Annotation:
    return Annotation(kind="bright", names=names, x_px=x_px, y_px=y_px, radius_px=0.0, magnitude=2.0)


def image(folder: Path, kind: str) -> Path:
    path = folder / f"field.{kind}"
    pixels = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    if kind == "png":
        Image.fromarray(pixels).save(path)
    else:
        fits.PrimaryHDU(pixels.astype(np.float32)).writeto(path)
    return path


def middle_of_ink(path: Path) -> tuple[float, float]:
    """Return where the drawn pixels lie on average: column and row of the picture, from the top left."""
    with Image.open(path) as picture:
        assert picture.size == (WIDTH_PX, HEIGHT_PX)
        rows, columns = np.nonzero(np.asarray(picture.convert("L")) > 100)
    return float(columns.mean()), float(rows.mean())


def test_circle_lies_on_the_star_of_a_picture(tmp_path: Path) -> None:
    drawn = draw_objects(image(tmp_path, "png"), [star(301, 201)], path=tmp_path / "out.png")
    assert middle_of_ink(drawn) == pytest.approx((300, 200), abs=1)


def test_first_row_of_fits_is_at_the_bottom(tmp_path: Path) -> None:
    drawn = draw_objects(image(tmp_path, "fits"), [star(301, 201)], path=tmp_path / "out.png")
    assert middle_of_ink(drawn) == pytest.approx((300, HEIGHT_PX - 201), abs=1)


@pytest.mark.parametrize("x_px", [2, 500, 999])
def test_name_stays_inside(x_px: float, tmp_path: Path) -> None:
    named = draw_objects(image(tmp_path, "png"), [star(x_px, 400, "Alnilam")], path=tmp_path / "out.png")
    with Image.open(named) as picture:
        ink = np.asarray(picture.convert("L")) > 100
    beside = ink[:, 850:] if x_px > 850 else ink[:, int(x_px) + 10 : int(x_px) + 80]
    assert beside.sum() > 50
    assert not ink[:, [0, -1]].any() or x_px in (2, 999)


def test_picture_without_objects_is_the_image(tmp_path: Path) -> None:
    drawn = draw_objects(image(tmp_path, "png"), [], path=tmp_path / "out.png")
    with Image.open(drawn) as picture:
        assert np.asarray(picture.convert("L")).max() < 10


def test_small_image_is_enlarged_and_large_one_shrunk(tmp_path: Path) -> None:
    for size_px, expected_px in ((100, 900), (4000, 1600)):
        path = tmp_path / f"{size_px}.png"
        Image.fromarray(np.zeros((size_px // 2, size_px), np.uint8)).save(path)
        with Image.open(draw_objects(path, [], path=tmp_path / "out.png")) as picture:
            assert picture.size == (expected_px, expected_px // 2)


def test_missing_package_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InputError, match=r"PIL: pip install 'astrometry-client\[plot\]'"):
        draw_objects(image_without_pillow(tmp_path), [], path=tmp_path / "out.png")


def image_without_pillow(folder: Path) -> Path:
    path = folder / "field.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    return path


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n cut", b"12.5 3.5\n1 2\n"], ids=["cut", "list"])
def test_what_is_no_picture_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "field"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be drawn"):
        draw_objects(path, [], path=tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
