"""`astrometry-client resume`: goes on with what the ledger knows to be unfinished."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from astrometry_client.cli.batch_options import BatchOptions, batch_options
from astrometry_client.cli.exit_codes import ImagesLeft
from astrometry_client.cli.solve_many import solve_many
from astrometry_client.errors import InputError, UnreadableFileError
from astrometry_client.ledger import LOCAL, Key, KnownImage, Ledger, LedgerReader
from astrometry_client.models import Settings
from astrometry_client.results import Place, result_names

Group = tuple[str, Settings, BatchOptions]
Groups = defaultdict[Group, dict[Path, Place | None]]
Places = Mapping[str, Place]


@click.command
@click.option("--server", "server_url", metavar="URL", help="Images of this server only.")
@click.option(
    "--fallback", type=click.Choice(["local"]), help="Solve locally what the server does not solve in time."
)
@click.option("--key-file", type=click.Path(path_type=Path), help="File that holds the API key.")
@batch_options
def resume(**options: Any) -> None:
    """Go on with the unfinished images of the ledger, take up those not begun, and write results not written.

    Each keeps the settings and the server of its command, and the place where that wanted the results.
    """
    asked = BatchOptions.among(options)
    LedgerReader(asked.ledger).counts()  # that there is no ledger is told before one is made
    groups = _groups(asked, server=options["server_url"] and options["server_url"].rstrip("/"))
    if not groups:
        click.echo("Nothing is left to go on with.", err=asked.as_json)
        return
    _solve(groups, options)


def _groups(asked: BatchOptions, *, server: str | None) -> Groups:
    """Return the images to go on with, those that can be asked for together."""
    ledger = Ledger(asked.ledger)
    places = {path: Place.from_json(kept) for path, kept in ledger.expected().items()}
    groups: Groups = defaultdict(dict)
    known = LedgerReader(asked.ledger).images()
    left, not_begun = _left(known, places, retry_failed=asked.retry_failed)
    for image, wanted in left:
        if server not in {None, image.entry.key.server}:
            continue
        try:
            found, settings = _begun_with(image)
        except InputError as error:
            click.echo(f"Left out: {error}", err=True)
            if image.entry.state == "solved":
                ledger.landed(wanted)
            continue
        for path in [path for path in found if path in wanted] or found[:1]:
            place = wanted.get(path)
            groups[image.entry.key.server, settings, asked.at(place)][Path(path)] = place
    for path, place in not_begun.items():
        if server in {None, place.server}:
            settings = Settings.from_payload(json.loads(place.settings_json))
            groups[place.server, settings, asked.at(place)][Path(path)] = place
    return groups


def _left(
    known: Iterator[KnownImage], places: Places, *, retry_failed: bool
) -> tuple[list[tuple[KnownImage, Places]], Places]:
    """Return the images that are left, and where their results are wanted, and what has not begun yet.

    They are unfinished, or solved and wanted still.
    """
    left, not_begun = list[tuple[KnownImage, Places]](), dict(places)
    for image in known:
        told, state = image.entry.key.settings_json, image.entry.state
        wanted = {path: places[path] for path in image.paths if path in places}
        wanted = {path: place for path, place in wanted.items() if place.settings_json == told}
        for path in wanted:
            not_begun.pop(path, None)
        if wanted if state == "solved" else retry_failed or state != "failed":
            left.append((image, wanted))
    return left, not_begun


def _solve(groups: Groups, options: Mapping[str, Any]) -> None:
    folder = BatchOptions.among(dict(options)).folder()
    usual = result_names({path for paths in groups.values() for path in paths}, folder=folder)
    left: list[ImagesLeft] = []
    for (server, settings, asked), paths in groups.items():
        click.echo(f"{len(paths)} to go on with at {server}", err=True)
        names = {path: place.name if place and not folder else usual[path] for path, place in paths.items()}
        told = {**options, "server_url": server, "local": server == LOCAL}
        try:
            solve_many(list(paths), settings, asked, told, names)
        except ImagesLeft as some:
            left.append(some)
    if left:
        raise ImagesLeft(" ".join(map(str, left)))


def _begun_with(image: KnownImage) -> tuple[list[str], Settings]:
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
    found = [path for path in image.paths if _holds(path, key, settings)]
    if not found:
        raise InputError(f"{image.paths[0]} is gone, or has changed since.")
    return found, settings


def _holds(path: str, key: Key, settings: Settings) -> bool:
    try:
        return Key.of_file(path, settings, server=key.server) == key
    except UnreadableFileError:
        return False
