"""Pictures of the sky whose truth is known: real stars, rendered as a camera would see them."""

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image

from astrometry_client.server.engine.indexes import (
    index_files,
    shipped_dir,
    stars_near,
    to_vectors,
)

Floats = NDArray[np.float64]

FULL_WELL = 60000.0
"""Electrons at which a pixel saturates."""

MOST_STARS = 20_000
"""Brightest stars drawn of those in reach; fainter ones are lost in the noise."""


@attrs.frozen(kw_only=True)
class View:
    """Where the camera points and how it is built.

    Parameters
    ----------
    position_angle_deg
        Direction of growing y at the centre, from north towards east.
    parity
        The sign nova reports: determinant of the CD matrix.
    distortion
        Radial: a star at distance r from the centre is moved to r (1 + distortion (r / half width)^2).
    """

    ra_deg: float
    dec_deg: float
    width_deg: float
    width_px: int = 1000
    height_px: int = 750
    position_angle_deg: float = 0.0
    parity: Literal[1, -1] = -1
    distortion: float = 0.0

    @property
    def pixscale_arcsec(self) -> float:
        """Return the scale at the centre of the image."""
        return 3600.0 * self.width_deg / self.width_px

    def truth(self, *, top_down: bool) -> dict[str, float]:
        """Return what a solver should say, in nova's keys."""
        angle = self.position_angle_deg
        return {
            "ra": self.ra_deg,
            "dec": self.dec_deg,
            "pixscale": self.pixscale_arcsec,
            "width_arcsec": self.pixscale_arcsec * self.width_px,
            "height_arcsec": self.pixscale_arcsec * self.height_px,
            "radius": self.pixscale_arcsec * math.hypot(self.width_px, self.height_px) / 7200.0,
            "orientation": (180.0 - angle) % 360.0 if top_down else (angle + 180.0) % 360.0 - 180.0,
            "parity": float(self.parity),
        }

    def to_pixels(self, degrees: Floats) -> Floats:
        """Return pixels (n, 2), first pixel 1, of stars (n, 2); NaN for the far side of the sky."""
        ra, dec = np.radians(degrees[:, 0] - self.ra_deg), np.radians(degrees[:, 1])
        dec0 = math.radians(self.dec_deg)
        towards = math.sin(dec0) * np.sin(dec) + math.cos(dec0) * np.cos(dec) * np.cos(ra)
        towards = np.where(towards > 0.2, towards, np.nan)
        east = np.degrees(np.cos(dec) * np.sin(ra) / towards)
        north = np.degrees(
            (math.cos(dec0) * np.sin(dec) - math.sin(dec0) * np.cos(dec) * np.cos(ra)) / towards
        )
        angle, scale = math.radians(self.position_angle_deg), self.width_deg / self.width_px
        u = self.parity * (east * math.cos(angle) - north * math.sin(angle)) / scale
        v = (east * math.sin(angle) + north * math.cos(angle)) / scale
        stretch = 1.0 + self.distortion * (u**2 + v**2) / (self.width_px / 2.0) ** 2
        return np.column_stack(
            [(self.width_px + 1) / 2.0 + u * stretch, (self.height_px + 1) / 2.0 + v * stretch]
        )


@attrs.frozen(kw_only=True)
class Camera:
    """How stars become pixels."""

    faintest_mag: float | None = None
    """Magnitude at a signal of about eight times the noise; `None`: what the field's width calls for."""
    fwhm_px: float = 2.6
    corner_blur: float = 0.3
    """Growth of the width from the centre to the corners."""
    background: float = 900.0
    """Electrons per pixel of the sky."""
    gradient: float = 0.25
    read_noise: float = 8.0
    cosmic_rays: int = 6
    hot_pixels: int = 12


