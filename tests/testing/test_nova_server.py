"""A server for tests answers as nova does, in no time."""

import contextlib
import io
import tarfile
import threading
import time
from pathlib import Path

import pytest
import requests
from live_server import Api

from astrometry_client import Client
from astrometry_client.errors import InputError
from astrometry_client.server.engine import Field, Hints, Match
from astrometry_client.testing import UNSOLVED, Clock, NovaServer, Place, Rejected, TableEngine, place_of

ORION = Path(__file__).parents[2] / "examples" / "orion.jpg"

HOUR_S = 3600.0


def states(server: NovaServer) -> list[str]:
    return [job.state for job in server.jobs]


def test_image_lies_where_its_name_says(nova_server: NovaServer) -> None:
    with Client(base_url=nova_server.url) as client:
        calibration = client.solve(ORION).calibration
    place = place_of("orion.jpg")
    assert (calibration.ra_deg, calibration.dec_deg) == (place.ra_deg, place.dec_deg)
    assert calibration.orientation_deg == place.orientation_deg


def test_server_is_gone_after_the_block() -> None:
    threads = threading.active_count()
    with NovaServer() as server:
        assert requests.get(server.url, timeout=10).ok
        folder = server._folder
    assert threading.active_count() == threads
    assert not folder.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=10)


def test_start_takes_no_time() -> None:
    began_s = time.perf_counter()
    with NovaServer():
        pass
    assert time.perf_counter() - began_s < 0.5


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"starlette, python_multipart.*astrometry-client\[testing\]"):
        NovaServer()


@pytest.mark.nova_server(queue_delay_s=HOUR_S, solve_time_s=60.0, clock=Clock(speed=0))
def test_hour_passes_when_the_clock_is_turned(nova_server: NovaServer, api: Api) -> None:
    submission_id = api.upload(b"an image")
    seen = []
    for seconds in (0, HOUR_S - 1, 1, 59, 1):
        nova_server.clock.turn(seconds)
        jobs = api.submission(submission_id)["jobs"]
        seen.append(jobs[0] and api.status(jobs[0]))
    assert seen == [None, None, "solving", "solving", "success"]
    (job,) = nova_server.jobs
    assert (job.begun_s, job.ended_s) == (HOUR_S, HOUR_S + 60)


@pytest.mark.nova_server(queue_delay_s=60.0, clock=Clock(speed=0))
def test_client_may_wait_on_the_servers_clock(nova_server: NovaServer) -> None:
    clock = nova_server.clock
    with nova_server.client_session() as session:
        Client(base_url=nova_server.url, client_session=session).solve(ORION)
    assert 60.0 <= clock.monotonic() < 120.0


@pytest.mark.nova_server(solvers=2, solve_time_s=float, clock=Clock(speed=0))
def test_solvers_share_the_work(nova_server: NovaServer, api: Api) -> None:
    for name in ("10", "3", "4", "5"):
        api.upload(name.encode(), name)
    assert states(nova_server) == ["solving", "solving"]
    nova_server.clock.turn(100)
    assert [(job.name, job.begun_s, job.ended_s) for job in nova_server.jobs] == [
        ("10", 0, 10),
        ("3", 0, 3),
        ("4", 3, 7),
        ("5", 7, 12),
    ]


@pytest.mark.nova_server(latency_s=2.0, clock=Clock(speed=0))
def test_latency_moves_a_clock_that_stands_still(nova_server: NovaServer) -> None:
    requests.get(nova_server.url, timeout=10)
    requests.get(nova_server.url, timeout=10)
    assert nova_server.clock.monotonic() == 4.0


def test_clock_may_be_faster() -> None:
    clock = Clock(speed=1e6)
    before_s = clock.monotonic()
    assert any(clock.monotonic() - before_s > 100.0 for _ in iter(int, 1))


@pytest.mark.nova_server(session_lifetime_s=HOUR_S)
def test_login_ends_in_time(nova_server: NovaServer, api: Api) -> None:
    assert api.call("myjobs", {"session": api.session_key}).json()["status"] == "success"
    nova_server.clock.turn(HOUR_S + 1)
    told = api.call("myjobs", {"session": api.session_key}).json()
    assert told["errormessage"] == "user is not authenticated."


