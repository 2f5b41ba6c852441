"""Tables of results: whole at any time, theirs kept, ours replaced row by row."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from arrivals import ManualTime
from astropy.table import Table

from astrometry_client.errors import InputError
from astrometry_client.results import ResultsTable, Row

ROW = Row(name="a.fits", path="/n/a.fits", state="solved", ra_deg=1.5, job_id=3, parity=-1)


def row(name: str, **values: object) -> Row:
    return attrs.evolve(ROW, name=name, path=f"/n/{name}", **values)


def paths(path: Path) -> list[str]:
    if path.suffix == ".jsonl":
        return [json.loads(line)["path"] for line in path.read_text().splitlines()]
    return list(Table.read(path, format="ascii.ecsv" if path.suffix == ".ecsv" else "ascii.csv")["path"])


@pytest.fixture(params=["ecsv", "csv", "jsonl"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"results.{request.param}"


def test_rows_of_earlier_runs_stay_and_the_same_path_is_replaced(path: Path) -> None:
    for names in (("b", "a"), ("c", "b")):
        table = ResultsTable(path)
        for name in names:
            table.add(row(name, error=", ".join(names)))
        table.write()
    assert paths(path) == ["/n/a", "/n/b", "/n/c"]
    assert "b, a" in path.read_text()
    assert path.read_text().count("c, b") == 2


def test_two_tables_at_once_keep_each_others_rows(path: Path) -> None:
    first, second = ResultsTable(path), ResultsTable(path)
    for number in range(3):
        first.add(row(f"a{number}"))
        second.add(row(f"b{number}"))
        first.write()
        second.write()
    first.write()
    assert len(paths(path)) == 6


@pytest.mark.parametrize("content", ["", "mine", "path,name\n1,2\n", "[1, 2]\n", '{"a": 1}\n', "\x00\xff"])
def test_table_of_others_is_kept_unless_told_otherwise(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(InputError, match="no table of ours"):
        ResultsTable(path)
    assert path.read_text() == content
    table = ResultsTable(path, overwrite=True)
    table.add(ROW)
    table.write()
    assert paths(path) == [ROW.path]


def test_rows_that_somebody_spoilt_are_left_out(path: Path) -> None:
    table = ResultsTable(path)
    table.add(ROW)
    table.write()
    path.write_text(path.read_text() + "x,y,z\n" + "{\n")
    again = ResultsTable(path)
    again.add(row("b"))
    again.write()
    assert ROW.path in paths(path)
    assert "/n/b" in paths(path)


@pytest.mark.parametrize("name", ['quo"te', "com,ma", "new\nline", "# hash", "ümlaut", "\udcff", " space "])
def test_strange_names_come_back(path: Path, name: str) -> None:
    for _ in range(2):
        table = ResultsTable(path)
        table.add(row(name))
        table.add(row("z"))
        table.write()
    assert len(paths(path)) == 2


def test_table_grows_often_at_first_and_seldom_when_it_takes_long(tmp_path: Path) -> None:
    passing = ManualTime()

    class Slow(ResultsTable):
        writes = 0

        def _written(self) -> Iterator[Mapping[str, Any]]:
            type(self).writes += 1
            passing.now += 0.001 * len(self._rows)
            return super()._written()

    table = Slow(tmp_path / "results.csv", clock=passing.clock)
    started_s = passing.now
    for number in range(500):
        passing.now += 0.1
        table.add(row(f"{number}"))
    assert 10 < Slow.writes < 50
    assert passing.now - started_s < 1.03 * 50
    table.write()
    assert len(paths(tmp_path / "results.csv")) == 500


def test_name_that_asks_for_no_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.ecsv, \.csv, \.jsonl"):
        ResultsTable(tmp_path / "results.txt")
