"""Tables of results: CSV, JSON lines, and ECSV, which is CSV under a description of its columns."""

import contextlib
import csv
import heapq
import io
import itertools
import json
import operator
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Literal, get_args

import attrs

from astrometry_client.errors import InputError
from astrometry_client.results.rows import COLUMNS, Row
from astrometry_client.whole_file import writing_whole

Format = Literal["ecsv", "csv", "jsonl"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

_SHARE: Final = 0.02
"""Of all time, at most this is spent on writing a table that grows."""

Document = Mapping[str, Any]


def format_of(path: Path) -> Format:
    """Return the format that the name of a table asks for.

    Raises
    ------
    InputError
        It asks for none that there is.
    """
    for known in FORMATS:
        if path.suffix.lower() == f".{known}":
            return known
    raise InputError(f"{path} names no format: let it end with .{', .'.join(FORMATS)}.")


def write_rows(rows: Iterable[Row], file: IO[str], form: Format) -> None:
    """Write a table, row by row.

    Raises
    ------
    InputError
        astropy, which describes the columns of ECSV, is not installed.
    """
    _write((attrs.asdict(row) for row in rows), file, form)


@contextmanager
def writing_table(path: Path) -> Iterator[IO[str]]:
    """Give a file for `write_rows` that takes the name `path` when all went well."""
    with writing_whole(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.detach()


class ResultsTable:
    """A table on the disk that grows, whole at any time.

    Rows of other images that it held before stay, those of the same path are replaced. It is in the order
    of the paths.

    Parameters
    ----------
    path
        Of the table; its ending is its format.
    overwrite
        Whether something else may be replaced that has this name.
    clock
        Seconds that never step back.

    Raises
    ------
    InputError
        Something else has this name, or astropy is needed and not installed.
    """

    def __init__(
        self, path: Path, *, overwrite: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self._format = format_of(path)
        self._clock = clock
        self._rows: dict[str, Row] = {}
        self._next_s = 0.0
        if path.exists() and not overwrite and not self._is_ours():
            raise InputError(f"{path} exists and is no table of ours: give another name, or --overwrite.")
        _write((), io.StringIO(), self._format)

    def add(self, row: Row) -> None:
        """Add a row. It is on the disk soon, and after `write` at the latest."""
        self._rows[row.path] = row
        if self._clock() >= self._next_s:
            self.write()

    def write(self) -> None:
        """Write the table."""
        started_s = self._clock()
        with writing_table(self.path) as file:
            others = (row for row in self._written() if row["path"] not in self._rows)
            ours = (attrs.asdict(row) for _, row in sorted(self._rows.items()))
            _write(heapq.merge(others, ours, key=operator.itemgetter("path")), file, self._format)
        now_s = self._clock()
        self._next_s = now_s + (now_s - started_s) / _SHARE

    def _written(self) -> Iterator[Document]:
        """Yield the rows of the table as it is on the disk, where it is one of ours."""
        if self._is_ours():
            with self.path.open(encoding="utf-8", errors="replace", newline="") as file:
                yield from (row for row in _read(file, self._format) if tuple(row) == COLUMNS)

    def _is_ours(self) -> bool:
        if not self.path.is_file():
            return False
        with self.path.open(encoding="utf-8", errors="replace", newline="") as file:
            return tuple(next(_read(file, self._format, head=True), ())) == COLUMNS


def _write(rows: Iterable[Document], file: IO[str], form: Format) -> None:
    if form == "jsonl":
        file.writelines(f"{json.dumps(row)}\n" for row in rows)
        return
    if form == "ecsv":
        file.write(_description())
    table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)


def _read(file: IO[str], form: Format, *, head: bool = False) -> Iterator[Document]:
    """Yield the rows of a table; with `head` first one that tells its columns."""
    if form == "jsonl":
        for line in file:
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                yield row if isinstance(row, dict) else {}
        return
    table = csv.DictReader(itertools.dropwhile(lambda line: line.startswith("#"), file))
    if head:
        yield dict.fromkeys(table.fieldnames or ())
    yield from table


def _description() -> str:
    """Return the lines that tell the columns of ECSV, as astropy writes them for a table without rows."""
    try:
        from astropy.table import Column, Table
    except ImportError as missing:
        raise InputError(
            f"ECSV needs {missing.name}: pip install 'astrometry-client[wcs]', or take .csv or .jsonl."
        ) from missing
    columns = []
    for field in attrs.fields(Row):
        about = field.metadata
        columns.append(
            Column(
                [],
                name=field.name,
                dtype=about["kind"],
                unit=about["unit"] or None,
                description=about["meaning"],
            )
        )
    written = io.StringIO()
    Table(columns).write(written, format="ascii.ecsv", delimiter=",")
    return "".join(line for line in written.getvalue().splitlines(keepends=True) if line.startswith("#"))