@attrs.frozen(kw_only=True, eq=False)
class Picture:
    """Pixels (electrons, row 0 is y = 1) and what they show."""

    pixels: NDArray[np.uint16]
    view: View

    def fits_bytes(self) -> bytes:
        """Return a 16-bit FITS image."""
        out = io.BytesIO()
        fits.PrimaryHDU(self.pixels).writeto(out)
        return out.getvalue()

    def picture_bytes(self, kind: Literal["PNG", "JPEG", "TIFF"], **options: Any) -> bytes:
        """Return an 8-bit picture, stretched as people look at one; row 0 is drawn on top."""
        out = io.BytesIO()
        Image.fromarray(self.stretched()).save(out, kind, **options)
        return out.getvalue()

    def stretched(self) -> NDArray[np.uint8]:
        """Return 8-bit values: black a little below the sky, square root above."""
        floor = float(np.percentile(self.pixels, 5)) - 20.0
        shown = np.clip((self.pixels - floor) / (0.25 * FULL_WELL), 0.0, 1.0) ** 0.5
        return np.asarray(shown * 255.0, dtype=np.uint8)


def random_view(rng: np.random.Generator, *, width_deg: float, **more: Any) -> View:
    """Return a view anywhere on the sky, turned any way, either parity."""
    return View(
        ra_deg=rng.uniform(0.0, 360.0),
        dec_deg=math.degrees(math.asin(rng.uniform(-1.0, 1.0))),
        width_deg=width_deg,
        position_angle_deg=rng.uniform(-180.0, 180.0),
        parity=1 if rng.random() < 0.5 else -1,
        **more,
    )


def stars_in(view: View, folders: Iterable[Path]) -> tuple[Floats, Floats]:
    """Return pixels (n, 2) and magnitudes of the real stars in view: the index files' and the bright ones."""
    centre = to_vectors(np.array([[view.ra_deg, view.dec_deg]]))[0]
    degrees, mags = stars_near(
        [index.path for index in index_files(folders)],
        centre=centre,
        radius_deg=min(0.9 * view.width_deg, 70.0),
    )
    brightest = np.argsort(mags)[:MOST_STARS]
    degrees, mags = degrees[brightest], mags[brightest]
    bright, bright_mags = bright_stars()
    apart = to_vectors(bright) @ to_vectors(degrees).T
    missing = apart.max(axis=1) < math.cos(math.radians(30.0 / 3600.0))
    degrees, mags = np.vstack([degrees, bright[missing]]), np.concatenate([mags, bright_mags[missing]])
    pixels = view.to_pixels(degrees)
    inside = np.all((pixels > -20) & (pixels < (view.width_px + 20, view.height_px + 20)), axis=1)
    return pixels[inside], mags[inside]


