"""The engine that needs pip alone: sources by `sep`, a match by the `astrometry` wheel, the fit our own."""

import contextlib
import logging
import math
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from . import header
from .indexes import IndexFile, stars_near, to_vectors
from .matching import Matcher
from .refine import Fit, inside, refine
from .sources import read_field
from .values import Field, Floats, Hints, Match
from .wcs import Wcs

LOGGER = logging.getLogger(__name__)

FEWEST_SOURCES = 8
"""Fewer sources than this cannot be matched with any certainty."""

PASSES = (
    (0.002, (8, 12, 16, 20)),
    (0.004, (10, 15, 20)),
    (0.01, (15, 30, 45, 60, 75, 90, 100)),
)
"""How far a pattern may differ from the catalogue's, and how many of the brightest sources are searched.

A wide tolerance finds patterns bent by a lens, at the price of many chance ones to be verified: 0.01 is the
limit of astrometry.net itself. CPU of the search in 64 rendered fields of 45° to 2°: 73 s with the last
pass alone, 6 s with all three.
"""

LEAST_LOGODDS = math.log(1e9)
"""A match less certain than this is not looked at (the limit of astrometry.net itself)."""

CERTAIN_LOGODDS = 30.0
"""A match more certain than this ends the search."""

WIDEST_FIELD_DEG = 100.0
"""Wider images are not gnomonic."""

NARROWEST = 1e-4
"""Parts of the widest field at which the search ends: 36 arcsec."""

SMALLEST_PATTERN = 0.1
"""Part of the image's short side below which patterns are not tried (as astrometry.net does)."""

MOST_STARS = 1_000_000
"""Larger index files lend their patterns, but not their stars: reading those takes longer than the solve."""

AROUND, STARS_PER_SOURCE = 0.05, 6
"""How far around the image stars are of use, in parts of its diagonal, and the brightest of them for each
source: the fit looks within less, and for fewer."""


