"""`astrometry-client solve`: from an image, or many, to their WCS."""

from pathlib import Path
from typing import Any, Final

import click

from astrometry_client.cli.asking import Asking
from astrometry_client.cli.batch_options import STDIN, BatchOptions, absolute, batch_options, listed
from astrometry_client.cli.settings_options import settings_from, settings_options
from astrometry_client.cli.solve_many import solve_many
from astrometry_client.cli.solve_one import solve_one
from astrometry_client.config import DEFAULTS
from astrometry_client.errors import InputError
from astrometry_client.results import result_names
from astrometry_client.uploads import FileUpload

_FOR_MANY: Final = (
    *("output_dir", "results", "new_fits", "axy", "rdls", "corr", "in_place"),
    *("deadline_s", "max_failures", "fallback"),
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
    """Solve FILE: print where it lies on the sky, and write its WCS beside it; - is standard input.

    Many files are solved several at once, and written down in the ledger: the same command again asks for
    nothing that is known, and goes on with what was interrupted.
    """
    if options["local"] and (options["server_url"] or options["fallback"]):
        raise InputError("--local excludes --server and --fallback: give one of them.")
    images, settings, asked = listed(files, files_from), settings_from(options), BatchOptions.among(options)
    given = [f"--{name.removesuffix('_s').replace('_', '-')}" for name in _FOR_MANY if options[name]]
    if len(images) > 1 or files_from or given:
        if asked.wcs:
            raise InputError(
                f"--wcs is for one image{f' without {given[0]}' if given else ''}: use --output-dir."
            )
        solve_many(images, settings, asked, options)
        return
    image = absolute(images[0])
    if image != STDIN:
        FileUpload(image)  # a file that is no image is told before a server is started
    with Asking.opened(result_names([image]), settings, asked, options) as asking:
        solve_one(image, asking.one, asking.landing, as_json=asked.as_json)
