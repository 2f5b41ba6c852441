"""A solution in words and numbers."""

import math
from typing import Any

import attrs

from astrometry_client.batch import BatchResult
from astrometry_client.models import Calibration, Solution
from astrometry_client.results import Landed, Row


def as_document(solution: Solution, landed: Landed, *, known: bool, seconds: float) -> dict[str, Any]:
    """Return what `--json` prints; keys carry their units."""
    return {
        "file": solution.name,
        "server": solution.server,
        "submission_id": solution.submission_id,
        "job_id": solution.job_id,
        "calibration": attrs.asdict(solution.calibration),
        "wcs": str(landed.wcs) if landed.wcs else None,
        "picture": str(landed.extras["picture"]) if "picture" in landed.extras else None,
        "known": known,
        "seconds": round(seconds, 3),
    }


def as_lines(solution: Solution, landed: Landed) -> str:
    """Return the solution as lines for people."""
    rows = _rows(solution.calibration)
    if landed.wcs:
        rows.append(("WCS", str(landed.wcs)))
    rows += [(name.capitalize(), str(path)) for name, path in landed.extras.items()]
    return "\n".join(f"{name:<12} {text}" for name, text in rows)


def as_line(shown: str, result: BatchResult, landed: Landed) -> str:
    """Return what became of one of many images, as a line for people."""
    if result.solution is None:
        why = " ".join(str(result.error).split())
        return _in_one_line(f"{shown}: {why.removeprefix(f'{result.path} ')}")
    found = result.solution.calibration
    place = f"RA {_hours(found.ra_deg)} Dec {_degrees(found.dec_deg)}"
    wcs = f", {landed.wcs.name}" if landed.wcs else ""
    known = ", known already" if result.from_ledger else ""
    return _in_one_line(f"{shown}: {place}, {found.pixel_scale_arcsec:.4g} arcsec/pixel{wcs}{known}")


def as_cells(row: Row) -> str:
    """Return what is known of an image as a line whose parts stand below those of others."""
    if row.ra_deg is None or row.dec_deg is None:
        return _in_one_line(f"{row.state:<10} {row.error or '':<57} {row.path}")
    scale, up = f"{row.pixel_scale_arcsec:.4g}", f"{row.orientation_deg:.2f}"
    place = f"{_hours(row.ra_deg)} {_degrees(row.dec_deg)}"
    return _in_one_line(f"{row.state:<10} {place}  {scale:>8} arcsec/pixel {up:>8}° {row.path}")


def _in_one_line(text: str) -> str:
    """Return a text with the ends of lines and other controls written out that names of files may hold."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _rows(calibration: Calibration) -> list[tuple[str, str]]:
    ra, dec = calibration.ra_deg, calibration.dec_deg
    return [
        ("Centre", f"RA {_hours(ra)}  Dec {_degrees(dec)}  ({ra:.5f}°, {dec:+.5f}°)"),
        ("Field size", _field_size(calibration)),
        ("Pixel scale", f"{calibration.pixel_scale_arcsec:.4g} arcsec/pixel"),
        ("Orientation", f"up is {calibration.orientation_deg:.2f}° east of north"),
        ("Parity", f"{calibration.parity:+d} (sign of the determinant of the CD matrix)"),
    ]


def _field_size(calibration: Calibration) -> str:
    width, height = calibration.width_arcsec, calibration.height_arcsec
    if width is None or height is None:
        return f"radius {_angle(3600 * calibration.radius_deg)}"
    return f"{_angle(width)} x {_angle(height)}"


def _angle(arcsec: float) -> str:
    for unit, size_arcsec in (("°", 3600.0), ("′", 60.0)):
        if arcsec >= size_arcsec:
            return f"{arcsec / size_arcsec:.2f}{unit}"
    return f"{arcsec:.2f}″"


def _hours(ra_deg: float) -> str:
    tenths = round(ra_deg / 15 * 36000) % (24 * 36000)
    hours, rest = divmod(tenths, 36000)
    minutes, tenths = divmod(rest, 600)
    return f"{hours:02d}h{minutes:02d}m{tenths / 10:04.1f}s"


def _degrees(dec_deg: float) -> str:
    seconds = round(abs(dec_deg) * 3600)
    degrees, rest = divmod(seconds, 3600)
    sign = "-" if math.copysign(1, dec_deg) < 0 else "+"
    return f"{sign}{degrees:02d}°{rest // 60:02d}′{rest % 60:02d}″"
