"""Many images by the command: what lands, what is told, and what happens when it is interrupted."""

import csv
import json
import os
import pty
import re
import resource
import select
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sky
from astropy.io import fits
from astropy.table import QTable
from click.testing import CliRunner, Result
from faulty_server import Answer, Arrival, Fault, answer_json
from small_nova import SmallNova, fits_file, ra_of

from astrometry_client.cli import main
from astrometry_client.ledger import LedgerReader
from astrometry_client.testing import NovaServer, fits_image

PNG = b"\x89PNG\r\n\x1a\n"
QUEUED = {"processing_started": "None", "processing_finished": "None", "jobs": [], "job_calibrations": []}
COMMAND = (sys.executable, "-m", "astrometry_client")

Solve = Callable[..., Result]


@pytest.fixture
def solve(server: SmallNova, folder: Path, tmp_path: Path) -> Solve:
    """Return the command, with a server and a ledger."""

    def run(*arguments: str | Path, command: str = "solve", code: int | None = 0) -> Result:
        told = ["--server", server.url, "--ledger", tmp_path / "ledger"]
        result = CliRunner().invoke(main, [command, *map(str, [*arguments, *told])])
        assert code is None or result.exit_code == code, (result.output, result.exception)
        assert "Traceback" not in result.output
        return result

    return run


def images(folder: Path, *contents: str) -> list[str]:
    for content in contents:
        (folder / f"{content}.png").write_bytes(PNG + content.encode())
    return [f"{content}.png" for content in contents]


