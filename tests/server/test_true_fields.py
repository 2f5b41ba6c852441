"""Fields whose truth is known are solved through HTTP: photographs, and rendered ones."""

from pathlib import Path

import attrs
import pytest
import sky
from true_fields import PHOTOGRAPHS, RENDERED, rendered

from astrometry_client import Client
from astrometry_client.models import Calibration
from astrometry_client.server.run import LocalServer


@attrs.frozen(kw_only=True)
class Reference:
    """What another solver made of a photograph; `centre` is the largest distance, in parts of its width."""

    ra_deg: float
    dec_deg: float
    pixel_scale_arcsec: float
    orientation_deg: float
    centre: float = 0.001
    scale: float = 0.001
    angle_deg: float = 0.1


REFERENCES = {
    # solve-field 0.93 with the shipped index files, a range of scales and --crpix-center, 2026-11.
    "coma.jpg": Reference(
        ra_deg=201.0018, dec_deg=31.8665, pixel_scale_arcsec=151.0476, orientation_deg=209.2044
    ),
    "lambda_orionis.jpg": Reference(
        ra_deg=84.3115, dec_deg=9.7739, pixel_scale_arcsec=28.5250, orientation_deg=359.9317
    ),
    "barnard_loop_east.jpg": Reference(
        ra_deg=89.9028, dec_deg=-7.2701, pixel_scale_arcsec=61.1389, orientation_deg=0.3898
    ),
    # solve-field does not solve it: where Stellarium 0.22.2 shows it, from the corners in `textures.json`.
    "barnard_loop_west.jpg": Reference(
        ra_deg=81.19,
        dec_deg=-7.22,
        pixel_scale_arcsec=60.7,
        orientation_deg=359.5,
        centre=0.01,
        scale=0.01,
        angle_deg=1.0,
    ),
}


def solved(server: LocalServer, path: Path) -> Calibration:
    with Client(server.api_key, base_url=server.url) as client:
        return client.solve(path).calibration


@pytest.mark.parametrize("name", REFERENCES)
def test_photograph_is_solved_as_by_others(nova: LocalServer, name: str) -> None:
    reference, ours = REFERENCES[name], solved(nova, PHOTOGRAPHS / name)
    apart_deg = sky.angle_between_deg((ours.ra_deg, ours.dec_deg), (reference.ra_deg, reference.dec_deg))
    assert ours.width_arcsec is not None
    assert apart_deg < reference.centre * ours.width_arcsec / 3600.0
    assert ours.pixel_scale_arcsec == pytest.approx(reference.pixel_scale_arcsec, rel=reference.scale)
    turned_deg = (ours.orientation_deg - reference.orientation_deg + 180.0) % 360.0 - 180.0
    assert abs(turned_deg) < reference.angle_deg
    assert ours.parity == 1


def test_photographs_are_small_and_of_known_origin() -> None:
    told = (PHOTOGRAPHS / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in PHOTOGRAPHS.glob("*.jpg")} == set(REFERENCES)
    for name in REFERENCES:
        assert name in told or name.replace("east", "west") in told
        assert (PHOTOGRAPHS / name).stat().st_size < 200_000


@pytest.mark.soak
@pytest.mark.parametrize("number", range(RENDERED))
def test_rendered_field_is_solved(nova: LocalServer, tmp_path: Path, number: int) -> None:
    view, content = rendered(number)
    path = tmp_path / "field.fits"
    path.write_bytes(content)
    ours = solved(nova, path)
    found = {
        "ra": ours.ra_deg,
        "dec": ours.dec_deg,
        "pixscale": ours.pixel_scale_arcsec,
        "orientation": ours.orientation_deg,
        "parity": ours.parity,
    }
    assert sky.errors(found, view, top_down=False).right
