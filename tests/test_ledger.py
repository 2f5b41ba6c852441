"""The ledger alone: what it keeps, who gets an image, and what happens to a file that is not usable."""

import logging
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from arrivals import ManualTime

from astrometry_client import Ledger, Settings
from astrometry_client.errors import (
    AstrometryError,
    InputError,
    LedgerError,
    NotFound,
    StatusFailedException,
    SubmissionFailed,
    UnreadableFileError,
)
from astrometry_client.ledger import Entry, Holder, Key, LeaseLostError, NamesInTars
from astrometry_client.models import Calibration, Solution

SERVER = "https://nova.example"
KEY = Key(server=SERVER, content_sha256="0" * 64, settings_json="{}")
CALIBRATION = Calibration(
    ra_deg=1, dec_deg=2, radius_deg=3, pixel_scale_arcsec=4, orientation_deg=5, parity=-1
)
SOLUTION = Solution(
    name="a.fits", server=SERVER, submission_id=7, job_id=9, calibration=CALIBRATION, wcs_file=b"SIMPLE"
)
LEASE_S = 30.0


@pytest.fixture
def passing() -> ManualTime:
    return ManualTime()


@pytest.fixture
def ledger(tmp_path: Path, passing: ManualTime) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", lease_s=LEASE_S, clock=passing.clock)


def claimed(holder: Holder, key: Key = KEY) -> Entry:
    claim = holder.claim(key, name="a.fits")
    assert claim.granted
    return claim.entry


def solve(holder: Holder, key: Key = KEY) -> Entry:
    entry = claimed(holder, key)
    holder.sending(entry, filename="a.1.fits")
    holder.sent(entry, submission_id=7)
    holder.solved(entry, SOLUTION)
    return entry


@pytest.mark.parametrize("path", ["same.fits", "other_name.fits"])
def test_key_is_made_of_content_settings_and_server(tmp_path: Path, path: str) -> None:
    (tmp_path / "same.fits").write_bytes(b"a" * 100_000)
    (tmp_path / path).write_bytes(b"a" * 100_000)
    key = Key.of_file(tmp_path / "same.fits", Settings(parity=1, tweak_order=2), server=SERVER)
    same = Key.of_file(tmp_path / path, Settings(tweak_order=2, parity=1), server=f"{SERVER}/")
    assert key == same
    assert key != Key.of_file(tmp_path / path, Settings(tweak_order=3, parity=1), server=SERVER)
    assert key != Key.of_file(tmp_path / path, Settings(tweak_order=2, parity=1), server="https://other")
    (tmp_path / path).write_bytes(b"a" * 99_999)
    assert key != Key.of_file(tmp_path / path, Settings(tweak_order=2, parity=1), server=SERVER)


def test_missing_file_has_no_key() -> None:
    with pytest.raises(UnreadableFileError, match="nowhere"):
        Key.of_file("nowhere.fits", Settings(), server=SERVER)


def test_mark_is_the_same_for_the_same_attempt_only() -> None:
    assert KEY.mark(1) == KEY.mark(1)
    assert len({KEY.mark(1), KEY.mark(2), attrs.evolve(KEY, settings_json='{"a":1}').mark(1)}) == 3


def test_every_step_is_kept_with_its_time(ledger: Ledger, passing: ManualTime) -> None:
    with ledger.holder() as holder:
        found = []
        for step in (
            lambda: claimed(holder),
            lambda: holder.sending(claimed(holder), filename="a.1.fits"),
            lambda: holder.sent(claimed(holder), submission_id=7),
            lambda: holder.solved(claimed(holder), SOLUTION),
        ):
            passing.now += 1
            step()
            found.append(ledger.entry(KEY))
    start_s = passing.now - 4
    assert [entry.state for entry in found if entry] == ["waiting", "sending", "sent", "solved"]
    last = found[-1]
    assert last is not None
    assert (last.begun_s, last.sent_s, last.ended_s) == (start_s + 1, start_s + 3, start_s + 4)
    assert (last.filename, last.submission_id, last.job_id) == ("a.1.fits", 7, 9)
    assert last.solution("b.fits") == attrs.evolve(SOLUTION, name="b.fits")
    assert last.error() is None