def bright_stars() -> tuple[Floats, Floats]:
    """Return positions (n, 2) and magnitudes of the named stars, some of which the index files lack."""
    with (shipped_dir() / "bright_stars.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    degrees = np.array([[float(row["ra_deg"]), float(row["dec_deg"])] for row in rows])
    return degrees, np.array([float(row["vmag"]) for row in rows])


def render(
    view: View, rng: np.random.Generator, *, camera: Camera | None = None, folders: Iterable[Path] = ()
) -> Picture:
    """Return the picture this camera takes of this view."""
    camera = camera or Camera()
    pixels, mags = stars_in(view, [*folders, shipped_dir()])
    # Wider fields show brighter stars: about 250 stars whatever the width.
    faintest = camera.faintest_mag or float(np.sort(mags)[min(len(mags) - 1, 250)])
    fluxes = 9.0 * math.sqrt(camera.background) * camera.fwhm_px**2 * 10.0 ** (0.4 * (faintest - mags))
    sky = _sky(view, camera, rng)
    for (x, y), flux in zip(pixels, fluxes, strict=True):
        _add_star(sky, view=view, camera=camera, x=x - 1.0, y=y - 1.0, flux=flux)
    return Picture(pixels=_expose(sky, camera, rng), view=view)


def noise(rng: np.random.Generator, *, width_px: int = 800, height_px: int = 600) -> Picture:
    """Return a picture of a sky without stars."""
    view = View(ra_deg=0.0, dec_deg=0.0, width_deg=10.0, width_px=width_px, height_px=height_px)
    return Picture(pixels=_expose(_sky(view, Camera(), rng), Camera(), rng), view=view)


def _sky(view: View, camera: Camera, rng: np.random.Generator) -> Floats:
    y, x = np.mgrid[-0.5 : 0.5 : 1j * view.height_px, -0.5 : 0.5 : 1j * view.width_px]
    direction = rng.uniform(0.0, 2.0 * math.pi)
    slope = camera.gradient * (x * math.cos(direction) + y * math.sin(direction))
    vignette = -0.3 * camera.gradient * (x**2 + y**2)
    return np.asarray(camera.background * (1.0 + slope + vignette))


def _add_star(sky: Floats, *, view: View, camera: Camera, x: float, y: float, flux: float) -> None:
    """Add a Moffat profile of exponent 3; it reaches as far as it can be seen."""
    out = math.hypot(x - view.width_px / 2.0, y - view.height_px / 2.0) / math.hypot(
        view.width_px, view.height_px
    )
    fwhm = camera.fwhm_px * (1.0 + 2.0 * camera.corner_blur * out)
    core = fwhm / (2.0 * math.sqrt(2.0 ** (1.0 / 3.0) - 1.0))
    peak = 2.0 * flux / (math.pi * core**2)
    reach = int(np.clip(core * (peak / 3.0) ** (1.0 / 6.0), 4, 60))
    left, low = max(0, round(x) - reach), max(0, round(y) - reach)
    right, high = min(view.width_px, round(x) + reach + 1), min(view.height_px, round(y) + reach + 1)
    if left >= right or low >= high:
        return
    rows, columns = np.mgrid[low:high, left:right]
    sky[low:high, left:right] += peak * (1.0 + ((columns - x) ** 2 + (rows - y) ** 2) / core**2) ** -3.0


def _expose(sky: Floats, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint16]:
    seen = rng.poisson(sky) + rng.normal(0.0, camera.read_noise, sky.shape)
    height, width = sky.shape
    seen[rng.integers(0, height, camera.hot_pixels), rng.integers(0, width, camera.hot_pixels)] += 20000.0
    for _ in range(camera.cosmic_rays):
        _add_track(seen, rng)
    return np.clip(np.round(seen), 0.0, FULL_WELL).astype(np.uint16)


def _add_track(seen: Floats, rng: np.random.Generator) -> None:
    height, width = seen.shape
    length, angle = rng.uniform(2.0, 15.0), rng.uniform(0.0, math.pi)
    along = np.arange(0.0, length, 0.7)
    rows = (rng.uniform(0, height) + along * math.sin(angle)).astype(int) % height
    columns = (rng.uniform(0, width) + along * math.cos(angle)).astype(int) % width
    seen[rows, columns] += rng.uniform(2000.0, 15000.0)


@attrs.frozen(kw_only=True)
class Errors:
    """How far a calibration is from the truth.

    Parameters
    ----------
    centre
        Angle between the centres, in parts of the field's width.
    scale
        Relative error of the pixel scale.
    """

    centre: float
    scale: float
    orientation_deg: float
    parity_right: bool

    @property
    def right(self) -> bool:
        """Tell whether this is a solution one can work with."""
        close = self.centre < 0.01 and self.scale < 0.001 and self.orientation_deg < 0.1
        return close and self.parity_right


def errors(calibration: dict[str, float], view: View, *, top_down: bool) -> Errors:
    """Return how far this calibration is from what the view truly shows."""
    truth = view.truth(top_down=top_down)
    turned = calibration["orientation"] - truth["orientation"]
    apart_deg = angle_between_deg((calibration["ra"], calibration["dec"]), (truth["ra"], truth["dec"]))
    return Errors(
        centre=apart_deg / view.width_deg,
        scale=abs(calibration["pixscale"] / truth["pixscale"] - 1.0),
        orientation_deg=abs((turned + 180.0) % 360.0 - 180.0),
        parity_right=calibration["parity"] == truth["parity"],
    )


def angle_between_deg(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return the angle between two positions (right ascension, declination), degrees."""
    a, b = to_vectors(np.array([first, second]))
    return math.degrees(2.0 * math.asin(min(1.0, float(np.linalg.norm(a - b)) / 2.0)))
