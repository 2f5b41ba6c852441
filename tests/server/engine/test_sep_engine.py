import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import sky
from processes import descendants_of, wait_for_descendants, wait_until_gone

from astrometry_client.server.engine import Engine, Field, Hints, ImageError, engines, field_of, shipped_dir
from astrometry_client.server.engine.indexes import index_files
from astrometry_client.server.engine.sep_engine import SepEngine
from astrometry_client.server.hints import make_hints

EXAMPLES = Path(__file__).parents[3] / "examples"

HARD = """
import sys
import numpy as np
from astrometry_client.server.engine import Hints, engines, field_of
rng = np.random.default_rng(1)
field = field_of(rng.uniform(1, 1000, 100), rng.uniform(1, 750, 100), size_px=(1000, 750))
engines()["sep"].solve(field, Hints())
"""
"""A program that searches unrelated points for as long as it may."""


@pytest.fixture
def engine() -> Engine:
    return SepEngine(index_files=index_files([shipped_dir()]))


def random_fields() -> Iterator[tuple[sky.View, sky.Picture, bool]]:
    """Yield 20 fields of 40° to 6°, turned any way, of either parity, half of them JPEG, some distorted."""
    rng = np.random.default_rng(20)
    for number, width_deg in enumerate(np.geomspace(40.0, 6.0, 20)):
        distortion = 0.006 if number % 4 == 3 else 0.0
        view = sky.random_view(rng, width_deg=float(width_deg), distortion=distortion)
        yield view, sky.render(view, rng), number % 2 == 0


def test_random_fields_solve_and_none_wrongly(engine: Engine, tmp_path: Path) -> None:
    path, solved = tmp_path / "field", 0
    for view, picture, as_jpeg in random_fields():
        path.write_bytes(picture.picture_bytes("JPEG", quality=85) if as_jpeg else picture.fits_bytes())
        match = engine.solve(path, Hints())
        if match is None:
            continue
        solved += 1
        errors = sky.errors(match.calibration, view, top_down=as_jpeg)
        assert errors.right, (view, errors)
        assert len(match.wcs_file) % 2880 == 0
    assert solved >= 19


def test_shipped_image_solves_to_its_truth(engine: Engine) -> None:
    truth = json.loads((EXAMPLES / "orion.truth.json").read_text(encoding="utf-8"))["calibration"]
    match = engine.solve(EXAMPLES / "orion.jpg", Hints())
    assert match is not None
    found = match.calibration
    apart_deg = sky.angle_between_deg((found["ra"], found["dec"]), (truth["ra"], truth["dec"]))
    assert apart_deg < 0.01 * truth["width_arcsec"] / 3600.0
    assert found["pixscale"] == pytest.approx(truth["pixscale"], rel=0.001)
    assert found["orientation"] == pytest.approx(truth["orientation"], abs=0.1)
    assert found["parity"] == truth["parity"]


def test_list_of_sources_solves_like_the_image(engine: Engine, tmp_path: Path) -> None:
    view = sky.View(ra_deg=200.0, dec_deg=-60.0, width_deg=25.0)
    pixels, mags = sky.stars_in(view, [shipped_dir()])
    pixels = pixels[np.argsort(mags)][:80]
    path = tmp_path / "list.txt"
    path.write_text("".join(f"{x:.2f} {y:.2f}\n" for x, y in pixels if x > 0 and y > 0))
    match = engine.solve(path, Hints())
    assert match is not None
    assert match.calibration["pixscale"] == pytest.approx(view.pixscale_arcsec, rel=1e-4)


@pytest.fixture(scope="module")
def view() -> sky.View:
    return sky.View(ra_deg=310.0, dec_deg=35.0, width_deg=18.0, position_angle_deg=-50.0, parity=1)