@pytest.mark.parametrize("kind", [SubmissionFailed, StatusFailedException, NotFound])
def test_failure_comes_back_as_it_was(ledger: Ledger, kind: type[AstrometryError]) -> None:
    with ledger.holder() as holder:
        entry = claimed(holder)
        holder.sent(entry, submission_id=7)
        holder.failed(entry, kind("no stars", server_message="sorry", submission_id=7, job_id=9))
    kept = ledger.entry(KEY)
    assert kept is not None
    error = kept.error()
    assert type(error) is kind
    assert (str(error), error.server_message) == ("no stars", "sorry")
    assert (error.submission_id, error.job_id) == (7, 9)
    assert kept.solution("a.fits") is None


def test_solved_image_is_handed_to_nobody(ledger: Ledger) -> None:
    with ledger.holder() as holder:
        solve(holder)
    with ledger.holder() as holder:
        claim = holder.claim(KEY, name="b.fits")
    assert not claim.granted
    assert claim.entry.state == "solved"
    assert [names for _, names in ledger.entries()] == [("a.fits", "b.fits")]


def test_image_solved_anew_keeps_its_first_solution(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.holder() as holder:
        solve(holder)
    with ledger.holder() as holder:
        claim = holder.claim(KEY, name="a.fits", redo={"solved"})
        assert (claim.granted, claim.maybe_sent, claim.entry.attempt) == (True, False, 2)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        rows = connection.execute("SELECT state, wcs_file FROM attempts ORDER BY attempt").fetchall()
    connection.close()
    assert rows == [("solved", b"SIMPLE"), ("waiting", None)]


def test_what_ended_meanwhile_counts_as_new(ledger: Ledger, passing: ManualTime) -> None:
    with ledger.holder() as forced, ledger.holder() as other:
        passing.now += 1
        solve(other)
        assert not forced.claim(KEY, name="a.fits", redo={"solved"}).granted


def test_image_in_one_hand_is_not_in_another(ledger: Ledger, passing: ManualTime) -> None:
    with ledger.holder() as first, ledger.holder() as second:
        entry = claimed(first)
        assert not second.claim(KEY, name="a.fits").granted
        passing.now += LEASE_S - 1
        ledger._leases.renew()
        passing.now += LEASE_S - 1
        assert not second.claim(KEY, name="a.fits").granted
        first.release(entry)
        claim = second.claim(KEY, name="a.fits")
        assert (claim.granted, claim.maybe_sent) == (True, False)


@pytest.mark.parametrize(("state", "maybe_sent"), [("waiting", True), ("sending", True), ("sent", False)])
def test_image_of_the_dead_is_free_after_the_lease(
    ledger: Ledger, passing: ManualTime, state: str, maybe_sent: bool
) -> None:
    dead = ledger.holder()  # never renewed
    entry = claimed(dead)
    if state != "waiting":
        dead.sending(entry, filename="a.1.fits")
    if state == "sent":
        dead.sent(entry, submission_id=7)
    with ledger.holder() as holder:
        passing.now += LEASE_S
        claim = holder.claim(KEY, name="a.fits")
        assert (claim.granted, claim.maybe_sent, claim.entry.state) == (True, maybe_sent, state)
        with pytest.raises(LeaseLostError):
            dead.sending(entry, filename="a.1.fits")


def test_lease_of_one_who_could_not_let_go_is_not_renewed_by_others(
    ledger: Ledger, passing: ManualTime
) -> None:
    claimed(ledger.holder())
    with ledger.holder() as other:
        passing.now += LEASE_S - 1
        ledger._leases.renew()
        assert not other.claim(KEY, name="a.fits").granted
        passing.now += 1
        assert other.claim(KEY, name="a.fits").granted


def test_upload_whose_answer_is_unknown_is_told_to_the_next(ledger: Ledger) -> None:
    with ledger.holder() as holder:
        holder.sending(claimed(holder), filename="a.1.fits")
    with ledger.holder() as holder:
        assert holder.claim(KEY, name="a.fits").maybe_sent
        holder.not_sent(claimed(holder))
    with ledger.holder() as holder:
        assert not holder.claim(KEY, name="a.fits").maybe_sent


def test_end_is_not_overwritten(ledger: Ledger) -> None:
    with ledger.holder() as holder:
        entry = solve(holder)
        holder.failed(entry, StatusFailedException("late"))
        holder.sent(entry, submission_id=8)
    kept = ledger.entry(KEY)
    assert kept is not None
    assert (kept.state, kept.submission_id) == ("solved", 7)


def test_lease_is_renewed_while_a_holder_works(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", lease_s=0.3)
    told: list[float] = []
    with ledger.holder() as holder:
        claimed(holder)
        renew, enough = ledger._leases.renew, threading.Event()

        def counted() -> None:
            renew()
            told.append(1)
            if len(told) == 3:
                enough.set()

        ledger._leases.renew = counted  # type: ignore[method-assign]
        assert enough.wait(20)


def test_many_holders_need_one_thread_and_none_when_they_are_gone(ledger: Ledger) -> None:
    def renewers() -> int:
        return sum(thread.name == "ledger-lease" for thread in threading.enumerate())

    before = renewers()
    with ledger.holder() as first:
        claimed(first)
        with ledger.holder() as second:
            assert not second.claim(KEY, name="a.fits").granted
            assert renewers() == before + 1
        assert renewers() == before + 1
    assert renewers() == before


def test_threads_share_a_ledger_and_each_image_goes_to_one(ledger: Ledger) -> None:
    keys = [attrs.evolve(KEY, content_sha256=f"{number:064}") for number in range(20)]

    def work(_: int) -> int:
        with ledger.holder() as holder:
            mine = [holder.claim(key, name="a.fits") for key in keys]
            for claim in mine:
                if claim.granted:
                    holder.solved(claim.entry, SOLUTION)
            return sum(claim.granted for claim in mine)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == len(keys)


def claim_all(path: str, count: int) -> None:
    """Claim images and solve those that were granted; print how many. Run in processes of their own."""
    with Ledger(Path(path)).holder() as holder:
        keys = [attrs.evolve(KEY, content_sha256=f"{number:064}") for number in range(count)]
        granted = [claim.entry for key in keys if (claim := holder.claim(key, name="a.fits")).granted]
        for entry in granted:
            holder.solved(entry, SOLUTION)
    print(len(granted))


def test_processes_share_a_ledger_and_each_image_goes_to_one(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import test_ledger; test_ledger.claim_all(sys.argv[2], 30)"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path / "ledger.sqlite")]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    assert sum(int(worker.communicate(timeout=60)[0]) for worker in workers) == 30


def test_forked_child_opens_its_own_and_lets_go_of_nothing(ledger: Ledger) -> None:
    with ledger.holder() as holder:
        claimed(holder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            ended = 1
            try:
                holder.__exit__(None, None, None)
                with ledger.holder() as other:
                    ended = 2 if other.claim(KEY, name="a.fits").granted else 0
            finally:
                os._exit(ended)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert claimed(holder)


def test_file_is_for_its_owner_alone_and_in_the_state_folder(private_folders: Path) -> None:
    ledger = Ledger()
    assert ledger.entry(KEY) is None
    assert ledger.path == private_folders / "state" / "astrometry-client" / "ledger.sqlite"
    for path in ledger.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_of_the_login_is_written(ledger: Ledger) -> None:
    with ledger.holder() as holder:
        solve(holder)
    ledger.close()
    assert ledger.path is not None
    assert b"apikey" not in ledger.path.read_bytes()


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(8192))


def _torn(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100:4096] = os.urandom(3996)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_garbage, _torn])
def test_damaged_file_is_kept_aside_with_a_warning(
    ledger: Ledger, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    with ledger.holder() as holder:
        solve(holder)
    ledger.close()
    assert ledger.path is not None
    damage(ledger.path)
    content = ledger.path.read_bytes()
    with caplog.at_level(logging.WARNING):
        assert ledger.entry(KEY) is None
    assert "is damaged" in caplog.text
    (kept,) = [path for path in ledger.path.parent.iterdir() if "damaged" in path.name]
    assert kept.read_bytes() == content
    with ledger.holder() as holder:
        solve(holder)
    assert ledger.entry(KEY)


def _other_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (a)")
    connection.close()


def _newer(path: Path) -> None:
    Ledger(path).entry(KEY)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "told"),
    [(_other_program, "another program"), (_newer, "newer version"), (_folder, "not usable")],
)
def test_file_of_somebody_else_is_an_error_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None], told: str
) -> None:
    path = tmp_path / "ledger.sqlite"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(LedgerError, match=told):
        Ledger(path).entry(KEY)
    assert before == (path.read_bytes() if path.is_file() else None)


