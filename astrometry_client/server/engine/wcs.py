"""The map between pixels and sky: a gnomonic (TAN) projection with SIP polynomials on top."""

import attrs
import numpy as np

from .values import Floats

INVERSE_STEPS = 20
"""Fixed-point steps of the inverse: distortions of a lens converge to 1e-9 pixel in fewer."""


def terms(order: int, *, lowest: int) -> list[tuple[int, int]]:
    """Return the exponents (p, q) of u^p v^q with `lowest <= p + q <= order`, in the order of SIP's cards."""
    return [(p, q) for p in range(order + 1) for q in range(order + 1 - p) if p + q >= lowest]


def powers(uv: Floats, exponents: list[tuple[int, int]]) -> Floats:
    """Return u^p v^q, one row per point and one column per pair of exponents."""
    return np.column_stack([uv[:, 0] ** p * uv[:, 1] ** q for p, q in exponents])


def project(degrees: Floats, *, centre: Floats) -> Floats:
    """Return gnomonic plane coordinates (xi towards east, eta towards north), degrees, (n, 2).

    The far half of the sky is NaN.
    """
    ra, dec = np.radians(degrees[:, 0] - centre[0]), np.radians(degrees[:, 1])
    dec0 = np.radians(centre[1])
    towards = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra)
    towards = np.where(towards > 1e-3, towards, np.nan)
    xi = np.cos(dec) * np.sin(ra) / towards
    eta = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(ra)) / towards
    return np.asarray(np.degrees(np.column_stack([xi, eta])))


def deproject(plane: Floats, *, centre: Floats) -> Floats:
    """Return right ascension and declination in degrees, (n, 2), of gnomonic plane coordinates."""
    xi, eta = np.radians(plane[:, 0]), np.radians(plane[:, 1])
    dec0 = np.radians(centre[1])
    depth = np.cos(dec0) - eta * np.sin(dec0)
    ra = centre[0] + np.degrees(np.arctan2(xi, depth))
    dec = np.degrees(np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, depth)))
    return np.column_stack([ra % 360.0, dec])


@attrs.frozen(kw_only=True, eq=False)
class Wcs:
    """A TAN or TAN-SIP solution.

    Parameters
    ----------
    crval
        Right ascension and declination of the reference pixel, degrees.
    crpix
        The reference pixel; the first pixel is 1.
    cd
        The CD matrix, degrees per pixel.
    sip
        Coefficients of the exponents `terms(order, lowest=2)`: one row for A, one for B.
    """

    crval: Floats
    crpix: Floats
    cd: Floats
    order: int = 1
    sip: Floats = attrs.field(factory=lambda: np.zeros((2, 0)))

    def distortion(self, uv: Floats) -> Floats:
        """Return what SIP adds to these offsets from the reference pixel, pixels."""
        if self.order < 2:
            return np.zeros_like(uv)
        return powers(uv, terms(self.order, lowest=2)) @ self.sip.T

    def to_plane(self, xy: Floats) -> Floats:
        """Return plane coordinates about `crval`, degrees, of pixels (n, 2)."""
        uv = xy - self.crpix
        return (uv + self.distortion(uv)) @ self.cd.T

    def to_sky(self, xy: Floats) -> Floats:
        """Return right ascension and declination in degrees, (n, 2), of pixels (n, 2)."""
        return deproject(self.to_plane(xy), centre=self.crval)

    def to_pixels(self, degrees: Floats) -> Floats:
        """Return pixels (n, 2) of positions (n, 2) in degrees; NaN on the far half of the sky."""
        undistorted = project(degrees, centre=self.crval) @ np.linalg.inv(self.cd).T
        return self.crpix + self.undo_distortion(undistorted)

    def undo_distortion(self, undistorted: Floats) -> Floats:
        """Return the offsets that SIP moves to these."""
        uv = undistorted
        if self.order >= 2:
            # A polynomial runs away far outside the image: bounded, it cannot lead back into it.
            bound = 0.2 * np.linalg.norm(undistorted, axis=1, keepdims=True) + 10.0
            for _ in range(INVERSE_STEPS):
                with np.errstate(over="ignore", invalid="ignore"):
                    uv = undistorted - np.clip(self.distortion(uv), -bound, bound)
        return uv

    def inverse_sip(self, size_px: tuple[int, int]) -> tuple[int, Floats]:
        """Return order and coefficients (rows AP, BP; exponents `terms(order, lowest=0)`) over the image."""
        order = self.order + 1
        x, y = np.meshgrid(np.linspace(0.5, size_px[0] + 0.5, 25), np.linspace(0.5, size_px[1] + 0.5, 25))
        uv = np.column_stack([x.ravel(), y.ravel()]) - self.crpix
        moved = uv + self.distortion(uv)
        exponents = terms(order, lowest=0)
        unit = float(np.abs(moved).max())
        fitted, *_ = np.linalg.lstsq(powers(moved / unit, exponents), uv - moved, rcond=None)
        return order, (fitted / unit ** np.array([[p + q] for p, q in exponents])).T
