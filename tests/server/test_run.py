"""Servers start and stop in order, say why they cannot, and lose nothing when they are killed."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from live_server import Api, alive, children, served, until
from toy_engines import ENDLESS, SOLVED

from astrometry_client.errors import InputError
from astrometry_client.server import run
from astrometry_client.server.run import LocalServer
from astrometry_client.server.settings import ServerSettings


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_server_in_order(toy_dir: object, tmp_path: Path, number: signal.Signals) -> None:
    with served(tmp_path) as (process, url, api_key):
        Api.login(url, api_key).upload_sources(ENDLESS)
        workers = until(
            lambda: [child for worker in children(process.pid) for child in children(worker)], bool
        )
        process.send_signal(number)
        assert process.stdout
        assert process.stdout.read() == "ended in order\n"
        assert process.wait() == 0
    until(lambda: [pid for pid in workers if alive(pid)], lambda left: not left)


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(toy_dir: object, tmp_path: Path) -> None:
    acknowledged = []

    def upload(api: Api) -> None:
        with contextlib.suppress(requests.ConnectionError):
            while len(acknowledged) < 200:
                acknowledged.append(api.upload_sources(SOLVED))

    with served(tmp_path) as (process, url, api_key), ThreadPoolExecutor(4) as threads:
        api = Api.login(url, api_key)
        for _ in range(4):
            threads.submit(upload, api)
        until(lambda: len(acknowledged), lambda number: number >= 20)
        process.kill()
    with served(tmp_path) as (_, url, no_key):
        assert no_key is None
        again = Api.login(url, api_key)
        assert [again.ended(submission_id) for submission_id in acknowledged] == [["success"]] * len(
            acknowledged
        )
        jobs = again.call("myjobs", {"session": again.session_key}).json()["jobs"]
        assert len(acknowledged) <= len(jobs) == len(set(jobs))
        assert api.session_key != again.session_key
        assert requests.get(f"{url}/api/jobs/{jobs[0]}", timeout=30).json() == {"status": "success"}


def test_new_key_is_known_to_a_server_that_runs(server: LocalServer) -> None:
    api_key = run.new_key("joe", data_dir=server.data_dir)
    message = requests.post(f"{server.url}/api/login", data={"request-json": json.dumps({"apikey": api_key})})
    assert message.json()["message"] == "authenticated user: joe"


@pytest.mark.parametrize("name", ["", "  ", "a\nb"])
def test_user_must_have_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="give a name"):
        run.new_key(name, data_dir=tmp_path)


def test_server_that_others_can_reach_needs_a_key(toy_dir: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"others can reach this server at 0\.0\.0\.0.*--new-key"):
        run.serve(data_dir=tmp_path, host="0.0.0.0", port=0, engine="toy_engines:toy")
    made = run.new_key("joe", data_dir=tmp_path)
    with served(tmp_path, host="0.0.0.0") as (_, url, api_key):
        assert api_key is None
        Api.login(url.replace("0.0.0.0", "127.0.0.1"), made)


def test_server_may_let_anyone_in(toy_dir: object, tmp_path: Path) -> None:
    with served(tmp_path, host="0.0.0.0", allow_anyone=True) as (_, url, api_key):
        assert api_key is None
        Api.login(url.replace("0.0.0.0", "127.0.0.1"), "anything")


def test_data_folder_has_one_server_at_a_time(server: LocalServer) -> None:
    with pytest.raises(InputError, match="another server uses"):
        run.serve(data_dir=server.data_dir, port=0)


def test_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} .*choose another port"):
            run.serve(data_dir=tmp_path, port=port)


def test_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="choose another folder"):
        run.serve(data_dir=tmp_path / "file" / "data", port=0)


@pytest.mark.parametrize("name", ["workers", "solve_timeout_s", "upload_bytes"])
def test_impossible_setting_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}=0 is not allowed"):
        ServerSettings.given(**{name: 0})


def test_unknown_engine_is_told_with_those_there_are() -> None:
    server = LocalServer(engine="nosuch")
    with pytest.raises(InputError, match=r"'nosuch' is not installed; choose one of: sep"):
        server.__enter__()
    assert not server.data_dir.exists()


def test_last_words_of_a_dead_server_are_told(toy_dir: object) -> None:
    with pytest.raises(
        InputError, match=r"the solver does not start: .*RuntimeError: this engine has no fuel"
    ):
        LocalServer(engine="toy_engines:broken").__enter__()


def test_missing_extra_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "NEEDED", ("starlette", "nosuchpackage"))
    for start in (run.serve, LocalServer().__enter__):
        with pytest.raises(InputError, match=r"nosuchpackage.*pip install 'astrometry-client\[server\]'"):
            start()


def test_local_server_leaves_nothing_behind(server: LocalServer) -> None:
    with LocalServer(workers=1, engine="toy_engines:toy") as running:
        assert running.pid
        processes = [running.pid, *children(running.pid)]
        folder = running.data_dir
        assert folder.exists()
        assert running.api_key not in repr(running)
    assert not folder.exists()
    until(lambda: [pid for pid in processes if alive(pid)], lambda left: not left)


def test_local_server_ends_with_its_starter(toy_dir: object) -> None:
    script = (
        "import sys; from astrometry_client.server.run import LocalServer\n"
        "with LocalServer(engine='toy_engines:toy', workers=1) as server:\n"
        "    print(server.pid, server.data_dir, flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as starter:
        assert starter.stdout
        pid, folder = starter.stdout.readline().split()
        processes = [int(pid), *children(int(pid))]
        os.kill(starter.pid, signal.SIGKILL)
        until(lambda: [pid for pid in processes if alive(pid)], lambda left: not left)
    assert not Path(folder).exists()


def test_package_does_not_import_the_server() -> None:
    heavy = "{'starlette', 'uvicorn', 'numpy', 'astropy', 'sep'}"
    script = f"import sys, astrometry_client.server.run; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