@pytest.mark.parametrize(
    ("code", "told"), [(sqlite3.SQLITE_FULL, "make room"), (sqlite3.SQLITE_BUSY, "run the same again later")]
)
def test_file_that_cannot_be_written_is_an_error_and_keeps_what_it_held(
    ledger: Ledger, code: int, told: str
) -> None:
    with ledger.holder() as holder:
        solve(holder)

    def fail(_: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("no")
        error.sqlite_errorcode = code
        raise error

    with pytest.raises(LedgerError, match=told):
        ledger._file.transact(fail)
    assert ledger.entry(KEY)


def test_locked_file_is_an_error_after_a_while(ledger: Ledger) -> None:
    ledger.entry(KEY)
    ledger.close()
    ledger._file._database._lock_wait_s = 0.05
    assert ledger.path is not None
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="later"):
        ledger.entry(KEY)
    other.execute("ROLLBACK")
    other.close()
    assert ledger.entry(KEY) is None


def test_truncated_log_loses_the_last_steps_only(ledger: Ledger, passing: ManualTime, tmp_path: Path) -> None:
    entry = claimed(ledger.holder())
    assert ledger.path is not None
    log = Path(f"{ledger.path}-wal")
    size_bytes = log.stat().st_size
    dead = ledger.holder()
    passing.now += LEASE_S
    dead.sending(claimed(dead), filename="a.1.fits")
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(ledger.path.read_bytes())
    Path(f"{copy}-wal").write_bytes(log.read_bytes()[: size_bytes + 100])
    passing.now += LEASE_S
    with Ledger(copy, lease_s=LEASE_S, clock=passing.clock).holder() as holder:
        claim = holder.claim(KEY, name="a.fits")
    assert (claim.granted, claim.maybe_sent, claim.entry) == (True, True, entry)


