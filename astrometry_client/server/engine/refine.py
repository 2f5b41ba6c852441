"""Turn a rough match into a solution: fit it to every star in the field, and judge it."""

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from .values import Field, Floats
from .wcs import Wcs, deproject, powers, project, terms

RADII = (0.025, 0.018, 0.012, 0.008, 0.005, 0.004)
"""Search radii of the rounds, parts of the image diagonal: a match alone is off by up to 4 % of the scale."""

FINAL_RADII = (6.0, 4.0, 4.0)
"""Search radii of the last rounds, in standard deviations of the residuals."""

SMALLEST_RADIUS_PX = 1.5
"""Centres of stars are known to a fraction of a pixel, but blends and saturation move some."""

WORTH = 1.05
"""A polynomial of higher order must lower the cross-checked residual by this factor to be used."""

STARS_PER_TERM = 2.0
"""Stars a polynomial needs for each of its terms."""

FEWEST_STARS = 8
"""Fewer matched stars than this prove nothing."""

SAME_PLACE_DEG = 1e-10
"""A reference point that moves by less does not move: that is less than a millionth of an arcsecond."""

LARGEST_CHANCE = 1e-9
"""Largest chance, over all places the match could have been found in, that unrelated points agree so well."""


@attrs.frozen(kw_only=True, eq=False)
class Fit:
    """A solution with the pairs of source and star it rests on.

    Parameters
    ----------
    source, star
        Rows of the field and of the star list, pair by pair.
    rms_px
        Residual of the pairs, both axes together.
    chance_log
        Natural logarithm of the chance that as many unrelated points agree.
    """

    wcs: Wcs
    source: NDArray[np.intp]
    star: NDArray[np.intp]
    rms_px: float
    chance_log: float = 0.0


def refine(rough: Wcs, field: Field, *, stars: Floats, highest_order: int) -> Fit | None:
    """Return the solution fitted to all stars in the field, `None` if it cannot be believed.

    Parameters
    ----------
    stars
        Right ascension and declination, degrees (n, 2), brightest first.
    """
    sources = np.column_stack([field.x, field.y])
    wcs = rough
    diagonal = math.hypot(field.width_px, field.height_px)
    for part in RADII:
        source, star = _pair(wcs, field, sources=sources, stars=stars, radius_px=part * diagonal)
        if len(source) < FEWEST_STARS // 2:
            return None
        wcs = _fit_clipped(sources[source], stars[star], field=field, order=1, start=wcs).wcs
    return _settle(wcs, field, sources=sources, stars=stars, highest_order=highest_order)


def _settle(wcs: Wcs, field: Field, *, sources: Floats, stars: Floats, highest_order: int) -> Fit | None:
    """Choose the order and shrink the radius to what the residuals say."""
    radius_px = RADII[-1] * math.hypot(field.width_px, field.height_px)
    for times in FINAL_RADII:
        source, star = _pair(wcs, field, sources=sources, stars=stars, radius_px=radius_px)
        if len(source) < FEWEST_STARS:
            return None
        order = _choose_order(sources[source], stars[star], field=field, start=wcs, highest=highest_order)
        fit = _fit_clipped(sources[source], stars[star], field=field, order=order, start=wcs)
        wcs, radius_px = fit.wcs, min(radius_px, max(SMALLEST_RADIUS_PX, times * fit.rms_px))
    source, star = source[fit.source], star[fit.star]
    chance = _chance_log(wcs, field, stars=stars, pair_count=len(source), radius_px=radius_px)
    believed = len(source) >= FEWEST_STARS and chance < math.log(LARGEST_CHANCE)
    return attrs.evolve(fit, source=source, star=star, chance_log=chance) if believed else None


def inside(xy: Floats, field: Field, *, margin_px: float) -> NDArray[np.bool_]:
    """Tell which of these pixels lie in the image, or around it."""
    low, high = 0.5 - margin_px, np.array([field.width_px, field.height_px]) + 0.5 + margin_px
    return np.asarray(np.all((xy > low) & (xy < high), axis=1))


