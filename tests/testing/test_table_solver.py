"""What was never solved looks as if it had been."""

import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from live_server import Api
from PIL import Image

from astrometry_client.server.engine.header import calibration, read_wcs_file
from astrometry_client.testing import NovaServer, Place, TableEngine

REFERER = {"Referer": "http://127.0.0.1/api/login"}

PLACES = [
    Place(10.0, 41.0),
    Place(359.99, -89.0, pixel_scale_arcsec=30.0, orientation_deg=77.0, parity=1),
    Place(200.0, 0.0, orientation_deg=170.0, parity=-1),
]


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (9, 9, 9)).save(file, "PNG")
    return file.getvalue()


def fits_image() -> bytes:
    file = io.BytesIO()
    fits.PrimaryHDU(np.zeros((48, 64), dtype=np.uint8)).writeto(file)
    return file.getvalue()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("content", [png(), fits_image(), b"no image at all"], ids=["png", "fits", "other"])
def test_calibration_is_that_of_the_wcs(place: Place, content: bytes) -> None:
    with NovaServer(engine=TableEngine(otherwise=lambda _: place)) as server:
        api = Api.login(server.url, server.api_key)
        job_id = api.solve(api.upload(content))
        told = api.get(f"api/jobs/{job_id}/calibration").json()
        wcs, size_px = read_wcs_file(api.get(f"wcs_file/{job_id}").content)
    worked_out = calibration(wcs, size_px=size_px, top_down=content == png())
    assert size_px == ((1000, 1000) if content.startswith(b"no") else (64, 48))
    assert {name: pytest.approx(value, abs=1e-9) for name, value in worked_out.items()} == told
    assert (told["ra"], told["dec"], told["parity"]) == (place.ra_deg, place.dec_deg, place.parity)


def test_files_agree_with_each_other(nova_server: NovaServer, api: Api, tmp_path: Path) -> None:
    job_id = api.solve(api.upload(png()))
    tables = {}
    for name in ("axy_file", "rdls_file", "corr_file", "new_fits_file"):
        reply = api.get(f"{name}/{job_id}", headers=REFERER)
        with fits.open(io.BytesIO(reply.content)) as hdus:
            tables[name] = hdus[-1].data.copy()
            header = hdus[0].header.copy()
    wcs, _ = read_wcs_file(api.get(f"wcs_file/{job_id}").content)
    pairs, sources, stars = tables["corr_file"], tables["axy_file"], tables["rdls_file"]
    assert len(pairs) == len(sources) == len(stars) == 12
    seen = wcs.to_pixels(np.column_stack([pairs["index_ra"], pairs["index_dec"]]))
    assert np.allclose(seen, np.column_stack([pairs["field_x"], pairs["field_y"]]), atol=1e-6)
    assert tables["new_fits_file"].shape == (3, 48, 64)
    assert header["CTYPE1"] == "RA---TAN"


@pytest.mark.parametrize("content", [png(), b"no image at all", png()[:20]], ids=["png", "other", "damaged"])
@pytest.mark.parametrize("name", ["annotated_display", "red_green_image_display", "extraction_image_display"])
def test_pictures_are_pictures(nova_server: NovaServer, api: Api, content: bytes, name: str) -> None:
    reply = api.get(f"{name}/{api.solve(api.upload(content))}", headers=REFERER)
    with Image.open(io.BytesIO(reply.content)) as picture:
        assert picture.width == (64 if content == png() else 640)
