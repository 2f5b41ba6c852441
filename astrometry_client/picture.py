"""Pictures of solved images: the image with the known objects drawn where they are. Needs matplotlib."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from astrometry_client.errors import InputError
from astrometry_client.models import Annotation
from astrometry_client.whole_file import writing_whole

_DPI = 100
_LARGEST_SIDE_PX = 1600
_SMALLEST_SIDE_PX = 900
_MOST_OBJECTS = 40
"""More names than this hide the sky."""
_LABEL_FLIPS_AT = 0.85
"""Share of the width beyond which a name stands left of its star, so that it stays inside."""
_INK = "#ffd166"
_STRETCH_PERCENT = (25.0, 99.7)
"""Share of the pixels of a FITS image that become black and white: the sky is dark, faint stars show."""


def draw_objects(image: Path, objects: Sequence[Annotation], *, path: Path) -> Path:
    """Draw the image with a circle and a name at every object, and return the path of the PNG.

    Parameters
    ----------
    image
        FITS, or whatever Pillow reads.
    objects
        Positions in pixels of `image`; the centre of the first pixel is 1.

    Raises
    ------
    InputError
        The image cannot be drawn, or matplotlib or what reads the image is not installed.
    """
    try:
        pixels, origin = _pixels(image)
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise InputError(f"Pictures need {missing.name}: pip install 'astrometry-client[plot]'.") from missing
    except (OSError, SyntaxError, StopIteration, ValueError) as cause:
        # Pillow reports a damaged file as any of the first two.
        raise InputError(f"{image} cannot be drawn ({type(cause).__name__}): give an image.") from cause
    height_px, width_px = pixels.shape[:2]
    longest_px = min(max(height_px, width_px, _SMALLEST_SIDE_PX), _LARGEST_SIDE_PX)
    zoom = longest_px / max(height_px, width_px)
    figure = Figure(figsize=(width_px * zoom / _DPI, height_px * zoom / _DPI), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(pixels, cmap="gray", origin=origin, aspect="auto", interpolation="antialiased")
    frame = (*axes.get_xlim(), *axes.get_ylim())
    for found in sorted(objects, key=_faintness)[:_MOST_OBJECTS]:
        _draw_one(axes, found, on_right=found.x_px > width_px * _LABEL_FLIPS_AT)
    axes.axis(frame)
    with writing_whole(path) as file:
        FigureCanvasAgg(figure).print_figure(file, format="png", dpi=_DPI)
    return path


def _draw_one(axes: Any, found: Annotation, *, on_right: bool) -> None:
    # matplotlib counts pixels from 0, the server from 1.
    place = (found.x_px - 1, found.y_px - 1)
    axes.plot(*place, "o", markersize=13, markerfacecolor="none", markeredgecolor=_INK, markeredgewidth=1.1)
    if found.names:
        axes.annotate(
            found.names[-1],
            place,
            xytext=(-9 if on_right else 9, 6),
            textcoords="offset points",
            horizontalalignment="right" if on_right else "left",
            color=_INK,
            fontsize=9,
            clip_on=True,
        )


def _faintness(found: Annotation) -> float:
    return math.inf if found.magnitude is None else found.magnitude


def _pixels(image: Path) -> tuple[Any, Literal["upper", "lower"]]:
    """Return the image as an array (rows, columns[, colours]), and where its first row is shown."""
    if _is_fits(image):
        import numpy as np
        from astropy.io import fits

        with fits.open(image) as units:
            data = next(unit.data for unit in units if unit.is_image and unit.data is not None)
        plane = np.asarray(data, dtype=float).reshape(-1, *data.shape[-2:])[0]
        black, white = np.nanpercentile(plane, _STRETCH_PERCENT)
        return np.clip(np.nan_to_num(plane, nan=black), black, max(white, black + 1e-9)), "lower"
    import numpy as np
    from PIL import Image

    with Image.open(image) as picture:
        return np.asarray(picture.convert("RGB")), "upper"


def _is_fits(image: Path) -> bool:
    # astropy opens compressed FITS by itself, so the name decides where the first bytes cannot.
    with image.open("rb") as file:
        head = file.read(9)
    return head == b"SIMPLE  =" or (head[:2] in {b"\x1f\x8b", b"BZ"} and ".fit" in image.name.lower())
