"""Images that travel in tars: each gets its own result, whatever the server does with its tar."""

import io
import os
import random
import sqlite3
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, Self

import pytest
from nights import PUBLIC, in_tars, mean_of
from simulated_solves import SERVER
from urllib3 import HTTPConnectionPool

from astrometry_client import BatchResult, Client, FileUpload, Ledger, Settings, flow
from astrometry_client.errors import (
    LedgerError,
    ServerRefused,
    SolveTimeout,
    StatusFailedException,
    SubmissionFailed,
    UnreadableFileError,
)
from astrometry_client.ledger import Key
from astrometry_client.session.connections import CuttableAdapter
from astrometry_client.testing import (
    UNSOLVED,
    Clock,
    NovaServer,
    Rejected,
    Reset,
    Status,
    TableEngine,
    VanishJob,
    fits_image,
    place_of,
)
from astrometry_client.uploads.tar_file import tar_of

TABLE = TableEngine({"*dark*": UNSOLVED, "text*": Rejected()}, otherwise=place_of)


@pytest.mark.parametrize("seeds", [3, pytest.param(200, marks=pytest.mark.soak)])
def test_tars_need_few_looks_and_ends_are_known_soon(seeds: int) -> None:
    measured = [in_tars(seed) for seed in range(seeds)]
    assert mean_of(measured, "requests") <= 2.75
    assert mean_of(measured, "median_s") <= 1.8
    assert mean_of(measured, "p95_s") <= 4.3


@pytest.mark.parametrize("solvers", [1, 16])
@pytest.mark.parametrize("dark", [0.0, 0.3])
@pytest.mark.parametrize("sd_log", [0.4, 1.2])
def test_looks_stay_few_whatever_the_server_is_like(solvers: int, dark: float, sd_log: float) -> None:
    tars = in_tars(1, solvers=solvers, dark=dark, sd_log=sd_log)
    assert tars.requests <= 4.6
    assert tars.p95_s <= 12
    # A failure before the first look makes it seem that more are solved at once: it is not believed for long.
    assert tars.longest_s <= 30


