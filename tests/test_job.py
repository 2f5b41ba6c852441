"""The job: each result asked for once, and never before the end."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from faulty_server import Answer, answer_json
from small_nova import FIRST_JOB, SmallNova, Upload, ra_of

from astrometry_client import Job, Session
from astrometry_client.errors import (
    InputError,
    NotFound,
    SolveTimeout,
    StatusFailedException,
    StillProcessingException,
)

SOLVING = answer_json({"status": "solving"})


@pytest.fixture
def server() -> Iterator[SmallNova]:
    with SmallNova() as running:
        running.uploads += [Upload("m1.png", b"bright", {}), Upload("m2.png", b"dark", {})]
        yield running


@pytest.fixture
def session(server: SmallNova) -> Session:
    return Session(base_url=server.url)


@pytest.fixture
def job(session: Session) -> Job:
    return Job(FIRST_JOB + 1, session=session)


@pytest.fixture
def dark(session: Session) -> Job:
    return Job(FIRST_JOB + 2, session=session)


def test_job_asks_nothing_before_it_is_asked(server: SmallNova, job: Job) -> None:
    assert repr(job) == f"<Job {FIRST_JOB + 1}, not asked for yet>"
    assert server.arrivals == []


def test_status_is_asked_until_the_end_is_known(server: SmallNova, job: Job) -> None:
    server.script(SOLVING, SOLVING)
    assert [job.status(), job.done(), job.status(), job.status()] == ["solving", False, "success", "success"]
    assert (job.done(), job.success()) == (True, True)
    assert server.asked(f"/api/jobs/{job.id}") == 3
    assert job.status(force=True) == "success"
    assert server.asked(f"/api/jobs/{job.id}") == 4


def test_waiting_ends_with_the_job_and_is_not_repeated(server: SmallNova, dark: Job) -> None:
    server.script(SOLVING, SOLVING)
    assert dark.until_done(0.01, 0.01, 60) == "failure"
    assert dark.until_done() == "failure"
    assert (dark.done(), dark.success()) == (True, False)
    assert len(server.arrivals) == 3


def test_late_job_can_be_waited_for_again(server: SmallNova, job: Job) -> None:
    server.script(SOLVING, SOLVING)
    with pytest.raises(SolveTimeout) as caught:
        job.until_done(start=0.01, timeout=0.005)
    assert caught.value.job_id == job.id
    assert job.until_done(start=0.01) == "success"


def test_bad_wait_is_refused(server: SmallNova, job: Job) -> None:
    with pytest.raises(InputError, match="timeout_s=0"):
        job.until_done(timeout=0)
    assert server.arrivals == []


def test_unknown_job_is_told(server: SmallNova, job: Job) -> None:
    server.default, server.responder = Answer(status=404), None
    with pytest.raises(NotFound):
        job.status()
    with pytest.raises(NotFound):
        job.until_done()


def test_results_are_asked_for_once(server: SmallNova, job: Job) -> None:
    for _ in range(3):
        assert job.info().original_filename == "m1.png"
        assert job.calibration.ra_deg == ra_of(b"bright")
        assert job.annotations == ()
        assert (job.tags, job.machine_tags, job.objects_in_field) == (("M 1", "mine"), ("M 1",), ("M 1",))
        assert job.wcs_file()["CRVAL1"] == ra_of(b"bright")
        assert job.annotated_display() == job.red_green_image_display() == job.extraction_image_display()
    paths = [arrival.path for arrival in server.arrivals]
    assert len(paths) == len(set(paths)) == 11


def test_pictures_and_files_send_a_referer_where_it_is_wanted(server: SmallNova, job: Job) -> None:
    job.annotated_display()
    job.wcs_file()
    sent = {arrival.path.split("/")[1]: arrival.headers.get("referer") for arrival in server.arrivals}
    assert sent["annotated_display"] == f"{server.url}/api/login"
    assert sent["wcs_file"] is None


def test_tables_of_sources_are_read(server: SmallNova, job: Job) -> None:
    file = io.BytesIO()
    table = fits.BinTableHDU(Table({"X": np.array([1.5]), "Y": np.array([2.5])}))
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(file)
    assert job.success()
    server.script(*[Answer(body=file.getvalue(), kind="application/fits")] * 4)
    for read in (job.axy_file, job.rdls_file, job.corr_file, job.new_fits_file):
        assert list(Table.read(read())["X"]) == [1.5]
        read()[1].data["X"][0] = 7
        assert list(read()[1].data["X"]) == [1.5]


def test_wcs_holds_the_distortion(server: SmallNova, job: Job) -> None:
    place = {"CRVAL1": 10, "CRVAL2": 20, "CRPIX1": 5, "CRPIX2": 5, "CD1_1": -0.1, "CD2_2": 0.1}
    distortion = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4, "B_0_2": 1e-4}
    kind = {"WCSAXES": 2, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "IMAGEW": 20, "IMAGEH": 10}
    header = fits.Header({**kind, **place, **distortion})
    file = io.BytesIO()
    fits.PrimaryHDU(header=header).writeto(file)
    assert job.success()
    server.script(Answer(body=file.getvalue(), kind="application/fits"))
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
def test_results_before_the_end_are_refused(server: SmallNova, job: Job, ask) -> None:
    server.script(SOLVING)
    with pytest.raises(StillProcessingException, match="is solving") as caught:
        ask(job)
    assert caught.value.job_id == job.id
    assert len(server.arrivals) == 1


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
def test_results_that_need_a_solution_are_refused_without_one(server: SmallNova, dark: Job, ask) -> None:
    for _ in range(2):
        with pytest.raises(StatusFailedException) as caught:
            ask(dark)
        assert caught.value.job_id == dark.id
    assert len(server.arrivals) == 1


def test_failed_job_still_tells_its_name_and_its_sources(dark: Job) -> None:
    assert dark.info().original_filename == "m2.png"
    assert dark.extraction_image_display().startswith(b"\x89PNG")


def test_file_is_downloaded_to_the_disk(server: SmallNova, job: Job, tmp_path: Path) -> None:
    path = job.download("new_fits_file", tmp_path / "new.fits")
    assert fits.getheader(path)["CRVAL1"] == ra_of(b"bright")
    assert server.arrivals[-1].headers["referer"]
    with pytest.raises(InputError, match="kind='movie'"):
        job.download("movie", tmp_path / "movie")
