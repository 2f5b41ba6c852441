"""A solve that goes wrong takes nothing with it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from live_server import Api, alive, children, until
from processes import wait_for_descendants, wait_until_gone
from toy_engines import BROKEN, DEADLY, DEADLY_ONCE, ENDLESS, GREEDY, SOLVED

from astrometry_client.server.run import LocalServer


@pytest.fixture
def notes(toy_dir: Path) -> Path:
    for note in toy_dir.iterdir():
        note.unlink()
    return toy_dir


def test_solve_that_does_not_end_keeps_no_other_waiting(notes: Path) -> None:
    with LocalServer(engine="toy_engines:toy", workers=2) as running:
        api = Api.login(running.url, running.api_key)
        endless = api.until(api.upload_sources(ENDLESS), lambda document: any(document["jobs"]))["jobs"][0]
        assert serves_on(api)
        assert api.status(endless) == "solving"


@pytest.fixture
def hasty(toy_dir: Path) -> Iterator[Api]:
    with LocalServer(engine="toy_engines:toy", workers=1, solve_timeout_s=1.5) as running:
        yield Api.login(running.url, running.api_key)


def solving(notes: Path) -> tuple[int, int]:
    """Return the ids of the process that solves, and of its helper."""
    until((notes / "helper").exists, bool)
    helper = until((notes / "helper").read_text, bool)
    return int((notes / "solving").read_text().split()[-1]), int(helper)


def serves_on(api: Api) -> bool:
    return api.ended(api.upload_sources(SOLVED)) == ["success"]


def test_process_killed_once_is_replaced_and_the_job_repeated(api: Api, notes: Path) -> None:
    assert api.ended(api.upload_sources(DEADLY_ONCE)) == ["success"]


def test_job_that_kills_its_process_twice_fails(api: Api, notes: Path) -> None:
    submission_id = api.upload_sources(DEADLY)
    assert api.ended(submission_id) == ["failure"]
    assert "killed by SIGKILL" in log_of(api, submission_id)
    assert len((notes / "deadly").read_text().split()) == 2
    assert serves_on(api)


def test_job_killed_from_outside_is_repeated(api: Api, server: LocalServer, notes: Path) -> None:
    submission_id = api.upload_sources(ENDLESS)
    for _ in range(2):
        worker, helper = solving(notes)
        (notes / "helper").unlink()
        os.kill(worker, signal.SIGKILL)
        until(lambda helper=helper: alive(helper), lambda lives: not lives)
    assert api.ended(submission_id) == ["failure"]
    assert serves_on(api)


def test_job_that_takes_too_long_fails_and_leaves_no_process(hasty: Api, notes: Path) -> None:
    assert hasty.ended(hasty.upload_sources(ENDLESS)) == ["failure"]
    worker, helper = solving(notes)
    until(lambda: alive(worker) or alive(helper), lambda lives: not lives)
    assert serves_on(hasty)


def test_job_that_takes_too_much_memory_fails(api: Api) -> None:
    submission_id = api.upload_sources(GREEDY)
    assert api.ended(submission_id) == ["failure"]
    assert "more memory is needed than a worker may have (4096 MiB)" in log_of(api, submission_id)
    assert serves_on(api)


def test_killed_server_leaves_no_process(notes: Path, toy_dir: Path) -> None:
    with LocalServer(engine="toy_engines:toy", workers=1) as running:
        assert running.pid
        api = Api.login(running.url, running.api_key)
        api.upload_sources(ENDLESS)
        processes = [running.pid, *solving(notes)]
        assert processes[1] in children(running.pid)
        os.kill(running.pid, signal.SIGKILL)
        until(lambda: [pid for pid in processes if alive(pid)], lambda left: not left)


@pytest.fixture
def endless_solve_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a `solve-field` with helpers of its own, which never ends."""
    command = tmp_path / "solve-field"
    command.write_text("#!/bin/sh\nsleep 600 &\n(sleep 600; true) &\nsleep 600\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


def solving_without_end(api: Api, server: LocalServer) -> tuple[int, list[int]]:
    """Return a submission, and the processes at work on it: worker, guard, command and its three helpers."""
    assert server.pid
    submission_id = api.upload_sources(SOLVED)
    return submission_id, wait_for_descendants(server.pid, count=6)


@pytest.mark.usefixtures("endless_solve_field")
def test_command_that_takes_too_long_leaves_no_process() -> None:
    with LocalServer(engine="solve-field", workers=1, solve_timeout_s=4.0) as server:
        api = Api.login(server.url, server.api_key)
        submission_id, processes = solving_without_end(api, server)
        assert api.ended(submission_id) == ["failure"]
        wait_until_gone(processes)
        assert "failure (stopped after 4 s)" in log_of(api, submission_id)


@pytest.mark.usefixtures("endless_solve_field")
@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_ended_server_leaves_no_process_of_a_command(*, kill: bool) -> None:
    with LocalServer(engine="solve-field", workers=1) as server:
        assert server.pid
        _, processes = solving_without_end(Api.login(server.url, server.api_key), server)
        if kill:
            os.kill(server.pid, signal.SIGKILL)
            wait_until_gone(processes)
    wait_until_gone(processes)


def searching(server: LocalServer) -> tuple[Api, int, list[int]]:
    """Upload points that match nothing; return the submission, and the two processes at work on it."""
    assert server.pid
    api, rng = Api.login(server.url, server.api_key), np.random.default_rng(1)
    listed = "".join(f"{x:.1f} {y:.1f}\n" for x, y in rng.uniform(1.0, 1000.0, (100, 2)))
    return api, api.upload(listed.encode()), wait_for_descendants(server.pid, count=2)


def test_search_that_takes_too_long_leaves_no_process() -> None:
    with LocalServer(engine="sep", workers=1, solve_timeout_s=1.0) as server:
        api, submission_id, processes = searching(server)
        assert api.ended(submission_id) == ["failure"]
        wait_until_gone(processes)


def test_killed_server_leaves_no_search() -> None:
    with LocalServer(engine="sep", workers=1) as server:
        assert server.pid
        *_, processes = searching(server)
        os.kill(server.pid, signal.SIGKILL)
        wait_until_gone(processes)


def log_of(api: Api, submission_id: int) -> str:
    return api.get(f"joblog/{api.submission(submission_id)['jobs'][0]}").text


def test_words_of_a_crash_are_in_the_log_of_the_job(api: Api) -> None:
    submission_id = api.upload_sources(BROKEN)
    assert api.ended(submission_id) == ["failure"]
    assert "ValueError: the toy is broken" in log_of(api, submission_id)
