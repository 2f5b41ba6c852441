import json
import os
import subprocess
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
import sky
from astropy.io import fits
from processes import wait_for_descendants, wait_until_gone

from astrometry_client.server.engine import Hints, engines, field_of, shipped_dir
from astrometry_client.server.engine.header import wcs_file
from astrometry_client.server.engine.indexes import index_files
from astrometry_client.server.engine.solve_field import SolveFieldEngine
from astrometry_client.server.engine.wcs import Wcs

STAND_IN = """#!{python}
import json, shutil, sys
from pathlib import Path
here = Path(__file__).parent
Path(here / "arguments.json").write_text(json.dumps(sys.argv[1:]))
shutil.copy("engine.cfg", here)
shutil.copy("input.fits", here)
print("Field 1: solved with index index-tycho2-15.littleendian.fits.")
for name in ("solved.wcs", "solved.corr"):
    if (here / name).exists():
        shutil.copy(here / name, name)
"""
"""Takes the place of `solve-field`: notes what it was asked, and answers with files prepared beside it."""

ENDLESS = """#!/bin/sh
sleep 600 &
sleep 600
"""

WCS = Wcs(crval=np.array([10.0, 20.0]), crpix=np.array([50.5, 40.5]), cd=np.diag([-0.01, 0.01]))


def engine_of(folder: Path, program: str) -> SolveFieldEngine:
    command = folder / "solve-field"
    command.write_text(program.format(python=sys.executable))
    command.chmod(0o755)
    return SolveFieldEngine(command=str(command), index_files=index_files([shipped_dir()]))


def prepare_answer(folder: Path) -> None:
    (folder / "solved.wcs").write_bytes(wcs_file(WCS, size_px=(100, 80)))
    names = ("field_x", "field_y", "index_ra", "index_dec")
    columns = [fits.Column(name=name, format="D", array=[1.0, 2.0, 3.0]) for name in names]
    fits.BinTableHDU.from_columns(columns).writeto(folder / "solved.corr")


def sources() -> np.ndarray:
    return np.random.default_rng(3).uniform(1, 80, (30, 2))


def test_answer_becomes_a_match(tmp_path: Path) -> None:
    prepare_answer(tmp_path)
    engine = engine_of(tmp_path, STAND_IN)
    match = engine.solve(field_of(*sources().T, size_px=(100, 80)), Hints())
    assert match is not None
    assert match.wcs_file == (tmp_path / "solved.wcs").read_bytes()
    assert match.calibration["pixscale"] == pytest.approx(36.0)
    assert match.stars.shape == (3, 4)
    assert match.index_name == "index-tycho2-15"


def test_no_answer_is_no_match(tmp_path: Path) -> None:
    assert engine_of(tmp_path, STAND_IN).solve(field_of(*sources().T), Hints()) is None


def test_picture_drawn_from_the_top_keeps_its_orientation(tmp_path: Path) -> None:
    prepare_answer(tmp_path)
    picture = sky.noise(np.random.default_rng(1))
    path = tmp_path / "picture.png"
    path.write_bytes(picture.picture_bytes("PNG"))
    match = engine_of(tmp_path, STAND_IN).solve(path, Hints())
    assert match is not None
    assert match.calibration["orientation"] == pytest.approx(180.0)
    assert fits.getdata(tmp_path / "input.fits").shape == (600, 800)


def test_hints_and_index_files_are_passed_on(tmp_path: Path) -> None:
    hints = Hints(
        scale_lower_arcsec=30.0,
        scale_upper_arcsec=40.0,
        ra_deg=10.0,
        dec_deg=-20.0,
        radius_deg=5.0,
        parity=-1,
        downsample_factor=2.0,
        tweak_order=2,
        crpix_center=True,
        time_limit_s=7.0,
    )
    engine_of(tmp_path, STAND_IN).solve(field_of(*sources().T, size_px=(100, 80)), hints)
    said = " ".join(json.loads((tmp_path / "arguments.json").read_text()))
    for part in (
        "--scale-low 30.0 --scale-high 40.0 --scale-units arcsecperpix",
        "--ra=10.0 --dec=-20.0 --radius=5.71",
        "--parity pos",
        "--downsample 2",
        "--tweak-order 2",
        "--crpix-center",
        "--cpulimit 7",
        "--width 100 --height 80",
    ):
        assert part in said
    config = (tmp_path / "engine.cfg").read_text()
    assert config.count("\nindex ") == 7
    table = fits.getdata(tmp_path / "input.fits", 1)
    assert np.allclose(np.column_stack([table["X"], table["Y"]]), sources())


def test_time_limit_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astrometry_client.server.engine.solve_field.GRACE_S", 0.0)
    engine = engine_of(tmp_path, ENDLESS)
    assert engine.solve(field_of(*sources().T), attrs.evolve(Hints(), time_limit_s=0.5)) is None


def test_command_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, ENDLESS)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    program = f"""
import numpy as np
from astrometry_client.server.engine import Hints, field_of
from astrometry_client.server.engine.solve_field import SolveFieldEngine
points = np.arange(1.0, 30.0)
SolveFieldEngine(command={engine.command!r}, index_files=[]).solve(field_of(points, points), Hints())
"""
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as worker:
        started = wait_for_descendants(worker.pid, count=4)
        assert list(scratch.iterdir())
        worker.kill()
    wait_until_gone(started)
    assert not list(scratch.iterdir())


def test_installed_command_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(tmp_path, STAND_IN)
    monkeypatch.setenv("PATH", str(tmp_path))
    listed = engines()["solve-field"]
    assert isinstance(listed, SolveFieldEngine)
    assert listed.command == engine.command
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert "solve-field" not in engines()
