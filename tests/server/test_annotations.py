import json
from typing import Any

import numpy as np
import pytest
from recordings import recording

from astrometry_client.server.annotations import _deep_sky, annotations
from astrometry_client.server.engine.header import wcs_file
from astrometry_client.server.engine.wcs import Wcs

SIZE = (719, 507)
RECORDED = Wcs(
    crval=np.array([174.248585941, 54.5114405362]),
    crpix=np.array([304.634857178, 102.77587827]),
    cd=np.array([[0.0315458940887, 0.0346331555746], [-0.0349129323864, 0.0314853156602]]),
)
"""The solution behind the recorded annotations, without its distortion of up to 20 pixels."""


def recorded() -> list[dict]:
    """Return the annotations in the first 2 kB of the recorded reply."""
    whole = recording("job_annotations_solved").body.decode().rpartition(', {"type"')[0]
    return json.loads(whole + "]}")["annotations"]


def test_stars_are_where_and_what_nova_says() -> None:
    ours = {note["names"][0]: note for note in annotations(wcs_file(RECORDED, size_px=SIZE), *SIZE)}
    common = [(ours[note["names"][0]], note) for note in recorded() if note["names"][0] in ours]
    assert len(common) >= 8
    for mine, theirs in common:
        assert mine.keys() == theirs.keys()
        assert mine["type"] == theirs["type"] == "bright"
        for axis in ("pixelx", "pixely"):
            assert mine[axis] == pytest.approx(theirs[axis], abs=20.0)
        assert mine["vmag"] == pytest.approx(theirs["vmag"], abs=0.15)
        assert mine["names"][1:] == [] or mine["names"][1] in theirs["names"][1].split(" / ")


def test_brightest_star_comes_first() -> None:
    found = annotations(wcs_file(RECORDED, size_px=SIZE), *SIZE)
    magnitudes = [note["vmag"] for note in found if note["type"] == "bright"]
    assert [note["type"] for note in found[: len(magnitudes)]] == ["bright"] * len(magnitudes)
    assert magnitudes == sorted(magnitudes)
    assert 10 < len(magnitudes) < 100


def test_only_stars_in_the_image_are_listed() -> None:
    for note in annotations(wcs_file(RECORDED, size_px=SIZE), *SIZE):
        assert 0.5 <= note["pixelx"] <= SIZE[0] + 0.5
        assert 0.5 <= note["pixely"] <= SIZE[1] + 0.5


def test_annotations_are_plain_json() -> None:
    json.dumps(annotations(wcs_file(RECORDED, size_px=SIZE), *SIZE))


def in_field(ra_deg: float, dec_deg: float, *, width_deg: float) -> dict[str, dict[str, Any]]:
    """Return what is listed of a square field of 1000 pixels but stars, each by its first name."""
    scale = width_deg / 1000.0
    field = Wcs(
        crval=np.array([ra_deg, dec_deg]),
        crpix=np.array([500.5, 500.5]),
        cd=np.array([[-scale, 0.0], [0.0, scale]]),
    )
    found = annotations(wcs_file(field, size_px=(1000, 1000)), 1000, 1000)
    return {note["names"][0]: note for note in found if note["type"] != "bright"}


@pytest.mark.parametrize(
    ("name", "ra_deg", "dec_deg", "kind", "more", "diameter_arcmin"),
    [
        ("NGC 224", 10.68, 41.27, "ngc", ["M 31", "Andromeda Galaxy"], 178.0),
        ("NGC 1976", 83.82, -5.39, "ngc", ["M 42", "Great Orion Nebula", "Orion Nebula"], 90.0),
        ("NGC 6720", 283.40, 33.03, "ngc", ["M 57", "Ring Nebula"], 1.4),
        ("IC 434", 85.25, -2.45, "ic", [], 90.0),
        ("M 45", 56.87, 24.11, "messier", ["Pleiades"], 150.0),
    ],
)
def test_object_is_listed_where_it_is(
    name: str, ra_deg: float, dec_deg: float, kind: str, more: list[str], diameter_arcmin: float
) -> None:
    note = in_field(ra_deg, dec_deg, width_deg=2.0)[name]
    assert note["type"] == kind
    assert set(more) <= set(note["names"][1:])
    assert (note["pixelx"], note["pixely"]) == pytest.approx((500.5, 500.5), abs=10.0)
    assert 2.0 * note["radius"] * 0.12 == pytest.approx(diameter_arcmin, rel=0.2)


def test_all_of_messiers_objects_are_known_once() -> None:
    _, notes = _deep_sky(True)
    numbers = [int(name[2:]) for note in notes for name in note["names"] if name.startswith("M ")]
    # His 102nd is most likely the 101st, seen again.
    assert sorted(numbers) == [number for number in range(1, 111) if number != 102]


@pytest.mark.parametrize(("width_deg", "most"), [(45.0, 30), (20.0, 20), (12.0, 100), (2.0, 100)])
def test_crowded_field_is_not_cluttered(width_deg: float, most: int) -> None:
    """In the Virgo cluster."""
    found = in_field(187.7, 12.4, width_deg=width_deg)
    assert 5 <= len(found) <= most
    assert "NGC 4486" in found


def test_prominent_objects_come_first() -> None:
    names = list(in_field(187.7, 12.4, width_deg=12.0))
    assert names.index("NGC 4486") < 20 < len(names)


def test_nothing_but_stars_where_there_is_nothing() -> None:
    assert in_field(0.0, 89.0, width_deg=0.2) == {}
