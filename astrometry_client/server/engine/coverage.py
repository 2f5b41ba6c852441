"""Which widths of field a set of index files serves, and what to install for others."""

from collections import Counter
from collections.abc import Iterable

import attrs

from .indexes import WIDEST_FIELD_DEG, IndexFile

Widths = tuple[float, float]

PACKAGES = (
    ("astrometry-data-tycho2-10-19", (2.0, WIDEST_FIELD_DEG)),
    ("astrometry-data-tycho2-09", (1.4, 4.0)),
    ("astrometry-data-tycho2-08", (1.0, 2.9)),
    ("astrometry-data-tycho2-07", (0.73, 2.0)),
)
"""Debian's packages of free index files, and the fields they serve, degrees (Debian 13, 2026-11)."""

NARROWER = "for narrower ones, the series 5200 of data.astrometry.net"
"""What serves fields narrower than those of the packages."""

GRACE = 1.02
"""Ranges so close meet: the limits of neighbouring files are rounded."""


@attrs.frozen
class Gap:
    """Widths of field that are not served, degrees, and what to install for them."""

    widths_deg: Widths
    remedy: str


def covered(files: Iterable[IndexFile]) -> list[Widths]:
    """Return the ranges of field width served on the whole sky, degrees, narrow ones first."""
    ranges: list[Widths] = []
    for lower, upper in sorted(index.field_widths_deg for index in _of_the_whole_sky(files)):
        if ranges and lower <= GRACE * ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(upper, ranges[-1][1]))
        else:
            ranges.append((lower, upper))
    return ranges


def gaps(files: Iterable[IndexFile]) -> list[Gap]:
    """Return what is not served up to the widest field there is, narrow ones first."""
    found: list[Gap] = []
    end = 0.0
    for lower, upper in [*covered(files), (WIDEST_FIELD_DEG, WIDEST_FIELD_DEG)]:
        if lower > GRACE * end:
            found.append(Gap((end, lower), _remedy(end, lower)))
        end = upper
    return found


def _of_the_whole_sky(files: Iterable[IndexFile]) -> list[IndexFile]:
    """Return the files of the whole sky, and those whose parts of it are complete."""
    files = list(files)
    parts = Counter((_scale(index), index.healpix_sides) for index in {(f.name): f for f in files}.values())
    return [
        index
        for index in files
        if index.whole_sky or parts[_scale(index), index.healpix_sides] >= 12 * index.healpix_sides**2
    ]


def _scale(index: IndexFile) -> Widths:
    return index.quad_lower_deg, index.quad_upper_deg


def _remedy(lower: float, upper: float) -> str:
    """Return what to install for fields of these widths."""
    ways, narrowest = [], upper
    for name, (low, high) in PACKAGES:
        if low < narrowest / GRACE and high > GRACE * lower and narrowest > GRACE * lower:
            ways.append(f"apt install {name} (down to {low:g}°)")
            narrowest = low
    if narrowest > GRACE * lower and lower < PACKAGES[-1][1][0] / GRACE:
        ways.append(NARROWER)
    return "; ".join(ways)
