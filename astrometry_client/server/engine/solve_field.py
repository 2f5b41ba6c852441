"""The engine of astrometry.net itself: the command `solve-field`, where it is installed."""

import logging
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from astropy.io import fits

from . import header
from .images import Pixelmap, read_pixels, unpack
from .indexes import IndexFile
from .source_lists import parse_list
from .values import Field, Hints, Match

LOGGER = logging.getLogger(__name__)

GRACE_S = 30.0
"""Wall-clock seconds allowed beyond the CPU limit, for starting up and finding sources."""

GUARD = Path(__file__).with_name("guard.py")


@attrs.frozen(kw_only=True)
class SolveFieldEngine:
    """Solve with the command `solve-field`; see `Engine`."""

    command: str
    index_files: Sequence[IndexFile]
    name: str = "solve-field"

    def solve(self, field: Field | Path, hints: Hints) -> Match | None:
        """Return the match, `None` if there is none within the time limit."""
        source = _read(field) if isinstance(field, Path) else field
        with tempfile.TemporaryDirectory(prefix="solve-field-") as name:
            folder = Path(name)
            self._write_config(folder, hints)
            options = _write_input(folder, source) + _options(
                hints, diagonal_px=math.hypot(*_size_px(source))
            )
            found = _run([self.command, *options], folder=folder, limit_s=hints.time_limit_s + GRACE_S)
            match = _read_match(folder, top_down=source.top_down) if found else None
        return match if match is not None and hints.allow(match.calibration) else None

    def _write_config(self, folder: Path, hints: Hints) -> None:
        lines = ["inparallel", f"cpulimit {max(1, round(hints.time_limit_s))}"]
        lines += [f"index {index.path}" for index in self.index_files]
        (folder / "engine.cfg").write_text("\n".join(lines) + "\n")


def _read(path: Path) -> Field | Pixelmap:
    data = unpack(path)
    return parse_list(data) or read_pixels(data, name=path.name)


def _size_px(source: Field | Pixelmap) -> tuple[int, int]:
    if isinstance(source, Field):
        return source.width_px, source.height_px
    height, width = source.values.shape
    return width, height


def _write_input(folder: Path, source: Field | Pixelmap) -> list[str]:
    """Write the image, or the list of sources, as FITS; return the options that tell what it is."""
    path = folder / "input.fits"
    if isinstance(source, Pixelmap):
        fits.PrimaryHDU(source.values).writeto(path)
        return [str(path), "--fits-image"]
    columns = [fits.Column(name=n.upper(), format="D", array=getattr(source, n)) for n in ("x", "y", "flux")]
    fits.BinTableHDU.from_columns(columns).writeto(path)
    size = ["--width", str(source.width_px), "--height", str(source.height_px)]
    return [str(path), *size, "--x-column", "X", "--y-column", "Y", "--sort-column", "FLUX"]


def _options(hints: Hints, *, diagonal_px: float) -> list[str]:
    """Return the command line for these hints; every output but WCS and matched stars is switched off."""
    options = ["--overwrite", "--no-plots", "--config", "engine.cfg", "--dir", ".", "--out", "solved"]
    options += ["--cpulimit", str(max(1, round(hints.time_limit_s))), "--temp-dir", "."]
    for unwanted in ("new-fits", "match", "rdls", "solved", "index-xyls"):
        options += [f"--{unwanted}", "none"]
    options += ["--corr", "solved.corr", "--tweak-order", str(max(1, min(hints.tweak_order, 3)))]
    options += ["--pixel-error", str(hints.positional_error_px)]
    options += ["--crpix-center"] if hints.crpix_center else []
    options += ["--downsample", str(round(hints.downsample_factor))] if hints.downsample_factor >= 1.5 else []
    # Its "positive" is a negative determinant, nova's -1.
    options += ["--parity", "neg" if hints.parity > 0 else "pos"] if hints.parity else []
    return options + _scale(hints) + _position(hints.search_circle(diagonal_px=diagonal_px))


def _scale(hints: Hints) -> list[str]:
    bounds = (("--scale-low", hints.scale_lower_arcsec), ("--scale-high", hints.scale_upper_arcsec))
    given = [part for name, value in bounds if value for part in (name, str(value))]
    return [*given, "--scale-units", "arcsecperpix"] if given else []


def _position(circle: tuple[float, float, float] | None) -> list[str]:
    if circle is None:
        return []
    # With "=", for a negative number looks like an option.
    return [f"--{name}={value}" for name, value in zip(("ra", "dec", "radius"), circle, strict=True)]


def _run(command: list[str], *, folder: Path, limit_s: float) -> bool:
    """Run in the folder under the guard; leaving the block, however, ends the command and its children."""
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-P", str(GUARD), *command],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as guard,
    ):
        try:
            guard.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            LOGGER.info("solve-field ended after %.0f s", limit_s)
            return False
    return (folder / "solved.wcs").exists()


def _read_match(folder: Path, *, top_down: bool) -> Match:
    data = (folder / "solved.wcs").read_bytes()
    wcs, size_px = header.read_wcs_file(data)
    with fits.open(folder / "solved.corr", memmap=False) as hdus:
        stars = np.column_stack(
            [hdus[1].data[name] for name in ("field_x", "field_y", "index_ra", "index_dec")]
        )
    log = (folder / "log").read_text(errors="replace")
    index = re.search(r"solved with index ([^\s.]+)", log)
    return Match(
        wcs_file=data,
        calibration=header.calibration(wcs, size_px=size_px, top_down=top_down),
        stars=np.asarray(stars, dtype=np.float64),
        index_name=index.group(1) if index else "",
    )