@pytest.mark.nova_server(session_uses=2)
def test_login_ends_after_its_uses(api: Api) -> None:
    told = [api.call("myjobs", {"session": api.session_key}).json()["status"] for _ in range(3)]
    assert told == ["success", "success", "error"]


@pytest.mark.nova_server(
    engine=TableEngine(
        {"m31*": Place(10.68, 41.27, objects=("M 31",)), b"dark": UNSOLVED, "*.txt": Rejected()}
    )
)
def test_table_decides(api: Api) -> None:
    found, dark, none = (
        api.upload(content, name)
        for name, content in (("m31.0123abcd.fits", b"x"), ("m2.fits", b"so dark"), ("notes.txt", b"x"))
    )
    job_id = api.solve(found)
    info = api.get(f"api/jobs/{job_id}/info").json()
    assert (info["calibration"]["ra"], info["calibration"]["dec"]) == (10.68, 41.27)
    assert info["tags"] == ["M 31"]
    assert api.get("api/jobs_by_tag?query=m+31").json() == {"job_ids": [job_id]}
    assert api.ended(dark) == ["failure"]
    rejected = api.read(none)
    assert (rejected["jobs"], rejected["error_message"]) == ([], Rejected().message)


def test_archive_becomes_several_jobs(nova_server: NovaServer, api: Api) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name in ("a.fits", "b.fits"):
            member = tarfile.TarInfo(name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"abc"))
    assert api.ended(api.upload(archive.getvalue(), "both.tar.gz")) == ["success", "success"]
    assert [job.name for job in nova_server.jobs] == ["a.fits", "b.fits"]


def test_address_is_not_asked(nova_server: NovaServer, api: Api) -> None:
    reply = api.call("url_upload", {"session": api.session_key, "url": "https://nowhere.invalid/m31.jpg"})
    job_id = api.solve(reply.json()["subid"])
    assert api.get(f"api/jobs/{job_id}/calibration").json()["ra"] == place_of("m31.jpg").ra_deg


def test_what_was_asked_is_told(nova_server: NovaServer, api: Api) -> None:
    api.upload(b"content", "m31.0123abcd.fits", parity=1)
    (upload,) = nova_server.uploads
    assert (upload.name, upload.submission_id, upload.options["parity"]) == ("m31.fits", 1, 1)
    assert upload.sha256 == "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    login, sent = nova_server.requests
    assert (login.call, sent.call, sent.method, sent.path) == ("login", "upload", "POST", "/api/upload")
    assert nova_server.counts() == {"login": 1, "upload": 1}


class ToyEngine:
    name = "toy"

    def solve(self, field: Field, hints: Hints) -> Match | None:
        return None


@pytest.mark.nova_server(engine=ToyEngine())
def test_plate_solver_may_take_the_place_of_the_table(api: Api) -> None:
    assert api.ended(api.upload_sources(3)) == ["failure"]
    assert "not an image" in api.read(api.upload(b"garbage"))["error_message"]


def unfit(name: str) -> Place:
    raise ZeroDivisionError(name)


def test_error_in_the_server_is_raised_at_the_end() -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(NovaServer(engine=TableEngine(otherwise=unfit)))
        api = Api.login(server.url, server.api_key)
        reply = api.call("upload", {"session": api.session_key}, files={"file": ("m31", b"x")})
        assert reply.status_code == 500
        with pytest.raises(ZeroDivisionError, match="m31"):
            stack.close()


@pytest.mark.soak
@pytest.mark.nova_server(solvers=16, solve_time_s=30.0, clock=Clock(speed=0))
def test_ten_thousand_submissions_are_held(nova_server: NovaServer, api: Api) -> None:
    for number in range(10_000):
        api.upload_sources(1, image_width=number + 1, image_height=1)
    nova_server.clock.turn(10_000 * 30.0)
    assert states(nova_server) == ["success"] * 10_000
