"""A dry run: nothing is touched, and a whole pipeline comes to its end."""

import io
import logging
from pathlib import Path

import pytest
import requests
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from faulty_server import FaultyServer
from PIL import Image

from astrometry_client.models import Calibration, JobInfo, SubmissionStatus, UploadReceipt
from astrometry_client.session import ClientSession, MockResponse, is_dry_run_enabled
from astrometry_client.session.dry_run import dry_answer
from astrometry_client.session.endpoints import ENDPOINTS
from astrometry_client.session.replies import judge

SERVER = "https://nova.example"


@pytest.mark.parametrize(
    ("enabled", "write_only", "get", "post"),
    [
        (None, None, False, False),
        ("1", None, True, True),
        ("true", None, True, True),
        ("yes", "false", True, True),
        (None, "1", False, True),
        ("false", "TRUE", False, True),
        ("False", None, False, False),
        ("None", None, False, False),
        ("0", "0", False, False),
        ("no", "off", False, False),
        ("", "", False, False),
        (" false ", None, False, False),
    ],
)
def test_environment_decides(
    monkeypatch: pytest.MonkeyPatch, enabled: str | None, write_only: str | None, get: bool, post: bool
) -> None:
    for name, value in (("DRY_RUN_ENABLED", enabled), ("DRY_RUN_WRITE_ONLY", write_only)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert is_dry_run_enabled("GET") is get
    assert is_dry_run_enabled("post") is post


def test_argument_overrides_session_and_session_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRY_RUN_ENABLED", "1")
    assert is_dry_run_enabled("GET", False) is False
    with ClientSession(dry_run=False) as session:
        assert is_dry_run_enabled("GET", session) is False
    monkeypatch.delenv("DRY_RUN_ENABLED")
    with ClientSession(dry_run=True) as session:
        assert is_dry_run_enabled("GET", session) is True
    with ClientSession() as session:
        assert is_dry_run_enabled("GET", session) is False


@pytest.fixture
def dry(monkeypatch: pytest.MonkeyPatch) -> ClientSession:
    """Return a session in an environment that asks for a dry run."""
    monkeypatch.setenv("DRY_RUN_ENABLED", "1")
    return ClientSession()


def test_pipeline_runs_to_its_end(dry: ClientSession, tmp_path: Path) -> None:
    image = tmp_path / "image.fits"
    image.write_bytes(b"SIMPLE  =")
    form = {"request-json": "{}"}
    assert dry.post(f"{SERVER}/api/login", data=form).json()["session"]
    reply = dry.post(f"{SERVER}/api/upload", data=form, files={"file": image})
    receipt = UploadReceipt.from_document(reply.json())
    document = dry.get(f"{SERVER}/api/submissions/{receipt.submission_id}").json()
    submission = SubmissionStatus.from_document(document, submission_id=receipt.submission_id)
    (job_id,) = submission.job_ids
    assert submission.solved_job_ids == (job_id,)
    assert dry.get(f"{SERVER}/api/jobs/{job_id}").json() == {"status": "success"}
    calibration = Calibration.from_document(dry.get(f"{SERVER}/api/jobs/{job_id}/calibration").json())
    info = JobInfo.from_document(dry.get(f"{SERVER}/api/jobs/{job_id}/info").json(), job_id=job_id)
    assert info.calibration is not None
    assert info.calibration.ra_deg == calibration.ra_deg
    assert dry.get(f"{SERVER}/api/jobs/{job_id}/annotations").json() == {"annotations": []}
    assert dry.get(f"{SERVER}/wcs_file/{job_id}").content.startswith(b"SIMPLE  =")


def test_each_upload_gets_its_own_id(dry: ClientSession) -> None:
    ids = {dry.post(f"{SERVER}/api/upload").json()["subid"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.known], ids=lambda e: e.name)
def test_every_answer_is_what_a_server_would_give(endpoint: object) -> None:
    path = (
        getattr(endpoint, "path", "").replace(r"(?P<job_id>\d+)", "7").replace(r"(?P<submission_id>\d+)", "7")
    )
    request = requests.Request("GET", f"{SERVER}/{path}").prepare()
    judge(dry_answer(request))


def test_wcs_parses_and_agrees_with_the_calibration(dry: ClientSession) -> None:
    wcs_file = dry.get(f"{SERVER}/wcs_file/1").content
    with fits.open(io.BytesIO(wcs_file)) as opened:
        opened.verify("exception")
        # astropy says so of every WCS file without data.
        with pytest.warns(FITSFixedWarning, match="more axes"):
            wcs = WCS(opened[0].header)
    calibration = Calibration.from_document(dry.get(f"{SERVER}/api/jobs/1/calibration").json())
    centre = wcs.wcs_pix2world([[500.5, 500.5]], 1)[0]
    assert centre == pytest.approx([calibration.ra_deg, calibration.dec_deg])
    up = wcs.wcs_pix2world([[500.5, 501.5]], 1)[0] - centre
    assert up[1] * 3600 == pytest.approx(calibration.pixel_scale_arcsec)
    (a, b), (c, d) = wcs.wcs.cd
    assert (a * d - b * c > 0) == (calibration.parity > 0)


def test_new_fits_parses(dry: ClientSession) -> None:
    with fits.open(io.BytesIO(dry.get(f"{SERVER}/new_fits_file/1").content)) as opened:
        assert opened[0].data.shape == (1, 1)


def test_picture_opens(dry: ClientSession) -> None:
    with Image.open(io.BytesIO(dry.get(f"{SERVER}/annotated_display/1").content)) as picture:
        picture.load()
        assert picture.size == (1, 1)


def test_nothing_is_touched(dry: ClientSession, server: FaultyServer, private_folders: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in private_folders.rglob("*")}
    for path in ("/api/upload", "/api/login"):
        dry.post(server.url + path)
        dry.post(SERVER + path)
    dry.get(f"{SERVER}/api/jobs/1/calibration")
    assert server.arrivals == []
    assert {file: file.stat().st_mtime_ns for file in private_folders.rglob("*")} == before


def test_report_says_what_would_have_been_sent(
    dry: ClientSession, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    image = tmp_path / "image.fits"
    image.write_bytes(bytes(5000))
    dry.post(
        f"{SERVER}/api/upload?key=1", data={"request-json": '{"session": "TOPSECRET"}'}, files={"file": image}
    )
    (report,) = [text for text in caplog.messages if text.startswith("Dry run")]
    size_bytes = int(report.split(", ")[1].split()[0])
    assert report.startswith("Dry run: POST /api/upload, ")
    assert 5000 < size_bytes < 6000
    assert "TOPSECRET" not in caplog.text


def test_only_writes_are_dry_if_so_asked(monkeypatch: pytest.MonkeyPatch, server: FaultyServer) -> None:
    monkeypatch.setenv("DRY_RUN_WRITE_ONLY", "1")
    with ClientSession() as session:
        submission_id = session.post(f"{server.url}/api/upload").json()["subid"]
        session.get(f"{server.url}/api/jobs/7")
        assert [arrival.path for arrival in server.arrivals] == ["/api/jobs/7"]
        document = session.get(f"{server.url}/api/submissions/{submission_id}").json()
        assert document["jobs"] == [submission_id]
    assert len(server.arrivals) == 1


def test_high_id_alone_does_not_make_a_dry_run(server: FaultyServer, session: ClientSession) -> None:
    session.get(f"{server.url}/api/jobs/9000000000001")
    assert len(server.arrivals) == 1


def test_one_request_can_be_dry(server: FaultyServer, session: ClientSession) -> None:
    assert isinstance(session.post(f"{server.url}/api/upload", dry_run=True), MockResponse)
    assert not isinstance(session.post(f"{server.url}/api/upload"), MockResponse)


def test_mock_response_stands_in_for_any_reply() -> None:
    response = MockResponse(content=b'{"a": 1}')
    assert (response.ok, response.json(), response.from_cache) == (True, {"a": 1}, False)
    assert response.reason == "DRY_RUN"
