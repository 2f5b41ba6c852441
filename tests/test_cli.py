"""The command as a user runs it: in a process of its own, against a real server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import sky
from arrivals import ManualTime
from astropy.io import fits
from click.testing import CliRunner
from PIL import Image

from astrometry_client.cli import main
from astrometry_client.cli.exit_codes import EXIT_CODES
from astrometry_client.config import DEFAULTS
from astrometry_client.server.run import LocalServer
from astrometry_client.session import get_local_session
from astrometry_client.session.retrying import Retrying

VIEW = sky.View(ra_deg=83.8, dec_deg=-1.0, width_deg=25.0, position_angle_deg=30.0)
COMMAND = (sys.executable, "-m", "astrometry_client")


def run(*arguments: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def failed(result: subprocess.CompletedProcess[str], code: int) -> str:
    """Return the one line a failure tells, after checking that it is all there is."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture
def asked(nova: LocalServer) -> tuple[str, ...]:
    return "--server", nova.url


@pytest.fixture
def key(nova: LocalServer) -> dict[str, str]:
    return {"ASTROMETRY_API_KEY": nova.api_key}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "orion.png"
    path.write_bytes(sky.render(VIEW, np.random.default_rng(1)).picture_bytes("PNG"))
    return path


@pytest.fixture
def passing() -> ManualTime:
    return ManualTime()


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    path = tmp_path / "noise.png"
    pixels = np.random.default_rng(1).normal(50, 5, (200, 300)).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_solve_prints_the_calibration_and_writes_wcs_and_picture(
    image: Path, asked: tuple[str, ...], key: dict[str, str]
) -> None:
    result = run("solve", image, *asked, "--picture", folder=image.parent, **key)
    assert result.returncode == 0, result.stderr
    for word in ("Centre", "Field size", "Pixel scale", "90 arcsec/pixel", "Orientation", "Parity"):
        assert word in result.stdout
    assert result.stdout.splitlines()[-1].startswith("Solved orion.png in ")
    assert "orion.stars.png" in result.stdout
    assert fits.getheader(image.with_suffix(".wcs"))["CTYPE1"].startswith("RA---TAN")
    with Image.open(image.with_suffix(".stars.png")) as picture:
        assert min(picture.size) > 500
    assert {path.name for path in image.parent.iterdir()} == {"orion.png", "orion.wcs", "orion.stars.png"}


def test_solution_counts_without_its_picture(
    image: Path, asked: tuple[str, ...], key: dict[str, str]
) -> None:
    pixels, magnitudes = sky.stars_in(VIEW, [sky.shipped_dir()])
    brightest = pixels[np.argsort(magnitudes)][:200]
    listed = image.with_name("list.txt")
    np.savetxt(listed, brightest[(brightest > 1).all(axis=1)])
    result = run("solve", listed, *asked, "--picture", folder=image.parent, **key)
    assert "cannot be drawn" in result.stderr
    assert "Solved list.txt" in result.stdout
    assert result.returncode == 0
    assert listed.with_suffix(".wcs").exists()


def test_json_is_one_document_with_units_in_its_keys(
    image: Path, asked: tuple[str, ...], key: dict[str, str]
) -> None:
    result = run("solve", image, *asked, "--json", folder=image.parent, **key)
    document = json.loads(result.stdout)
    assert document["calibration"]["ra_deg"] == pytest.approx(83.8, abs=0.25)
    assert document["calibration"]["pixel_scale_arcsec"] == pytest.approx(90.0, rel=1e-3)
    assert Path(document["wcs"]).exists()


def test_progress_is_plain_lines_away_from_a_terminal(
    image: Path, asked: tuple[str, ...], key: dict[str, str]
) -> None:
    result = run("solve", image, *asked, folder=image.parent, **key)
    assert "orion.png: uploading" in result.stderr
    assert "\x1b" not in result.stderr


def test_results_that_exist_are_kept_unless_told_otherwise(
    image: Path, asked: tuple[str, ...], key: dict[str, str]
) -> None:
    mine = image.with_suffix(".wcs")
    mine.write_text("mine")
    assert "--overwrite" in failed(run("solve", image, *asked, folder=image.parent, **key), 2)
    assert mine.read_text() == "mine"
    assert run("solve", image, *asked, "--overwrite", folder=image.parent, **key).returncode == 0
    assert mine.read_text() != "mine"


@pytest.mark.parametrize("others", [(), ("other.png",)])
def test_unreachable_server(
    image: Path, monkeypatch: pytest.MonkeyPatch, passing: ManualTime, others: tuple[str, ...]
) -> None:
    monkeypatch.chdir(image.parent)
    monkeypatch.setenv("ASTROMETRY_API_KEY", "anything")
    timed = partial(Retrying, sleep=passing.sleep, clock=passing.clock)
    # The session of this thread, and those that the threads of a batch make.
    monkeypatch.setattr(get_local_session(), "retrying", timed())
    monkeypatch.setattr("astrometry_client.session.client_session.Retrying", timed)
    for other in others:
        shutil.copy(image, other)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        result = CliRunner().invoke(main, ["solve", image.name, *others, "--server", url])
    assert result.exit_code == 3, result.output
    assert "cannot be reached" in result.stderr.splitlines()[-1]
    assert len(passing.slept) >= DEFAULTS.max_retries
    assert not image.with_suffix(".wcs").exists()


