"""The options of commands that work on many images."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import click

from astrometry_client.cli.spans import Span
from astrometry_client.config import DEFAULTS
from astrometry_client.errors import InputError, UnreadableFileError
from astrometry_client.results import EXTRAS, Place
from astrometry_client.session import is_dry_run_enabled

F = TypeVar("F", bound=Callable[..., Any])

STDIN: Final = Path("-")

_FLAGS: Final = (
    ("new_fits", "Fetch the image with the WCS in its header, too."),
    ("axy", "Fetch the sources found, too."),
    ("rdls", "Fetch the places of the catalogue stars, too."),
    ("corr", "Fetch the matches of sources and catalogue stars, too."),
    ("in_place", "Write the WCS into the header of the FITS file itself, too."),
    ("retry_failed", "Solve again what had no solution or was rejected."),
)


@attrs.frozen(kw_only=True)
class BatchOptions:
    """What was asked for."""

    output_dir: Path | None
    wcs: Path | None = None
    results: Path | None
    extras: tuple[str, ...]
    in_place: bool
    overwrite: bool
    retry_failed: bool
    force: bool = False
    deadline_s: float | None
    max_failures: int | None
    max_unfinished: int
    pack: bool | None
    timeout_s: float
    as_json: bool
    ledger: Path | None

    @classmethod
    def among(cls, options: dict[str, Any]) -> "BatchOptions":
        """Return those among the keywords of a command."""
        names = {field.name for field in attrs.fields(cls)}
        extras = tuple(name for name in EXTRAS if options.get(name))
        return cls(extras=extras, **{name: value for name, value in options.items() if name in names})

    def folder(self) -> Path | None:
        """Return the folder that all results go to, which is made; `None` for beside the images."""
        if self.output_dir is None or is_dry_run_enabled("POST"):
            return None
        self.output_dir.mkdir(parents=True, exist_ok=True)
        return self.output_dir.resolve()

    def at(self, place: Place | None) -> "BatchOptions":
        """Return what was asked for now and, for results wanted at a place, by an earlier command."""
        if place is None:
            return self
        options = attrs.evolve(
            self,
            extras=tuple(dict.fromkeys([*self.extras, *place.extras])),
            in_place=self.in_place or place.in_place,
        )
        if self.output_dir:
            return options
        return attrs.evolve(options, wcs=place.wcs, results=self.results or place.table)


def ledger_option(command: F) -> F:
    """Add the option for the ledger."""
    return click.option(
        "--ledger",
        type=click.Path(path_type=Path),
        help="The record of uploads and results.  [default: your own]",
    )(command)


def batch_options(command: F) -> F:
    """Add the options of a batch that `BatchOptions.among` takes."""
    options = [
        click.option(
            "--output-dir",
            type=click.Path(path_type=Path),
            help="Where results go.  [default: beside each image]",
        ),
        click.option(
            "--results", type=click.Path(path_type=Path), help="The table of all.  [default: results.ecsv]"
        ),
        *(click.option(f"--{name.replace('_', '-')}", is_flag=True, help=words) for name, words in _FLAGS),
        click.option("--picture", is_flag=True, help="Draw the image with the named stars, beside the WCS."),
        click.option("--overwrite", is_flag=True, help="Replace results that exist."),
        click.option(
            "--timeout",
            "timeout_s",
            type=Span(),
            default=f"{DEFAULTS.solve_timeout_s:g}s",
            show_default=True,
            help="Longest wait for an image; seconds, or such as 30m.",
        ),
        click.option(
            "--deadline", "deadline_s", type=Span(), help="Stop after this time, and go on another day."
        ),
        click.option("--max-failures", type=click.IntRange(1), help="Stop after so many without a solution."),
        click.option(
            "--max-unfinished",
            type=click.IntRange(1),
            default=DEFAULTS.max_unfinished,
            show_default=True,
            help="Images in work at once.",
        ),
        click.option(
            "--pack/--no-pack",
            default=None,
            help="Send tars that rely on their order, or each file alone.  [default: tars matched by name]",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document for each image."),
    ]
    for option in reversed(options):
        command = option(command)
    return ledger_option(command)


def absolute(path: Path) -> Path:
    """Return a path that the ledger may keep, for commands in other folders."""
    return path if path == STDIN else path.parent.resolve() / path.name


def listed(files: tuple[Path, ...], files_from: Path | None) -> tuple[Path, ...]:
    """Return the files of a command, those in a list among them, each once.

    Raises
    ------
    InputError
        There are none, or the list cannot be read.
    """
    lines: list[str] = []
    if files_from is not None:
        try:
            with click.open_file(str(files_from), encoding="utf-8", errors="surrogateescape") as file:
                text = file.read().removeprefix("\ufeff")
                # `find -print0` ends names with NUL; other ends of lines than these may be part of a name.
                lines = text.split("\0" if "\0" in text else "\n")
        except OSError as cause:
            raise UnreadableFileError(
                f"--files-from {files_from} cannot be read: {cause.strerror}."
            ) from cause
    found = dict.fromkeys([*files, *(Path(line) for line in lines if line.strip())])
    if not found:
        raise InputError("No file is given: name images, or a list of them with --files-from.")
    # Where pathlib would raise, the image has an error of its own, told later.
    folder = next((path for path in found if os.path.isdir(path)), None)  # noqa: PTH112
    if folder is not None:
        raise InputError(f"{folder} is a folder: give its images, such as {folder}/*.fits.")
    return tuple(found)
