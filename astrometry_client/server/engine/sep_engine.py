"""The engine that needs pip alone: sources by `sep`, a match by the `astrometry` wheel, the fit our own."""

import json
import logging
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import attrs
import numpy as np

from . import header
from .indexes import IndexFile, stars_near, to_vectors
from .refine import Fit, refine
from .sources import read_field
from .values import Field, Hints, Match
from .wcs import Wcs

LOGGER = logging.getLogger(__name__)

FEWEST_SOURCES = 8
"""Fewer sources than this cannot be matched with any certainty."""

SEARCHED_SOURCES = 100
"""Brightest sources whose patterns are searched: every rendered field that solved did so within these."""

BATCH = 15
"""Sources added at a time. CPU for 28 fields of 45° to 6°: 30 s by 10, 25 s by 15, 110 s by 50."""

LEAST_LOGODDS = math.log(1e9)
"""A match less certain than this is not looked at (the limit of astrometry.net itself)."""

CERTAIN_LOGODDS = 40.0
"""A match more certain than this ends the search."""

WIDEST_FIELD_DEG = 100.0
"""Wider images are not gnomonic."""

MATCHER = Path(__file__).with_name("matcher.py")


@attrs.frozen(kw_only=True)
class SepEngine:
    """Solve with `sep` and the `astrometry` wheel; see `Engine`."""

    index_files: Sequence[IndexFile]
    name: str = "sep"

    def solve(self, field: Field | Path, hints: Hints) -> Match | None:
        """Return the verified match, `None` if there is none within the time limit."""
        if isinstance(field, Path):
            field = read_field(field, hints)
        if len(field.x) < FEWEST_SOURCES or not self.index_files:
            return None
        for candidate in self._search(field, hints):
            rough = _rough(candidate["wcs"])
            fit = refine(rough, field, stars=self._stars(rough, field), highest_order=hints.tweak_order)
            match = None if fit is None else self._match(fit, field, rough=rough, candidate=candidate)
            if match is not None and hints.allow(match.calibration):
                return match
        return None

    def _search(self, field: Field, hints: Hints) -> list[dict[str, Any]]:
        request = {
            "index_files": [str(index.path) for index in self.index_files],
            "stars": np.column_stack([field.x, field.y])[:SEARCHED_SOURCES].tolist(),
            "scale_arcsec": self._scale_bounds(field, hints),
            "position": hints.search_circle(diagonal_px=math.hypot(field.width_px, field.height_px)),
            # As the C library counts: 0 for a negative determinant, 1 for a positive one, 2 for both.
            "parity": {-1: 0, 1: 1}.get(hints.parity or 0, 2),
            "positional_error_px": max(hints.positional_error_px, 0.1) * max(1.0, hints.downsample_factor),
            "batch": BATCH,
            "least_logodds": LEAST_LOGODDS,
            "certain_logodds": CERTAIN_LOGODDS,
            "time_limit_s": hints.time_limit_s,
        }
        return ask_matcher(request)

    def _scale_bounds(self, field: Field, hints: Hints) -> tuple[float, float]:
        """Return the pixel scales searched: what the hints say, within what the index files can serve."""
        narrowest = min(index.quad_lower_deg for index in self.index_files)
        lower = max(
            hints.scale_lower_arcsec or 0.0, 3600.0 * narrowest / math.hypot(field.width_px, field.height_px)
        )
        widest = 3600.0 * WIDEST_FIELD_DEG / max(field.width_px, field.height_px)
        upper = min(hints.scale_upper_arcsec or math.inf, max(widest, lower))
        return min(lower, upper), upper

    def _stars(self, rough: Wcs, field: Field) -> Any:
        middle = np.array([[field.width_px + 1.0, field.height_px + 1.0]]) / 2.0
        scale_deg = math.sqrt(abs(float(np.linalg.det(rough.cd))))
        radius_deg = 0.6 * scale_deg * math.hypot(field.width_px, field.height_px)
        centre = to_vectors(rough.to_sky(middle))[0]
        degrees, magnitudes = stars_near(self.index_files, centre=centre, radius_deg=min(radius_deg, 80.0))
        return degrees[np.argsort(magnitudes, kind="stable")]

    def _match(self, fit: Fit, field: Field, *, rough: Wcs, candidate: dict[str, Any]) -> Match:
        size = (field.width_px, field.height_px)
        stars = self._stars(rough, field)[fit.star]
        index_name = str(candidate["index"]).split(".")[0]
        LOGGER.info("solved: %d stars, residual %.2f px, SIP order %d", len(stars), fit.rms_px, fit.wcs.order)
        comments = [
            f"Index file {index_name}, log-odds {candidate['logodds']:.1f}",
            f"Fitted to {len(stars)} stars, residual {fit.rms_px:.3f} pixels",
        ]
        return Match(
            wcs_file=header.wcs_file(fit.wcs, size_px=size, comments=comments),
            calibration=header.calibration(fit.wcs, size_px=size, top_down=field.top_down),
            stars=np.column_stack([field.x[fit.source], field.y[fit.source], stars]),
            index_name=index_name,
        )


def ask_matcher(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the matches the matcher process finds, none if it runs into its time limit or fails.

    Its standard input stays open while it works: it ends when the block is left, or this process.
    """
    command = [sys.executable, "-P", str(MATCHER)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        to_child, from_child = cast(IO[bytes], child.stdin), cast(IO[bytes], child.stdout)
        to_child.write(json.dumps(request).encode() + b"\n")
        to_child.flush()
        reply = from_child.read()
    return json.loads(reply) if reply else []


def _rough(cards: dict[str, Any]) -> Wcs:
    return Wcs(
        crval=np.array([cards["CRVAL1"], cards["CRVAL2"]], dtype=np.float64),
        crpix=np.array([cards["CRPIX1"], cards["CRPIX2"]], dtype=np.float64),
        cd=np.array([[cards["CD1_1"], cards["CD1_2"]], [cards["CD2_1"], cards["CD2_2"]]], dtype=np.float64),
    )
