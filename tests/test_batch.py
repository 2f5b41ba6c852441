"""Many images, whatever happens: right results, each image uploaded once, nothing asked twice."""

import gc
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time
import warnings
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
from arrivals import ManualTime
from both_clients import NewClient
from faulty_server import Answer, Arrival, Fault, answer_json
from small_nova import ByContent, SmallNova, ra_of

from astrometry_client import BatchResult, Client, ClientSession, Ledger, Settings, flow
from astrometry_client.errors import (
    InputError,
    LedgerError,
    LoginFailedException,
    NotFound,
    OutcomeUnknown,
    ServerRefused,
    SolveTimeout,
    StatusFailedException,
    SubmissionFailed,
    Unreachable,
    UnreadableFileError,
)
from astrometry_client.ledger import Key
from astrometry_client.session.retrying import RetryPolicy
from astrometry_client.testing import (
    Clock,
    Cut,
    NovaServer,
    Reset,
    Status,
    UploadRecord,
    VanishJob,
    fits_image,
    place_of,
)

PNG = b"\x89PNG\r\n\x1a\n"
TIME = "2026-11-20 14:28:01.337214"
PAGE = b"<!DOCTYPE html><html><title>Sorry</title></html>"


class PatientNova(SmallNova):
    """A server in miniature whose submissions can be told to be rejected, to wait or to be unknown."""

    def __init__(self) -> None:
        super().__init__()
        self.submissions: dict[int, Answer] = {}

    def answer(self, arrival: Arrival) -> Answer:
        place = arrival.path.partition("/api/submissions/")[2]
        return self.submissions.get(int(place or 0)) or super().answer(arrival)


QUEUED = answer_json(
    {"processing_started": "None", "processing_finished": "None", "jobs": [], "job_calibrations": []}
)
REJECTED = answer_json(
    {
        "processing_started": TIME,
        "processing_finished": TIME,
        "jobs": [],
        "job_calibrations": [],
        "error_message": "no image",
    }
)


@pytest.fixture
def server() -> Iterator[PatientNova]:
    with PatientNova() as running:
        yield running


@pytest.fixture
def passing() -> ManualTime:
    return ManualTime()


@pytest.fixture
def client(server: SmallNova, passing: ManualTime, new_client: NewClient) -> Iterator[Client]:
    with ClientSession(timeout=5, write_timeout=5, max_retries=0) as session:
        session.retrying = attrs.evolve(session.retrying, sleep=passing.sleep, clock=passing.clock)
        with new_client("key", base_url=server.url, client_session=session) as client:
            yield client


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite")


