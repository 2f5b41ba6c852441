"""The job: each result asked for once, and never before the end."""

import io
from pathlib import Path

import pytest
from astropy.io import fits
from astropy.table import Table
from live_server import Api

from astrometry_client import Job, Session
from astrometry_client.errors import (
    InputError,
    NotFound,
    SolveTimeout,
    StatusFailedException,
    StillProcessingException,
)
from astrometry_client.testing import UNSOLVED, NovaServer, Place, Status, TableEngine, fits_image

PLACE = Place(10.0, 20.0, objects=("M 1",))
SOLVING = Status(200, body='{"status": "solving"}', kind="text/plain")

pytestmark = pytest.mark.nova_server(engine=TableEngine({"dark*": UNSOLVED}, otherwise=lambda _: PLACE))


@pytest.fixture
def session(nova_server: NovaServer) -> Session:
    api = Api.login(nova_server.url, nova_server.api_key)
    for name in ("m1.fits", "dark.fits"):
        api.upload(fits_image(name), name)
    nova_server.requests.clear()
    return Session(base_url=nova_server.url)


@pytest.fixture
def job(session: Session) -> Job:
    return Job(1, session=session)


@pytest.fixture
def dark(session: Session) -> Job:
    return Job(2, session=session)


def test_job_asks_nothing_before_it_is_asked(nova_server: NovaServer, job: Job) -> None:
    assert repr(job) == "<Job 1, not asked for yet>"
    assert nova_server.requests == []


def test_status_is_asked_until_the_end_is_known(nova_server: NovaServer, job: Job) -> None:
    nova_server.plan(SOLVING.at("job", 1, 2))
    assert [job.status(), job.done(), job.status(), job.status()] == ["solving", False, "success", "success"]
    assert (job.done(), job.success()) == (True, True)
    assert nova_server.counts()["job"] == 3
    assert job.status(force=True) == "success"
    assert nova_server.counts()["job"] == 4


def test_waiting_ends_with_the_job_and_is_not_repeated(nova_server: NovaServer, dark: Job) -> None:
    nova_server.plan(SOLVING.at("job", 1, 2))
    assert dark.until_done(0.01, 0.01, 60) == "failure"
    assert dark.until_done() == "failure"
    assert (dark.done(), dark.success()) == (True, False)
    assert len(nova_server.requests) == 3


def test_late_job_can_be_waited_for_again(nova_server: NovaServer, job: Job) -> None:
    nova_server.plan(SOLVING.at("job", 1, 2))
    with pytest.raises(SolveTimeout) as caught:
        job.until_done(start=0.01, timeout=0.005)
    assert caught.value.job_id == job.id
    assert job.until_done(start=0.01) == "success"


def test_bad_wait_is_refused(nova_server: NovaServer, job: Job) -> None:
    with pytest.raises(InputError, match="timeout_s=0"):
        job.until_done(timeout=0)
    assert nova_server.requests == []


def test_unknown_job_is_told(nova_server: NovaServer, job: Job) -> None:
    nova_server.plan(Status(404).at("job"))
    with pytest.raises(NotFound):
        job.status()
    with pytest.raises(NotFound):
        job.until_done()


def test_results_are_asked_for_once(nova_server: NovaServer, job: Job) -> None:
    for _ in range(3):
        assert job.info().original_filename == "m1.fits"
        assert job.calibration.ra_deg == PLACE.ra_deg
        assert [found.names for found in job.annotations] == [("M 1",)]
        assert (job.tags, job.machine_tags, job.objects_in_field) == (("M 1",), ("M 1",), ("M 1",))
        assert job.wcs_file()["CRVAL1"] == PLACE.ra_deg
        assert job.annotated_display().startswith(b"\xff\xd8")
        assert job.red_green_image_display().startswith(b"\x89PNG")
        assert job.extraction_image_display().startswith(b"\x89PNG")
    paths = [request.path for request in nova_server.requests]
    assert len(paths) == len(set(paths)) == 11


def test_pictures_and_files_send_a_referer_where_it_is_wanted(nova_server: NovaServer, job: Job) -> None:
    job.annotated_display()
    job.wcs_file()
    sent = {request.path.split("/")[1]: request.headers.get("referer") for request in nova_server.requests}
    assert sent["annotated_display"] == f"{nova_server.url}/api/login"
    assert sent["wcs_file"] is None


def test_tables_of_sources_are_read(job: Job) -> None:
    for read, column in ((job.axy_file, "X"), (job.rdls_file, "RA"), (job.corr_file, "field_x")):
        assert len(Table.read(read())) == 12
        before = read()[1].data[column][0]
        read()[1].data[column][0] = before + 7
        assert read()[1].data[column][0] == before


def test_new_image_has_the_pixels_of_the_old_one(job: Job) -> None:
    assert job.new_fits_file()[0].data.shape == (24, 32)


def test_wcs_holds_the_distortion(nova_server: NovaServer, job: Job) -> None:
    place = {"CRVAL1": 10, "CRVAL2": 20, "CRPIX1": 5, "CRPIX2": 5, "CD1_1": -0.1, "CD2_2": 0.1}
    distortion = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4, "B_0_2": 1e-4}
    kind = {"WCSAXES": 2, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "IMAGEW": 20, "IMAGEH": 10}
    header = fits.Header({**kind, **place, **distortion})
    file = io.BytesIO()
    fits.PrimaryHDU(header=header).writeto(file)
    distorted = Status(200, body=file.getvalue().decode(), kind="application/fits")
    nova_server.plan(distorted.at("wcs_file"))
    assert job.wcs().sip.a_order == 2
    assert job.wcs().pixel_shape == (20, 10)


@pytest.mark.parametrize(
    "ask",
    [
        lambda job: job.info(),
        lambda job: job.calibration,
        lambda job: job.annotations,
        lambda job: job.wcs_file(),
        lambda job: job.axy_file(),
        lambda job: job.download("joblog", "log.txt"),
    ],
)
def test_results_before_the_end_are_refused(nova_server: NovaServer, job: Job, ask) -> None:
    nova_server.plan(SOLVING.at("job", 1))
    with pytest.raises(StillProcessingException, match="is solving") as caught:
        ask(job)
    assert caught.value.job_id == job.id
    assert len(nova_server.requests) == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda job: job.calibration,
        lambda job: job.annotations,
        lambda job: job.wcs(),
        lambda job: job.new_fits_file(),
        lambda job: job.annotated_display(),
        lambda job: job.download("corr_file", "corr.fits"),
    ],
)
def test_results_that_need_a_solution_are_refused_without_one(
    nova_server: NovaServer, dark: Job, ask
) -> None:
    for _ in range(2):
        with pytest.raises(StatusFailedException) as caught:
            ask(dark)
        assert caught.value.job_id == dark.id
    assert len(nova_server.requests) == 1


def test_failed_job_still_tells_its_name_and_its_sources(dark: Job) -> None:
    assert dark.info().original_filename == "dark.fits"
    assert dark.extraction_image_display().startswith(b"\x89PNG")


def test_file_is_downloaded_to_the_disk(nova_server: NovaServer, job: Job, tmp_path: Path) -> None:
    path = job.download("new_fits_file", tmp_path / "new.fits")
    assert fits.getheader(path)["CRVAL1"] == PLACE.ra_deg
    assert nova_server.requests[-1].headers["referer"]
    with pytest.raises(InputError, match="kind='movie'"):
        job.download("movie", tmp_path / "movie")
