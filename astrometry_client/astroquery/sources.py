"""Sources found on this machine, with what is installed for it."""

import os
import warnings
from pathlib import Path
from typing import Any

import attrs

from astrometry_client.uploads.sources_upload import MOST_SOURCES


@attrs.frozen(kw_only=True)
class Sources:
    """Pixel positions, first pixel 1, brightest first, and the size of their image."""

    x: list[float] = attrs.field(repr=False)
    y: list[float] = attrs.field(repr=False)
    width_px: int
    height_px: int


def find_sources(image: Any, *, fwhm_px: float, threshold_sigma: float) -> Sources | None:
    """Return the sources of an image; `None` if nothing that is installed finds any.

    Parameters
    ----------
    image
        A path; anything else has no sources.
    fwhm_px, threshold_sigma
        Width of a star, and how far its peak stands out of the noise. They are what photutils goes by; the
        source finder of the embedded server, used where photutils is missing or cannot read the image,
        measures both by itself.
    """
    if not isinstance(image, str | os.PathLike):
        return None
    path = Path(image)
    return _with_photutils(path, fwhm_px, threshold_sigma) or _with_engine(path)


def _with_photutils(path: Path, fwhm_px: float, threshold_sigma: float) -> Sources | None:
    try:
        from photutils.detection import DAOStarFinder
    except ImportError:
        return None
    from astropy.stats import sigma_clipped_stats

    data = _pixels(path)
    if data is None:
        return None
    unusable = data != data  # noqa: PLR0124  not a number
    _, median, deviation = sigma_clipped_stats(data, mask=unusable, sigma=3.0, maxiters=5)
    if not deviation > 0:
        return None
    finder = DAOStarFinder(threshold=threshold_sigma * deviation, fwhm=fwhm_px)
    found = finder(data - median, mask=unusable)
    if found is None:
        return None
    found.sort("flux", reverse=True)
    # photutils counts from 0; release 3 put an underscore into the names.
    x, y = ([float(value) + 1 for value in found[_column(found, axis)][:MOST_SOURCES]] for axis in "xy")
    return Sources(x=x, y=y, width_px=data.shape[1], height_px=data.shape[0])


def _column(found: Any, axis: str) -> str:
    return next(name for name in (f"{axis}_centroid", f"{axis}centroid") if name in found.colnames)


def _pixels(path: Path) -> Any:
    """Return the first plane of pixels of a FITS file as floating-point numbers, `None` if there is none."""
    from astropy.io import fits

    # What astropy only warns of is told by the server, which gets the image.
    with warnings.catch_warnings(action="ignore"):
        try:
            with path.open("rb") as file, fits.open(file) as hdus:
                planes = (hdu.data for hdu in hdus if hdu.is_image and hdu.header["NAXIS"] == 2)
                data = next(planes, None)
                return None if data is None else data.astype(float)
        except (OSError, TypeError, ValueError):
            return None


def _with_engine(path: Path) -> Sources | None:
    try:
        from astrometry_client.server.engine import Hints, ImageError, read_field
    except ImportError:
        return None
    try:
        field = read_field(path, Hints())
    except ImageError:
        return None
    if not len(field.x):
        return None
    return Sources(x=field.x.tolist(), y=field.y.tolist(), width_px=field.width_px, height_px=field.height_px)
