"""The client against a real server with a real solver."""

import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import sky
from astropy.io import fits
from both_clients import NewClient

from astrometry_client import flow
from astrometry_client.client import Client
from astrometry_client.errors import (
    InputError,
    LoginFailedException,
    SolveTimeout,
    StatusFailedException,
    SubmissionFailed,
    UnreadableFileError,
)
from astrometry_client.job import Job
from astrometry_client.models import Settings
from astrometry_client.server.engine.indexes import shipped_dir
from astrometry_client.server.run import LocalServer

VIEW = sky.View(ra_deg=83.8, dec_deg=-1.0, width_deg=25.0, position_angle_deg=30.0)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "orion.fits"
    path.write_bytes(sky.render(VIEW, np.random.default_rng(1)).fits_bytes())
    return path


@pytest.fixture
def client(nova: LocalServer, new_client: NewClient) -> Iterator[Client]:
    with new_client(nova.api_key, base_url=nova.url) as client:
        yield client


def test_solution_agrees_with_the_truth(client: Client, image: Path) -> None:
    solution = client.solve(image)
    truth = VIEW.truth(top_down=False)
    assert solution.name == "orion.fits"
    assert solution.calibration.ra_deg == pytest.approx(truth["ra"], abs=0.25)
    assert solution.calibration.dec_deg == pytest.approx(truth["dec"], abs=0.25)
    assert solution.calibration.pixel_scale_arcsec == pytest.approx(truth["pixscale"], rel=1e-3)
    turn = solution.calibration.orientation_deg - truth["orientation"]
    assert (turn + 180) % 360 - 180 == pytest.approx(0, abs=0.1)
    assert solution.calibration.parity == truth["parity"]


def test_wcs_puts_the_stars_where_they_are(client: Client, image: Path) -> None:
    wcs = client.solve(image).wcs()
    centre = wcs.pixel_to_world((VIEW.width_px - 1) / 2, (VIEW.height_px - 1) / 2)
    assert centre.ra.deg == pytest.approx(83.8, abs=0.05)
    assert centre.dec.deg == pytest.approx(-1.0, abs=0.05)


def test_annotations_name_the_bright_stars_in_their_places(client: Client, image: Path) -> None:
    objects = {name: found for found in client.annotations(client.solve(image)) for name in found.names}
    place = VIEW.to_pixels(np.array([[83.8582, 5.9461 - 7.148]]))[0]  # Alnilam: 05 36 12.8 -01 12 07
    alnilam = next(found for name, found in objects.items() if "Alnilam" in name)
    assert (alnilam.x_px, alnilam.y_px) == pytest.approx(tuple(place), abs=12)


def test_threads_share_a_client_and_an_image_is_uploaded_once(nova: LocalServer, image: Path) -> None:
    with Client(nova.api_key, base_url=nova.url) as client, ThreadPoolExecutor(4) as pool:
        solutions = list(pool.map(client.solve, [image] * 4))
    assert len({solution.submission_id for solution in solutions}) == 1
    again = client.solve(image, force=True)
    assert again.submission_id != solutions[0].submission_id
    assert round(again.calibration.ra_deg, 3) == round(solutions[0].calibration.ra_deg, 3)


def test_every_step_is_told(client: Client, image: Path) -> None:
    stages: list[flow.Stage] = []
    client.solve(image, on_step=lambda effect: stages.append(effect.stage))
    assert stages[0] == "uploading"
    assert stages[-1] == "fetching"


def test_settings_of_an_upload_replace_those_of_the_client(client: Client, image: Path) -> None:
    client.settings = Settings(scale_units="arcsecperpix", scale_lower=1, scale_upper=2)
    with pytest.raises(StatusFailedException) as caught:
        client.solve(image)
    assert caught.value.job_id
    assert client.solve(image, Settings()).calibration.parity == -1


def test_late_solve_can_be_resumed(client: Client, image: Path) -> None:
    with pytest.raises(SolveTimeout) as caught:
        client.solve(image, timeout_s=1e-6)
    assert caught.value.submission_id


def test_rejected_image_carries_the_servers_words(client: Client, tmp_path: Path) -> None:
    (tmp_path / "cut.fits").write_bytes(b"SIMPLE  =                    T")
    with pytest.raises(SubmissionFailed) as caught:
        client.solve(tmp_path / "cut.fits")
    assert caught.value.server_message
    assert caught.value.submission_id


def test_uploaded_file_becomes_a_job_with_all_it_knows(client: Client, image: Path) -> None:
    job = client.upload_file(image)
    assert job.success()
    assert job.info().original_filename == "orion.fits"
    assert job.calibration == client.job(job.id).calibration
    assert job.wcs().pixel_shape == (VIEW.width_px, VIEW.height_px)
    assert any("Alnilam" in name for name in job.objects_in_field)
    assert job.id in client.my_jobs()


def test_wcs_file_under_both_names(client: Client, image: Path) -> None:
    assert client.calibrate_file_wcs(image)["CTYPE1"].startswith("RA---TAN")
    assert Client.calibrate_wcs_file is Client.calibrate_file_wcs


def test_array_is_solved_like_the_file_it_came_from(client: Client, image: Path) -> None:
    solution = client.solve(fits.getdata(image))
    assert solution.name == "image.fits"
    assert solution.calibration.ra_deg == pytest.approx(83.8, abs=0.25)


@pytest.mark.parametrize("origin", [0, 1])
def test_sources_are_solved_whatever_they_count_from(client: Client, origin: Literal[0, 1]) -> None:
    view = sky.View(ra_deg=83.8, dec_deg=-1.0, width_deg=25.0)
    stars, magnitudes = sky.stars_in(view, [shipped_dir()])
    x, y = stars.T - 1 + origin
    solution = client.solve_sources(
        x,
        y,
        flux=-magnitudes,
        origin=origin,
        image_width_px=view.width_px,
        image_height_px=view.height_px,
        name="orion",
    )
    assert solution.name == "orion"
    centre = solution.wcs().pixel_to_world((view.width_px - 1) / 2, (view.height_px - 1) / 2)
    assert (centre.ra.deg, centre.dec.deg) == pytest.approx((83.8, -1.0), abs=0.01)


def test_tar_becomes_one_submission_with_a_job_for_each_image(
    client: Client, image: Path, tmp_path: Path
) -> None:
    tar = tmp_path / "two.tar"
    with tarfile.open(tar, "w") as archive:
        archive.add(image, "one.fits")
        archive.add(image, "two.fits")
    with pytest.raises(InputError, match="several images"):
        client.solve(tar)
    found = list(client.upload_files_gen([tar]))
    assert {name for _, name in found} == {tar}
    jobs = [job for job, _ in found if isinstance(job, Job)]
    assert sorted(job.info().original_filename for job in jobs) == ["one.fits", "two.fits"]
    assert all(job.success() for job in jobs)


def test_wrong_key_is_refused(nova: LocalServer, image: Path) -> None:
    with pytest.raises(LoginFailedException):
        Client("wrong", base_url=nova.url).solve(image)


@pytest.mark.parametrize("url", ["nova.astrometry.net", "ftp://nova.example", "http://", ""])
def test_bad_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="base_url"):
        Client("key", base_url=url)


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
def test_bad_time_out_is_refused(client: Client, image: Path, timeout_s: float) -> None:
    with pytest.raises(InputError, match="timeout_s"):
        client.solve(image, timeout_s=timeout_s)


def test_missing_file_is_refused(client: Client) -> None:
    with pytest.raises(UnreadableFileError):
        client.solve("nowhere.fits")
