"""The calibration that follows from a WCS, against what the server told."""

import json

import attrs
import pytest
from astropy.wcs import WCS
from recordings import recording

from astrometry_client.models import Calibration
from astrometry_client.models.wcs_cards import calibration_from

PICTURE = recording("file_wcs_file__noreferer").body
LIST = recording("file_wcs_file__xylist_job").body


def told(name: str) -> Calibration:
    return Calibration.from_document(json.loads(recording(name).body))


def with_cards(wcs_file: bytes, **changes: float) -> bytes:
    cards = [wcs_file[start : start + 80] for start in range(0, len(wcs_file), 80)]
    kept = [card for card in cards if card[:8].decode().strip() not in changes]
    return b"".join(f"{name:<8}= {value!r:>20}".ljust(80).encode() for name, value in changes.items()) + (
        b"".join(kept)
    )


@pytest.mark.parametrize(
    ("wcs_file", "top_down", "name"),
    [
        (PICTURE, True, "job_calibration_solved_post"),
        # Of a list the server took the outermost sources for the size of the image.
        (with_cards(LIST, IMAGEW=703, IMAGEH=502), False, "job_calibration_xy"),
    ],
)
def test_calibration_is_what_the_server_told(wcs_file: bytes, top_down: bool, name: str) -> None:
    found, right = calibration_from(wcs_file, top_down=top_down), told(name)
    assert found is not None
    assert found.parity == right.parity
    # The header has nine digits of the reference point.
    assert attrs.astuple(found) == pytest.approx(attrs.astuple(right), rel=1e-7)


@pytest.mark.parametrize("missing", ["CRVAL1", "CD2_2", "IMAGEH"])
def test_file_that_lacks_a_card_has_no_calibration(missing: str) -> None:
    assert calibration_from(PICTURE.replace(missing.encode().ljust(8), b"NOTHING "), top_down=True) is None


@pytest.mark.parametrize("nonsense", [b"", b"<!DOCTYPE html>", b"\xff" * 200, b"SIMPLE  =" * 50])
def test_nonsense_has_no_calibration(nonsense: bytes) -> None:
    assert calibration_from(nonsense, top_down=False) is None


@pytest.mark.parametrize("place", [(359.9, 89.0), (0.1, -89.5), (120.0, 0.0)])
def test_centre_is_where_astropy_sees_it(place: tuple[float, float]) -> None:
    linear = {"CD1_1": -0.01, "CD1_2": 0.002, "CD2_1": 0.001, "CD2_2": 0.01, "CRPIX1": 1.0, "CRPIX2": 1.0}
    sky = WCS(naxis=2)
    sky.wcs.ctype, sky.wcs.crval, sky.wcs.crpix = ("RA---TAN", "DEC--TAN"), place, (1, 1)
    sky.wcs.cd = [[-0.01, 0.002], [0.001, 0.01]]
    found = calibration_from(with_cards(PICTURE, CRVAL1=place[0], CRVAL2=place[1], **linear), top_down=False)
    assert found is not None
    assert (found.ra_deg, found.dec_deg) == pytest.approx(sky.wcs_pix2world([[360, 254]], 1)[0])
    assert found.parity == -1
