"""`astrometry-client serve`: the embedded server."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astrometry_client.cli.extras import needs_server

if TYPE_CHECKING:
    from astrometry_client.server.serving import Ready


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
@click.option(
    "--index-dir",
    "index_dirs",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder of further index files; may be given several times.",
)
@click.option("--engine", help="Solver to use: sep or solve-field.  [default: the first installed]")
@click.option("--workers", type=click.IntRange(1), help="Solves at a time.  [default: one per processor]")
@click.option(
    "--strict-nova",
    is_flag=True,
    help="Keep those habits of nova, too, that help nobody, such as 200 for unknown addresses.",
)
def serve(**options: Any) -> None:
    """Run a private, offline server with the nova API on a real plate solver. Ctrl-C ends it."""
    with needs_server():
        from astrometry_client.server.run import serve as run
    run(on_ready=_tell, **options)


def _tell(server: "Ready") -> None:
    click.echo(f"Serving at {server.url}")
    if server.api_key:
        click.echo(f"API key, shown this once: {server.api_key}")
