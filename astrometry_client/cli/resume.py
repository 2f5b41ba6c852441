"""`astrometry-client resume`: goes on with what the ledger knows to be unfinished."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import click

from astrometry_client.cli.batch_options import BatchOptions, batch_options
from astrometry_client.cli.exit_codes import ImagesLeft
from astrometry_client.cli.solve_many import solve_many
from astrometry_client.errors import InputError, UnreadableFileError
from astrometry_client.ledger import LOCAL, Key, KnownImage, LedgerReader, State
from astrometry_client.models import Settings
from astrometry_client.results import result_names

Group = tuple[str, Settings]


@click.command
@click.option("--server", "server_url", metavar="URL", help="Images of this server only.")
@click.option(
    "--fallback", type=click.Choice(["local"]), help="Solve locally what the server does not solve in time."
)
@click.option("--key-file", type=click.Path(path_type=Path), help="File that holds the API key.")
@batch_options
def resume(**options: Any) -> None:
    """Go on with the unfinished images of the ledger, each with the settings and server it was begun with."""
    asked = BatchOptions.among(options)
    states: tuple[State, ...] = ("waiting", "sending", "sent", *(("failed",) if asked.retry_failed else ()))
    groups = defaultdict[Group, list[Path]](list)
    for image in LedgerReader(asked.ledger).images(server=options["server_url"], states=states):
        try:
            path, settings = _begun_with(image)
        except InputError as error:
            click.echo(f"Left out: {error}", err=True)
        else:
            groups[image.entry.key.server, settings].append(path)
    if not groups:
        click.echo("Nothing is left to go on with.", err=asked.as_json)
        return
    names = result_names({path for paths in groups.values() for path in paths}, folder=asked.output_dir)
    left: list[ImagesLeft] = []
    for (server, settings), paths in groups.items():
        click.echo(f"{len(paths)} unfinished at {server}", err=True)
        told = {**options, "server_url": server, "local": server == LOCAL}
        try:
            solve_many(paths, settings, asked, told, names)
        except ImagesLeft as some:
            left.append(some)
    if left:
        raise ImagesLeft(" ".join(map(str, left)))


def _begun_with(image: KnownImage) -> tuple[Path, Settings]:
    """Return where an image still lies, and its settings.

    Raises
    ------
    InputError
        It lies nowhere any more, or has changed, or its settings are not ours.
    """
    key = image.entry.key
    payload = json.loads(key.settings_json)
    settings = Settings.from_payload(payload)
    if settings.payload() != payload:
        raise InputError(f"{image.paths[0]} has settings of another version: solve it anew.")
    for path in map(Path, image.paths):
        try:
            if Key.of_file(path, settings, server=key.server) == key:
                return path, settings
        except UnreadableFileError:
            continue
    raise InputError(f"{image.paths[0]} is gone, or has changed since.")
