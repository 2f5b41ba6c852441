"""The commands that tell what the ledger knows: they only look."""

import csv
import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest
from astropy.table import Table
from click.testing import CliRunner, Result

from astrometry_client import Ledger
from astrometry_client.cli import main
from astrometry_client.errors import StatusFailedException
from astrometry_client.ledger import Holder, Key
from astrometry_client.models import Calibration, Solution

SERVER = "https://nova.example"
SOLUTION = Solution(
    name="a.fits",
    server=SERVER,
    submission_id=7,
    job_id=9,
    calibration=Calibration(
        ra_deg=83.63, dec_deg=-22.01, radius_deg=3, pixel_scale_arcsec=4.5, orientation_deg=5, parity=-1
    ),
    wcs_file=b"SIMPLE",
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def end(holder: Holder, number: int, path: str, server: str = SERVER) -> None:
    key = Key(server=server, content_sha256=f"{number:064}", settings_json="{}")
    entry = holder.claim(key, name=path).entry
    holder.sent(entry, submission_id=number)
    if "dark" in path:
        holder.failed(entry, StatusFailedException("no\nsolution", submission_id=number, job_id=1))
    elif "late" not in path:
        holder.solved(entry, attrs.evolve(SOLUTION, job_id=number))


@pytest.fixture
def path(ledger: Ledger) -> Path:
    """Return a ledger of five images."""
    with ledger.holder() as holder:
        for number, name in enumerate(("/n/a.fits", "/n/b,c.fits", "/n/dark.fits", "/n/late.fits"), 1):
            end(holder, number, name)
        end(holder, 5, "/n/here.fits", "local")
    assert ledger.path is not None
    return ledger.path


def run(*arguments: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_status_counts_images_by_server_and_state(path: Path) -> None:
    lines = run("status", "--ledger", path).stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["1", "failed", f"{SERVER},"],
        ["1", "sent", f"{SERVER},"],
        ["2", "solved", f"{SERVER},"],
        ["1", "solved", "local,"],
    ]
    document = json.loads(run("status", "--ledger", path, "--json").stdout)
    assert sum(count["images"] for count in document["images"]) == 5
    assert (document["ledger"], document["under_way"]) == (str(path), [])


def test_status_tells_who_works_on_images(ledger: Ledger, path: Path) -> None:
    with ledger.holder() as holder:
        holder.claim(Key(server=SERVER, content_sha256="9", settings_json="{}"), name="/n/x.fits")
        assert f"1 under way by process {os.getpid()}" in run("status", "--ledger", path).stdout


def test_results_are_a_line_for_each_image_and_can_be_chosen(path: Path) -> None:
    assert run("results", "--ledger", path).stdout.splitlines() == [
        "solved     05h34m31.2s -22°00′36″       4.5 arcsec/pixel     5.00° /n/a.fits",
        "solved     05h34m31.2s -22°00′36″       4.5 arcsec/pixel     5.00° /n/b,c.fits",
        "solved     05h34m31.2s -22°00′36″       4.5 arcsec/pixel     5.00° /n/here.fits",
    ]
    assert run("results", "--ledger", path, "--server", "local").stdout.count("\n") == 1
    (failed,) = run("results", "--ledger", path, "--state", "failed").stdout.splitlines()
    assert "no solution" in failed
    (late,) = map(
        json.loads, run("results", "--ledger", path, "--state", "unfinished", "--json").stdout.splitlines()
    )
    assert (late["path"], late["submission_id"], late["ra_deg"]) == ("/n/late.fits", 4, None)


@pytest.mark.parametrize("form", ["csv", "jsonl", "ecsv"])
def test_export_holds_the_same_in_each_format(path: Path, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"all.{form}"
    run("export", file, "--ledger", path)
    text = file.read_text()
    if form == "jsonl":
        rows = [json.loads(line) for line in text.splitlines()]
    else:
        rows = list(csv.DictReader(line for line in io.StringIO(text) if not line.startswith("#")))
    assert [row["path"] for row in rows] == [
        *("/n/a.fits", "/n/b,c.fits", "/n/dark.fits", "/n/late.fits", "/n/here.fits")
    ]
    assert [row["state"] for row in rows] == ["solved", "solved", "failed", "unfinished", "solved"]
    assert float(rows[0]["ra_deg"]) == 83.63
    assert (rows[2]["ra_deg"] or None, rows[2]["error"]) == (None, "no solution")
    assert run("export", "-", "--format", form, "--ledger", path).stdout == text
    if form == "ecsv":
        table = Table.read(file)
        assert table["path"][1] == "/n/b,c.fits"
        assert str(table["ra_deg"].unit) == "deg"
        assert list(table["job_id"].filled(0)) == [1, 2, 1, 0, 5]


def test_export_replaces_a_file_only_when_told(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    file.write_text("mine")
    assert "--overwrite" in run("export", file, "--ledger", path, code=2).output
    assert file.read_text() == "mine"
    run("export", file, "--ledger", path, "--overwrite")
    assert file.read_text().startswith("path,name,")
    assert "all.txt" in run("export", tmp_path / "all.txt", "--ledger", path, code=2).output


@pytest.mark.parametrize(
    "command", [("status",), ("results",), ("export", "all.csv"), ("export", "-"), ("resume",)]
)
def test_ledger_that_is_none_is_told_and_nothing_is_made(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no ledger" in run(*command, "--ledger", "ledger", code=11).output
    (tmp_path / "ledger").write_text("something else" * 100)
    assert "cannot be read" in run(*command, "--ledger", "ledger", code=11).output
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


def test_looking_works_without_the_right_to_write(path: Path) -> None:
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    for command in ("status", "results"):
        run(command, "--ledger", path)
    path.chmod(stat.S_IRUSR)
    run("results", "--ledger", path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


@pytest.fixture
def large(ledger: Ledger) -> Path:
    """Return a ledger of 10,000 images."""
    list(ledger.entries())
    assert ledger.path is not None
    numbers = range(1, 10_001)
    calibration = json.dumps(attrs.asdict(SOLUTION.calibration))
    with sqlite3.connect(ledger.path) as connection:
        connection.executemany(
            "INSERT INTO images (id, server, content_sha256, settings_json) VALUES (?, 's', ?, '{}')",
            ((number, str(number)) for number in numbers),
        )
        connection.executemany("INSERT INTO names VALUES (?, ?)", ((n, f"/n/{n}.fits") for n in numbers))
        connection.executemany(
            "INSERT INTO attempts (image, attempt, state, begun_s, calibration, wcs_file)"
            " VALUES (?, 1, 'solved', 1, ?, ?)",
            ((n, calibration, bytes(3000)) for n in numbers),
        )
    connection.close()
    return ledger.path


def test_reader_that_has_seen_enough_ends_it_quietly(large: Path) -> None:
    command = [sys.executable, "-m", "astrometry_client", "results", "--ledger", str(large)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(30) == 1


def test_many_images_are_exported_in_little_time(large: Path, tmp_path: Path) -> None:
    started_s = time.monotonic()
    run("export", tmp_path / "all.ecsv", "--ledger", large)
    assert time.monotonic() - started_s < 15
    assert len((tmp_path / "all.ecsv").read_text().splitlines()) > 10_000