@pytest.mark.parametrize(
    "queue",
    [lambda number: number - 20 * ((number - 1) // 10), lambda number: -number, lambda number: number % 7],
)
def test_tars_taken_up_in_another_order_are_not_asked_for_all_the_time(queue: Callable[[int], float]) -> None:
    measured = [in_tars(seed, queue=queue) for seed in range(3)]
    assert mean_of(measured, "requests") <= 3.5
    assert mean_of(measured, "median_s") <= 6
    assert mean_of(measured, "p95_s") <= 60


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("known", [0])
def test_jobs_in_any_order_are_matched_by_name(seed: int, known: int) -> None:
    in_tars(seed, images=20, shuffle=True, known=known)


@pytest.mark.parametrize("name", ["sky0.fits", "dark3.fits", "sky9.fits"])
@pytest.mark.parametrize("known", [0, 10])
def test_file_that_the_server_dropped_is_told_and_shifts_no_other(name: str, known: int) -> None:
    tars = in_tars(1, images=10, dropped=(name,), known=known)
    assert tars.ends[name] == flow.Found(None)


def images(folder: Path, *names: str, width_px: int | None = None) -> list[Path]:
    """Write images, with a width each has another of, from so many on."""
    paths = [folder / name for name in names]
    for number, path in enumerate(paths):
        path.write_bytes(fits_image(path.name, **({"width_px": width_px + number} if width_px else {})))
    return paths


def check(result: BatchResult) -> None:
    """Check that a result is that of its own file."""
    if "dark" in result.name:
        assert isinstance(result.error, StatusFailedException)
    elif result.name.startswith("text"):
        assert isinstance(result.error, SubmissionFailed)
    else:
        assert result.solution is not None
        assert result.solution.name == result.name
        assert result.solution.calibration.ra_deg == pytest.approx(place_of(result.name).ra_deg)


@pytest.fixture
def server() -> Iterator[NovaServer]:
    with NovaServer(solvers=4, engine=TABLE) as running:
        yield running


class Elsewhere(CuttableAdapter):
    """Takes what is sent to any server to one on this machine."""

    def __init__(self, server: NovaServer) -> None:
        super().__init__()
        self.url = server.url

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        pool: HTTPConnectionPool = self.poolmanager.connection_from_url(self.url)
        return pool


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


@pytest.fixture
def solve(server: NovaServer, ledger: Ledger) -> Iterator[Callable[..., list[BatchResult]]]:
    with server.client_session(max_retries=0) as session:
        client = Client(server.api_key, base_url=server.url, client_session=session)

        def solved(paths: list[Path], **options: Any) -> list[BatchResult]:
            results = list(client.solve_many(paths, ledger=ledger, **{"pack": True, **options}))
            assert sorted(result.path for result in results) == sorted(paths)
            for result in results:
                check(result)
            return results

        yield solved


Solve = Callable[..., list[BatchResult]]
NAMES = [f"{'dark' if number % 5 == 3 else 'sky'}{number}.fits" for number in range(20)]


def test_small_images_travel_in_tars(server: NovaServer, solve: Solve, tmp_path: Path) -> None:
    paths = images(tmp_path, *NAMES)
    solve(paths)
    assert len(server.uploads) <= 4
    asked = len(server.requests)
    assert all(result.from_ledger for result in solve(paths))
    assert len(server.requests) == asked


def test_tars_go_to_a_server_elsewhere_whose_jobs_are_all_asked_for_their_names(
    server: NovaServer, ledger: Ledger, tmp_path: Path
) -> None:
    url = "http://nova.example"
    with ledger.holder() as holder:
        for _ in range(20):
            holder.found_in_tar(url, True)
    with server.client_session(per_second=None, per_minute=None) as session:
        session.mount(url, Elsewhere(server))
        client = Client(server.api_key, base_url=url, client_session=session)
        for result in client.solve_many(images(tmp_path, *NAMES), ledger=ledger):
            check(result)
    assert len(server.uploads) <= 4
    alone = sum(not upload.name.endswith(".tar") for upload in server.uploads)  # one may be left over
    asked = {request.path for request in server.requests if request.call == "info"}
    assert len(asked) == len(NAMES) - alone


def test_files_go_alone_to_a_server_on_this_machine_unless_wanted_otherwise(
    server: NovaServer, solve: Solve, tmp_path: Path
) -> None:
    solve(images(tmp_path, *NAMES), pack=None)
    assert len(server.uploads) == len(NAMES)


def test_tar_that_is_not_full_does_not_wait_for_idle_solvers(ledger: Ledger, tmp_path: Path) -> None:
    with (
        NovaServer(solvers=16, solve_time_s=60, clock=Clock(speed=0)) as server,
        server.client_session(max_retries=0) as session,
    ):
        client = Client(server.api_key, base_url=server.url, client_session=session)
        for result in client.solve_many(images(tmp_path, *NAMES[:12]), ledger=ledger, pack=True):
            assert result.solved
        assert len(server.uploads) <= 3
        assert server.clock.monotonic() < 90


def test_large_compressed_and_single_images_go_alone(
    server: NovaServer, solve: Solve, tmp_path: Path
) -> None:
    (path,) = images(tmp_path, "sky1.fits")
    large = tmp_path / "large.fits"
    large.write_bytes(fits_image(large.name) + bytes(3 * 2**20))
    solve([path, large])
    assert sorted(upload.name for upload in server.uploads) == ["large.fits", "sky1.fits"]


def test_dropped_file_is_rejected_alone_and_takes_no_other_with_it(
    server: NovaServer, solve: Solve, tmp_path: Path
) -> None:
    solve(images(tmp_path, *NAMES[:5], "text.fits"))
    assert max(Counter(upload.name for upload in server.uploads).values()) == 1


@pytest.mark.parametrize("names", [["text1.fits", "text2.fits"]])
def test_files_of_a_rejected_tar_go_one_by_one(
    server: NovaServer, solve: Solve, tmp_path: Path, names: list[str]
) -> None:
    solve(images(tmp_path, *names))
    assert len(server.uploads) == 3


def test_lost_reply_to_a_tar_sends_no_file_twice(server: NovaServer, solve: Solve, tmp_path: Path) -> None:
    server.plan(Reset("processed").at("upload", 1))
    solve(images(tmp_path, *NAMES[:10]))
    assert len(server.uploads) == 1
    # One look finds all that look at the same time.
    asked = Counter(request.call for request in server.requests)
    assert asked["myjobs"] <= 4
    assert asked["info"] <= 12


@pytest.mark.parametrize("solvers", [1, 4])
def test_files_of_a_lost_tar_are_not_sent_again_while_they_wait_for_their_turn(
    ledger: Ledger, tmp_path: Path, solvers: int
) -> None:
    lost = Reset("processed").at("upload", 1)
    with (
        NovaServer(
            solvers=solvers, solve_time_s=10, engine=TABLE, clock=Clock(speed=0), faults=[lost]
        ) as server,
        server.client_session(max_retries=0) as session,
    ):
        client = Client(server.api_key, base_url=server.url, client_session=session)
        paths = images(tmp_path, *NAMES[:10])
        for result in client.solve_many(paths, ledger=ledger, pack=True, timeout_s=3000):
            check(result)
        assert len(server.uploads) == 1


def test_look_at_a_tar_that_fails_is_not_repeated_without_a_pause(ledger: Ledger, tmp_path: Path) -> None:
    with (
        NovaServer(engine=TABLE, faults=[Status(500).at("submission")]) as server,
        server.client_session(max_retries=0) as session,
    ):
        client = Client(server.api_key, base_url=server.url, client_session=session)
        paths = images(tmp_path, *NAMES[:3])
        results = [*client.solve_many(paths, ledger=ledger, pack=True, timeout_s=100)]
        assert {type(result.error) for result in results} == {ServerRefused}
        assert len(server.requests) < 200


def test_file_that_another_took_over_stays_out_of_the_tar_alone(
    server: NovaServer, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, *NAMES[:5])
    other = Ledger(tmp_path / "ledger.sqlite", clock=lambda: time.time() + 1e6).holder()
    taken: list[bool] = []

    def take(path: str | Path, step: flow.Step) -> None:
        if path == paths[1] and step.stage == "uploading" and not taken:
            key = Key.of_file(path, Settings(), server=server.url)
            taken.append(other.claim(key, name="another's").granted)

    with server.client_session(max_retries=0) as session:
        client = Client(server.api_key, base_url=server.url, client_session=session)
        results = [*client.solve_many(paths, ledger=ledger, pack=True, on_step=take, timeout_s=20)]
    assert taken == [True]
    late = [result for result in results if isinstance(result.error, SolveTimeout)]
    assert [result.path for result in late] == paths[1:2]
    for result in results:
        if result not in late:
            check(result)


def test_file_that_was_renamed_after_a_refusal_is_found_in_its_tar(
    server: NovaServer, ledger: Ledger, solve: Solve, tmp_path: Path
) -> None:
    old, *others = images(tmp_path, *NAMES[:3])
    server.plan(Status(503, retry_after_s=600).at("upload", 1))
    with server.client_session(max_retries=0) as session:
        client = Client(server.api_key, base_url=server.url, client_session=session)
        assert not any(result.solved for result in client.solve_many([old], ledger=ledger, deadline_s=60))
    assert server.counts()["upload"] == 1
    new = old.rename(tmp_path / "new.fits")
    server.plan(Reset("processed").at("upload", 1))
    with server.client_session(max_retries=0) as session:
        client = Client(server.api_key, base_url=server.url, client_session=session)
        results = [*client.solve_many([new, *others], ledger=ledger, pack=True)]
    assert all(result.solved for result in results)
    assert len(server.uploads) == 1


def test_files_that_have_gone_since_they_were_sent_are_solved(
    server: NovaServer, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, *NAMES[:3])

    def remove(path: str | Path, step: flow.Step) -> None:
        if step.stage == "fetching":
            Path(path).unlink(missing_ok=True)

    with server.client_session(max_retries=0) as session:
        client = Client(server.api_key, base_url=server.url, client_session=session)
        for result in client.solve_many(paths, ledger=ledger, pack=True, on_step=remove):
            check(result)
    assert not any(path.exists() for path in paths)


def test_tar_that_could_not_be_written_down_is_looked_for_by_the_next_run(
    server: NovaServer, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, *NAMES[:3])
    ledger.solve_times_s(server.url)  # makes the file
    trouble = """CREATE TRIGGER trouble BEFORE UPDATE OF submission_id ON attempts WHEN NEW.submission_id = 1
        BEGIN SELECT RAISE(ABORT, 'trouble'); END"""
    with (
        closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as connection,
        server.client_session(max_retries=0) as session,
    ):
        connection.execute(trouble)
        client = Client(server.api_key, base_url=server.url, client_session=session)
        with pytest.raises(LedgerError, match="trouble"):
            list(client.solve_many(paths, ledger=ledger, pack=True))
        connection.execute("DROP TRIGGER trouble")
        for result in client.solve_many(paths, ledger=ledger, pack=True):
            check(result)
    assert len(server.uploads) == 1


def test_refused_tar_is_sent_file_by_file(server: NovaServer, solve: Solve, tmp_path: Path) -> None:
    refusal = '{"status": "error", "errormessage": "no tars"}'
    server.plan(Status(200, body=refusal, kind="text/plain").at("upload", 1))
    solve(images(tmp_path, *NAMES[:4]))
    assert len(server.uploads) == 4


def test_tar_of_an_earlier_run_is_gone_on_with_by_name(
    server: NovaServer, solve: Callable[..., list[BatchResult]], ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, *NAMES[:6])
    with ledger.holder() as holder:
        claims = [
            holder.claim(Key.of_file(path, FileUpload(path).settings, server=server.url), name=str(path))
            for path in paths
        ]
        files = [
            (FileUpload(path).marked_name(claim.entry.mark), FileUpload(path).opened_to_send)
            for path, claim in zip(paths, claims, strict=True)
        ]
        with server.client_session() as session, tar_of(reversed(files)) as tar:
            client = Client(server.api_key, base_url=server.url, client_session=session)
            content = tmp_path / "all.tar"
            content.write_bytes(tar.read())
            submission = FileUpload(content, session=client.session).submit()
        for claim, (name, _) in zip(claims, files, strict=True):
            holder.sending(claim.entry, filename=name)
            holder.sent(claim.entry, submission_id=submission.id)
    for pack in (False, True):
        solve(paths, pack=pack)
    assert len(server.uploads) == 1


class Disorderly(NovaServer):
    """Takes the files of a tar in another order than they came in."""

    disorder: Callable[[list[Any]], object] = list.reverse

    def __enter__(self) -> Self:
        super().__enter__()
        queue = self._desk._queue
        read = queue.finish_reading

        def finish_reading(submission_id: int, images: list[Any], **more: Any) -> None:
            self.disorder(images)
            read(submission_id, images, **more)

        queue.finish_reading = finish_reading  # type: ignore[method-assign]
        return self


class Shuffling(Disorderly):
    disorder = staticmethod(random.Random(1).shuffle)


class Rotating(Disorderly):
    disorder = staticmethod(lambda found: found.append(found.pop(0)))


class SwappingTheLast(Disorderly):
    """Too seldom to be noticed by the names of a few."""

    disorder = staticmethod(lambda found: found.append(found.pop(-2)))


def trusting(ledger: Ledger, server: NovaServer) -> None:
    """Let a ledger know of many jobs that were in their places."""
    with ledger.holder() as holder:
        for _ in range(20):
            holder.found_in_tar(server.url, kept=True)


def names_asked(server: NovaServer) -> int:
    return sum(request.call == "info" for request in server.requests)


@pytest.mark.parametrize("knows", [False, True], ids=["from the start", "after trust was won"])
@pytest.mark.parametrize("kind", [Shuffling, Rotating])
def test_server_that_mixes_up_tars_mixes_up_no_results(
    kind: type[Disorderly], knows: bool, ledger: Ledger, tmp_path: Path
) -> None:
    with kind(solvers=4, engine=TABLE) as server, server.client_session(max_retries=0) as session:
        if knows:
            trusting(ledger, server)
        client = Client(server.api_key, base_url=server.url, client_session=session)
        for night in range(2):
            paths = images(tmp_path, *(f"{night}{name}" for name in NAMES[:10]))
            for result in client.solve_many(paths, ledger=ledger, pack=True):
                check(result)
        assert names_asked(server) >= 20
        with ledger.holder() as holder:
            assert holder.names_in_tars(server.url).broken > 0


def test_size_that_is_not_that_of_the_file_gives_a_mix_up_away(ledger: Ledger, tmp_path: Path) -> None:
    with SwappingTheLast(solvers=1, engine=TABLE) as server, server.client_session(max_retries=0) as session:
        trusting(ledger, server)
        client = Client(server.api_key, base_url=server.url, client_session=session)
        paths = images(tmp_path, *(f"sky{number}.fits" for number in range(10)), width_px=32)
        results = [*client.solve_many(paths, ledger=ledger, pack=True)]
        assert len(server.uploads) == 1
    for result in results:
        check(result)


def test_tar_that_is_late_does_not_keep_the_next_from_leaving(tmp_path: Path, ledger: Ledger) -> None:
    paths = images(tmp_path, *(f"sky{number}.fits" for number in range(15)))
    with NovaServer(solvers=1, solve_time_s=1e6) as server, server.client_session() as session:
        client = Client(server.api_key, base_url=server.url, client_session=session)
        results = [*client.solve_many(paths, ledger=ledger, pack=True, timeout_s=1)]
    assert [type(result.error) for result in results] == [SolveTimeout] * 15
    assert len(server.uploads) == 2


def test_vanished_job_of_a_tar_is_not_asked_for_all_the_time(tmp_path: Path, ledger: Ledger) -> None:
    paths = images(tmp_path, *(f"sky{number}.fits" for number in range(10)))
    vanishes = VanishJob().at("info", 1)
    with NovaServer(solvers=2, solve_time_s=0.5, engine=TABLE, faults=[vanishes]) as server:
        with server.client_session() as session:
            client = Client(server.api_key, base_url=server.url, client_session=session)
            for result in client.solve_many(paths, ledger=ledger, pack=True):
                check(result)
        assert server.counts()["info"] < 40


def test_nothing_is_packed_in_a_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRY_RUN_ENABLED", "true")
    paths = images(tmp_path, "a.fits", "b.fits", "c.fits")
    client = Client("key", base_url="http://127.0.0.1:9")
    assert len([*client.solve_many(paths, pack=True)]) == 3


def test_when_the_one_that_looks_for_all_leaves_the_next_does() -> None:
    forecast = flow.Forecast(PUBLIC, clock=lambda: 0.0)
    pack = flow.Pack(1, ["a", "b", "c"], forecast=forecast, order=flow.Order(), polling=PUBLIC)
    ways = [flow.wait_in_pack(pack, name, server=SERVER, polling=PUBLIC) for name in pack.filenames]
    waits = [next(way) for way in ways]
    assert [isinstance(wait, flow.Wait) and wait.seconds < PUBLIC.timeout_s for wait in waits] == [1, 0, 0]
    ways[0].close()
    assert [wait.until() for wait in waits if isinstance(wait, flow.Wait) and wait.until] == [0, 1, 0]
    wait = ways[1].send(0.0)
    assert isinstance(wait, flow.Wait)
    assert wait.seconds < PUBLIC.timeout_s


def test_order_that_a_run_has_proven_spares_the_next_its_names(
    server: NovaServer, solve: Solve, ledger: Ledger, tmp_path: Path
) -> None:
    solve(images(tmp_path, *(f"sky{number}.fits" for number in range(10))))
    assert names_asked(server) == 10
    solve(images(tmp_path, *(f"sky-b{number}.fits" for number in range(10))))
    assert names_asked(server) < 16
    with ledger.holder() as holder:
        assert holder.names_in_tars(server.url).kept == names_asked(server)


def test_file_rewritten_while_its_tar_is_made_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100_000))
    os.utime(path, (1, 1))  # the clock of the disk ticks slowly
    upload = FileUpload(path)
    upload.content_sha256()

    @contextmanager
    def rewritten() -> Iterator[IO[bytes]]:
        with upload.opened_to_send() as file:
            with path.open("r+b") as own:
                own.seek(-1, io.SEEK_END)
                own.write(b"1")
            yield file

    with pytest.raises(UnreadableFileError, match="changed while"), tar_of([("a.png", rewritten)]):
        pass


def test_tar_holds_nothing_of_this_machine(tmp_path: Path) -> None:
    paths = images(tmp_path, "a.fits", "b.fits")
    files = [(path.name, FileUpload(path).opened_to_send) for path in paths]
    contents = []
    for _ in range(2):
        with tar_of(files) as tar:
            contents.append(tar.read())
        paths[0].touch()
    assert contents[0] == contents[1]
    with tarfile.open(fileobj=io.BytesIO(contents[0])) as tar:
        for entry, path in zip(tar, paths, strict=True):
            assert (entry.name, entry.uid, entry.uname, entry.mtime) == (path.name, 0, "", 0)
            content = tar.extractfile(entry)
            assert content is not None
            assert content.read() == path.read_bytes()
