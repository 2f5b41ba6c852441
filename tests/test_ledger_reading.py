"""Looks into a ledger: what they tell, while others write, and of files that are none."""

import json
import os
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import attrs
import pytest

from astrometry_client import Ledger, Settings
from astrometry_client.errors import LedgerError, StatusFailedException
from astrometry_client.ledger import LOCAL, Entry, Holder, Key, LedgerReader, State
from astrometry_client.models import Calibration, Solution

UNFINISHED: tuple[State, ...] = ("waiting", "sending", "sent")
SERVER, OTHER = "https://nova.example", "https://other.example"
SOLUTION = Solution(
    name="a.fits",
    server=SERVER,
    submission_id=7,
    job_id=9,
    calibration=Calibration(
        ra_deg=1, dec_deg=2, radius_deg=3, pixel_scale_arcsec=4, orientation_deg=5, parity=-1
    ),
    wcs_file=b"SIMPLE",
)


def key(number: int, server: str = SERVER) -> Key:
    return Key(server=server, content_sha256=f"{number:064}", settings_json="{}")


def begun(holder: Holder, number: int, *names: str, server: str = SERVER) -> Entry:
    claims = [holder.claim(key(number, server), name=name) for name in names or (f"{number}.fits",)]
    return claims[-1].entry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a ledger with two solved images, one that failed, one under way and one of another server."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with ledger.holder() as holder:
        holder.solved(begun(holder, 1, "b.fits", "a.fits"), SOLUTION)
        holder.solved(begun(holder, 2), SOLUTION)
        holder.failed(begun(holder, 3), StatusFailedException("no solution", job_id=5))
        holder.sent(begun(holder, 4), submission_id=8)
        begun(holder, 5, server=OTHER)
    return tmp_path / "ledger.sqlite"


def test_counts_are_by_server_and_state(path: Path) -> None:
    counts = {(count.server, count.state): count.images for count in LedgerReader(path).counts()}
    assert counts == {
        (SERVER, "solved"): 2,
        (SERVER, "failed"): 1,
        (SERVER, "sent"): 1,
        (OTHER, "waiting"): 1,
    }
    assert all(time.time() - count.oldest_s < 60 for count in LedgerReader(path).counts())


def test_image_that_was_solved_on_this_machine_is_not_unfinished_elsewhere(path: Path) -> None:
    with Ledger(path).holder() as holder:
        holder.solved(begun(holder, 4, server=LOCAL), SOLUTION)
        holder.solved(begun(holder, 3, server=LOCAL), SOLUTION)
    reader = LedgerReader(path)
    counts = {(count.server, count.state): count.images for count in reader.counts()}
    assert counts == {
        (SERVER, "solved"): 2,
        (SERVER, "failed"): 1,
        (OTHER, "waiting"): 1,
        (LOCAL, "solved"): 2,
    }
    assert [image.entry.key.server for image in reader.images(states=UNFINISHED)] == [OTHER]


def test_images_come_with_their_paths_and_last_attempt(path: Path) -> None:
    first, *others = LedgerReader(path).images()
    assert first.paths == ("a.fits", "b.fits")
    assert first.entry == attrs.evolve(Ledger(path).entry(key(1)) or first.entry, wcs_file=None)
    assert [image.entry.state for image in others] == ["solved", "failed", "sent", "waiting"]
    with Ledger(path).holder() as holder:
        assert holder.claim(key(3), name="3.fits", redo={"failed"}).granted
    assert [image.entry.attempt for image in LedgerReader(path).images()] == [1, 1, 2, 1, 1]


def test_images_are_chosen_by_server_and_state(path: Path) -> None:
    reader = LedgerReader(path)
    assert [image.entry.key.server for image in reader.images(server=OTHER)] == [OTHER]
    assert [image.paths for image in reader.images(server=f"{SERVER}/", states=["failed"])] == [("3.fits",)]
    assert [image.entry.state for image in reader.images(states=UNFINISHED)] == ["sent", "waiting"]
    assert list(reader.images(states=[])) == []


