"""A server for a while: it solves what another was too late for, and its solutions outlast it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from arrivals import ManualTime
from faulty_server import Answer, Arrival, answer_json
from small_nova import SmallNova, ra_of

from astrometry_client import BatchResult, Client, ClientSession, Ledger, Settings
from astrometry_client.errors import (
    LedgerError,
    SolveTimeout,
    StatusFailedException,
    Unreachable,
    UnreadableFileError,
)
from astrometry_client.ledger import LOCAL, Key
from astrometry_client.stand_in import StandIn

PNG = b"\x89PNG\r\n\x1a\n"
QUEUED = {"processing_started": "None", "processing_finished": "None", "jobs": [], "job_calibrations": []}


@attrs.define
class Here:
    """A server that can be started."""

    server: SmallNova
    starts: int = 0
    ends: int = 0

    @contextmanager
    def start(self) -> Iterator[Client]:
        self.starts += 1
        yield Client("key", base_url=self.server.url)
        self.ends += 1


@pytest.fixture
def here() -> Iterator[Here]:
    with SmallNova() as server:
        yield Here(server)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def stand_in(here: Here, ledger: Ledger) -> Callable[..., StandIn]:
    return lambda **options: StandIn(here.start, ledger=ledger, settings=Settings(), **options)


@pytest.fixture
def far() -> Iterator[SmallNova]:
    """Return a server elsewhere that never gets to images named `late`."""
    with SmallNova() as server:

        def answer(arrival: Arrival) -> Answer:
            number = arrival.path.rpartition("/")[2]
            waits = "/submissions/" in arrival.path and b"late" in server.uploads[int(number) - 1].content
            return answer_json(QUEUED) if waits else server.answer(arrival)

        server.responder = answer
        yield server


@pytest.fixture
def client(far: SmallNova, session: ClientSession) -> Client:
    """Return a client of the server elsewhere, whose waits take no time."""
    return Client("key", base_url=far.url, client_session=session)


def images(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_bytes(PNG + name.encode())
    return [folder / name for name in names]


def check(result: BatchResult, server: str) -> None:
    assert result.solution is not None, result.error
    assert result.solution.calibration.ra_deg == ra_of(Path(result.path).read_bytes())
    assert result.solution.server == server


def test_solutions_are_known_when_the_server_is_gone(
    here: Here, stand_in: Callable[..., StandIn], ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, *"abc", "dark")
    with stand_in() as first:
        results = {Path(result.path).name: result for result in first.solve_many(paths)}
    assert isinstance(results["dark"].error, StatusFailedException)
    assert (here.starts, here.ends) == (1, 1)
    entry = ledger.entry(Key.of_file(paths[0], Settings(), server=LOCAL))
    assert entry is not None
    with stand_in() as second:
        for result in second.solve_many(paths[:3]):
            check(result, LOCAL)
            assert result.from_ledger
    assert here.starts == 1
    with stand_in() as third:
        found = list(third.solve_many([*images(tmp_path, "d"), *paths[:2], *images(tmp_path, "e")]))
        assert [result.from_ledger for result in found].count(True) == 2
        assert len(found) == 4
    assert len(here.server.uploads) == 6


def test_copy_of_a_remembered_image_is_known_under_its_own_name(
    stand_in: Callable[..., StandIn], ledger: Ledger, tmp_path: Path
) -> None:
    (path,) = images(tmp_path, "a")
    copy = tmp_path / "copy.png"
    copy.write_bytes(path.read_bytes())
    for given in (path, copy):
        with stand_in() as one:
            (result,) = one.solve_many([given])
    assert result.from_ledger
    assert result.solution
    assert ledger.gave(str(copy), result.solution.wcs_file)


def test_remembered_solution_that_does_not_do_is_found_again(
    here: Here, stand_in: Callable[..., StandIn], tmp_path: Path
) -> None:
    paths = images(tmp_path, *"ab")
    for options in ({}, {"force": True}, {"is_enough": lambda path: path.name == "a"}):
        with stand_in(**options) as one:
            for result in one.solve_many(paths):
                check(result, LOCAL)
    assert len(here.server.uploads) == 5


def test_image_that_changes_while_it_is_solved_is_not_taken_for_what_it_was(
    here: Here, stand_in: Callable[..., StandIn], ledger: Ledger, tmp_path: Path
) -> None:
    moved, changed, same = images(tmp_path, *"abc")

    def answer(arrival: Arrival) -> Answer:
        if "/submissions/" in arrival.path:
            moved.unlink(missing_ok=True)
            changed.write_bytes(PNG + b"other")
        return here.server.answer(arrival)

    here.server.responder = answer
    with stand_in() as one:
        assert sum(result.solved for result in one.solve_many([moved, changed, same], max_unfinished=3)) == 3
    remembered = [ledger.entry(Key.of_file(path, Settings(), server=LOCAL)) for path in (changed, same)]
    assert [entry is not None for entry in remembered] == [False, True]


def test_files_that_are_none_are_told(stand_in: Callable[..., StandIn], tmp_path: Path) -> None:
    with stand_in() as one:
        (result,) = one.solve_many([tmp_path / "nowhere"])
    assert isinstance(result.error, UnreadableFileError)


def test_late_images_are_solved_here(
    here: Here,
    far: SmallNova,
    client: Client,
    stand_in: Callable[..., StandIn],
    ledger: Ledger,
    tmp_path: Path,
) -> None:
    paths = images(tmp_path, "a", "late", "dark", "late dark")

    def ask(files: Any) -> Iterator[BatchResult]:
        return client.solve_many(files, ledger=ledger, timeout_s=300)

    with stand_in() as one:
        results = {Path(result.path).name: result for result in one.solve_late(paths, ask)}
    check(results["a"], far.url)
    check(results["late"], LOCAL)
    assert isinstance(results["dark"].error, StatusFailedException)
    assert isinstance(results["late dark"].error, SolveTimeout)
    assert sorted(len(server.uploads) for server in (here.server, far)) == [2, 4]
    with stand_in() as another:
        for result in another.solve_late(paths[:2], ask):
            assert result.from_ledger
    assert here.starts == 1


def test_server_is_not_started_where_nothing_is_late(
    here: Here, far: SmallNova, client: Client, stand_in: Callable[..., StandIn], tmp_path: Path
) -> None:
    with stand_in() as one:
        for result in one.solve_late(images(tmp_path, *"ab"), client.solve_many):
            check(result, far.url)
    assert (here.starts, here.server.uploads) == (0, [])


def test_nothing_is_solved_here_after_the_deadline(
    here: Here, client: Client, passing: ManualTime, stand_in: Callable[..., StandIn], tmp_path: Path
) -> None:
    with stand_in(deadline_s=5, clock=passing.clock) as one:
        passing.sleep(6)
        late, other = images(tmp_path, "late", "late2")
        results = list(one.solve_late([late, other], lambda files: client.solve_many(files, timeout_s=1)))
    assert sorted(result.path for result in results) == [late, other]
    assert all(isinstance(result.error, SolveTimeout) for result in results)
    assert here.starts == 0


def test_all_is_solved_here_if_the_other_server_cannot_be_reached(
    here: Here, stand_in: Callable[..., StandIn], tmp_path: Path, ledger: Ledger
) -> None:
    def ask(files: Any) -> Iterator[BatchResult]:
        taken = [next(files), next(files)]
        yield BatchResult(path=taken[0], error=SolveTimeout("late"))
        raise Unreachable("nobody there")

    with stand_in() as one:
        results = list(one.solve_late(images(tmp_path, *"abcd"), ask))
    assert len(results) == 4
    for result in results:
        check(result, LOCAL)


def test_other_errors_end_it(stand_in: Callable[..., StandIn], tmp_path: Path) -> None:
    def ask(files: Any) -> Iterator[BatchResult]:
        yield BatchResult(path=next(files), error=StatusFailedException("no"))
        raise LedgerError("no more")

    with stand_in() as one, pytest.raises(LedgerError):
        list(one.solve_late(images(tmp_path, *"ab"), ask))