def test_replaced_file_is_noticed_and_takes_no_others_result(ledger: Ledger) -> None:
    with ledger.holder() as holder:
        entry = claimed(holder)
        assert ledger.path is not None
        for suffix in ("", "-wal", "-shm"):
            Path(f"{ledger.path}{suffix}").unlink()
        other = attrs.evolve(KEY, content_sha256="1" * 64)
        assert claimed(holder, other).id == entry.id
        with pytest.raises(LedgerError, match="replaced"):
            holder.solved(entry, SOLUTION)
    kept = ledger.entry(other)
    assert kept is not None
    assert kept.state == "waiting"


@pytest.mark.parametrize("lease_s", [0, -1, float("nan")])
def test_lease_that_is_none_is_refused(lease_s: float) -> None:
    with pytest.raises(InputError, match="lease_s"):
        Ledger(lease_s=lease_s)


def test_ledger_in_memory_leaves_nothing_on_the_disk(private_folders: Path) -> None:
    ledger = Ledger.in_memory()
    with ledger.holder() as holder:
        solve(holder)
    known: Any = ledger.entry(KEY)
    assert known.state == "solved"
    assert list((private_folders / "state").iterdir()) == []


VERSION_1 = """
CREATE TABLE images (
    id INTEGER PRIMARY KEY, server TEXT NOT NULL, content_sha256 TEXT NOT NULL, settings_json TEXT NOT NULL,
    owner TEXT, leased_until_s REAL, UNIQUE (content_sha256, settings_json, server)
);
CREATE TABLE names (
    image INTEGER NOT NULL REFERENCES images, name TEXT NOT NULL, PRIMARY KEY (image, name)
) WITHOUT ROWID;
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY, image INTEGER NOT NULL REFERENCES images, attempt INTEGER NOT NULL,
    state TEXT NOT NULL, filename TEXT, submission_id INTEGER, job_id INTEGER,
    begun_s REAL NOT NULL, sent_s REAL, ended_s REAL,
    calibration TEXT, wcs_file BLOB, error_kind TEXT, error_message TEXT, server_message TEXT,
    UNIQUE (image, attempt)
);
INSERT INTO images VALUES (1, 'https://nova.example', 'abc', '{}', NULL, NULL);
INSERT INTO names VALUES (1, 'a.fits');
INSERT INTO attempts VALUES (1, 1, 1, 'solved', 'a.cafe.fits', 7, 9, 1.0, 2.0, 30.0,
    '{"ra_deg": 1, "dec_deg": 2, "radius_deg": 3, "pixel_scale_arcsec": 4, "orientation_deg": 5,
        "parity": 1}',
    x'53494D504C45', NULL, NULL, NULL);
PRAGMA application_id = 0x4153544C;
PRAGMA user_version = 1;
"""