def test_images_in_hand_are_told_with_the_process_until_it_lets_go(path: Path) -> None:
    with Ledger(path).holder() as holder:
        begun(holder, 6)
        begun(holder, 7)
        (found,) = LedgerReader(path).in_hand()
        assert (found.process_id, found.images) == (os.getpid(), 2)
        assert LedgerReader(path, clock=lambda: found.until_s).in_hand() == ()
    assert LedgerReader(path).in_hand() == ()


def test_reader_does_not_wait_for_one_who_writes(path: Path) -> None:
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM attempts")
    started_s = time.monotonic()
    assert len(list(LedgerReader(path).images())) == 5
    assert time.monotonic() - started_s < 5
    writer.close()


KILLED = """
import os, signal, sys
from astrometry_client import Ledger
from astrometry_client.ledger import Key
with Ledger(sys.argv[1]).holder() as holder:
    holder.claim(Key(server="s", content_sha256="0", settings_json="{}"), name="a.fits")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_wrote_last_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert [image.paths for image in LedgerReader(path).images()] == [("a.fits",)]


def test_ledger_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no ledger at"):
        LedgerReader(tmp_path / "none").counts()
    assert list(tmp_path.iterdir()) == []


def test_ledger_that_is_damaged_is_left_as_it_is(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="cannot be read"):
        list(LedgerReader(path).images())
    assert path.read_bytes() == content
    assert list(path.parent.glob("*damaged*")) == []


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_file_of_something_else_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(LedgerError, match="file"):
        LedgerReader(tmp_path / "file").counts()
    assert (tmp_path / "file").read_bytes() == content


def test_ledger_of_a_newer_version_is_told(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 1000")
    connection.close()
    with pytest.raises(LedgerError, match="newer"):
        LedgerReader(path).counts()


def test_ten_thousand_images_are_read_in_little_time_and_memory(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    list(Ledger(path).entries())
    row = (json.dumps(attrs.asdict(SOLUTION.calibration)), bytes(10_000))
    with sqlite3.connect(path) as connection:
        numbers = range(1, 10_001)
        keys = ((number, SERVER, f"{number}", "{}") for number in numbers)
        connection.executemany(
            "INSERT INTO images (id, server, content_sha256, settings_json) VALUES (?, ?, ?, ?)", keys
        )
        connection.executemany("INSERT INTO names VALUES (?, ?)", ((n, f"/data/{n}.fits") for n in numbers))
        attempt = "INSERT INTO attempts (image, attempt, state, begun_s, calibration, wcs_file)"
        connection.executemany(f"{attempt} VALUES (?, 1, 'solved', 1, ?, ?)", ((n, *row) for n in numbers))
    connection.close()
    reader = LedgerReader(path)
    started_s = time.monotonic()
    assert [count.images for count in reader.counts()] == [10_000]
    assert sum(1 for _ in reader.images()) == 10_000
    assert time.monotonic() - started_s < 10
    tracemalloc.start()
    for _ in reader.images():
        pass
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_wcs_is_known_by_path_and_content(path: Path) -> None:
    ledger = Ledger(path)
    assert ledger.gave("a.fits", b"SIMPLE")
    assert ledger.gave("b.fits", b"SIMPLE")
    assert not ledger.gave("a.fits", b"other")
    assert not ledger.gave("3.fits", b"SIMPLE")


def test_solution_found_elsewhere_is_remembered(path: Path) -> None:
    ledger = Ledger(path)
    for attempt in (1, 2):
        ledger.remember(key(9, OTHER), SOLUTION, name="9.fits")
        entry = ledger.entry(key(9, OTHER))
        assert entry is not None
        assert (entry.state, entry.attempt) == ("solved", attempt)
        assert entry.solution("9.fits") == attrs.evolve(
            SOLUTION, name="9.fits", server=OTHER, submission_id=None
        )
    assert LedgerReader(path).in_hand() == ()


def test_settings_come_back_from_what_was_sent() -> None:
    settings = Settings(
        scale_units="degwidth",
        scale_lower=0,
        scale_upper=3,
        center_ra_deg=0,
        center_dec_deg=5,
        radius_deg=2,
        parity=0,
        crpix_center=True,
        publicly_visible="n",
    )
    again = Settings.from_payload(settings.payload())
    assert again.payload() == settings.payload()
    assert Settings.from_payload({}) == Settings.from_payload({"unknown": 1}) == Settings()
