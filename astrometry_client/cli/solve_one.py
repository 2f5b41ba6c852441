"""One image: its results are written and printed; the last line says what was done."""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import click
from rich.console import Console

from astrometry_client.batch import BatchResult
from astrometry_client.cli.batch_options import STDIN
from astrometry_client.cli.progress import stage_line
from astrometry_client.cli.report import as_document, as_lines
from astrometry_client.driver import Progress
from astrometry_client.results import Landed, Landing
from astrometry_client.session import is_dry_run_enabled


def solve_one(
    image: Path, ask: Callable[[Path, Progress], BatchResult], landing: Landing, *, as_json: bool = False
) -> None:
    """Solve an image, write its results, and tell it.

    Parameters
    ----------
    ask
        Solves it, and is given who wants to know each step.

    Raises
    ------
    AstrometryError
        It has no solution, or its WCS cannot be written. A solution counts without its picture.
    """
    dry = is_dry_run_enabled("POST")
    if not dry:
        landing.check(image)
    started_s = time.monotonic()
    wanted = nullcontext() if dry or image == STDIN else landing.wanted([image])
    with wanted, stage_line(Console(stderr=True), image.name) as on_step:
        result = ask(image, on_step)
        landed = Landed() if dry else landing.land(result)
    if result.solution is None or not (dry or landed.wcs):
        raise result.error or landed.troubles[0]
    seconds = time.monotonic() - started_s
    for trouble in landed.troubles:
        click.echo(f"astrometry-client: {trouble}", err=True)
    if as_json:
        document = as_document(result.solution, landed, known=result.from_ledger, seconds=seconds)
        click.echo(json.dumps(document))
        return
    click.echo(as_lines(result.solution, landed))
    if dry:
        click.echo("Dry run: nothing was sent, nothing was written.")
    elif result.from_ledger:
        click.echo(f"{image.name} was solved before: nothing was sent. --force solves it again.")
    else:
        click.echo(f"Solved {image.name} in {seconds:.1f} s.")
