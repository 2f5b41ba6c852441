"""What goes into an engine and what comes out of it."""

from pathlib import Path
from typing import Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class ImageError(Exception):
    """The file holds no picture of the sky that could be read; the message says why, in one line."""


@attrs.frozen(kw_only=True)
class Hints:
    """What is known before the solve. `None` means "not known".

    Parameters
    ----------
    scale_lower_arcsec, scale_upper_arcsec
        Bounds of the pixel scale, arcsec per pixel of the image as uploaded.
    ra_deg, dec_deg, radius_deg
        The centre of the image lies within `radius_deg` of this place (J2000). Used if all three are known.
    parity
        The sign nova reports: 1 for a mirrored sky, -1 for one seen as from the ground with x to the right
        and y up.
    downsample_factor
        The image is binned by this many pixels (rounded) before sources are looked for.
    tweak_order
        Highest order of the SIP polynomial; 0 or 1 asks for a plain TAN. The order used is the lowest that
        predicts stars left out of the fit as well as any other.
    crpix_center
        Put the reference pixel at the centre of the image.
    positional_error_px
        How far a source may lie from its star while a match is sought, pixels.
    time_limit_s
        CPU seconds the search for a match may take.
    """

    scale_lower_arcsec: float | None = None
    scale_upper_arcsec: float | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    radius_deg: float | None = None
    parity: int | None = None
    downsample_factor: float = 1.0
    tweak_order: int = 3
    crpix_center: bool = False
    positional_error_px: float = 1.0
    time_limit_s: float = 60.0

    @property
    def position(self) -> tuple[float, float, float] | None:
        """Return right ascension, declination and radius in degrees, if all three are known."""
        if self.ra_deg is None or self.dec_deg is None or self.radius_deg is None:
            return None
        return self.ra_deg % 360.0, self.dec_deg, self.radius_deg


@attrs.frozen(kw_only=True, eq=False)
class Field:
    """The sources of one image, brightest first.

    Parameters
    ----------
    x, y
        Pixels; the centre of the first pixel is 1, y grows with the rows as they lie in the file.
    flux
        Any unit, only the order matters.
    top_down
        The first row is drawn on top, as in JPEG and PNG. Changes the sense of nova's orientation only.
    """

    width_px: int
    height_px: int
    x: Floats
    y: Floats
    flux: Floats
    top_down: bool = False


@attrs.frozen(kw_only=True, eq=False)
class Match:
    """A verified solution.

    Parameters
    ----------
    wcs_file
        A FITS file of a header alone, with the cards and in the order nova writes them.
    calibration
        nova's keys: ra, dec, radius (degrees), pixscale, width_arcsec, height_arcsec, orientation, parity.
    stars
        The stars the fit rests on: one row each of x, y (pixels, first is 1), ra, dec (degrees, J2000).
    index_name
        The index file that gave the first match.
    """

    wcs_file: bytes
    calibration: dict[str, float]
    stars: Floats
    index_name: str


class Engine(Protocol):
    """A plate solver: sources in, a verified match out, `None` when there is none to be had."""

    @property
    def name(self) -> str:
        """Return the name by which `engines` lists it."""
        ...

    def solve(self, field: Field | Path, hints: Hints) -> Match | None:
        """Return the match; raises `ImageError` if a path was given and it is not an image."""
        ...