def landed(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def table(path: Path) -> dict[str, dict[str, str]]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {row["name"]: row for row in csv.DictReader(lines)}


def ra_in(path: Path) -> float:
    return float(fits.getheader(path)["CRVAL1"])


def content_of(name: str) -> bytes:
    return PNG + name.encode()


def test_results_land_beside_their_images_and_in_a_table(solve: Solve, folder: Path) -> None:
    names = images(folder, "a", "b", "dark")
    result = solve(*names, "text.png", code=12)
    assert landed(folder) == {*names, "a.wcs", "b.wcs", "results.ecsv"}
    for name in "ab":
        assert ra_in(folder / f"{name}.wcs") == ra_of(content_of(name))
    assert result.stdout.splitlines()[-1].startswith("Solved 2 of 4 in ")
    assert result.stderr.splitlines()[-1] == "astrometry-client: Not all is done: 2 not solved."
    assert re.search(r"^a.png: RA .* Dec .*, 2 arcsec/pixel, a.wcs$", result.stdout, re.MULTILINE)
    assert re.search(r"^dark.png: Job \d+ ended without a solution", result.stdout, re.MULTILINE)
    assert re.search(r"^text.png: cannot be read", result.stdout, re.MULTILINE)
    assert "Nothing is left" in solve(command="resume").stdout
    rows = QTable.read(folder / "results.ecsv")
    assert list(rows["state"]) == ["solved", "solved", "failed", "failed"]
    assert rows["ra_deg"][0].to_value("deg") == ra_of(content_of("a"))
    assert str(rows["pixel_scale_arcsec"].unit) == "arcsec / pix"
    assert rows["path"][0] == str(folder / "a.png")
    assert all(rows["ra_deg"].mask[2:])


def test_same_command_again_asks_nothing_and_writes_nothing(
    solve: Solve, server: SmallNova, folder: Path
) -> None:
    names = images(folder, "a", "b")
    solve(*names)
    asked, before = len(server.arrivals), (folder / "a.wcs").stat().st_mtime_ns
    (folder / "b.wcs").unlink()
    result = solve(*names)
    assert len(server.arrivals) == asked
    assert (folder / "a.wcs").stat().st_mtime_ns == before
    assert ra_in(folder / "b.wcs") == ra_of(content_of("b"))
    assert "2 known already" in result.stdout
    assert table(folder / "results.ecsv")["a.png"]["state"] == "solved"


def test_extras_of_ours_are_fetched_anew_when_images_are_solved_again(
    solve: Solve, server: SmallNova, folder: Path
) -> None:
    names = images(folder, "a", "b")
    solve(*names, "--corr")
    solve(*names, "--corr", "--force")
    assert [server.asked(f"/corr_file/{number}") for number in (1, 2, 3, 4)] == [1, 1, 1, 1]


def test_images_are_solved_again_when_forced_and_failed_ones_when_told(
    solve: Solve, server: SmallNova, folder: Path
) -> None:
    names = images(folder, "a", "dark")
    solve(*names, code=12)
    solve(*names, "--retry-failed", code=12)
    assert len(server.uploads) == 3
    solve(*names, "--force", code=12)
    assert len(server.uploads) == 5


def test_foreign_file_is_kept_and_told_until_it_may_be_replaced(
    solve: Solve, server: SmallNova, folder: Path
) -> None:
    names = images(folder, "a", "b")
    (folder / "a.wcs").write_text("mine")
    result = solve(*names, code=12)
    assert (folder / "a.wcs").read_text() == "mine"
    assert "a.wcs exists and is not known to be ours" in result.stderr
    assert "0 not solved and 1 results not written" in result.stderr
    solve(*names, "--overwrite")
    assert ra_in(folder / "a.wcs") == ra_of(content_of("a"))
    assert len(server.uploads) == 2


def test_result_of_ours_is_replaced_by_a_newer_one(solve: Solve, server: SmallNova, folder: Path) -> None:
    solve(*images(folder, "a", "b"))
    (folder / "a.png").write_bytes(content_of("other"))
    solve("a.png", "b.png")
    assert ra_in(folder / "a.wcs") == ra_of(content_of("other"))


def test_images_of_one_name_do_not_get_each_others_results(solve: Solve, folder: Path) -> None:
    for sub in "xy":
        (folder / sub).mkdir()
        (folder / sub / "a.png").write_bytes(content_of(sub))
    (folder / "A.gif").write_bytes(b"GIF89a")
    solve("x/a.png", "y/a.png", "A.gif", "--output-dir", "out", "--results", "t.jsonl")
    rows = [json.loads(line) for line in (folder / "t.jsonl").read_text().splitlines()]
    assert len(rows) == 3
    found = {ra_in(path) for path in (folder / "out").glob("*.wcs")}
    assert found == {row["ra_deg"] for row in rows}
    assert len(found) == 3
    before = landed(folder)
    solve("x/a.png", "y/a.png", "A.gif", "--output-dir", "out", "--results", "t.jsonl")
    assert landed(folder) == before


def test_wanted_extras_land_too_and_a_failed_one_is_fetched_by_the_next_run(
    solve: Solve, server: SmallNova, folder: Path
) -> None:
    names = images(folder, "a", "b")
    broken = True

    def answer(arrival: Arrival) -> Answer:
        if broken and "/corr_file/1" in arrival.path:
            return Answer(status=404, body=b"<html>no</html>", kind="text/html")
        return server.answer(arrival)

    server.responder = answer
    result = solve(*names, "--corr", "--axy", "--rdls", "--new-fits", "--max-unfinished", "1", code=12)
    assert "1 results not written" in result.stderr
    extras = {
        f"{name}{ending}" for name in "ab" for ending in (".wcs", ".axy", ".rdls", ".corr", ".new.fits")
    }
    assert landed(folder) == {*names, *extras, "results.ecsv"} - {"a.corr"}
    broken, asked = False, len(server.arrivals)
    solve(*names, "--corr", "--axy", "--rdls", "--new-fits")
    assert [arrival.path for arrival in server.arrivals[asked:]] == ["/corr_file/1"]
    assert landed(folder) == {*names, *extras, "results.ecsv"}


def test_results_of_images_are_not_taken_for_images(solve: Solve, server: SmallNova, folder: Path) -> None:
    names = images(folder, "a", "b")
    solve(*names, "--new-fits")
    result = solve(*names, "a.new.fits")
    assert "Left out: a.new.fits" in result.stderr
    assert "Solved 2 of 2" in result.stdout
    assert len(server.uploads) == 2


def test_name_that_is_too_long_takes_no_other_image_with_it(solve: Solve, folder: Path) -> None:
    longest, too_long = ("n" * size for size in (251, 252))
    for name in (longest, too_long):
        (folder / name).write_bytes(fits_file())
    result = solve(*images(folder, "a"), longest, too_long, code=12)
    assert "Solved 3 of 3" in result.stdout
    assert {"a.wcs", f"{longest}.wcs"} < landed(folder)
    assert f"{too_long}.wcs is too long a name" in result.stderr


def test_no_image_is_replaced_by_a_result(solve: Solve, folder: Path) -> None:
    (folder / "a.fits").write_bytes(fits_file())
    mine = folder / "a.new.fits"
    mine.write_bytes(fits_file(MINE=1.0))
    before = mine.read_bytes()
    for _ in range(2):
        solve("a.fits", "a.new.fits", "--new-fits", "--overwrite")
        assert mine.read_bytes() == before
    assert {"a.fits.new.fits", "a.new.wcs", "a.new.new.fits"} < landed(folder)


def test_everything_in_a_folder_can_be_given_again(solve: Solve, server: SmallNova, folder: Path) -> None:
    solve(*images(folder, "a", "b"), "--new-fits", "--axy")
    images(folder, "own")
    (folder / "own.axy").write_bytes(fits_file())
    result = solve(*sorted(landed(folder) - {"results.ecsv"}), "--new-fits", "--axy")
    assert result.stderr.count("Left out") == 6
    assert {upload.name for upload in server.uploads[2:]} == {"own.png", "own.axy"}


def test_json_is_a_document_for_each_image_as_it_ends(solve: Solve, folder: Path) -> None:
    result = solve(*images(folder, "a", "dark"), "--json", code=12)
    documents = {document["file"]: document for document in map(json.loads, result.stdout.splitlines())}
    assert documents["a.png"]["ra_deg"] == ra_of(content_of("a"))
    assert documents["a.png"]["files"] == {"wcs": str(folder / "a.wcs")}
    assert (documents["dark.png"]["state"], documents["dark.png"]["files"]) == ("failed", {})


def test_batch_stops_after_so_many_failures(solve: Solve, server: SmallNova, folder: Path) -> None:
    names = images(folder, *(f"dark{number}" for number in range(10)))
    result = solve(*names, "--max-failures", "2", "--max-unfinished", "1", code=12)
    assert "Stopped after 2 failures. Solved 0 of 10" in result.stdout
    assert "astrometry-client resume" in result.stderr
    assert len(server.uploads) <= 4
    assert set(table(folder / "results.ecsv")) == set(names[:2])
    # Those that are known do not count, so that the same command comes further each time.
    result = solve(*names, "--max-failures", "2", "--max-unfinished", "1", code=12)
    assert "Stopped after 2 failures" in result.stdout
    assert set(table(folder / "results.ecsv")) >= set(names[:4])


def test_deadline_leaves_the_rest_for_another_time(solve: Solve, server: SmallNova, folder: Path) -> None:
    names = images(folder, *"abcde")
    server.responder = lambda arrival: (
        answer_json(QUEUED) if "/submissions/" in arrival.path else server.answer(arrival)
    )
    result = solve(*names, "--deadline", "2s", "--max-unfinished", "2", code=12)
    assert "astrometry-client resume" in result.stderr
    assert len(server.uploads) == 2
    server.responder = server.answer
    assert "Solved 5 of 5" in solve(command="resume").stdout
    assert "Nothing is left" in solve(command="resume").stdout
    assert len(server.uploads) == 5


def test_results_that_were_taken_away_are_not_put_back_by_resume(solve: Solve, folder: Path) -> None:
    names = images(folder, *"ab")
    solve(*names)
    (folder / "a.wcs").unlink()
    assert "Nothing is left" in solve(command="resume").stdout
    assert landed(folder) == {*names, "b.wcs", "results.ecsv"}


def test_resume_goes_on_and_tells_what_is_gone(solve: Solve, server: SmallNova, folder: Path) -> None:
    names = images(folder, *"abc")
    solve(*names)
    assert "Nothing is left" in solve(command="resume").stdout
    names = images(folder, *"xyz")
    server.responder = lambda arrival: (
        answer_json(QUEUED) if "/submissions/" in arrival.path else server.answer(arrival)
    )
    solve(*names, "--scale-units", "degwidth", "--scale-lower", "0", "--timeout", "1", code=12)
    server.responder = server.answer
    (folder / "x.png").unlink()
    (folder / "y.png").write_bytes(b"changed")
    result = solve(command="resume")
    assert result.stderr.count("Left out") == 2
    assert "Solved 1 of 1" in result.stdout
    assert ra_in(folder / "z.wcs") == ra_of(content_of("z"))
    assert len(server.uploads) == 6


def test_solution_goes_into_the_image_itself_and_it_stays_known_once(
    solve: Solve, server: SmallNova, folder: Path, tmp_path: Path
) -> None:
    for name in ("a.fits", "b.fits"):
        fits.PrimaryHDU(np.full((5, 5), ord(name[0]), np.int16)).writeto(folder / name)
    result = solve("a.fits", "b.fits", *images(folder, "c"), "--in-place", code=12)
    assert "c.png: cannot be solved in place" in result.stdout
    for name in ("a", "b"):
        assert fits.getheader(folder / f"{name}.fits")["CRVAL1"] == ra_in(folder / f"{name}.wcs")
    asked, before = len(server.arrivals), (folder / "a.fits").read_bytes()
    solve("a.fits", "b.fits", "--in-place")
    assert (len(server.arrivals), (folder / "a.fits").read_bytes()) == (asked, before)
    known = [path for image in LedgerReader(tmp_path / "ledger").images() for path in image.paths]
    assert sorted(known) == [str(folder / name) for name in ("a.fits", "b.fits")]


def test_list_of_files_is_taken_and_each_is_solved_once(
    solve: Solve, server: SmallNova, folder: Path
) -> None:
    images(folder, *"abc")
    (folder / "list.txt").write_text("a.png\n\nb.png\n")
    result = solve("b.png", f"{folder}/../night/c.png", "c.png", "--files-from", "list.txt")
    assert "Solved 3 of 3" in result.stdout
    assert len(server.uploads) == 3


@pytest.mark.parametrize("end", ["\n", "\r\n", "\0"])
def test_list_holds_a_name_a_line_whatever_the_name(solve: Solve, folder: Path, end: str) -> None:
    names = images(folder, "a", "b\u2028c", " d")
    (folder / "list.txt").write_bytes(end.join(["\ufeff" + names[0], *names[1:], ""]).encode())
    assert "Solved 3 of 3" in solve("--files-from", "list.txt").stdout


@pytest.mark.parametrize("name", ["n" * 300, "n" * 300 + ".axy", "/dev/zero", "a\udcff.png"])
def test_file_that_cannot_be_taken_ends_no_other(solve: Solve, folder: Path, name: str) -> None:
    names = images(folder, "a", "b")
    result = solve(*names, name, "--output-dir", folder, code=12)
    assert "Solved 2 of 3" in result.output


def test_image_named_in_place_of_a_ledger_is_left_alone(server: SmallNova, folder: Path) -> None:
    name, *others = images(folder, *"abc")
    before = (folder / name).read_bytes()
    result = CliRunner().invoke(main, ["solve", "--server", server.url, "--ledger", name, *others])
    assert (result.exit_code, "a.png is no ledger of this package" in result.stderr) == (11, True)
    assert (folder / name).read_bytes() == before


def test_image_has_a_line_whatever_its_name(solve: Solve, folder: Path, tmp_path: Path) -> None:
    names = images(folder, "a", "b\nc\x1b[2J")
    assert "b\\nc\\x1b[2J.png: RA" in solve(*names).stdout
    told = CliRunner().invoke(main, ["results", "--ledger", str(tmp_path / "ledger")])
    assert len(told.stdout.splitlines()) == 2


def test_list_that_cannot_be_read_is_told(solve: Solve) -> None:
    assert (
        "--files-from nowhere.txt cannot be read: No such file"
        in solve("--files-from", "nowhere.txt", code=5).stderr
    )


def test_server_is_not_started_for_what_is_no_image(folder: Path) -> None:
    (folder / "empty.fits").touch()
    result = CliRunner().invoke(main, ["solve", "empty.fits", "nowhere.fits", "--local"])
    assert (result.exit_code, "Starting" in result.stderr) == (12, False), result.output


def test_small_files_travel_together_when_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{name}.fits" for name in "abcd"]
    for name in names:
        (folder / name).write_bytes(fits_image(name))
    with NovaServer() as nova:
        monkeypatch.setenv("ASTROMETRY_API_KEY", nova.api_key)
        told = ["--server", nova.url, "--ledger", "ledger", "--in-place"]
        result = CliRunner().invoke(main, ["solve", *names, "--pack", *told])
    assert "Solved 4 of 4" in result.stdout, result.output
    assert nova.counts()["upload"] == 1
    for name, row in table(folder / "results.ecsv").items():
        assert ra_in(folder / name) == pytest.approx(float(row["ra_deg"]))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "No file is given"),
        (("a.png", "."), "is a folder"),
        (("a.png", "-"), "Standard input"),
        (("a.png", "b.png", "--wcs", "x"), "--output-dir"),
        (("a.png", "b.png", "--results", "x.txt"), "x.txt"),
        (("a.png", "b.png", "--results", "a.csv"), "no table of ours"),
        (("a.png", "b.png", "--deadline", "soon"), "soon"),
        (("a.png", "b.png", "--deadline", "0"), "is not a time"),
        (("a.png", "--local", "--fallback", "local"), "--local excludes"),
    ],
)
def test_wrong_use_is_told_before_anything_is_sent(
    solve: Solve, server: SmallNova, folder: Path, arguments: tuple[str, ...], told: str
) -> None:
    images(folder, "a", "b")
    (folder / "a.csv").write_text("mine")
    before = landed(folder)
    assert told in solve(*arguments, code=2).stderr
    assert server.arrivals == []
    assert landed(folder) == before


