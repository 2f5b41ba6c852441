"""The pictures of a job: its image with circles round sources, stars and named objects."""

import io
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .engine.images import is_fits, read_pixels
from .engine.values import Floats
from .material import Material
from .new_fits import picture_pixels

DISPLAY_WIDTH_PX = 640
"""Width of a picture on nova's pages; a narrower image keeps its own (recorded replies, 2026-11)."""

LONGEST_SIDE_PX = 10_000
"""No picture is larger, whatever size a list of sources claims."""

RED, GREEN, BLUE, YELLOW = (255, 60, 60), (60, 220, 60), (90, 170, 255), (255, 220, 80)

SOURCE_RADIUS_PX, STAR_RADIUS_PX, NAMED_RADIUS_PX = 5.0, 8.0, 10.0
"""Radii of the circles; those of stars lie around those of sources."""

SMALLEST_RADIUS_PX = 4.0
"""Radius of the circle round an object that is smaller, or of unknown size."""

FONT_PX = 12

JPEG_QUALITY = 90
"""At this quality thin lines show no halo."""

BLACK_PERCENT, WHITE_PERCENT = 25.0, 99.7
"""Percentiles of a deep image that are drawn black and white: the sky is dark, stars stand out."""


class Canvas:
    """The image of a job, ready to be drawn on; black if a list of sources was uploaded.

    Parameters
    ----------
    full
        In its own size, unless that is enormous.
    """

    def __init__(self, material: Material, *, full: bool) -> None:
        image, field = material.image(), material.field
        self._upside_down = image is not None and is_fits(image)
        self._height_px = field.height_px
        widest = LONGEST_SIDE_PX if full else DISPLAY_WIDTH_PX
        self._scale = min(1.0, widest / field.width_px, LONGEST_SIDE_PX / field.height_px)
        width, height = (max(1, round(side * self._scale)) for side in (field.width_px, field.height_px))
        if image is None:
            self._picture = Image.new("RGB", (width, height))
        else:
            shown = Image.fromarray(_shown(image))
            self._picture = shown.resize((width, height), Image.Resampling.BOX).convert("RGB")
        self._draw = ImageDraw.Draw(self._picture)

    def circles(self, xy: Floats, *, radius_px: float | Floats, colour: tuple[int, int, int]) -> None:
        """Draw circles round these pixels of the image; the first pixel is 1, the radius the picture's."""
        for (x, y), radius in zip(self._places(xy), np.broadcast_to(radius_px, len(xy)), strict=True):
            box = (x - radius, y - radius, x + radius, y + radius)
            self._draw.ellipse(box, outline=colour, width=1)

    def labels(self, xy: Floats, names: Iterable[str], *, colour: tuple[int, int, int]) -> None:
        """Write names beside these pixels of the image, within the picture; one on another is left out."""
        font = ImageFont.load_default(size=FONT_PX)
        written: list[tuple[float, float, float]] = []
        for (x, y), name in zip(self._places(xy), names, strict=True):
            length = self._draw.textlength(name, font=font)
            left = x + NAMED_RADIUS_PX + 2.0
            if left + length > self._picture.width:
                left = x - NAMED_RADIUS_PX - 2.0 - length
            left = max(left, 0.0)
            top = min(max(y - FONT_PX / 2.0, 0.0), self._picture.height - FONT_PX - 2.0)
            if any(abs(top - t) < FONT_PX and left < r and s < left + length for s, r, t in written):
                continue
            written.append((left, left + length, top))
            self._draw.text((left, top), name, fill=colour, font=font)

    def shown_px(self, image_px: Floats) -> Floats:
        """Return lengths in the picture of these lengths in the image."""
        return image_px * self._scale

    def _places(self, xy: Floats) -> Floats:
        """Return where these pixels are drawn."""
        x, y = xy.T - 0.5
        return np.column_stack([x, self._height_px - y if self._upside_down else y]) * self._scale

    def written(self, kind: str, **options: int) -> bytes:
        """Return the picture as a file; `options` are those of PIL."""
        out = io.BytesIO()
        self._picture.save(out, kind, **options)
        return out.getvalue()


def _shown(image: bytes) -> NDArray[np.uint8]:
    """Return an image in the brightness of a screen, its top row first."""
    if is_fits(image):
        return _stretched(read_pixels(image, name="image").values[::-1])
    pixels = picture_pixels(image)
    return pixels if pixels.dtype == np.uint8 else _stretched(pixels)


def _stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    thinned = values[:: 1 + values.shape[0] // 1000, :: 1 + values.shape[1] // 1000]
    black, white = np.percentile(thinned, (BLACK_PERCENT, WHITE_PERCENT))
    part = (values.astype(np.float32) - black) / max(white - black, np.finfo(np.float32).tiny)
    return np.asarray(np.clip(part, 0.0, 1.0) * 255.0, dtype=np.uint8)


def plain(material: Material, *, full: bool = False) -> bytes:
    """Return the image as it is, JPEG."""
    return Canvas(material, full=full).written("JPEG", quality=JPEG_QUALITY)


def extraction(material: Material, *, full: bool = False) -> bytes:
    """Return the image with its sources in red, PNG."""
    canvas = Canvas(material, full=full)
    canvas.circles(_sources(material), radius_px=SOURCE_RADIUS_PX, colour=RED)
    return canvas.written("PNG")


def red_green(material: Material, *, full: bool = False) -> bytes:
    """Return the image with its sources in red, the catalogue's stars in green, PNG."""
    canvas = Canvas(material, full=full)
    canvas.circles(_sources(material), radius_px=SOURCE_RADIUS_PX, colour=RED)
    stars = material.wcs.to_pixels(material.stars[:, 2:])
    canvas.circles(stars, radius_px=STAR_RADIUS_PX, colour=GREEN)
    return canvas.written("PNG")


def annotated(material: Material, *, full: bool = False) -> bytes:
    """Return the image with the names of its stars and objects, JPEG."""
    canvas, notes = Canvas(material, full=full), material.annotations
    xy = np.array([(note["pixelx"], note["pixely"]) for note in notes], dtype=np.float64).reshape(-1, 2)
    stars = np.array([note["type"] == "bright" for note in notes], dtype=bool)
    radii_px = canvas.shown_px(np.array([note["radius"] for note in notes], dtype=np.float64))
    canvas.circles(xy[stars], radius_px=NAMED_RADIUS_PX, colour=GREEN)
    canvas.circles(xy[~stars], radius_px=np.maximum(radii_px[~stars], SMALLEST_RADIUS_PX), colour=BLUE)
    names = [_readable(note["names"]) for note in notes]
    # The first name takes the room: Messier's objects have it, then stars.
    order = sorted(range(len(notes)), key=lambda row: not names[row].startswith("M "))
    canvas.labels(xy[order], [names[row] for row in order], colour=YELLOW)
    # Every pixel its own colour: thin lines would turn grey.
    return canvas.written("JPEG", quality=90, subsampling=0)


def _sources(material: Material) -> Floats:
    return np.column_stack([material.field.x, material.field.y])


def _readable(names: Iterable[str]) -> str:
    """Return the best known name, in letters every font has: Greek ones are spelled out."""
    short = next((name for name in names if name.startswith("M ")), None) or [*names][-1]
    return "".join(
        unicodedata.name(letter).rpartition(" ")[2].lower() if "\u0370" <= letter <= "\u03ff" else letter
        for letter in short.partition(" / ")[0]
    ).replace("lamda", "lambda")
