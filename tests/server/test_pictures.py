"""The pictures of a job show circles where its sources, stars and named objects are."""

import io
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image
from toy_engines import wcs_file

from astrometry_client.server.engine import Field
from astrometry_client.server.material import Material
from astrometry_client.server.pictures import annotated, extraction, red_green

X, Y = 300.0, 100.0


def fits_bytes(pixels: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    fits.PrimaryHDU(pixels).writeto(out)
    return out.getvalue()


def png_bytes(pixels: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def material(folder: Path, uploaded: bytes, *, width_px: int = 640, height_px: int = 480) -> Material:
    (folder / "image").write_bytes(uploaded)
    xy = {"x": np.array([X]), "y": np.array([Y]), "flux": np.array([1.0])}
    note = {"type": "bright", "names": ["ε UMa / 77 UMa"], "pixelx": X, "pixely": Y, "radius": 0.0}
    return Material(
        path=folder / "image",
        listed=not uploaded,
        field=Field(width_px=width_px, height_px=height_px, **xy),
        wcs_file=wcs_file(),
        stars=np.array([[X, Y, 9.0, 20.5]]),
        annotations=[note],
    )


def pixels_of(picture: bytes) -> NDArray[np.int_]:
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def centre(seen: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the middle of what is seen, counted as the server does: the first pixel is 1."""
    rows, columns = np.nonzero(seen)
    return (columns.min() + columns.max()) / 2.0 + 1.0, (rows.min() + rows.max()) / 2.0 + 1.0


def coloured(pixels: NDArray[np.int_], channel: int) -> NDArray[np.bool_]:
    rest = [other for other in range(3) if other != channel]
    return np.asarray(pixels[..., channel] > pixels[..., rest].max(axis=2) + 60)


BLACK = np.zeros((480, 640), dtype=np.uint8)


@pytest.mark.parametrize(
    ("uploaded", "row"),
    [
        (png_bytes(BLACK), Y),
        (png_bytes(BLACK.astype(np.uint16)), Y),
        (png_bytes(np.zeros((480, 640, 3), dtype=np.uint8)), Y),
        (fits_bytes(BLACK.astype(np.float32)), 481.0 - Y),
        (b"", Y),
    ],
    ids=["grey", "deep", "colours", "FITS is drawn from the bottom", "list"],
)
def test_source_is_encircled(tmp_path: Path, uploaded: bytes, row: float) -> None:
    seen = coloured(pixels_of(extraction(material(tmp_path, uploaded))), 0)
    assert centre(seen) == pytest.approx((X, row), abs=1.0)


def test_star_is_encircled_where_the_solution_puts_it(tmp_path: Path) -> None:
    drawn = material(tmp_path, png_bytes(BLACK))
    seen = coloured(pixels_of(red_green(drawn)), 1)
    assert centre(seen) == pytest.approx(tuple(drawn.wcs.to_pixels(drawn.stars[:, 2:])[0]), abs=1.0)


def test_named_star_is_encircled_and_named(tmp_path: Path) -> None:
    picture = pixels_of(annotated(material(tmp_path, png_bytes(BLACK))))
    round_the_star = picture[int(Y) - 15 : int(Y) + 15, int(X) - 15 : int(X) + 10]
    assert coloured(round_the_star, 1).any()
    assert (picture[:, int(X) + 12 :, 0] > 150).any()


def test_star_becomes_bright_on_a_deep_image(tmp_path: Path) -> None:
    sky = np.random.default_rng(1).normal(1000.0, 5.0, (480, 640)).astype(np.float32)
    sky[200:204, 300:304] = 30000.0
    seen = pixels_of(extraction(material(tmp_path, fits_bytes(sky))))
    assert seen[480 - 202, 302].tolist() == [255, 255, 255]
    assert 0 < np.median(seen) < 128


@pytest.mark.parametrize(
    ("full", "size"), [(False, (640, 450)), (True, (1280, 900))], ids=["display", "full"]
)
def test_display_is_as_wide_as_novas(tmp_path: Path, *, full: bool, size: tuple[int, int]) -> None:
    uploaded = png_bytes(np.zeros((900, 1280), dtype=np.uint8))
    picture = extraction(material(tmp_path, uploaded, width_px=1280, height_px=900), full=full)
    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == size


def test_small_image_is_not_enlarged(tmp_path: Path) -> None:
    drawn = material(tmp_path, png_bytes(BLACK[:30, :20]), width_px=20, height_px=30)
    assert pixels_of(extraction(drawn)).shape == (30, 20, 3)


def test_list_that_claims_an_enormous_image_does_not_get_one(tmp_path: Path) -> None:
    drawn = material(tmp_path, b"", width_px=2**31 - 1, height_px=2**31 - 1)
    assert pixels_of(extraction(drawn)).shape == (640, 640, 3)
    assert pixels_of(extraction(narrow(drawn))).shape == (10_000, 1, 3)


def narrow(drawn: Material) -> Material:
    return attrs.evolve(drawn, field=attrs.evolve(drawn.field, width_px=1))


def noted(folder: Path, *notes: dict[str, Any]) -> Material:
    return attrs.evolve(material(folder, png_bytes(BLACK)), annotations=list(notes))


def note(kind: str, name: str, x: float, y: float, radius: float = 0.0) -> dict[str, Any]:
    return {"type": kind, "names": [name], "pixelx": x, "pixely": y, "radius": radius}


def yellow(picture: NDArray[np.int_]) -> NDArray[np.bool_]:
    return np.asarray((picture[..., 0] > 150) & (picture[..., 2] < 140))


def test_object_is_encircled_at_its_size(tmp_path: Path) -> None:
    picture = pixels_of(annotated(noted(tmp_path, note("ngc", "NGC 7000", 300.0, 200.0, radius=90.0))))
    rows, columns = np.nonzero(coloured(picture, 2))
    assert (columns.max() - columns.min(), rows.max() - rows.min()) == pytest.approx((180, 180), abs=3)


def test_names_do_not_cover_each_other(tmp_path: Path) -> None:
    alone = yellow(pixels_of(annotated(noted(tmp_path, note("ngc", "M 42", 300.0, 200.0)))))
    crowd = [note("bright", "Nair al Saif", 300.0 + step, 201.0) for step in range(5)]
    together = yellow(pixels_of(annotated(noted(tmp_path, *crowd, note("ngc", "M 42", 300.0, 200.0)))))
    assert alone.sum() == pytest.approx(together.sum(), rel=0.2)
