"""`astrometry-client status`, `results` and `export`: what the ledger knows. They only look."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import attrs
import click

from astrometry_client.cli.batch_options import ledger_option
from astrometry_client.cli.options import json_option
from astrometry_client.cli.report import as_cells
from astrometry_client.cli.spans import span
from astrometry_client.errors import InputError
from astrometry_client.ledger import Count, InHand, LedgerReader, State
from astrometry_client.results import Format, Row, format_of, row_of_entry, write_rows, writing_table

F = TypeVar("F", bound=Callable[..., Any])

_STATES: Final[dict[str, tuple[State, ...]]] = {
    "solved": ("solved",),
    "failed": ("failed",),
    "unfinished": ("waiting", "sending", "sent"),
    "all": get_args(State),
}


def _choice(state: str) -> Callable[[F], F]:
    """Return the decorator that adds the options which choose images."""

    def decorate(command: F) -> F:
        server = click.option("--server", metavar="URL", help="Images of this server only; `local` is one.")
        states = click.option(
            "--state",
            type=click.Choice(list(_STATES)),
            default=state,
            show_default=True,
            help="Images that are so only.",
        )
        return server(states(ledger_option(command)))

    return decorate


@click.command
@ledger_option
@json_option
def status(*, ledger: Path | None, as_json: bool) -> None:
    """Tell how many images are in which state, and who works on them."""
    reader = LedgerReader(ledger)
    counts, in_hand = reader.counts(), reader.in_hand()
    if as_json:
        document = {
            "ledger": str(reader.path),
            "images": [attrs.asdict(count) for count in counts],
            "under_way": [attrs.asdict(held) for held in in_hand],
        }
        click.echo(json.dumps(document))
        return
    click.echo(f"Ledger {reader.path}")
    for count in counts:
        click.echo(_counted(count))
    for held in in_hand:
        click.echo(_held(held))
    if not counts:
        click.echo("It knows no image yet.")


@click.command
@_choice("solved")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for each image.")
def results(*, ledger: Path | None, server: str | None, state: str, as_json: bool) -> None:
    """Print what is known of images, one a line."""
    for row in _rows(ledger, server, state):
        click.echo(json.dumps(attrs.asdict(row)) if as_json else as_cells(row))


@click.command
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@_choice("all")
@click.option("--format", "form", type=click.Choice(get_args(Format)), help="[default: what FILE ends with]")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
def export(
    file: Path, *, ledger: Path | None, server: str | None, state: str, form: Format | None, overwrite: bool
) -> None:
    """Write what is known of images as a table to FILE; - is standard output, by default CSV."""
    to_stdout = file == Path("-")
    form = form or ("csv" if to_stdout else format_of(file))
    if file.exists() and not overwrite:
        raise InputError(f"{file} exists: give --overwrite to replace it.")
    # A ledger that cannot be read is told before anything is written.
    LedgerReader(ledger).counts()
    with nullcontext(sys.stdout) if to_stdout else writing_table(file) as text:
        write_rows(_rows(ledger, server, state), text, form)


def _rows(ledger: Path | None, server: str | None, state: str) -> Iterator[Row]:
    for image in LedgerReader(ledger).images(server=server, states=_STATES[state]):
        for path in image.paths:
            yield row_of_entry(image.entry, path)


def _counted(count: Count) -> str:
    since = datetime.fromtimestamp(count.oldest_s, UTC).astimezone()
    return f"{count.images:>8} {count.state:<8} {count.server}, the first of {since:%Y-%m-%d %H:%M}"


def _held(held: InHand) -> str:
    left = span(max(0.0, held.until_s - time.time()))
    return f"{held.images:>8} under way by process {held.process_id}, theirs for {left} more"