@pytest.fixture(scope="module")
def picture(view: sky.View, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "field.fits"
    path.write_bytes(sky.render(view, np.random.default_rng(8)).fits_bytes())
    return path


@pytest.mark.parametrize(
    "hints",
    [
        Hints(scale_lower_arcsec=60.0, scale_upper_arcsec=70.0),
        Hints(scale_lower_arcsec=60.0),
        Hints(scale_upper_arcsec=70.0),
        Hints(ra_deg=305.0, dec_deg=33.0, radius_deg=10.0),
        Hints(ra_deg=-50.0, dec_deg=35.0, radius_deg=1.0),
        Hints(ra_deg=310.0, dec_deg=35.0, radius_deg=0.1, scale_lower_arcsec=60.0, scale_upper_arcsec=70.0),
        Hints(parity=1),
        Hints(downsample_factor=2.0),
        Hints(tweak_order=0),
        Hints(positional_error_px=3.0),
    ],
    ids=lambda hints: ",".join(f.name for f in attrs.fields(Hints) if getattr(hints, f.name) != f.default),
)
def test_true_hints_lead_to_the_solution(engine: Engine, picture: Path, view: sky.View, hints: Hints) -> None:
    match = engine.solve(picture, hints)
    assert match is not None
    assert sky.errors(match.calibration, view, top_down=False).right


@pytest.mark.parametrize(
    "hints",
    [
        Hints(scale_lower_arcsec=100.0, scale_upper_arcsec=200.0),
        Hints(scale_lower_arcsec=5000.0),
        Hints(scale_upper_arcsec=0.5),
        Hints(ra_deg=100.0, dec_deg=-33.0, radius_deg=10.0),
        Hints(ra_deg=307.0, dec_deg=35.0, radius_deg=1.0),
        Hints(parity=-1),
    ],
    ids=["scale", "impossibly wide", "impossibly narrow", "position", "position just outside", "parity"],
)
def test_false_hints_lead_to_no_solution(engine: Engine, picture: Path, hints: Hints) -> None:
    assert engine.solve(picture, attrs.evolve(hints, time_limit_s=1.0)) is None


def test_match_tells_its_stars_and_their_index(engine: Engine, picture: Path, view: sky.View) -> None:
    match = engine.solve(picture, Hints())
    assert match is not None
    assert match.index_name.startswith("index-tycho2-1")
    assert len(match.stars) > 50
    assert np.abs(view.to_pixels(match.stars[:, 2:]) - match.stars[:, :2]).max() < 3.0


@pytest.mark.parametrize("blank", [True, False], ids=["blank", "noise"])
def test_empty_sky_has_no_solution(engine: Engine, tmp_path: Path, blank: bool) -> None:
    picture = sky.noise(np.random.default_rng(9))
    path = tmp_path / "empty.fits"
    path.write_bytes(attrs.evolve(picture, pixels=picture.pixels * (not blank)).fits_bytes())
    assert engine.solve(path, Hints(time_limit_s=1.0)) is None


@pytest.mark.parametrize("count", [3, 15, 40, 300])
def test_unrelated_points_have_no_solution_and_end_in_time(engine: Engine, count: int) -> None:
    rng = np.random.default_rng(count)
    field = field_of(rng.uniform(1, 1000, count), rng.uniform(1, 750, count), size_px=(1000, 750))
    assert engine.solve(field, Hints(time_limit_s=1.0)) is None


def test_file_that_is_no_image_is_an_error(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "letter.jpg"
    path.write_text("Dear friend,")
    with pytest.raises(ImageError, match=r"letter\.jpg"):
        engine.solve(path, Hints())


def test_without_index_files_nothing_is_searched(picture: Path) -> None:
    assert SepEngine(index_files=[]).solve(picture, Hints()) is None


def test_engine_is_listed() -> None:
    assert engines()["sep"].name == "sep"


def test_solver_library_stays_out_of_this_process(engine: Engine, picture: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from astrometry_client.server.engine import *; "
        f"assert engines()['sep'].solve(Path({str(picture)!r}), Hints()); "
        "print([name for name in sys.modules if name.startswith('astrometry') and 'client' not in name])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_search_ends_with_the_process_that_asked_for_it() -> None:
    with subprocess.Popen([sys.executable, "-c", HARD]) as worker:
        searchers = wait_for_descendants(worker.pid, count=1)
        worker.kill()
    wait_until_gone(searchers)


def test_interrupted_search_leaves_no_process() -> None:
    with subprocess.Popen([sys.executable, "-c", HARD], stderr=subprocess.DEVNULL) as worker:
        searchers = wait_for_descendants(worker.pid, count=1)
        worker.send_signal(signal.SIGINT)
    wait_until_gone(searchers)


def test_solving_leaves_no_process(engine: Engine, picture: Path) -> None:
    before = descendants_of(os.getpid())
    engine.solve(picture, Hints())
    assert descendants_of(os.getpid()) == before


@pytest.fixture(scope="module")
def known() -> Field:
    """Return the sources of a field of 20° round (100°, 10°), seen from the ground, 72 arcsec a pixel."""
    view = sky.View(ra_deg=100.0, dec_deg=10.0, width_deg=20.0)
    pixels, mags = sky.stars_in(view, [shipped_dir()])
    pixels = pixels[np.argsort(mags)]
    inside = np.all((pixels >= 1.0) & (pixels <= (view.width_px, view.height_px)), axis=1)
    return field_of(*pixels[inside][:100].T, size_px=(view.width_px, view.height_px))


@pytest.mark.soak
@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ({"scale_units": "degwidth", "scale_lower": 18.0, "scale_upper": 22.0}, True),
        ({"scale_units": "degwidth", "scale_lower": 5.0, "scale_upper": 10.0}, False),
        ({"scale_units": "arcminwidth", "scale_lower": 1080.0, "scale_upper": 1320.0}, True),
        ({"scale_units": "arcminwidth", "scale_lower": 1800.0, "scale_upper": 2000.0}, False),
        ({"scale_units": "arcsecperpix", "scale_lower": 70.0, "scale_upper": 75.0}, True),
        ({"scale_units": "arcsecperpix", "scale_lower": 80.0, "scale_upper": 90.0}, False),
        ({"scale_units": "focalmm", "scale_lower": 95.0, "scale_upper": 110.0}, True),
        ({"scale_units": "focalmm", "scale_lower": 40.0, "scale_upper": 60.0}, False),
        (
            {"scale_type": "ev", "scale_units": "arcsecperpix", "scale_est": 70.0, "scale_err": 10.0},
            True,
        ),
        (
            {"scale_type": "ev", "scale_units": "arcsecperpix", "scale_est": 40.0, "scale_err": 10.0},
            False,
        ),
        ({"center_ra": 101.0, "center_dec": 9.0, "radius": 3.0}, True),
        ({"center_ra": 460.0, "center_dec": 10.0, "radius": 1.0}, True),
        ({"center_ra": 280.0, "center_dec": -10.0, "radius": 20.0}, False),
        ({"parity": 0}, True),
        ({"parity": 1}, False),
        ({"parity": 2}, True),
        ({"positional_error": 3.0}, True),
        ({"downsample_factor": 2.0}, True),
        ({"tweak_order": 0}, True),
    ],
    ids=str,
)
def test_hints_are_kept_to(engine: Engine, known: Field, options: dict[str, Any], *, fits: bool) -> None:
    hints = make_hints(options, width_px=known.width_px)
    match = engine.solve(known, attrs.evolve(hints, time_limit_s=30.0 if fits else 1.0))
    assert (match is not None) == fits
    if match is not None:
        assert match.calibration["pixscale"] == pytest.approx(72.0, rel=0.001)
        assert (b"A_ORDER" in match.wcs_file) <= (options.get("tweak_order") != 0)