def images(folder: Path, *contents: bytes) -> list[Path]:
    paths = [folder / f"field{number}.png" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(PNG + content)
    return paths


def check(result: BatchResult) -> None:
    """Check that a result is that of its own file."""
    content = Path(result.path).read_bytes()
    if b"dark" in content:
        assert isinstance(result.error, StatusFailedException)
        assert result.error.job_id
        return
    assert result.solution is not None
    assert result.solution.name == result.name == Path(result.path).name
    assert result.solution.calibration.ra_deg == ra_of(content)
    assert result.solution.header()["CRVAL1"] == ra_of(content)


def test_every_image_is_solved_under_its_own_name_and_uploaded_once(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, *(b"dark" * (number % 5 == 0) + b"%d" % number for number in range(40)))
    results = list(client.solve_many(paths, ledger=ledger))
    assert sorted(result.path for result in results) == sorted(paths)
    for result in results:
        check(result)
        assert not result.from_ledger
    assert len(server.uploads) == 40


def test_same_batch_again_asks_nothing(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, b"a", b"dark", b"b")
    first = {result.path: result for result in client.solve_many(paths, ledger=ledger)}
    asked = len(server.arrivals)
    again = list(Client(base_url=server.url).solve_many(paths, ledger=Ledger(ledger.path)))
    assert len(server.arrivals) == asked
    for result in again:
        check(result)
        assert result.from_ledger
        assert result.solution == first[result.path].solution


def test_same_content_under_another_name_asks_nothing(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, b"a", b"b")
    list(client.solve_many(paths, ledger=ledger))
    other = paths[0].rename(tmp_path / "renamed.png")
    asked = len(server.arrivals)
    (result,) = client.solve_many([other], ledger=ledger)
    check(result)
    assert result.name == "renamed.png"
    assert len(server.arrivals) == asked


def test_twins_in_a_batch_are_uploaded_once_and_each_answered(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, b"a", b"dark", b"a", b"dark", b"a")
    results = list(client.solve_many(paths, ledger=ledger, retry_failed=True))
    assert sorted(result.path for result in results) == paths
    for result in results:
        check(result)
    assert len(server.uploads) == 2
    assert sorted(name for _, names in ledger.entries() for name in names) == list(map(str, paths))


def test_other_settings_are_another_image(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, b"a")
    list(client.solve_many(paths, ledger=ledger))
    list(client.solve_many(paths, Settings(tweak_order=3), ledger=ledger))
    client.settings = Settings(tweak_order=3)
    list(client.solve_many(paths, ledger=ledger))
    assert [upload.options.get("tweak_order") for upload in server.uploads] == [None, 3]


def test_only_the_wanted_ends_are_solved_again(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, b"a", b"dark")
    list(client.solve_many(paths, ledger=ledger))
    list(client.solve_many(paths, ledger=ledger, retry_failed=True))
    assert [b"dark" in upload.content for upload in server.uploads].count(True) == 2
    assert len(server.uploads) == 3
    for result in client.solve_many(paths, ledger=ledger, force=True):
        check(result)
    assert len(server.uploads) == 5
    assert len({upload.filename for upload in server.uploads}) == 5


def test_late_image_is_gone_on_with_and_not_uploaded_again(
    server: PatientNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, b"a", b"b")
    server.submissions = {1: QUEUED, 2: QUEUED}
    for result in client.solve_many(paths, ledger=ledger, timeout_s=100):
        assert isinstance(result.error, SolveTimeout)
        assert result.error.submission_id in {1, 2}
    server.submissions = {}
    for result in client.solve_many(paths, ledger=ledger):
        check(result)
        assert not result.from_ledger
    assert len(server.uploads) == 2


@pytest.mark.parametrize(("answer", "kind"), [(REJECTED, SubmissionFailed), (Answer(status=404), NotFound)])
def test_what_failed_for_good_is_told_again_without_a_request(
    server: PatientNova, client: Client, ledger: Ledger, tmp_path: Path, answer: Answer, kind: type[Exception]
) -> None:
    paths = images(tmp_path, b"a")
    server.submissions = {1: answer}
    (first,) = client.solve_many(paths, ledger=ledger)
    asked = len(server.arrivals)
    (again,) = client.solve_many(paths, ledger=ledger)
    assert type(first.error) is type(again.error) is kind
    assert str(first.error) == str(again.error)
    assert len(server.arrivals) == asked
    (tried,) = client.solve_many(paths, ledger=ledger, retry_failed=True)
    check(tried)


def test_unfinished_images_are_bounded(
    server: PatientNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    server.submissions = dict.fromkeys(range(1, 4), QUEUED)
    paths = images(tmp_path, *(b"%d" % number for number in range(6)))
    uploaded: list[int] = []

    def note(path: object, effect: object) -> None:
        uploaded.append(len(server.uploads))
        if len(uploaded) == 60:
            server.submissions = {}

    for result in client.solve_many(paths, ledger=ledger, max_unfinished=3, on_step=note):
        check(result)
    assert max(uploaded[:60]) == 3
    assert len(server.uploads) == 6


def test_bad_file_is_told_and_the_others_are_solved(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    (good,) = images(tmp_path, b"a")
    (tmp_path / "text.png").write_bytes(b"hello")
    results = {
        Path(result.path).name: result
        for result in client.solve_many(
            [tmp_path / "nowhere.png", good, str(tmp_path / "text.png")], ledger=ledger
        )
    }
    check(results["field0.png"])
    for name in ("nowhere.png", "text.png"):
        assert isinstance(results[name].error, UnreadableFileError)
        assert not results[name].solved
    assert len(server.uploads) == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("n" * 300, "too long"),
        ("a\udcff.png", "not UTF-8"),
        ("/dev/null", "a device"),
        ("/dev/zero", "a device"),
    ],
    ids=["long", "not UTF-8", "null", "endless"],
)
def test_file_that_cannot_be_taken_ends_no_other(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path, name: str, words: str
) -> None:
    first, second = images(tmp_path, b"a", b"b")
    (tmp_path / "a\udcff.png").write_bytes(PNG)
    bad = tmp_path / name
    results = {result.path: result for result in client.solve_many([first, bad, second], ledger=ledger)}
    check(results[first])
    check(results[second])
    assert isinstance(results[bad].error, InputError)
    assert words in str(results[bad].error)


@pytest.mark.parametrize("given", [None, 5, {}])
def test_what_is_no_path_is_called_by_its_text(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path, given: Any
) -> None:
    (good,) = images(tmp_path, b"a")
    results = {result.name: result for result in client.solve_many([given, good], ledger=ledger)}
    check(results[good.name])
    assert type(results[str(given)].error) is InputError
    assert results[str(given)].path is given


def test_image_in_an_open_file_is_called_by_its_text(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    (path,) = images(tmp_path, b"a")
    with path.open("rb") as file:
        given: Any = file
        (result,) = client.solve_many([given], ledger=ledger)
    assert result.solution is not None
    assert result.solution.name == result.name == str(file)


@pytest.mark.parametrize("fault", [Fault.RESET_AFTER, Fault.CUT, "page"])
def test_upload_whose_reply_was_lost_is_found_and_not_sent_again(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path, fault: Fault | str
) -> None:
    lost: list[Answer] = []

    def answer(arrival: Arrival) -> Answer:
        given = server.answer(arrival)
        if arrival.path == "/api/upload" and not lost:
            lost.append(given)
            return (
                Answer(body=PAGE, kind="text/html")
                if isinstance(fault, str)
                else attrs.evolve(given, fault=fault)
            )
        return given

    server.responder = answer
    paths = images(tmp_path, b"a", b"b")
    for result in client.solve_many(paths, ledger=ledger):
        check(result)
    assert len(server.uploads) == 2


def test_upload_that_stays_unknown_is_looked_up_by_the_next_run(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    hidden = True

    def answer(arrival: Arrival) -> Answer | None:
        given = (
            None if hidden and arrival.path == "/api/upload" and server.uploads else server.answer(arrival)
        )
        if hidden and arrival.path == "/api/upload":
            return attrs.evolve(given or Answer(), fault=Fault.RESET_AFTER)
        if hidden and arrival.path == "/api/myjobs":
            return answer_json({"status": "success", "jobs": []})
        return given

    server.responder = answer
    paths = images(tmp_path, b"a")
    (result,) = client.solve_many(paths, ledger=ledger)
    assert isinstance(result.error, OutcomeUnknown)
    hidden = False
    (result,) = client.solve_many(paths, ledger=ledger)
    check(result)
    assert result.solution is not None
    assert (result.solution.submission_id, result.solution.job_id) == (None, 1)
    assert len(server.uploads) == 1


def test_lost_upload_that_is_refused_afterwards_is_still_looked_up_by_the_next_run(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    refusal = answer_json({"status": "error", "errormessage": "no more"})
    nothing = answer_json({"status": "success", "jobs": []})

    def answer(arrival: Arrival) -> Answer:
        if arrival.path == "/api/myjobs":
            return nothing
        if arrival.path != "/api/upload":
            return server.answer(arrival)
        return refusal if server.uploads else attrs.evolve(server.answer(arrival), fault=Fault.RESET_AFTER)

    server.responder = answer
    paths = images(tmp_path, b"a")
    (result,) = client.solve_many(paths, ledger=ledger)
    assert isinstance(result.error, ServerRefused)
    server.responder = server.answer
    (result,) = client.solve_many(paths, ledger=ledger)
    check(result)
    assert len(server.uploads) == 1


def test_upload_on_its_way_is_written_down_when_nobody_listens_any_more(
    server: SmallNova, ledger: Ledger, tmp_path: Path
) -> None:
    # With a clock of our own no wait would end before the upload does.
    client = Client("key", base_url=server.url)
    stored, answered = threading.Event(), threading.Event()

    def answer(arrival: Arrival) -> Answer:
        given = server.answer(arrival)
        if b"slow" in arrival.body:
            stored.set()
            answered.wait(20)
        return given

    server.responder = answer
    slow, quick = images(tmp_path, b"slow", b"quick")
    results = client.solve_many([slow, quick], ledger=ledger)
    assert next(results).path == quick
    assert stored.wait(20)
    closing = threading.Thread(target=results.close)  # type: ignore[attr-defined]
    closing.start()
    answered.set()
    closing.join(20)
    entry = ledger.entry(Key.of_file(slow, Settings(), server=server.url))
    assert entry is not None
    assert (entry.state, len(server.uploads)) == ("sent", 2)
    for result in client.solve_many([slow, quick], ledger=ledger):
        check(result)
    assert len(server.uploads) == 2


def test_refused_upload_is_sent_by_the_next_run_without_a_search(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, b"a")
    server.responder = lambda arrival: (
        answer_json({"status": "error", "errormessage": "no more"})
        if arrival.path == "/api/upload"
        else server.answer(arrival)
    )
    (result,) = client.solve_many(paths, ledger=ledger)
    assert isinstance(result.error, ServerRefused)
    server.responder = server.answer
    (result,) = client.solve_many(paths, ledger=ledger)
    check(result)
    assert server.asked("/api/myjobs") == 0


def test_image_in_the_hands_of_another_is_waited_for(
    server: SmallNova, client: Client, ledger: Ledger, passing: ManualTime, tmp_path: Path
) -> None:
    paths = images(tmp_path, b"a")
    key = Key.of_file(paths[0], Settings(), server=server.url)
    with ledger.holder() as other:
        claim = other.claim(key, name="a")
        (late,) = client.solve_many(paths, ledger=ledger, timeout_s=10)
        assert isinstance(late.error, SolveTimeout)
        assert server.arrivals == []
        passing.during_sleep = lambda: other.failed(claim.entry, NotFound("gone"))
        (result,) = client.solve_many(paths, ledger=ledger)
    assert (type(result.error), result.from_ledger) == (NotFound, True)
    assert server.arrivals == []


def test_who_stops_listening_goes_on_later(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, *(b"%d" % number for number in range(12)))
    results = client.solve_many(paths, ledger=ledger, max_unfinished=4)
    check(next(results))
    results.close()  # type: ignore[attr-defined]
    assert len(server.uploads) < 12
    for result in client.solve_many(paths, ledger=ledger):
        check(result)
    assert len(server.uploads) == 12


def half_used(server: SmallNova, ledger: Ledger, folder: Path) -> Iterator[BatchResult]:
    """Return the results of a batch, which has more in work than was taken."""
    client = Client("key", base_url=server.url)
    paths = images(folder, *(b"%d" % number for number in range(12)))
    results = client.solve_many(paths, ledger=ledger, max_unfinished=4)
    check(next(results))
    return results


def test_batch_that_is_garbage_ends(server: SmallNova, ledger: Ledger, tmp_path: Path) -> None:
    class Night:
        def __init__(self) -> None:
            self.results, self.own = half_used(server, ledger, tmp_path), self

    ended = threading.Event()
    weakref.finalize(Night(), ended.set)
    collector = threading.Thread(target=gc.collect, daemon=True)
    collector.start()
    collector.join(30)
    assert ended.is_set()
    assert not collector.is_alive()


def test_forked_child_leaves_the_batch_to_its_parent(
    server: SmallNova, ledger: Ledger, tmp_path: Path
) -> None:
    results = half_used(server, ledger, tmp_path)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        child = os.fork()
    if not child:
        signal.alarm(20)  # the end of a child that waits for threads it has not
        results.close()  # type: ignore[attr-defined]
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for result in results:
        check(result)
    assert len(server.uploads) == 12


def test_wrong_key_ends_the_batch(server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path) -> None:
    refusal = answer_json({"status": "error", "errormessage": "bad apikey"})
    server.responder = lambda arrival: refusal if arrival.path == "/api/login" else server.answer(arrival)
    with pytest.raises(LoginFailedException):
        list(client.solve_many(images(tmp_path, b"a", b"b"), ledger=ledger))
    server.responder = server.answer
    for result in client.solve_many(images(tmp_path, b"a", b"b"), ledger=ledger):
        check(result)
    assert len(server.uploads) == 2


def test_ledger_that_cannot_be_written_ends_the_batch_before_an_upload(
    server: SmallNova, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(LedgerError):
        list(client.solve_many(images(tmp_path, b"a"), ledger=Ledger(tmp_path / "folder")))
    assert server.arrivals == []


@pytest.mark.parametrize("arguments", [{"max_unfinished": 0}, {"timeout_s": 0}])
def test_bad_argument_is_refused(client: Client, arguments: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(arguments))):
        list(client.solve_many([], **arguments))  # type: ignore[arg-type]


def test_server_on_this_machine_leaves_nothing_in_the_users_ledger(
    client: Client, private_folders: Path, tmp_path: Path
) -> None:
    for result in client.solve_many(images(tmp_path, b"a")):
        check(result)
    assert list((private_folders / "state").iterdir()) == []


def test_dry_run_writes_nothing_into_the_ledger(
    monkeypatch: pytest.MonkeyPatch, new_client: NewClient, ledger: Ledger, tmp_path: Path
) -> None:
    monkeypatch.setenv("DRY_RUN_ENABLED", "1")
    with new_client(base_url="https://nova.example") as dry:
        results = list(dry.solve_many(images(tmp_path, b"a", b"b"), ledger=ledger))
    assert all(result.solved for result in results)
    assert list(ledger.entries()) == []


BAD_DAY = (
    *(Status(503).rate(0.05), Status(200, processed=True).rate(0.01)),
    *(fault.rate(0.01) for fault in (Reset("arriving"), Reset("processed"), Cut())),
)


@pytest.mark.parametrize("solvers", [1, 4])
@pytest.mark.parametrize("lost", [1, 3, 10])
def test_lost_upload_is_not_sent_again_while_it_waits_for_its_turn(
    ledger: Ledger, tmp_path: Path, lost: int, solvers: int
) -> None:
    paths = [tmp_path / f"sky{number}.fits" for number in range(16)]
    for path in paths:
        path.write_bytes(fits_image(path.name))
    fault = Reset("processed").at("upload", lost)
    with (
        NovaServer(solvers=solvers, solve_time_s=20, clock=Clock(speed=0), faults=[fault]) as server,
        server.client_session(max_retries=0) as session,
    ):
        client = Client(server.api_key, base_url=server.url, client_session=session)
        for result in client.solve_many(paths, ledger=ledger, timeout_s=1e4):
            assert result.solution is not None
            assert result.solution.calibration.ra_deg == pytest.approx(place_of(result.name).ra_deg)
        assert len(server.uploads) == len(paths)
        # Each image has a place of its own in the line, or it would be looked at without a pause.
        looks = Counter(request.path for request in server.requests if request.call == "job")
        assert max(looks.values()) < 100


@pytest.mark.parametrize("call", ["job", "wcs_file"])
def test_job_of_a_lost_upload_that_vanishes_is_found_again(
    new_client: NewClient, ledger: Ledger, tmp_path: Path, call: str
) -> None:
    path = tmp_path / "sky.fits"
    path.write_bytes(fits_image(path.name))
    faults = Reset("processed").at("upload", 1), VanishJob().at(call, 1)
    with (
        NovaServer(solve_time_s=5, clock=Clock(speed=0), faults=faults) as server,
        server.client_session(max_retries=0) as session,
        new_client(server.api_key, base_url=server.url, client_session=session) as client,
    ):
        (result,) = client.solve_many([path], ledger=ledger)
        assert result.solved, result.error
        assert len(server.uploads) == 1


@pytest.mark.parametrize("pack", [False, True])
def test_job_that_vanishes_before_its_results_are_fetched_is_waited_for_again(
    new_client: NewClient, ledger: Ledger, tmp_path: Path, pack: bool
) -> None:
    paths = [tmp_path / "sky1.fits", tmp_path / "sky2.fits"]
    for path in paths:
        path.write_bytes(fits_image(path.name))
    with (
        NovaServer(clock=Clock(speed=0), faults=[VanishJob().at("wcs_file", 1)]) as server,
        server.client_session(max_retries=0) as session,
        new_client(server.api_key, base_url=server.url, client_session=session) as client,
    ):
        results = [*client.solve_many(paths, ledger=ledger, pack=pack)]
        assert all(result.solved for result in results), results
        assert len(server.requests) < 40


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 10))])
@pytest.mark.parametrize("pack", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_bad_day_of_the_server_harms_no_image(
    new_client: NewClient, ledger: Ledger, tmp_path: Path, seed: int, pack: bool
) -> None:
    paths = images(tmp_path, *(b"dark" * (number % 10 == 0) + b"%d" % number for number in range(40)))
    day = {"faults": BAD_DAY, "session_uses": 30, "seed": seed}
    with (
        NovaServer(engine=ByContent(), **day) as server,  # type: ignore[arg-type]
        server.client_session(timeout=5, write_timeout=5) as session,
    ):
        patient = RetryPolicy(max_retries=20, retry_time_s=1e6)
        session.retrying = attrs.evolve(session.retrying, policy=patient)
        with new_client(server.api_key, base_url=server.url, client_session=session) as client:
            results = list(client.solve_many(paths, ledger=ledger, timeout_s=1e6, pack=pack))
        assert sorted(result.path for result in results) == sorted(paths)
        for result in results:
            check(result)
        assert sum(len(stored(upload)) for upload in server.uploads) == 40
        assert stored_twice(server) == []


RUN = """
import json, sys
from astrometry_client import Client, Ledger
url, key, ledger, pack, *paths = sys.argv[1:]
client = Client(key, base_url=url)
for result in client.solve_many(paths, ledger=Ledger(ledger, lease_s=1.0), pack=pack == "True"):
    ra = result.solution.calibration.ra_deg if result.solution else None
    print(json.dumps([str(result.path), ra, type(result.error).__name__]), flush=True)
"""


def slow_nova() -> NovaServer:
    """Return a server that takes its time for every answer, and has stored an upload before that."""
    return NovaServer(latency_s=0.03, engine=ByContent())


def start(
    server: NovaServer, ledger: Path, paths: list[Path], *, pack: bool = False
) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-c",
        RUN,
        server.url,
        server.api_key,
        str(ledger),
        str(pack),
        *map(str, paths),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def told(process: "subprocess.Popen[str]") -> dict[str, tuple[float | None, str]]:
    """Return what a process tells until its end."""
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    return {path: (ra, error) for path, ra, error in map(json.loads, output.splitlines())}


def check_told(found: dict[str, tuple[float | None, str]], paths: list[Path]) -> None:
    for path in paths:
        dark = b"dark" in path.read_bytes()
        right = (None, "StatusFailedException") if dark else (ra_of(path.read_bytes()), "NoneType")
        assert found[str(path)] == right


def stored(upload: UploadRecord) -> list[bytes]:
    """Return the images that came in an upload."""
    if not upload.filename.endswith(".tar"):
        return [upload.content]
    with tarfile.open(fileobj=io.BytesIO(upload.content)) as tar:
        return [content.read() for member in tar if (content := tar.extractfile(member))]


def stored_twice(server: NovaServer) -> list[bytes]:
    counts = Counter(image for upload in server.uploads for image in stored(upload))
    return [content for content, count in counts.items() if count > 1]


def kill_in_the_middle(process: "subprocess.Popen[str]", server: NovaServer, chance: random.Random) -> None:
    """Kill a process at a moment that is told by what arrived, so that it is in the middle of its work."""
    wanted = len(server.requests) + chance.randint(2, 25)
    while len(server.requests) < wanted and process.poll() is None:
        time.sleep(0.001)
    time.sleep(chance.random() * 0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode in {-signal.SIGKILL, 0}


@pytest.mark.parametrize(
    ("seed", "kills", "pack"),
    [
        (0, 2, False),
        *(
            pytest.param(seed, 5, pack, marks=pytest.mark.soak)
            for seed in range(1, 5)
            for pack in (False, True)
        ),
    ],
)
def test_killed_batch_goes_on_where_it_stopped(tmp_path: Path, seed: int, kills: int, pack: bool) -> None:
    chance = random.Random(seed)
    paths = images(tmp_path, *(b"dark" * (number % 9 == 0) + b"%d" % number for number in range(40)))
    ledger = tmp_path / "ledger.sqlite"
    with slow_nova() as server:
        for _ in range(kills):
            kill_in_the_middle(start(server, ledger, paths, pack=pack), server, chance)
        found = told(start(server, ledger, paths, pack=pack))
        check_told(found, paths)
        assert stored_twice(server) == []
        assert sum(len(stored(upload)) for upload in server.uploads) == len(paths)


@pytest.mark.soak
@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_power_cut_loses_no_image_and_sends_none_twice(tmp_path: Path, seed: int, pack: bool) -> None:
    chance = random.Random(seed)
    paths = images(tmp_path, *(b"dark" * (number % 9 == 0) + b"%d" % number for number in range(40)))
    ledger = tmp_path / "ledger.sqlite"
    with slow_nova() as server:
        kill_in_the_middle(start(server, ledger, paths, pack=pack), server, chance)
        log = Path(f"{ledger}-wal")
        # The last step was on its way to the disk: less than two pages of it got there.
        log.write_bytes(log.read_bytes()[: -chance.randint(1, 8000)])
        found = told(start(server, ledger, paths, pack=pack))
        check_told(found, paths)
        assert stored_twice(server) == []


def test_two_processes_on_overlapping_lists_upload_each_image_once(tmp_path: Path) -> None:
    paths = images(tmp_path, *(b"dark" * (number % 9 == 0) + b"%d" % number for number in range(24)))
    with slow_nova() as server:
        first = start(server, tmp_path / "ledger.sqlite", paths[:18])
        second = start(server, tmp_path / "ledger.sqlite", paths[6:])
        check_told(told(first), paths[:18])
        check_told(told(second), paths[6:])
        assert stored_twice(server) == []
        assert len(server.uploads) == len(paths)


def test_file_changed_while_it_was_in_work_is_not_sent(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    path, other = images(tmp_path, b"a", b"b")

    def change(image: str | Path, step: flow.Step) -> None:
        if image == path and step.stage == "uploading":
            path.write_bytes(PNG + b"another")

    results = {
        result.path: result for result in client.solve_many([path, other], ledger=ledger, on_step=change)
    }
    check(results[other])
    assert isinstance(results[path].error, UnreadableFileError)
    assert [upload.content for upload in server.uploads] == [PNG + b"b"]
    (again,) = client.solve_many([path], ledger=ledger)
    check(again)


def test_file_rewritten_while_it_is_sent_is_not_stored(
    server: SmallNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    path, other = images(tmp_path, bytes(2**24), b"b")  # more than the buffers of sockets take

    def rewrite_end(arrival: Arrival) -> None:
        if arrival.body_length > 2**24:
            with path.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"1")

    server.on_head = rewrite_end
    results = {result.path: result for result in client.solve_many([path, other], ledger=ledger)}
    check(results[other])
    assert isinstance(results[path].error, UnreadableFileError)
    assert f"{path} changed while" in str(results[path].error)
    assert [upload.content for upload in server.uploads] == [PNG + b"b"]
    assert {entry.state for entry, _ in ledger.entries()} == {"waiting", "solved"}
    server.on_head = None
    (again,) = client.solve_many([path], ledger=ledger)
    check(again)
    assert server.asked("/api/myjobs") == 0, "nothing was in doubt"


def test_threads_of_the_user_upload_an_image_once(server: SmallNova, tmp_path: Path) -> None:
    paths = images(tmp_path, b"a", b"b", b"a", b"b", b"a")
    with Client("key", base_url=server.url) as client, ThreadPoolExecutor(5) as pool:
        solutions = list(pool.map(client.solve, paths))
    assert sorted(upload.content for upload in server.uploads) == [PNG + b"a", PNG + b"b"]
    assert [solution.name for solution in solutions] == [path.name for path in paths]
    assert [solution.calibration.ra_deg for solution in solutions] == [
        ra_of(path.read_bytes()) for path in paths
    ]


def test_solve_goes_on_where_an_earlier_one_stopped(
    server: PatientNova, client: Client, tmp_path: Path
) -> None:
    (path,) = images(tmp_path, b"a")
    server.submissions[1] = QUEUED
    with pytest.raises(SolveTimeout) as caught:
        client.solve(path, timeout_s=10)
    assert caught.value.submission_id == 1
    server.submissions.clear()
    assert client.solve(path).submission_id == 1
    asked = len(server.arrivals)
    assert client.solve(path).submission_id == 1
    assert len(server.arrivals) == asked


def test_what_failed_is_told_again_until_it_is_to_be_retried(
    server: SmallNova, client: Client, tmp_path: Path
) -> None:
    (path,) = images(tmp_path, b"dark")
    for _ in range(2):
        with pytest.raises(StatusFailedException):
            client.solve(path)
    assert len(server.uploads) == 1
    with pytest.raises(StatusFailedException):
        client.solve(path, retry_failed=True)
    assert len(server.uploads) == 2


def test_deadline_leaves_the_rest_to_the_next_run(
    server: PatientNova, client: Client, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, b"a", b"b", b"c", b"d")
    server.submissions[1] = QUEUED
    results = list(client.solve_many(paths, ledger=ledger, max_unfinished=1, deadline_s=60))
    assert [(result.path, type(result.error)) for result in results] == [(paths[0], SolveTimeout)]
    assert results[0].error is not None
    assert results[0].error.submission_id == 1
    server.submissions.clear()
    for result in client.solve_many(paths, ledger=ledger):
        check(result)
    assert len(server.uploads) == 4


def test_server_in_trouble_is_waited_for(
    server: SmallNova, client: Client, ledger: Ledger, passing: ManualTime, tmp_path: Path
) -> None:
    paths = images(tmp_path, *(b"%d" % number for number in range(12)))
    refused = 0

    def answer(arrival: Arrival) -> Answer:
        nonlocal refused
        if len(server.uploads) >= 5 and refused < 40:
            refused += 1
            return Answer(status=503)
        return SmallNova.answer(server, arrival)

    server.responder = answer
    for result in client.solve_many(paths, ledger=ledger, timeout_s=100):
        check(result)
    assert len(server.uploads) == 12
    assert refused == 40


def test_server_that_cannot_be_reached_ends_the_batch(
    client: Client, new_client: NewClient, ledger: Ledger, tmp_path: Path
) -> None:
    paths = images(tmp_path, b"a", b"b")
    session = client.session.client_session
    with (
        new_client("key", base_url="http://127.0.0.1:9", client_session=session) as lost,
        pytest.raises(Unreachable),
    ):
        list(lost.solve_many(paths, ledger=ledger))