def test_folder_that_takes_no_file_is_told_before_anything_is_sent(
    solve: Solve, server: SmallNova, folder: Path
) -> None:
    (folder / "file").write_text("")
    assert "file" in solve(*images(folder, "a", "b"), "--output-dir", "file", code=10).stderr
    assert server.arrivals == []


def test_dry_run_writes_nothing_and_asks_nothing(
    solve: Solve, server: SmallNova, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DRY_RUN_ENABLED", "1")
    names = images(folder, "a", "b")
    for place in ((), ("--output-dir", "out"), ("--local",)):
        result = CliRunner().invoke(main, ["solve", *names, *place])
        assert (result.exit_code, landed(folder)) == (0, set(names)), result.output
        assert "Dry run: nothing was sent, nothing was written. Solved 2 of 2" in result.stdout
    assert not (tmp_path / "ledger").exists()


def test_disk_that_is_full_ends_the_batch_and_the_next_one_goes_on(
    solve: Solve, server: SmallNova, folder: Path
) -> None:
    names = images(folder, *"abcd")
    large = Answer(body=fits_file().ljust(1000 * 2880), kind="application/fits")
    server.responder = lambda arrival: large if "new_fits" in arrival.path else server.answer(arrival)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, unlimited[1]))
    try:
        result = solve(*names, "--new-fits", code=10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert "goes on where this one stopped" in result.stderr
    assert re.search(
        r"^astrometry-client: .*/[abcd].new.fits cannot be written or read: File too large.$",
        result.stderr.splitlines()[-1],
    )
    assert [path for path in landed(folder) if "part" in path or "new.fits" in path] == []
    solve(*names, "--new-fits")
    assert {f"{name}.new.fits" for name in "abcd"} <= landed(folder)
    assert len(server.uploads) == 4


def hold(server: SmallNova) -> list[bytes]:
    """Let images whose name holds one of these words wait in the queue; return the words."""
    words = [b"slow"]

    def answer(arrival: Arrival) -> Answer:
        if "/submissions/" in arrival.path:
            content = server.uploads[int(arrival.path.rpartition("/")[2]) - 1].content
            if any(word in content for word in words):
                return answer_json(QUEUED)
        return server.answer(arrival)

    server.responder = answer
    return words


def start(
    server: SmallNova, tmp_path: Path, *arguments: str, terminal: bool = False
) -> "subprocess.Popen[bytes]":
    command = [*COMMAND, "solve", *arguments, "--server", server.url, "--ledger", str(tmp_path / "ledger")]
    if not terminal:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    own, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    process.stdout = os.fdopen(own, "rb", buffering=0)
    return process


def test_interrupted_batch_says_how_to_go_on_and_does(
    solve: Solve, server: SmallNova, folder: Path, tmp_path: Path
) -> None:
    names = images(folder, "a", *(f"slow{number}" for number in range(5)))
    held = hold(server)
    process = start(server, tmp_path, *names, "--max-unfinished", "4")
    assert process.stdout is not None
    # Between its landing and its line an image is not in the table yet.
    assert process.stdout.readline().startswith(b"a.png: RA")
    deadline_s = time.monotonic() + 30
    while len(server.uploads) < 4:
        assert time.monotonic() < deadline_s
        select.select([], [], [], 0.01)
    process.send_signal(signal.SIGINT)
    started_s = time.monotonic()
    told = process.communicate(timeout=30)[1].decode()
    assert time.monotonic() - started_s < 10
    assert process.returncode == 130
    assert "astrometry-client resume" in told
    assert told.splitlines()[-1] == "astrometry-client: Interrupted."
    assert "Traceback" not in told
    assert landed(folder) == {*names, "a.wcs", "results.ecsv"}
    assert set(table(folder / "results.ecsv")) == {"a.png"}
    assert LedgerReader(tmp_path / "ledger").in_hand() == ()
    held.clear()
    assert "Solved 6 of 6" in solve(*names).stdout
    assert len(server.uploads) == 6


def test_what_was_solved_but_had_not_landed_lands_by_resume_where_it_was_wanted(
    solve: Solve, server: SmallNova, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = images(folder, *"abcd")
    solve("a.png", "b.png", "--output-dir", "earlier")
    server.responder = lambda arrival: (
        Answer(fault=Fault.HANG) if "corr_file" in arrival.path else server.answer(arrival)
    )
    wanted = ("--output-dir", "out", "--corr", "--results", "all.csv", "--force")
    process = start(server, tmp_path, *names, *wanted)
    deadline_s = time.monotonic() + 30
    while Counter(
        image.entry.attempt for image in LedgerReader(tmp_path / "ledger").images(states=["solved"])
    ) != {1: 2, 2: 2}:
        assert time.monotonic() < deadline_s
        select.select([], [], [], 0.01)
    process.kill()
    process.communicate()
    server.responder, asked = server.answer, len(server.arrivals)
    monkeypatch.chdir(tmp_path)
    assert "4 to go on with" in solve(command="resume").stderr
    assert {arrival.path for arrival in server.arrivals[asked:]} == {
        f"/corr_file/{number}" for number in (3, 4, 5, 6)
    }
    assert landed(folder / "out") == {f"{name}{ending}" for name in "abcd" for ending in (".wcs", ".corr")}
    assert {row["state"] for row in table(folder / "all.csv").values()} == {"solved"}
    assert not (tmp_path / "results.ecsv").exists()
    assert "Nothing is left" in solve(command="resume").stdout


def test_terminal_shows_what_happens_and_keeps_what_failed(
    server: SmallNova, folder: Path, tmp_path: Path
) -> None:
    names = images(folder, "a", "dark", "slow")
    held = hold(server)
    (folder / "key").write_text("word")
    (folder / "key").chmod(0o644)
    process = start(server, tmp_path, *names, "--key-file", "key", terminal=True)
    shown = b""
    assert process.stdout is not None
    deadline_s = time.monotonic() + 30
    try:
        while chunk := process.stdout.read(1000):
            shown += chunk
            assert time.monotonic() < deadline_s, shown
            if b"1 solved" in shown:
                held.clear()
    except OSError:
        pass  # the terminal is gone with the command
    process.stdout.close()
    assert process.wait(10) == 12
    text = shown.decode()
    for words in ("in the server's queue", "1 solved", "a minute", "left", "a.png: RA", "dark.png: Job"):
        assert words in text, words
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert plain.count("Solved 2 of 3") == 1
    # A warning stands on a line of its own above the display.
    assert re.search(r"[\r\n]astrometry-client: Others can read the API key in key: chmod 600 it\.", plain)


def test_ledger_that_cannot_grow_ends_the_batch_in_one_line(
    server: SmallNova, folder: Path, tmp_path: Path
) -> None:
    names = images(folder, *(f"slow{number}" for number in range(12)))
    hold(server)
    limited = ("sh", "-c", 'ulimit -f 260; exec "$@"', "sh", *COMMAND)  # blocks of 512 bytes
    ended = subprocess.run(
        [*limited, "solve", *names, "--server", server.url, "--ledger", str(tmp_path / "ledger")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 11, ended.stderr
    assert "is not usable" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


@pytest.mark.soak
def test_two_commands_at_once_solve_each_image_once(server: SmallNova, folder: Path, tmp_path: Path) -> None:
    names = images(folder, *"abcdefgh")
    first, second = (start(server, tmp_path, *names) for _ in range(2))
    for process in (first, second):
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert len(server.uploads) == 8
    assert {name: row["state"] for name, row in table(folder / "results.ecsv").items()} == dict.fromkeys(
        names, "solved"
    )


def fields(folder: Path, count: int) -> list[str]:
    """Write pictures of the sky, each 100 degrees from the last, and return their names."""
    for number in range(count):
        view = sky.View(ra_deg=50.0 + 100 * number, dec_deg=20.0, width_deg=25.0, width_px=600, height_px=450)
        picture = sky.render(view, np.random.default_rng(number))
        (folder / f"{number}.fits").write_bytes(picture.fits_bytes())
    return [f"{number}.fits" for number in range(count)]


@pytest.mark.soak
def test_what_is_late_is_solved_on_this_machine(solve: Solve, server: SmallNova, folder: Path) -> None:
    hold(server).append(b"SIMPLE")
    result = solve(*fields(folder, 2), "--timeout", "2", "--fallback", "local")
    assert "Solved 2 of 2" in result.stdout
    for number, row in table(folder / "results.ecsv").items():
        assert float(row["ra_deg"]) == pytest.approx(50.0 + 100.0 * int(number[0]), abs=0.3)
        assert row["server"] == "local"
    assert len(server.uploads) == 2


@pytest.mark.soak
def test_images_solved_on_this_machine_are_known_later(folder: Path) -> None:
    names = fields(folder, 3)
    for known in ("", ", 3 known already"):
        result = CliRunner().invoke(main, ["solve", "--local", *names, "--in-place", "--picture"])
        assert result.exit_code == 0, result.output
        assert re.search(rf"Solved 3 of 3 in .*{known}", result.stdout)
        assert ("Starting" in result.stderr) == (not known)
    for number, row in table(folder / "results.ecsv").items():
        assert float(row["ra_deg"]) == pytest.approx(50.0 + 100.0 * int(number[0]), abs=0.3)
        assert row["server"] == "local"
    assert {f"{number}{ending}" for number in range(3) for ending in (".wcs", ".stars.png")} < landed(folder)
    one = CliRunner().invoke(main, ["solve", "--local", names[0], "--picture"])
    assert "0.fits was solved before" in one.stdout, one.output
    assert one.stderr == ""


def test_everything_that_lands_can_be_read_by_others_as_the_user_has_it(solve: Solve, folder: Path) -> None:
    before = os.umask(0o027)
    try:
        solve(*images(folder, "a", "b"))
    finally:
        os.umask(before)
    for name in ("a.wcs", "results.ecsv"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o640
