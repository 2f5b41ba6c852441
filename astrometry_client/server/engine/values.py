"""What goes into an engine and what comes out of it."""

import math
from pathlib import Path
from typing import Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class ImageError(Exception):
    """The file holds no picture of the sky that could be read; the message says why, in one line."""


WIDEST_HALF_DEG = 60.0
"""Half the diagonal of the widest image a gnomonic projection is good for."""


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
    invert
        The image is a negative: dark stars on a bright sky.
    time_limit_s
        CPU seconds the search for a match may take. Rendered fields of 6° to 45° took at most 5.
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
    invert: bool = False
    time_limit_s: float = 30.0

    def search_circle(self, *, diagonal_px: float) -> tuple[float, float, float] | None:
        """Return where the patterns of the image can lie: right ascension, declination and radius, degrees.

        Matchers compare the place of a pattern, not that of the image's centre: the circle grows by half the
        diagonal.
        """
        if self.ra_deg is None or self.dec_deg is None or self.radius_deg is None:
            return None
        half_deg = WIDEST_HALF_DEG
        if self.scale_upper_arcsec is not None:
            half_deg = min(half_deg, diagonal_px * self.scale_upper_arcsec / 7200.0)
        return self.ra_deg % 360.0, self.dec_deg, min(self.radius_deg + half_deg, 180.0)

    def allow(self, calibration: dict[str, float]) -> bool:
        """Tell whether a solution keeps to the scale, position and parity given, with grace.

        The scale is that of the reference pixel, which in a wide field may differ from the centre's by 3 %.
        """
        lower, upper = self.scale_lower_arcsec or 0.0, self.scale_upper_arcsec or math.inf
        in_scale = 0.95 * lower <= calibration["pixscale"] <= 1.05 * upper
        return in_scale and self.parity in (None, calibration["parity"]) and self._near(calibration)

    def _near(self, calibration: dict[str, float]) -> bool:
        if self.ra_deg is None or self.dec_deg is None or self.radius_deg is None:
            return True
        ra, dec, dec0 = (
            math.radians(v) for v in (calibration["ra"] - self.ra_deg, calibration["dec"], self.dec_deg)
        )
        cosine = math.sin(dec) * math.sin(dec0) + math.cos(dec) * math.cos(dec0) * math.cos(ra)
        grace_deg = 0.02 * (self.radius_deg + calibration["radius"])
        return math.degrees(math.acos(max(-1.0, min(1.0, cosine)))) <= self.radius_deg + grace_deg


@attrs.frozen(kw_only=True, eq=False)
class Field:
    """The sources of one image, brightest first.

    Parameters
    ----------
    x, y
        Pixels; the centre of the first pixel is 1, y grows with the rows as they lie in the file.
    flux
        Any unit, only the order matters.
    background
        Level of the sky under each source, in the unit of the pixels; `None` for a list of sources.
    top_down
        The first row is drawn on top, as in JPEG and PNG. Changes the sense of nova's orientation only.
    """

    width_px: int
    height_px: int
    x: Floats
    y: Floats
    flux: Floats
    top_down: bool = False
    background: Floats | None = None


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
