import json

import numpy as np
import pytest
from recordings import recording

from astrometry_client.server.annotations import annotations
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
    magnitudes = [note["vmag"] for note in annotations(wcs_file(RECORDED, size_px=SIZE), *SIZE)]
    assert magnitudes == sorted(magnitudes)
    assert 10 < len(magnitudes) < 100


def test_only_stars_in_the_image_are_listed() -> None:
    for note in annotations(wcs_file(RECORDED, size_px=SIZE), *SIZE):
        assert 0.5 <= note["pixelx"] <= SIZE[0] + 0.5
        assert 0.5 <= note["pixely"] <= SIZE[1] + 0.5


def test_annotations_are_plain_json() -> None:
    json.dumps(annotations(wcs_file(RECORDED, size_px=SIZE), *SIZE))