def test_ledger_of_the_first_version_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1)
    server = "https://nova.example"
    key = Key(server=server, content_sha256="abc", settings_json="{}")
    ledgers = [Ledger(path), Ledger(path)]
    for ledger in ledgers:
        entry = ledger.entry(key)
        assert entry is not None
        assert (entry.state, entry.submission_id, entry.job_id, entry.ended_s) == ("solved", 7, 9, 30.0)
        solution = entry.solution("b.fits")
        assert solution is not None
        assert solution.calibration.dec_deg == 2
        assert [names for _, names in ledger.entries()] == [("a.fits",)]
        assert ledger.solve_times_s(server) == []
    with ledgers[0].holder() as holder:
        claim = holder.claim(key, name="a.fits", redo={"solved"})
        holder.sent(claim.entry, submission_id=8)
        holder.solved(claim.entry, solution, solve_s=12.5)
    assert ledgers[1].solve_times_s(server) == [12.5]
    assert ledgers[1].solve_times_s("https://other.example") == []


def test_ledger_of_the_third_version_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path).holder() as holder:
        solve(holder)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP TABLE orders; PRAGMA user_version = 3")
    ledger = Ledger(path)
    with ledger.holder() as holder:
        assert holder.names_in_tars(SERVER) == NamesInTars()
        holder.found_in_tar(SERVER, kept=False)
        assert holder.names_in_tars(SERVER) == NamesInTars(broken=1)
    known = ledger.entry(KEY)
    assert known is not None
    assert known.state == "solved"


def test_solve_times_are_the_latest_in_their_order(ledger: Ledger) -> None:
    with ledger.holder() as holder:
        for number in range(5):
            claim = holder.claim(Key(server=SERVER, content_sha256=str(number), settings_json="{}"), name="a")
            holder.failed(claim.entry, NotFound("gone"), solve_s=None if number == 2 else float(number))
    assert ledger.solve_times_s(SERVER, latest=3) == [1.0, 3.0, 4.0]


def test_order_in_tars_is_counted_for_each_server(ledger: Ledger) -> None:
    with ledger.holder() as holder:
        for kept in (True, True, False):
            holder.found_in_tar(SERVER, kept=kept)
    with ledger.holder() as holder:
        assert holder.names_in_tars(SERVER) == NamesInTars(kept=2, broken=1)
        assert holder.names_in_tars("https://other.example") == NamesInTars()
