"""`astrometry-client index`: the index files there are, and the fields they serve."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astrometry_client.cli.extras import needs_server
from astrometry_client.cli.options import index_dirs_option, json_option

if TYPE_CHECKING:
    from astrometry_client.server.engine import IndexFile


@click.command
@index_dirs_option
@json_option
def index(index_dirs: tuple[Path, ...], *, as_json: bool) -> None:
    """List the index files the embedded server finds, the fields they serve, and what is missing.

    Looked for in each --index-dir, in the folders of ASTROMETRY_INDEX_DIR, in /usr/share/astrometry, and
    in this package.
    """
    with needs_server():
        from astrometry_client.server import engine
    searched = engine.index_dirs(index_dirs)
    files, damaged = engine.find_index_files(searched)
    covered, gaps = engine.covered(files), engine.gaps(files)
    if as_json:
        document = {
            "searched": [str(folder) for folder in searched],
            "files": [_document(file) for file in files],
            "covered_deg": covered,
            "missing": [{"field_widths_deg": gap.widths_deg, "remedy": gap.remedy} for gap in gaps],
            "damaged": {str(path): reason for path, reason in damaged.items()},
        }
        click.echo(json.dumps(document))
        return
    for file in files:
        click.echo(_line(file))
    for path, reason in damaged.items():
        click.echo(f"{path.name:<34} not used: {reason}. Fetch it anew, or remove it: {path}")
    click.echo(f"Fields served: {', '.join(map(degrees, covered)) or 'none'}")
    for gap in gaps:
        click.echo(f"Not served: {degrees(gap.widths_deg)}. {gap.remedy}")


def degrees(widths: tuple[float, float]) -> str:
    """Return a range of widths for people."""
    lower, upper = widths
    return f"up to {upper:.2g}°" if lower == 0 else f"{lower:.2g}° to {upper:.2g}°"


def _line(file: "IndexFile") -> str:
    sky = "whole sky" if file.whole_sky else f"part {file.healpix} of {12 * file.healpix_sides**2}"
    fields = f"fields {degrees(file.field_widths_deg)}"
    return (
        f"{file.path.name:<34} {fields:<23} {sky:<16} {file.star_count:>9,} stars  "
        f"{file.catalogue or '-':<8}  {file.path.parent}"
    )


def _document(file: "IndexFile") -> dict[str, Any]:
    return {
        "path": str(file.path),
        "patterns_deg": [file.quad_lower_deg, file.quad_upper_deg],
        "field_widths_deg": file.field_widths_deg,
        "stars": file.star_count,
        "catalogue": file.catalogue or None,
        "healpix": file.healpix,
        "healpix_sides": file.healpix_sides,
        "size_bytes": file.path.stat().st_size,
    }
