"""`astrometry-client serve`: the embedded server."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astrometry_client.cli.extras import needs_server
from astrometry_client.cli.options import index_dirs_option

if TYPE_CHECKING:
    from astrometry_client.server.serving import Ready


_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def size(text: str) -> int:
    """Return a number of bytes, such as 500M."""
    given = re.fullmatch(r"(\d+)([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    if given is None or not int(given[1]):
        raise click.BadParameter(f"{text!r} is no size: give a number of bytes, or one with K, M, G or T.")
    return int(given[1]) * _UNITS[given[2].upper()]


@click.command
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: a free one.")
@click.option(
    "--host-name",
    "host_names",
    multiple=True,
    help="Name under which a proxy makes the server known; may be given several times.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where uploads and results are kept.  [default: your data folder]",
)
@index_dirs_option
@click.option("--engine", help="Solver to use: sep or solve-field.  [default: the first installed]")
@click.option("--workers", type=click.IntRange(1), help="Solves at a time.  [default: one per processor]")
@click.option("--max-upload", "upload_bytes", type=size, help="Largest upload.  [default: 512M]")
@click.option(
    "--disk-quota",
    "quota_bytes",
    type=size,
    help="Most that uploads may take; the oldest finished ones go first.  [default: no limit]",
)
@click.option(
    "--allow-private-urls",
    "private_urls",
    is_flag=True,
    help="Fetch URLs of this machine and its neighbours, too.",
)
@click.option(
    "--new-key",
    is_flag=False,
    flag_value="local",
    metavar="[NAME]",
    help="Print a new API key for this user, and end; also while the server runs.",
)
@click.option("--allow-anyone", is_flag=True, help="Let any API key log in.")
@click.option(
    "--strict-nova",
    is_flag=True,
    help="Keep those habits of nova, too, that help nobody, such as 200 for unknown addresses.",
)
def serve(new_key: str | None, **options: Any) -> None:
    """Run a private, offline server with the nova API on a real plate solver. Ctrl-C ends it."""
    with needs_server():
        from astrometry_client.server import run
    if new_key is not None:
        click.echo(run.new_key(new_key, data_dir=options["data_dir"]))
    else:
        run.serve(on_ready=_tell, **options)


def _tell(server: "Ready") -> None:
    click.echo(f"Serving at {server.url}")
    if server.api_key:
        click.echo(f"API key, shown this once: {server.api_key}")
