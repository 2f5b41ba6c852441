"""`astrometry-client solve`: from an image, or many, to their WCS."""

import json
import time
from pathlib import Path
from typing import Any, Final

import attrs
import click
from rich.console import Console

from astrometry_client.cli.batch_options import BatchOptions, batch_options, listed
from astrometry_client.cli.clients import client_of, local_client
from astrometry_client.cli.outputs import Outputs
from astrometry_client.cli.progress import stage_line
from astrometry_client.cli.report import as_document, as_lines
from astrometry_client.cli.settings_options import settings_from, settings_options
from astrometry_client.cli.solve_many import solve_many
from astrometry_client.client import Client
from astrometry_client.config import DEFAULTS
from astrometry_client.errors import InputError
from astrometry_client.models import Solution
from astrometry_client.session import is_dry_run_enabled
from astrometry_client.uploads import FileUpload

_STDIN: Final = Path("-")
_FOR_MANY: Final = (
    *("output_dir", "results", "new_fits", "axy", "rdls", "corr", "in_place"),
    *("deadline_s", "max_failures", "ledger", "fallback"),
)
"""Who gives one of these gets a table and a summary, if there is but one image."""


@click.command
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--files-from", type=click.Path(path_type=Path), help="A list of files, one a line; - is standard input."
)
@click.option("--server", "server_url", metavar="URL", help=f"Server to ask.  [default: {DEFAULTS.base_url}]")
@click.option("--local", is_flag=True, help="Start the embedded server for the length of this command.")
@click.option(
    "--fallback", type=click.Choice(["local"]), help="Solve on this machine what the server does not in time."
)
@click.option("--key-file", type=click.Path(path_type=Path), help="File that holds the API key.")
@click.option(
    "--wcs", type=click.Path(path_type=Path), help="Where the WCS of one image goes.  [default: beside it]"
)
@click.option("--force", is_flag=True, help="Solve again what is solved already.")
@batch_options
@settings_options
def solve(files: tuple[Path, ...], *, files_from: Path | None, **options: Any) -> None:
    """Solve FILE: print where it lies on the sky, and write its WCS beside it.

    Many files are solved several at once, and written down in the ledger: the same command again asks for
    nothing that is known, and goes on with what was interrupted.
    """
    if options["local"] and (options["server_url"] or options["fallback"]):
        raise InputError("--local excludes --server and --fallback: give one of them.")
    images = listed(files, files_from)
    settings = settings_from(options)
    if len(images) > 1 or files_from or any(options[name] for name in _FOR_MANY):
        if options["wcs"]:
            raise InputError("--wcs is for one image: name a folder with --output-dir.")
        solve_many(images, settings, BatchOptions.among(options), options)
        return
    outputs = Outputs.beside(images[0], wcs=options["wcs"], picture=options["picture"])
    outputs.check(overwrite=options["overwrite"])
    if options["local"] and images[0] != _STDIN:
        FileUpload(images[0])  # a file that is no image is told before a server is started
    with local_client() if options["local"] else client_of(options) as client:
        client.settings = settings
        redo = {"force": options["force"], "retry_failed": options["retry_failed"]}
        solve_and_report(client, outputs, timeout_s=options["timeout_s"], as_json=options["as_json"], **redo)


def solve_and_report(
    client: Client, outputs: Outputs, *, timeout_s: float, as_json: bool = False, **redo: Any
) -> None:
    """Solve an image, write its results, and print them; the last line says what was done."""
    name = outputs.image.name
    # The ledger keeps the path, for commands in other folders.
    image = outputs.image if outputs.image == _STDIN else outputs.image.absolute()
    dry = is_dry_run_enabled("POST")
    started_s = time.monotonic()
    with stage_line(Console(stderr=True), name) as on_step:
        solution = client.solve(image, timeout_s=timeout_s, on_step=on_step, **redo)
        drawn = None if dry else _write(outputs, client, solution)
    written = None if dry else attrs.evolve(outputs, picture=outputs.picture if drawn is not None else None)
    seconds = time.monotonic() - started_s
    if as_json:
        click.echo(json.dumps(as_document(solution, written, seconds=seconds)))
        return
    click.echo(as_lines(solution, written))
    stars = f", {drawn} named stars drawn" if drawn is not None else ""
    done = f"Solved {name} in {seconds:.1f} s{stars}"
    click.echo(f"{'Dry run: nothing was sent, nothing was written' if dry else done}.")


def _write(outputs: Outputs, client: Client, solution: Solution) -> int | None:
    """Write the results, and return how many stars were drawn; a solution counts without its picture."""
    solution.write_wcs(outputs.wcs)
    if outputs.picture is None:
        return None
    from astrometry_client.picture import draw_objects

    try:
        objects = client.annotations(solution)
        draw_objects(outputs.image, objects, path=outputs.picture)
    except InputError as error:
        click.echo(f"astrometry-client: {error}", err=True)
        return None
    return sum(known.kind == "bright" for known in objects)
