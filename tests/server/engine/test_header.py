import json
import re

import numpy as np
import pytest
from recordings import recording

from astrometry_client.server.engine.header import calibration, wcs_file
from astrometry_client.server.engine.wcs import Wcs, terms


def recorded_cards(name: str) -> list[tuple[str, str]]:
    text = recording(name).body.decode()
    lines = [text[start : start + 80] for start in range(0, len(text) // 80 * 80, 80)]
    return [(line[:8].strip(), line[10:].split("/")[0].strip()) for line in lines]


def recorded_solution(name: str) -> Wcs:
    cards = {key: float(value) for key, value in recorded_cards(name) if re.fullmatch(r"[-+.\dE]+", value)}
    return Wcs(
        crval=np.array([cards["CRVAL1"], cards["CRVAL2"]]),
        crpix=np.array([cards["CRPIX1"], cards["CRPIX2"]]),
        cd=np.array([[cards["CD1_1"], cards["CD1_2"]], [cards["CD2_1"], cards["CD2_2"]]]),
        order=2,
        sip=np.zeros((2, len(terms(2, lowest=2)))),
    )


@pytest.mark.parametrize(
    ("wcs_name", "calibration_name", "size_px", "top_down"),
    [
        ("file_wcs_file__noreferer", "job_calibration_solved_post", (719, 507), True),
        ("file_wcs_file__xylist_job", "job_calibration_xy", (703, 502), False),
    ],
)
def test_recorded_calibration_is_reproduced(
    wcs_name: str, calibration_name: str, size_px: tuple[int, int], top_down: bool
) -> None:
    recorded = json.loads(recording(calibration_name).body)
    ours = calibration(recorded_solution(wcs_name), size_px=size_px, top_down=top_down)
    assert ours.keys() == recorded.keys()
    assert ours == pytest.approx(recorded, rel=1e-9)


def test_cards_stand_in_novas_order() -> None:
    name = "file_wcs_file__noreferer"
    theirs = [key for key, _ in recorded_cards(name)]
    text = wcs_file(recorded_solution(name), size_px=(719, 507)).decode()
    ours = [text[start : start + 8].strip() for start in range(0, len(text), 80)]
    assert ours[: len(theirs)] == theirs


@pytest.mark.parametrize("angle_deg", [-170.0, -45.0, 0.0, 30.0, 135.0])
@pytest.mark.parametrize("parity", [1, -1])
def test_orientation_is_the_direction_of_growing_y_for_either_parity(angle_deg: float, parity: int) -> None:
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    wcs = Wcs(
        crval=np.array([10.0, 20.0]),
        crpix=np.array([50.5, 50.5]),
        cd=0.01 * np.array([[parity * cosine, sine], [-parity * sine, cosine]]),
    )
    found = calibration(wcs, size_px=(100, 100), top_down=False)
    assert found["orientation"] == pytest.approx(angle_deg)
    assert found["parity"] == parity
    assert (found["ra"], found["dec"]) == pytest.approx((10.0, 20.0))
    assert calibration(wcs, size_px=(100, 100), top_down=True)["orientation"] == pytest.approx(
        (180.0 - angle_deg) % 360.0
    )
