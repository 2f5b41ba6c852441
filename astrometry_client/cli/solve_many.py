"""What `solve` and `resume` do with many images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from astrometry_client.cli.asking import Asking
from astrometry_client.cli.batch import Batch
from astrometry_client.cli.batch_options import STDIN, BatchOptions, absolute
from astrometry_client.errors import InputError
from astrometry_client.models import Settings
from astrometry_client.results import result_names, results_among


def solve_many(
    images: Sequence[Path],
    settings: Settings,
    asked: BatchOptions,
    options: Mapping[str, Any],
    names: Mapping[Path, Path] | None = None,
) -> None:
    """Solve images, and tell what became of each.

    Parameters
    ----------
    asked, options
        What was asked for; see `Asking.opened`.
    names
        Of the results; by default those of these images.
    """
    if STDIN in images:
        raise InputError("Standard input holds one image: give it alone.")
    shown = {absolute(path): str(path) for path in images}
    for path in results_among(shown, folder=asked.folder()):
        told = "seems to be the result of another image; if it is not, give it alone."
        click.echo(f"Left out: {shown.pop(path)} {told}", err=True)
    names = names or result_names(shown, folder=asked.folder())
    with Asking.opened(names, settings, asked, options) as asking:
        batch = Batch(shown, asked, asking.landing)
        batch.run(asking.many(batch.files(), batch.on_step))