@attrs.frozen(kw_only=True)
class SepEngine:
    """Solve with `sep` and the `astrometry` wheel; see `Engine`.

    Parameters
    ----------
    matcher
        Used for every image, which saves the start of its process. Default: one for each image.
    """

    index_files: Sequence[IndexFile]
    name: str = "sep"
    matcher: Matcher | None = None

    def solve(self, field: Field | Path, hints: Hints) -> Match | None:
        """Return the verified match, `None` if there is none within the time limit."""
        if isinstance(field, Path):
            field = read_field(field, hints)
        if len(field.x) < FEWEST_SOURCES:
            return None
        with contextlib.closing(self._search(field, hints)) as candidates:
            for candidate in candidates:
                match = self._judged(candidate, field, hints)
                if match is not None and hints.allow(match.calibration):
                    return match
        return None

    def _judged(self, candidate: dict[str, Any], field: Field, hints: Hints) -> Match | None:
        rough = _rough(candidate["wcs"])
        stars = self._stars(rough, field, matched_index=Path(candidate["index"]))
        fit = refine(rough, field, stars=stars, highest_order=hints.tweak_order)
        return None if fit is None else _match(fit, field, stars=stars, candidate=candidate)

    def _search(self, field: Field, hints: Hints) -> Generator[dict[str, Any], None, None]:
        diagonal_px = math.hypot(field.width_px, field.height_px)
        scale_arcsec = self._scale_bounds(field, hints)
        files = self._of_use(field, scale_arcsec)
        if not files:
            return
        request = {
            "index_files": [str(index.path) for index in files],
            "stars": np.column_stack([field.x, field.y])[: PASSES[-1][1][-1]].tolist(),
            "scale_arcsec": scale_arcsec,
            "position": hints.search_circle(diagonal_px=diagonal_px),
            # As the C library counts: 0 for a negative determinant, 1 for a positive one, 2 for both.
            "parity": {-1: 0, 1: 1}.get(hints.parity or 0, 2),
            "positional_error_px": max(hints.positional_error_px, 0.1) * max(1.0, hints.downsample_factor),
            "passes": PASSES,
            "least_logodds": LEAST_LOGODDS,
            "certain_logodds": CERTAIN_LOGODDS,
            "time_limit_s": hints.time_limit_s,
        }
        with Matcher() if self.matcher is None else contextlib.nullcontext(self.matcher) as matcher:
            yield from matcher.search(request)

    def _scale_bounds(self, field: Field, hints: Hints) -> tuple[float, float]:
        """Return the pixel scales searched: what the hints say, as far as an image can be gnomonic."""
        widest = 3600.0 * WIDEST_FIELD_DEG / max(field.width_px, field.height_px)
        lower = max(hints.scale_lower_arcsec or 0.0, NARROWEST * widest)
        return lower, max(min(hints.scale_upper_arcsec or math.inf, widest), lower)

    def _of_use(self, field: Field, scale_arcsec: tuple[float, float]) -> list[IndexFile]:
        """Return the index files with patterns between a tenth of the image's short side and its diagonal."""
        smallest_deg = SMALLEST_PATTERN * min(field.width_px, field.height_px) * scale_arcsec[0] / 3600.0
        largest_deg = math.hypot(field.width_px, field.height_px) * scale_arcsec[1] / 3600.0
        return [
            i for i in self.index_files if i.quad_upper_deg > smallest_deg and i.quad_lower_deg < largest_deg
        ]

    def _stars(self, rough: Wcs, field: Field, *, matched_index: Path) -> Floats:
        """Return the brightest stars of the image and around it, in order, positions in degrees (n, 2)."""
        size_px = np.array([[field.width_px, field.height_px]], dtype=np.float64)
        diagonal_px = float(np.linalg.norm(size_px))
        scale_deg = math.sqrt(abs(float(np.linalg.det(rough.cd))))
        centre = to_vectors(rough.to_sky((size_px + 1.0) / 2.0))[0]
        radius_deg = min(0.6 * scale_deg * diagonal_px, 80.0)
        paths = [i.path for i in self.index_files if i.whole_sky and i.star_count <= MOST_STARS]
        degrees, magnitudes = stars_near({matched_index, *paths}, centre=centre, radius_deg=radius_deg)
        brightest = degrees[np.argsort(magnitudes, kind="stable")]
        around = inside(rough.to_pixels(brightest), field, margin_px=AROUND * diagonal_px)
        return brightest[around][: STARS_PER_SOURCE * len(field.x)]


def _match(fit: Fit, field: Field, *, stars: Floats, candidate: dict[str, Any]) -> Match:
    size_px = (field.width_px, field.height_px)
    index_name = Path(candidate["index"]).name.split(".")[0]
    count = len(fit.star)
    LOGGER.info("solved: %d stars, residual %.2f px, SIP order %d", count, fit.rms_px, fit.wcs.order)
    comments = [
        f"Index file {index_name}, log-odds {candidate['logodds']:.1f}",
        f"Fitted to {count} stars, residual {fit.rms_px:.3f} pixels",
    ]
    return Match(
        wcs_file=header.wcs_file(fit.wcs, size_px=size_px, comments=comments),
        calibration=header.calibration(fit.wcs, size_px=size_px, top_down=field.top_down),
        stars=np.column_stack([field.x[fit.source], field.y[fit.source], stars[fit.star]]),
        index_name=index_name,
    )


def _rough(cards: dict[str, Any]) -> Wcs:
    return Wcs(
        crval=np.array([cards["CRVAL1"], cards["CRVAL2"]], dtype=np.float64),
        crpix=np.array([cards["CRPIX1"], cards["CRPIX2"]], dtype=np.float64),
        cd=np.array([[cards["CD1_1"], cards["CD1_2"]], [cards["CD2_1"], cards["CD2_2"]]], dtype=np.float64),
    )
