"""`astrometry-client solve`: from an image to its WCS."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import click
from rich.console import Console

from astrometry_client.cli.extras import needs_server
from astrometry_client.cli.outputs import Outputs
from astrometry_client.cli.progress import stage_line
from astrometry_client.cli.report import as_document, as_lines
from astrometry_client.cli.settings_options import settings_from, settings_options
from astrometry_client.client import Client
from astrometry_client.config import DEFAULTS
from astrometry_client.errors import InputError
from astrometry_client.models import Solution
from astrometry_client.session import is_dry_run_enabled


@click.command
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--server", "server_url", metavar="URL", help=f"Server to ask.  [default: {DEFAULTS.base_url}]")
@click.option("--local", is_flag=True, help="Start the embedded server for the length of this command.")
@click.option("--key-file", type=click.Path(path_type=Path), help="File that holds the API key.")
@click.option(
    "--wcs", type=click.Path(path_type=Path), help="Where the WCS goes.  [default: beside the image]"
)
@click.option("--picture", is_flag=True, help="Draw the image with the named stars, beside the image.")
@click.option("--overwrite", is_flag=True, help="Replace results that exist.")
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    default=DEFAULTS.solve_timeout_s,
    show_default=True,
    help="Seconds to wait.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
@settings_options
def solve(file: Path, *, server_url: str | None, local: bool, **options: Any) -> None:
    """Solve FILE: print where it lies on the sky, and write its WCS beside it."""
    if local and server_url:
        raise InputError("--local and --server exclude each other: give one of the two.")
    outputs = Outputs.beside(file, wcs=options["wcs"], picture=options["picture"])
    outputs.check(overwrite=options["overwrite"])
    settings = settings_from(options)
    with local_client() if local else _client(server_url, options["key_file"]) as client:
        client.settings = settings
        solve_and_report(client, outputs, timeout_s=options["timeout_s"], as_json=options["as_json"])


def solve_and_report(client: Client, outputs: Outputs, *, timeout_s: float, as_json: bool = False) -> None:
    """Solve an image, write its results, and print them; the last line says what was done."""
    name = outputs.image.name
    dry = is_dry_run_enabled("POST")
    started_s = time.monotonic()
    with stage_line(Console(stderr=True), name) as on_step:
        solution = client.solve(outputs.image, timeout_s=timeout_s, on_step=on_step)
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
    return len(objects)


def _client(server_url: str | None, key_file: Path | None) -> Client:
    return Client(key_location=key_file, base_url=server_url or DEFAULTS.base_url)


@contextmanager
def local_client() -> Iterator[Client]:
    """Give a client of an embedded server that lives as long as the block."""
    with needs_server():
        from astrometry_client.server.run import LocalServer
    click.echo("Starting the embedded server.", err=True)
    with LocalServer(workers=1) as server, Client(server.api_key, base_url=server.url) as client:
        yield client
