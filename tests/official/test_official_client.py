"""The official `client.py` itself, as a process: `OFFICIAL_CLIENT=client.py tox -e official`.

No package holds it: it is `net/client/client.py` of the sources of Astrometry.net.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image
from pytest_httpserver import HTTPServer

from astrometry_client.server.run import LocalServer

ORION = Path(__file__).parents[2] / "examples" / "orion.jpg"
SCALE = ("--scale-units", "degwidth", "--scale-lower", "20", "--scale-upper", "60")
CENTRE = pytest.approx((83.8, -1.0), abs=0.1)
DEADLINE_S = 120.0

Official = Callable[..., "subprocess.CompletedProcess[str]"]

READER = """
from astropy.table import Table

def fits_table(path):
    table = Table.read(path)
    table.x, table.y = table["x"], table["y"]
    return table
"""
"""Stands in for the one function of Astrometry.net's own library that `--upload-xy` uses."""


@pytest.fixture(scope="session")
def client_file() -> Path:
    path = Path(os.environ.get("OFFICIAL_CLIENT") or "nowhere").absolute()
    if not path.is_file():
        pytest.fail("set OFFICIAL_CLIENT to the file net/client/client.py of the sources of Astrometry.net")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the client works, with what it imports."""
    folder = tmp_path_factory.mktemp("official")
    package = folder / "astrometry" / "util"
    package.mkdir(parents=True)
    for module in (package.parent / "__init__.py", package / "__init__.py"):
        module.touch()
    (package / "fits.py").write_text(READER)
    return folder


@pytest.fixture(scope="module")
def official(client_file: Path, folder: Path) -> Iterator[Official]:
    """Run the client, with these options, on a server with its real solver."""
    with LocalServer(private_urls=True) as server:
        start = (sys.executable, client_file, "--server", f"{server.url}/api/", "--apikey", server.api_key)
        environment = {**os.environ, "PYTHONPATH": str(folder)}

        def run(*options: object) -> "subprocess.CompletedProcess[str]":
            command = [*map(str, (*start, *options))]
            place = {"cwd": folder, "env": environment, "timeout": DEADLINE_S}
            return subprocess.run(command, check=False, capture_output=True, text=True, **place)

        yield run


@pytest.fixture(scope="module")
def job_id(official: Official) -> int:
    """Return a solved job."""
    run = official("--upload", ORION, "--wait", *SCALE)
    assert run.returncode == 0, run.stderr
    return int(run.stdout.rpartition("Selecting job id ")[2].split()[0])


def answer(run: "subprocess.CompletedProcess[str]") -> Any:
    """Return what the client prints at last."""
    assert run.returncode == 0, run.stderr
    return ast.literal_eval(run.stdout.splitlines()[-1])


def centre(path: Path, *, size_px: tuple[float, float] = (1400, 1000)) -> tuple[float, float]:
    """Return the reference point of a WCS, which is the centre of the image here."""
    header = fits.getheader(path)
    assert (header["CRPIX1"], header["CRPIX2"]) == pytest.approx([(side + 1) / 2 for side in size_px])
    return header["CRVAL1"], header["CRVAL2"]


def test_upload_brings_every_result(official: Official, folder: Path) -> None:
    results = {option: folder / f"all.{option}" for option in ("wcs", "newfits", "corr", "annotate")}
    wishes = [word for option, path in results.items() for word in (f"--{option}", path.name)]
    run = official("--upload", ORION, *wishes, *SCALE)
    assert run.returncode == 0, run.stderr
    assert centre(results["wcs"]) == centre(results["newfits"]) == CENTRE
    with Image.open(ORION) as picture:
        assert fits.getdata(results["newfits"]).shape[-2:] == (picture.height, picture.width)
    assert len(Table.read(results["corr"])) > 10
    annotations = json.loads(results["annotate"].read_text())["annotations"]
    assert "Betelgeuse" in [name for found in annotations for name in found["names"]]


def test_every_option_of_an_upload_is_taken(official: Official, folder: Path) -> None:
    scale = ["--scale-units", "degwidth", "--scale-est", "28", "--scale-err", "10", "--parity", "1"]
    position = ["--ra", "83.8", "--dec", "-1", "--radius", "10", "--tweak-order", "3", "--crpix-center"]
    found = ["--downsample", "2", "--positional_error", "2", "--use-source-extractor"]
    private = ["--private", "--allow_mod_sa", "--no_commercial"]
    run = official("--upload", ORION, "--wcs", "options.fits", *scale, *position, *found, *private)
    assert run.returncode == 0, run.stderr
    assert centre(folder / "options.fits") == CENTRE


def test_url_is_uploaded(official: Official, folder: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/orion.jpg").respond_with_data(ORION.read_bytes())
    run = official("--urlupload", httpserver.url_for("/orion.jpg"), "--wcs", "url.fits", *SCALE)
    assert run.returncode == 0, run.stderr
    assert centre(folder / "url.fits") == CENTRE


def test_source_list_is_uploaded(official: Official, folder: Path, job_id: int) -> None:
    assert official("--jobid", job_id, "--corr", "pairs.fits").returncode == 0
    pairs = Table.read(folder / "pairs.fits")
    Table({"x": pairs["field_x"], "y": pairs["field_y"]}).write(folder / "list.fits")
    size = ("--image-width", 1400, "--image-height", 1000)
    run = official("--upload-xy", "list.fits", *size, "--wcs", "listed.fits", *SCALE)
    assert run.returncode == 0, run.stderr
    assert fits.getheader(folder / "listed.fits")["CTYPE1"].startswith("RA---TAN")


def test_image_without_stars_fails(official: Official, folder: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (300, 400), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    run = official("--upload", "noise.png", "--wait", *SCALE)
    assert run.returncode != 0
    assert run.stdout.endswith("Image solving failed\n")


@pytest.mark.parametrize("option", ["--jobsbytag", "--jobsbyexacttag"])
@pytest.mark.parametrize(("tag", "known"), [("Betelgeuse", True), ("M 42", True), ("Trapez", False)])
def test_jobs_are_found_by_tag(official: Official, job_id: int, option: str, tag: str, known: bool) -> None:
    found = answer(official(option, tag))["job_ids"]
    assert (job_id in found) is (known or option == "--jobsbytag")


def test_own_jobs_are_listed(official: Official, job_id: int) -> None:
    assert job_id in answer(official("--jobs"))


def test_what_became_of_an_image_is_told(official: Official, job_id: int) -> None:
    job = official("--jobstatus", job_id)
    assert job.stdout.splitlines()[-1] == "success", job.stderr
    assert "'ra': 83.8" in job.stdout
    assert answer(official("--substatus", 1)) is None  # a submission has no status, as on nova


def test_wrong_api_key_is_refused(official: Official) -> None:
    run = official("--apikey", "wrong", "--jobs")
    assert run.returncode != 0
    assert run.stderr.endswith("server error message: bad apikey\n")
