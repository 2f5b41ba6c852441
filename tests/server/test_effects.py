"""Every option of an upload has its effect, is refused, or is known to have none here."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from astropy.io import fits
from PIL import Image
from sky import View, render

from astrometry_client.models import Settings
from astrometry_client.server.api import LISTED
from astrometry_client.server.engine import Engine, shipped_dir
from astrometry_client.server.engine.indexes import index_files
from astrometry_client.server.engine.sep_engine import SepEngine
from astrometry_client.server.files import FileStore
from astrometry_client.server.options import read_options, read_sources
from astrometry_client.server.settings import ServerSettings
from astrometry_client.server.solving import Solving
from astrometry_client.server.tasks import ReadTask, SolveTask

VIEW = View(ra_deg=83.0, dec_deg=5.0, width_deg=20.0, position_angle_deg=40.0)
TRUTH = VIEW.truth(top_down=False)
SCALE = {"scale_units": "degwidth", "scale_lower": 15.0, "scale_upper": 25.0}


@pytest.fixture(scope="module")
def picture() -> bytes:
    return render(VIEW, np.random.default_rng(1)).fits_bytes()


@pytest.fixture(scope="module")
def solving(tmp_path_factory: pytest.TempPathFactory) -> Solving:
    settings = ServerSettings(data_dir=tmp_path_factory.mktemp("data"), solve_timeout_s=1.0)
    engine: Engine = SepEngine(index_files=index_files([shipped_dir()]))
    return Solving(engine, FileStore(settings.files_dir), settings, {"deaf": Deaf()})


class Deaf:
    name = "deaf"

    def solve(self, *_: object) -> None:
        return None


@attrs.frozen
class Outcome:
    """What came of an upload: its sources, and its solution if there is one."""

    field: dict[str, Any]
    calibration: dict[str, float] | None = None
    header: fits.Header | None = None

    @property
    def solved(self) -> bool:
        return self.calibration is not None

    def card(self, name: str) -> Any:
        assert self.header is not None
        return self.header.get(name)


def outcome(solving: Solving, content: bytes, **document: Any) -> Outcome:
    options = read_options(document, strict_nova=False)
    sources = read_sources(document)
    if sources is not None:
        content, options = sources.encode(), {**options, LISTED: True}
    sha1 = solving.files.store(content).sha1
    options = json.loads(json.dumps(options))
    found = solving.read(ReadTask(1, sha1, "a", options))
    assert "images" in found, found
    field = found["images"][0]["field"]
    with np.load(solving.files.path(field)) as packed:
        sources_found = dict(packed)
    result = solving.solve(SolveTask(1, sha1, field, options))
    if "reason" in result:
        return Outcome(sources_found)
    header = fits.Header.fromstring(base64.b64decode(result["wcs"]).decode("ascii"))
    return Outcome(sources_found, result["calibration"], header)


def solved(found: Outcome) -> bool:
    return found.solved and abs(found.calibration["ra"] - TRUTH["ra"]) < 0.1  # type: ignore[index]


def unsolved(found: Outcome) -> bool:
    return not found.solved


def with_order(order: int) -> Callable[[Outcome], bool]:
    return lambda found: solved(found) and found.card("A_ORDER") == (order if order > 1 else None)


def centred(found: Outcome) -> bool:
    size = (found.card("IMAGEW"), found.card("IMAGEH"))
    return (found.card("CRPIX1"), found.card("CRPIX2")) == tuple((side + 1) / 2 for side in size)


AS_SEEN, MIRRORED = (0, 1) if TRUTH["parity"] < 0 else (1, 0)
POSITION = {"center_ra": TRUTH["ra"], "center_dec": TRUTH["dec"], "radius": 5.0}

EFFECTS: list[tuple[dict[str, Any], Callable[[Outcome], bool]]] = [
    ({}, solved),
    (SCALE, solved),
    ({**SCALE, "scale_lower": 30.0, "scale_upper": 60.0}, unsolved),
    ({**SCALE, "scale_lower": 22.0}, unsolved),
    ({**SCALE, "scale_upper": 17.0}, unsolved),
    ({**SCALE, "scale_units": "arcminwidth", "scale_lower": 900.0, "scale_upper": 1500.0}, solved),
    ({"scale_units": "arcsecperpix", "scale_lower": 60.0, "scale_upper": 90.0}, solved),
    ({"scale_type": "ev", "scale_units": "degwidth", "scale_est": 20.0, "scale_err": 10.0}, solved),
    ({"scale_type": "ev", "scale_units": "degwidth", "scale_est": 40.0, "scale_err": 10.0}, unsolved),
    ({"scale_type": "ev", "scale_units": "degwidth", "scale_est": 24.0, "scale_err": 30.0}, solved),
    (POSITION, solved),
    ({**POSITION, "center_ra": TRUTH["ra"] + 60.0}, unsolved),
    ({**POSITION, "center_dec": TRUTH["dec"] + 60.0}, unsolved),
    ({**POSITION, "center_dec": TRUTH["dec"] + 60.0, "radius": 70.0}, solved),
    ({**SCALE, "parity": AS_SEEN}, solved),
    ({**SCALE, "parity": MIRRORED}, unsolved),
    ({**SCALE, "parity": 2}, solved),
    ({**SCALE, "tweak_order": 0}, with_order(1)),
    ({**SCALE, "crpix_center": True}, centred),
    ({**SCALE, "engine": "sep"}, solved),
    ({**SCALE, "engine": "deaf"}, unsolved),
]


@pytest.mark.parametrize(
    ("options", "shows"), EFFECTS, ids=lambda value: str(value)[:60] if isinstance(value, dict) else None
)
def test_option_has_its_effect(
    options: dict[str, Any], shows: Callable[[Outcome], bool], solving: Solving, picture: bytes
) -> None:
    assert shows(outcome(solving, picture, **options))


def test_bent_field_gets_a_polynomial_of_the_order_allowed(solving: Solving) -> None:
    bent = render(attrs.evolve(VIEW, distortion=0.006), np.random.default_rng(1)).fits_bytes()
    assert with_order(1)(outcome(solving, bent, **SCALE, tweak_order=1))
    assert outcome(solving, bent, **SCALE, tweak_order=3).card("A_ORDER") == 3


def test_negative_is_solved_as_such(solving: Solving, picture: bytes) -> None:
    negative = io.BytesIO()
    with fits.open(io.BytesIO(picture)) as hdus:
        fits.PrimaryHDU(-hdus[0].data.astype(np.float32)).writeto(negative)
    assert not outcome(solving, negative.getvalue(), **SCALE).solved
    assert solved(outcome(solving, negative.getvalue(), **SCALE, invert=True))


def test_downsampled_image_has_other_sources_in_the_same_places(solving: Solving, picture: bytes) -> None:
    fine, coarse = (outcome(solving, picture, **SCALE, downsample_factor=factor) for factor in (1, 3))
    assert not np.array_equal(fine.field["x"][:20], coarse.field["x"][:20])
    assert solved(fine)
    assert solved(coarse)


def test_sources_may_be_further_off_where_that_is_said(solving: Solving, picture: bytes) -> None:
    field = outcome(solving, picture, **SCALE).field
    rng = np.random.default_rng(5)
    x, y = (field[axis] + rng.normal(0.0, 2.0, len(field[axis])) for axis in ("x", "y"))
    lists = {"x": x.tolist(), "y": y.tolist(), "image_width": 1000, "image_height": 750, **SCALE}
    exact, rough = (outcome(solving, b"", **lists, positional_error=error) for error in (0.1, 4.0))
    assert not exact.solved
    assert rough.solved


def test_image_of_lists_has_the_size_told(solving: Solving, picture: bytes) -> None:
    field = outcome(solving, picture, **SCALE).field
    lists = {"x": field["x"].tolist(), "y": field["y"].tolist()}
    given = outcome(solving, b"", **lists, **SCALE, image_width=1200, image_height=900)
    assert (int(given.field["width_px"]), int(given.field["height_px"])) == (1200, 900)


def test_engine_that_is_not_here_is_told(solving: Solving) -> None:
    found = solving.read(ReadTask(1, solving.files.store(b"1 1\n").sha1, "a", {"engine": "watney"}))
    assert found == {"reason": "engine watney is not installed here; choose one of: deaf, sep"}


WITHOUT_EFFECT = {
    "use_sextractor": "both engines get their sources from sep, which finds them as SExtractor does",
    "publicly_visible": "nothing is public here",
    "allow_commercial_use": "nothing is published here",
    "allow_modifications": "nothing is published here",
}
REFUSED = {"album"}
SHOWN_ABOVE = {"invert", "downsample_factor", "positional_error", "image_width", "image_height"}


def test_no_option_is_forgotten() -> None:
    known = {option.wire for option in Settings.describe()}
    shown = {name for options, _ in EFFECTS for name in options}
    assert known - shown == SHOWN_ABOVE | set(WITHOUT_EFFECT) | REFUSED


def test_picture_of_another_kind_takes_options_too(solving: Solving, tmp_path: Path) -> None:
    drawn = io.BytesIO()
    Image.fromarray(255 - render(VIEW, np.random.default_rng(1)).stretched()).save(drawn, "PNG")
    assert outcome(solving, drawn.getvalue(), **SCALE, invert=True).solved