def _pair(
    wcs: Wcs, field: Field, *, sources: Floats, stars: Floats, radius_px: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pairs of source and star that are each other's nearest, within the radius."""
    pixels = wcs.to_pixels(stars)
    near = np.flatnonzero(inside(pixels, field, margin_px=radius_px))[: 2 * len(sources)]
    if not len(near):
        return near, near
    squared = ((sources[:, None, :] - pixels[None, near, :]) ** 2).sum(axis=2)
    nearest_star, nearest_source = squared.argmin(axis=1), squared.argmin(axis=0)
    source = np.arange(len(sources))
    mutual = (nearest_source[nearest_star] == source) & (squared[source, nearest_star] < radius_px**2)
    return source[mutual], near[nearest_star[mutual]]


def _fit(xy: Floats, degrees: Floats, *, field: Field, order: int, start: Wcs) -> Wcs:
    """Return the least-squares solution of this order, its reference pixel at the centre of the image."""
    crpix = np.array([field.width_px + 1.0, field.height_px + 1.0]) / 2.0
    unit = math.hypot(field.width_px, field.height_px) / 2.0
    exponents = terms(order, lowest=0)
    inverse = np.linalg.pinv(powers((xy - crpix) / unit, exponents))
    crval = start.to_sky(crpix[None, :])[0]
    for _ in range(4):
        fitted = inverse @ project(degrees, centre=crval)
        crval = deproject(fitted[:1], centre=crval)[0]
        if np.abs(fitted[0]).max() < SAME_PLACE_DEG:
            break
    by_term = dict(zip(exponents, fitted, strict=True))
    cd = np.column_stack([by_term[1, 0], by_term[0, 1]]) / unit
    higher = terms(order, lowest=2)
    sip = np.array([by_term[p, q] / unit ** (p + q) for p, q in higher]).reshape(-1, 2).T
    return Wcs(crval=crval, crpix=crpix, cd=cd, order=order, sip=np.linalg.inv(cd) @ sip)


def _residuals(wcs: Wcs, xy: Floats, degrees: Floats) -> Floats:
    """Return the distances between sources and stars, pixels."""
    off = (wcs.to_plane(xy) - project(degrees, centre=wcs.crval)) @ np.linalg.inv(wcs.cd).T
    return np.asarray(np.hypot(off[:, 0], off[:, 1]))


def _fit_clipped(xy: Floats, degrees: Floats, *, field: Field, order: int, start: Wcs) -> Fit:
    """Fit, leave out what lies further than four typical residuals, and fit again until nothing changes."""
    kept = np.ones(len(xy), dtype=bool)
    fewest = max(len(terms(order, lowest=0)) + 2, FEWEST_STARS // 2)
    for _ in range(8):
        wcs = _fit(xy[kept], degrees[kept], field=field, order=order, start=start)
        residuals = _residuals(wcs, xy, degrees)
        # Median of a Rayleigh distribution is 1.18 standard deviations of one axis.
        limit = max(4.0 * np.median(residuals[kept]) / 1.18, 0.3)
        within = residuals < limit
        if within.sum() < fewest or np.array_equal(within, kept):
            break
        kept = within
    rows = np.flatnonzero(kept)
    rms = float(np.sqrt(np.mean(residuals[kept] ** 2)))
    return Fit(wcs=wcs, source=rows, star=rows, rms_px=rms)


def _choose_order(xy: Floats, degrees: Floats, *, field: Field, start: Wcs, highest: int) -> int:
    """Return the lowest order that predicts stars left out of the fit as well as any other does."""
    fit = _fit_clipped(xy, degrees, field=field, order=1, start=start)
    candidates = [1] + [
        n for n in range(2, highest + 1) if len(xy) >= STARS_PER_TERM * len(terms(n, lowest=0))
    ]
    predicted = {n: _predicted_residual(xy, degrees, field=field, order=n, start=fit.wcs) for n in candidates}
    best = min(predicted.values())
    return min(n for n in candidates if predicted[n] <= WORTH * best)


def _predicted_residual(xy: Floats, degrees: Floats, *, field: Field, order: int, start: Wcs) -> float:
    """Return the typical residual of stars that had no part in the fit, pixels (five folds)."""
    fold = np.arange(len(xy)) % 5
    left_out = []
    for part in range(5):
        rest = fold != part
        wcs = _fit_clipped(xy[rest], degrees[rest], field=field, order=order, start=start).wcs
        left_out.append(_residuals(wcs, xy[~rest], degrees[~rest]))
    sorted_squares = np.sort(np.concatenate(left_out) ** 2)
    return float(np.sqrt(np.mean(sorted_squares[: max(1, int(0.8 * len(sorted_squares)))])))


def _chance_log(wcs: Wcs, field: Field, *, stars: Floats, pair_count: int, radius_px: float) -> float:
    """Return the logarithm of the chance that unrelated points give as many pairs.

    Chernoff's bound on a binomial: each star in the image meets some source with probability p. Three
    pairs are taken off, for the six numbers fitted.
    """
    expected_near = inside(wcs.to_pixels(stars), field, margin_px=0.0).sum()
    trials = max(int(min(expected_near, 2 * len(field.x))), pair_count, 1)
    p = min(0.99, len(field.x) * math.pi * radius_px**2 / (field.width_px * field.height_px))
    share = min(max(pair_count - 3, 0) / trials, 0.999)
    if share <= p:
        return 0.0
    return -trials * (share * math.log(share / p) + (1.0 - share) * math.log((1.0 - share) / (1.0 - p)))