def test_wrong_key(image: Path, asked: tuple[str, ...]) -> None:
    line = failed(run("solve", image, *asked, folder=image.parent, ASTROMETRY_API_KEY="wrongsecret"), 4)
    assert "API key" in line
    assert "wrongsecret" not in line


def test_missing_key_names_the_places(image: Path, asked: tuple[str, ...]) -> None:
    assert "ASTROMETRY_API_KEY" in failed(run("solve", image, *asked, folder=image.parent), 4)


@pytest.mark.parametrize("name", ["nowhere.fits", "/dev/null", "n" * 300])
def test_missing_file(tmp_path: Path, asked: tuple[str, ...], key: dict[str, str], name: str) -> None:
    assert name in failed(run("solve", name, *asked, folder=tmp_path, **key), 5)


def test_not_an_image(tmp_path: Path, asked: tuple[str, ...], key: dict[str, str]) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "not an image" in failed(run("solve", "notes.txt", *asked, folder=tmp_path, **key), 5)


def test_not_an_image_is_told_before_the_server_is_started(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    result = run("solve", "notes.txt", "--local", folder=tmp_path)
    assert "not an image" in failed(result, 5)
    assert "Starting" not in result.stderr


def test_damaged_image_is_rejected_with_the_servers_words(
    tmp_path: Path, asked: tuple[str, ...], key: dict[str, str]
) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    assert "rejected" in failed(run("solve", "cut.jpg", *asked, folder=tmp_path, **key), 6)


def test_image_without_a_solution(noise: Path, asked: tuple[str, ...], key: dict[str, str]) -> None:
    assert "without a solution" in failed(run("solve", noise, *asked, folder=noise.parent, **key), 7)
    assert [path.name for path in noise.parent.iterdir()] == ["noise.png"]


def test_wrong_option_is_named(image: Path, asked: tuple[str, ...], key: dict[str, str]) -> None:
    result = run("solve", image, *asked, "--center-ra-deg", "400", folder=image.parent, **key)
    assert "center_ra_deg=400" in failed(result, 2)


def test_folder_that_does_not_exist_is_found_before_the_upload(
    image: Path, asked: tuple[str, ...], key: dict[str, str]
) -> None:
    result = run("solve", image, *asked, "--wcs", "nowhere/a.wcs", folder=image.parent, **key)
    assert "nowhere" in failed(result, 2)
    assert "uploading" not in result.stderr


def test_ctrl_c_ends_in_one_line_and_leaves_nothing(image: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [*COMMAND, "solve", str(image), "--server", f"http://127.0.0.1:{silent.getsockname()[1]}"]
        environment = {**os.environ, "ASTROMETRY_API_KEY": "anything"}
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        # The login has arrived, so the command now waits for the answer.
        with silent.accept()[0] as connection:
            connection.recv(1)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told.strip().splitlines()[-1] == "astrometry-client: Interrupted."
    assert [path.name for path in image.parent.iterdir()] == ["orion.png"]


def test_ctrl_c_ends_in_one_line_before_the_command_is_there(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    result = run("status", folder=tmp_path, PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    assert (result.returncode, result.stderr) == (130, "astrometry-client: Interrupted.\n")


def test_dry_run_ends_without_a_server_or_a_key(image: Path) -> None:
    result = run("solve", image, folder=image.parent, DRY_RUN_ENABLED="1")
    assert result.returncode == 0, result.stderr
    assert "RA" in result.stdout
    assert result.stdout.splitlines()[-1] == "Dry run: nothing was sent, nothing was written."
    assert [path.name for path in image.parent.iterdir()] == ["orion.png"]


def test_every_exit_code_stands_in_the_help_and_in_the_readme(tmp_path: Path) -> None:
    shown = run("--help", folder=tmp_path).stdout
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    for _, code, meaning in EXIT_CODES:
        assert meaning in shown
        assert f"| {code} | {meaning} |" in readme


def test_demo_leaves_image_wcs_and_picture(tmp_path: Path) -> None:
    result = run("demo", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].startswith("Solved orion.jpg in ")
    left = {path.name for path in (tmp_path / "astrometry-demo").iterdir()}
    assert left == {"orion.jpg", "orion.wcs", "orion.stars.png"}
    assert run("demo", folder=tmp_path).returncode == 0


@pytest.mark.parametrize("name", ["orion.jpg", "orion.wcs", "orion.stars.png"])
def test_demo_replaces_nothing_of_the_user(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    result = run("demo", "--folder", ".", folder=tmp_path)
    assert result.returncode == 2
    assert f"{name} exists" in result.stderr
    assert (tmp_path / name).read_bytes() == b"mine"


def test_cache_tells_its_size_and_place_and_forgets(tmp_path: Path) -> None:
    place = {"ASTROMETRY_CACHE_DIR": str(tmp_path / "mine")}
    assert run("cache", "path", folder=tmp_path, **place).stdout.startswith(str(tmp_path / "mine"))
    assert json.loads(run("cache", "info", "--json", folder=tmp_path, **place).stdout)["replies"] == 0
    assert run("cache", "clear", folder=tmp_path, **place).stdout.startswith("0 replies forgotten")
