"""What the client asks for, and what it makes of the answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from both_clients import NewClient

from astrometry_client import Client, ClientSession, Job, Session, Settings, Submission
from astrometry_client.errors import ServerRefused, StatusFailedException, Unreachable
from astrometry_client.testing import (
    UNSOLVED,
    Late,
    NovaServer,
    Place,
    Rejected,
    Status,
    TableEngine,
    place_of,
)

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def client(nova_server: NovaServer, new_client: NewClient) -> Iterator[Client]:
    with new_client(base_url=nova_server.url) as client:
        yield client


def images(folder: Path, *contents: bytes) -> list[Path]:
    paths = [folder / f"field{number}.png" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(PNG + content)
    return paths


def test_solution_comes_under_the_name_of_its_file(
    nova_server: NovaServer, client: Client, tmp_path: Path
) -> None:
    (path,) = images(tmp_path, b"a")
    solution = client.solve(path)
    assert (solution.name, solution.submission_id, solution.job_id) == ("field0.png", 1, 1)
    assert solution.calibration.ra_deg == place_of(path.name).ra_deg
    stem, mark, suffix = nova_server.uploads[0].filename.split(".")
    assert (stem, len(mark), suffix) == ("field0", 8, "png")


def test_address_is_solved(nova_server: NovaServer, client: Client) -> None:
    solution = client.solve_url("https://example.org/m31.jpg", Settings(publicly_visible="n"))
    assert solution.name == "m31.jpg"
    assert nova_server.uploads[0].options["url"] == "https://example.org/m31.jpg"
    assert nova_server.uploads[0].options["publicly_visible"] == "n"


def test_sources_are_solved(nova_server: NovaServer, client: Client) -> None:
    solution = client.solve_sources([0], [1], origin=0, image_width_px=9, image_height_px=9)
    assert solution.name == "sources"
    assert nova_server.uploads[0].content == b"1.0 2.0\n"


def test_settings_of_one_upload_do_not_leak_into_the_next(
    nova_server: NovaServer, client: Client, tmp_path: Path
) -> None:
    (path,) = images(tmp_path, b"a")
    client.settings = Settings(tweak_order=3)
    client.solve(path, Settings(publicly_visible="n").set_scale_range(1, 2, "degwidth"))
    client.upload_file(path, Settings(parity=1))
    client.solve(path)
    first, second, third = ({**upload.options} for upload in nova_server.uploads)
    assert first["publicly_visible"] == "n"
    assert second == {"parity": 1}
    assert third == {"tweak_order": 3}


@pytest.mark.nova_server(engine=TableEngine({b"dark": UNSOLVED}))
def test_file_without_a_solution(client: Client, tmp_path: Path) -> None:
    (path,) = images(tmp_path, b"dark")
    with pytest.raises(StatusFailedException) as caught:
        client.calibrate_file_wcs(path)
    assert (caught.value.submission_id, caught.value.job_id) == (1, 1)
    assert not client.upload_file(path).success()


@pytest.mark.nova_server(engine=TableEngine({b"dark": UNSOLVED}))
def test_many_results_come_under_the_name_they_belong_to(
    nova_server: NovaServer, client: Client, tmp_path: Path
) -> None:
    paths = images(tmp_path, *(b"dark" * (number % 5 == 0) + b"%d" % number for number in range(40)))
    found = {name: job for job, name in client.upload_files_gen(iter(paths), workers=4)}
    assert set(found) == set(paths)
    for number, path in enumerate(paths):
        job = found[path]
        assert isinstance(job, Job)
        assert job.success() is (number % 5 != 0)
        assert job.info().original_filename == path.name
    assert len(nova_server.uploads) == 40


@pytest.mark.nova_server(
    engine=TableEngine({"field0*": Rejected("no image")}),
    solvers=2,
    solve_time_s=lambda name: 1e9 if name == "field1.png" else 0.0,
)
def test_rejected_and_late_ones_are_yielded_as_submissions(client: Client, tmp_path: Path) -> None:
    paths = images(tmp_path, b"a", b"b", b"c")
    found = {name: result for result, name in client.upload_files_gen(paths, workers=1, timeout_s=1e-6)}
    assert list(found) == paths
    first, second, third = found.values()
    assert isinstance(first, Submission)
    assert (first.done(), first.success(), first.status().error_message) == (True, False, "no image")
    assert isinstance(second, Submission)
    assert (second.done(), second.success()) == (False, False)
    assert third.success()


REFUSED = '{"status": "error", "errormessage": "no more"}'


@pytest.mark.nova_server(
    faults=[Late(0.3).at("upload", 1), Status(200, body=REFUSED, kind="text/plain").at("upload")]
)
def test_those_under_way_are_yielded_before_an_error_is_raised(
    nova_server: NovaServer, client: Client, tmp_path: Path
) -> None:
    paths = images(tmp_path, b"one", b"two", b"three", b"four")
    results = client.upload_files_gen(paths, workers=2)
    assert next(results)[1] in paths[:2]
    with pytest.raises(ServerRefused, match="no more"):
        next(results)
    assert len(nova_server.uploads) == 1
    assert nova_server.counts()["upload"] == 2


def test_who_stops_listening_uploads_no_more(nova_server: NovaServer, client: Client, tmp_path: Path) -> None:
    paths = images(tmp_path, *(b"%d" % number for number in range(20)))
    results = client.upload_files_gen(paths, workers=1)
    next(results)
    results.close()
    assert len(nova_server.uploads) == 1


@pytest.mark.nova_server(engine=TableEngine(otherwise=lambda _: Place(1.0, 2.0, objects=("M 1",))))
def test_jobs_by_tag_come_without_repeats(nova_server: NovaServer, client: Client, tmp_path: Path) -> None:
    for path in images(tmp_path, b"a", b"b"):
        client.solve(path)
    assert client.jobs_by_tag("M 1", exact=True) == (2, 1)
    assert nova_server.requests[-1].path == "/api/jobs_by_tag?query=M+1&exact=yes"
    assert client.my_jobs() == (1, 2)
    assert client.submission_images(2) == (2,)
    assert client.submission(2).jobs[0].id == 2
    assert client.job(2).success()


def test_login_may_be_brought_along(nova_server: NovaServer) -> None:
    session = Session(base_url=nova_server.url)
    client = Client(session=session)
    assert client.session is session
    assert client.my_jobs() == ()


def test_session_brought_along_stays_open(nova_server: NovaServer) -> None:
    with ClientSession() as client_session:
        with Client(base_url=nova_server.url, client_session=client_session) as client:
            client.my_jobs()
        client_session.get(f"{nova_server.url}/api/jobs_by_tag?query=a")
        assert len({request.connection for request in nova_server.requests}) == 1


def test_whole_pipeline_runs_dry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, new_client: NewClient
) -> None:
    monkeypatch.setenv("DRY_RUN_ENABLED", "1")
    with new_client(base_url="https://nova.example") as client:
        paths = images(tmp_path, b"a", b"b")
        assert client.solve(paths[0]).wcs().has_celestial
        for job, name in client.upload_files_gen(paths):
            assert isinstance(job, Job)
            assert (job.success(), name in paths) == (True, True)
            assert job.annotated_display()
            assert job.download("corr_file", tmp_path / "corr.fits").exists()
        assert client.solve_url("https://example.org/a.png").job_id
        assert client.my_jobs() == client.jobs_by_tag("a") == ()


def test_unreachable_server_is_told(tmp_path: Path, new_client: NewClient) -> None:
    with NovaServer() as server:
        url = server.url
    with (
        ClientSession(max_retries=0) as session,
        new_client("key", base_url=url, client_session=session) as client,
        pytest.raises(Unreachable),
    ):
        client.solve(images(tmp_path, b"a")[0])
