"""Many images: their results land as they come, and all is told."""

import json
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import Final

import attrs
import click
from rich.console import Console

from astrometry_client import flow
from astrometry_client.batch import BatchResult
from astrometry_client.cli.batch_display import BatchDisplay
from astrometry_client.cli.batch_options import BatchOptions
from astrometry_client.cli.exit_codes import ImagesLeft
from astrometry_client.cli.report import as_line
from astrometry_client.cli.spans import span
from astrometry_client.errors import AstrometryError, InputError
from astrometry_client.results import Landed, Landing, Landings, ResultsTable, check_place, row_of_result
from astrometry_client.session import is_dry_run_enabled
from astrometry_client.uploads import FileUpload
from astrometry_client.whole_file import write_whole

_RESUME: Final = "The same command goes on where this one stopped, and so does `astrometry-client resume`."
_NO_RESUME: Final = "Without --ledger the same command begins anew."


class _EnoughError(Exception):
    """Too many images have failed."""


class Batch:
    """A batch of images, from the first to the last line that is printed.

    Parameters
    ----------
    shown
        The images, absolute, and how they are called.
    options
        What was asked for.
    landing
        Where results go.
    """

    def __init__(self, shown: dict[Path, str], options: BatchOptions, landing: Landing) -> None:
        self._shown = shown
        self._options = options
        self._landing = landing
        self._landings = Landings(landing)
        self._remedy = _RESUME if landing.ledger.path else _NO_RESUME
        self._dry = is_dry_run_enabled("POST")
        self._display = BatchDisplay(len(shown), Console(stderr=True))
        self._lines = not (sys.stdout.isatty() and sys.stderr.isatty())
        self._missing = self._unfinished = self._failures = 0
        self._table = None if self._dry else self._new_table()

    def files(self) -> Iterator[Path]:
        """Yield the images; those that cannot be taken have ended."""
        for path in self._shown:
            try:
                self._check(path)
            except InputError as error:
                self._landing.drop(path)
                self._tell(BatchResult(path=path, error=error), Landed())
            else:
                yield path

    def on_step(self, path: str | Path, effect: flow.Step) -> None:
        """Take note of the next step of an image."""
        self._display.step(str(path), effect)
        self._tell_landed()

    def run(self, results: Generator[BatchResult, None, None]) -> None:
        """Let results land, tell them, and sum up.

        Raises
        ------
        ImagesLeft
            Not all images are solved, or not all results written.
        """
        stopped = ""
        try:
            # Who asks is let go of, at its end or ours, before the table is written for the last time.
            with (
                self._display.shown(),
                _told_interrupt(self._display),
                self._wanted(),
                self._landings,
                closing(results),
            ):
                for result in results:
                    if result.solved and not self._dry:
                        self._landings.begin(result)
                    else:
                        self._tell(result, Landed())
                    self._tell_landed()
                self._tell_landed(left=0)
        except _EnoughError as enough:
            stopped = f"{enough} "
            self._tell_rest()
        except (KeyboardInterrupt, AstrometryError, OSError):
            with suppress(OSError):
                self._tell_rest()
                self._write_table()
            click.echo(f"{self._summary()} {self._remedy}", err=True)
            raise
        self._write_table()
        self._sum_up(stopped)

    def _wanted(self) -> AbstractContextManager[None]:
        return self._landing.wanted(self._shown, table=self._table.path) if self._table else nullcontext()

    def _new_table(self) -> ResultsTable:
        folders = {self._landing.path_of(path, "").parent for path in self._shown}
        for folder in sorted(folders):
            _check_writable(folder)
        table = ResultsTable(_table_path(self._options), overwrite=self._options.overwrite)
        table.write()
        return table

    def _check(self, path: Path) -> None:
        FileUpload(path)  # what is no image is told before anybody is asked
        if self._options.in_place:
            check_place(path)

    def _tell_landed(self, **bound: int) -> None:
        for result, landed in self._landings.ended(**bound):
            self._tell(result, landed)

    def _tell_rest(self) -> None:
        for result, landed in self._landings.rest():
            with suppress(_EnoughError):
                self._tell(result, landed)

    def _tell(self, result: BatchResult, landed: Landed) -> None:
        path = Path(result.path)
        shown = self._shown[path]
        line = as_line(shown, result, landed)
        seconds = self._display.end(str(path), line, solved=result.solved, known=result.from_ledger)
        row = row_of_result(result, server=self._landing.server, seconds=seconds)
        self._unfinished += row.state == "unfinished"
        self._failures += not (result.solved or result.from_ledger)
        if self._table:
            self._table.add(row)
        if self._options.as_json:
            files = {"wcs": landed.wcs, **landed.extras}
            document = {
                "file": shown,
                **attrs.asdict(row),
                "known": result.from_ledger,
                "files": {name: str(file) for name, file in files.items() if file},
                "troubles": list(map(str, landed.troubles)),
            }
            click.echo(json.dumps(document))
        elif self._lines:
            click.echo(line)
        for trouble in landed.troubles:
            self._missing += 1
            self._display.tell(f"{shown}: {trouble}")
        if self._failures == self._options.max_failures:
            raise _EnoughError(f"Stopped after {self._failures} failures.")

    def _write_table(self) -> None:
        if self._table:
            self._table.write()

    def _summary(self) -> str:
        display = self._display
        known = f", {display.known} known already" if display.known else ""
        return f"Solved {display.solved} of {display.total} in {span(display.seconds)}{known}."

    def _sum_up(self, stopped: str) -> None:
        table = f" Results: {self._table.path}" if self._table else ""
        dry = "Dry run: nothing was sent, nothing was written. " if self._dry else ""
        click.echo(f"{dry}{stopped}{self._summary()}{table}", err=self._options.as_json)
        display = self._display
        if display.solved == display.total and not self._missing:
            return
        missing = f" and {self._missing} results not written" if self._missing else ""
        remedy = f" {self._remedy}" if self._unfinished or display.ended < display.total else ""
        raise ImagesLeft(f"Not all is done: {display.total - display.solved} not solved{missing}.{remedy}")


def _table_path(options: BatchOptions) -> Path:
    """Return where the table of results goes: with astropy it is ECSV, unless a name is given."""
    if options.results is not None:
        return options.results
    folder = options.output_dir or Path()
    try:
        import astropy  # noqa: F401  only whether it is there
    except ImportError:
        click.echo(
            "Without astropy the table is CSV: pip install 'astrometry-client[wcs]' for ECSV.", err=True
        )
        return folder / "results.csv"
    return folder / "results.ecsv"


def _check_writable(folder: Path) -> None:
    """Raise `OSError` or `InputError` if no file can be made in a folder."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: make it, or name another with --output-dir.")
    try:
        write_whole(folder / ".astrometry-client", b"").unlink()
    except OSError as cause:
        raise OSError(cause.errno, cause.strerror, str(folder)) from cause


@contextmanager
def _told_interrupt(display: BatchDisplay) -> Iterator[None]:
    """Tell at the first Ctrl-C what is waited for."""
    before = signal.getsignal(signal.SIGINT)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        display.tell("Stopping when the uploads under way have arrived. Ctrl-C again stops at once.")
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
