"""Find the stars in an image: background, detection, and the sorting out of what is no star."""

import math
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from .images import Pixelmap, read_pixels, unpack
from .source_lists import parse_list
from .values import Field, Floats, Hints

THRESHOLDS = (5.0, 3.0)
"""Detection limits in standard deviations of the background: the second if the first finds too few."""

FEW_SOURCES = 40
"""Fewer than this after the first limit: look deeper."""

MOST_SOURCES = 500
"""Sources kept, spread over the image: more add nothing to a match or a fit."""

LONGEST_SIDE_PX = 4000
"""Larger images are binned: stars are then several pixels wide, and nothing is lost."""

CELLS = 10
"""Cells over which the sources are spread, counted as astrometry.net's `uniformize` does (read 2026-11)."""

SHARPER, LONGER, LARGER = 0.82, 2.2, 10.0
"""Parts of the median where smoothness, elongation and size are no star's (a hot pixel: 0.35 as smooth)."""


def read_field(path: Path, hints: Hints) -> Field:
    """Return the sources of an image, or of a list of sources, brightest first.

    Raises
    ------
    ImageError
        The file is neither; the message says why in one line.
    """
    data = unpack(path)
    listed = parse_list(data)
    if listed is not None:
        return listed
    image = read_pixels(data, name=path.name)
    if hints.invert:
        image = attrs.evolve(image, values=-image.values)
    return find_sources(image, downsample_factor=hints.downsample_factor)


def find_sources(image: Pixelmap, *, downsample_factor: float = 1.0) -> Field:
    """Return the sources of an image, at most `MOST_SOURCES`, spread over it, brightest first."""
    height, width = image.values.shape
    factor = max(1, round(downsample_factor), math.ceil(max(height, width) / LONGEST_SIDE_PX))
    values, unusable = _binned(image.values, factor), _binned(image.unusable, factor) > 0
    found, sky = _detect(values, unusable)
    kept = found[_is_star(found)] if len(found) else found
    x, y = (kept["x"] + 0.5) * factor + 0.5, (kept["y"] + 0.5) * factor + 0.5
    order = _spread(x, y, flux=kept["flux"], size_px=(width, height))
    return Field(
        width_px=width,
        height_px=height,
        x=x[order],
        y=y[order],
        flux=kept["flux"][order].astype(np.float64),
        top_down=image.top_down,
        background=_levels(sky, kept[order]),
    )


def _levels(sky: NDArray[np.float32], found: NDArray[np.void]) -> Floats:
    """Return the sky under each source."""
    row, column = (np.rint(found[axis]).astype(int) for axis in ("y", "x"))
    return np.asarray(sky[row, column], dtype=np.float64)


def _binned(values: NDArray[np.generic], factor: int) -> NDArray[np.float32]:
    if factor == 1:
        return np.asarray(values, dtype=np.float32)
    height, width = (side // factor for side in values.shape)
    blocks = values[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def _detect(
    values: NDArray[np.float32], unusable: NDArray[np.bool_]
) -> tuple[NDArray[np.void], NDArray[np.float32]]:
    """Return what stands out from the sky, and the sky."""
    import sep

    background = sep.Background(values, mask=unusable, bw=64, bh=64)
    sky = np.asarray(background.back())
    flat = values - sky
    found: NDArray[np.void] = np.empty(0, dtype=[("x", "f8"), ("y", "f8"), ("flux", "f8")])
    if not background.globalrms > 0:
        return found, sky
    for threshold in THRESHOLDS:
        found = _extract(flat, unusable, limit=threshold * background.globalrms)
        if len(found) >= FEW_SOURCES:
            break
    return found, sky


def _extract(flat: NDArray[np.float32], unusable: NDArray[np.bool_], *, limit: float) -> NDArray[np.void]:
    """Detect; where a crowded or structured image overflows the detector, only what stands out more."""
    import sep

    while True:
        try:
            return np.asarray(sep.extract(flat, limit, mask=unusable, minarea=4))
        # sep raises no narrower class.
        except Exception as error:
            if "overflow" not in str(error) and "pixel buffer full" not in str(error):
                raise
            limit *= 2.0


def _is_star(found: NDArray[np.void]) -> NDArray[np.bool_]:
    """Tell stars from hot pixels, tracks of particles, nebulae, and what the edge cuts.

    All stars of an image have one shape, whatever it is: what differs much from the median is none.
    """
    import sep

    smoothness = found["cpeak"] / found["peak"]
    elongation = found["a"] / np.maximum(found["b"], 0.1)
    size = np.sqrt(found["a"] * found["b"])
    sharper = smoothness < SHARPER * np.median(smoothness)
    longer = elongation > LONGER * np.median(elongation)
    larger = size > LARGER * np.median(size)
    cut = (found["flag"] & sep.OBJ_TRUNC) > 0
    usable = np.isfinite(found["x"] + found["y"]) & (found["flux"] > 0)
    return np.asarray(usable & ~(sharper | longer | larger | cut))


def _spread(x: Floats, y: Floats, *, flux: Floats, size_px: tuple[int, int]) -> NDArray[np.intp]:
    """Return an order that takes the brightest of every cell in turn, then the second brightest."""
    width, height = size_px
    columns = max(1, round(math.sqrt(CELLS * width / height)))
    rows = max(1, round(CELLS / columns))
    cell = (x * columns / (width + 1)).astype(int) + columns * (y * rows / (height + 1)).astype(int)
    brightest = np.argsort(-flux, kind="stable")
    seen: dict[int, int] = {}
    turn = np.empty(len(x), dtype=int)
    for index in brightest:
        turn[index] = seen[cell[index]] = seen.get(cell[index], -1) + 1
    return np.lexsort((-flux, turn))[:MOST_SOURCES]
