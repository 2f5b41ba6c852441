"""The result files of a job say what its solution says."""

import io
import sqlite3
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import requests
from astropy.io import fits
from astropy.wcs import WCS
from live_server import DEADLINE_S, Api
from PIL import Image
from sky import View, render
from toy_engines import SOLVED, UNSOLVED

from astrometry_client.server.database import SCHEMAS, Database
from astrometry_client.server.run import LocalServer
from astrometry_client.testing import NovaServer

VIEW = View(ra_deg=83.0, dec_deg=5.0, width_deg=25.0, position_angle_deg=40.0)


@attrs.frozen
class Solve:
    """A solved picture of Orion, and access to its files."""

    api: Api
    job_id: int
    uploaded: bytes

    def file(self, name: str) -> bytes:
        url = f"{self.api.url}/{name}/{self.job_id}"
        reply = requests.get(url, headers={"Referer": f"{self.api.url}/api/login"}, timeout=DEADLINE_S)
        reply.raise_for_status()
        return reply.content

    def table(self, name: str) -> fits.BinTableHDU:
        with fits.open(io.BytesIO(self.file(name))) as hdus:
            hdus.verify("exception")
            return hdus[1].copy()

    def wcs(self) -> WCS:
        header = fits.Header.fromstring(self.file("wcs_file").decode())
        del header["NAXIS"]  # 0: astropy would warn that two axes are placed on the sky
        return WCS(header)


def solve(nova: LocalServer, uploaded: bytes, name: str) -> Solve:
    api = Api.login(nova.url, nova.api_key)
    scale = {"scale_units": "degwidth", "scale_lower": 20, "scale_upper": 30}
    return Solve(api, api.solve(api.upload(uploaded, name, **scale)), uploaded)


@pytest.fixture(scope="module")
def orion(nova: LocalServer) -> Solve:
    picture = render(VIEW, np.random.default_rng(1))
    return solve(nova, picture.picture_bytes("PNG"), "orion.png")


def test_sources_are_listed_with_their_brightness(orion: Solve) -> None:
    table = orion.table("axy_file")
    assert table.columns.names == ["X", "Y", "FLUX", "BACKGROUND"]
    assert (table.header["IMAGEW"], table.header["IMAGEH"]) == (VIEW.width_px, VIEW.height_px)
    assert table.data["FLUX"][0] == table.data["FLUX"].max()
    assert 0 < table.data["BACKGROUND"].min() <= table.data["BACKGROUND"].max() < 255


def test_positions_of_the_sources_follow_from_the_solution(orion: Solve) -> None:
    sources, positions = orion.table("axy_file").data, orion.table("image_rd_file").data
    expected = orion.wcs().all_pix2world(sources["X"], sources["Y"], 1)
    np.testing.assert_allclose([positions["RA"], positions["DEC"]], expected, atol=1e-4)


def test_matches_join_sources_and_stars(orion: Solve) -> None:
    pairs, sources, stars = (orion.table(name).data for name in ("corr_file", "axy_file", "rdls_file"))
    assert len(pairs) == len(stars) >= 8
    assert np.hypot(pairs["field_x"] - pairs["index_x"], pairs["field_y"] - pairs["index_y"]).max() < 3.0
    np.testing.assert_allclose(pairs["field_x"], sources["X"][pairs["field_id"]], atol=1e-3)
    np.testing.assert_allclose(pairs["FLUX"], sources["FLUX"][pairs["field_id"]])
    np.testing.assert_array_equal(pairs["index_ra"], stars["RA"][pairs["index_id"]])
    expected = orion.wcs().all_world2pix(pairs["index_ra"], pairs["index_dec"], 1)
    np.testing.assert_allclose([pairs["index_x"], pairs["index_y"]], expected, atol=0.1)


def same_solution(ours: WCS, theirs: WCS) -> None:
    corners = [[1, 1], [VIEW.width_px, 1], [1, VIEW.height_px]]
    np.testing.assert_allclose(ours.all_pix2world(corners, 1), theirs.all_pix2world(corners, 1), atol=1e-9)


def test_picture_comes_back_with_its_solution(orion: Solve) -> None:
    with fits.open(io.BytesIO(orion.file("new_fits_file"))) as hdus:
        hdus.verify("exception")
        np.testing.assert_array_equal(hdus[0].data, np.asarray(Image.open(io.BytesIO(orion.uploaded))))
        same_solution(WCS(hdus[0].header), orion.wcs())


def test_colours_come_back_as_planes(orion: Solve, nova: LocalServer) -> None:
    coloured = io.BytesIO()
    Image.open(io.BytesIO(orion.uploaded)).convert("RGB").save(coloured, "PNG")
    solved = solve(nova, coloured.getvalue(), "orion.png")
    with fits.open(io.BytesIO(solved.file("new_fits_file"))) as hdus:
        assert hdus[0].data.shape == (3, VIEW.height_px, VIEW.width_px)
        same_solution(WCS(hdus[0].header, naxis=2), solved.wcs())


def test_old_solution_of_a_fits_file_is_replaced(nova: LocalServer) -> None:
    pixels = render(VIEW, np.random.default_rng(2)).pixels.astype(np.int32)
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CDELT1=1.0, CROTA2=5.0, PC1_2=0.3, OBSERVER="me")
    written = io.BytesIO()
    hdu.writeto(written)
    solved = solve(nova, written.getvalue(), "orion.fits")
    with fits.open(io.BytesIO(solved.file("new_fits_file"))) as hdus:
        header = hdus[0].header
        np.testing.assert_array_equal(hdus[0].data, pixels)
        same_solution(WCS(header), solved.wcs())
    assert header["OBSERVER"] == "me"
    assert not {"CDELT1", "CROTA2", "PC1_2"} & set(header)


def test_list_of_sources_comes_back_as_one(api: Api) -> None:
    job_id = api.solve(api.upload_sources(SOLVED, image_width=100, image_height=50))
    content = Solve(api, job_id, b"").file("new_fits_file")
    with fits.open(io.BytesIO(content)) as hdus:
        assert len(hdus[1].data) == SOLVED
        assert hdus[0].header["CRVAL1"] == 10.0


def test_image_without_a_match_has_its_sources_only(api: Api) -> None:
    submission_id = api.upload_sources(UNSOLVED)
    assert api.ended(submission_id) == ["failure"]
    unsolved = Solve(api, api.submission(submission_id)["jobs"][0], b"")
    assert len(unsolved.table("axy_file").data) == UNSOLVED
    assert api.get(f"new_fits_file/{unsolved.job_id}").status_code == 500
    assert b"failure (no match was found)" in unsolved.file("joblog")


@pytest.mark.parametrize("size", ["display", "full"])
@pytest.mark.parametrize(
    ("name", "kind"), [("annotated", "JPEG"), ("red_green_image", "PNG"), ("extraction_image", "PNG")]
)
def test_solved_image_is_shown(orion: Solve, name: str, kind: str, size: str) -> None:
    with Image.open(io.BytesIO(orion.file(f"{name}_{size}"))) as picture:
        assert picture.format == kind
        assert picture.size == ((640, 480) if size == "display" else (VIEW.width_px, VIEW.height_px))


def test_job_is_found_by_what_its_annotations_name(orion: Solve) -> None:
    names = {name for note in annotations(orion) for name in note["names"]}
    assert (
        names == set(told(orion, "tags")["tags"]) == set(told(orion, "objects_in_field")["objects_in_field"])
    )
    assert "Betelgeuse" in names
    for query in ("betelgeuse", "BETELGEUSE&exact=yes", "betel"):
        assert orion.job_id in orion.api.get(f"api/jobs_by_tag?query={query}").json()["job_ids"]
    assert orion.job_id not in orion.api.get("api/jobs_by_tag?query=betel&exact=yes").json()["job_ids"]


def test_annotations_can_be_limited_to_the_brightest_stars(orion: Solve) -> None:
    stars = [note for note in annotations(orion) if note["type"] == "bright"]
    objects = [note for note in annotations(orion) if note["type"] != "bright"]
    assert any("M 42" in note["names"] for note in objects)
    assert told(orion, "annotations/?nbright=3")["annotations"] == stars[:3] + objects


def told(orion: Solve, path: str) -> dict[str, Any]:
    return dict(orion.api.get(f"api/jobs/{orion.job_id}/{path}").json())


def annotations(orion: Solve) -> list[dict[str, Any]]:
    return list(told(orion, "annotations")["annotations"])


def test_images_of_a_submission_are_listed(api: Api) -> None:
    submission_id = api.upload_sources(SOLVED)
    images = api.read(submission_id)["images"]
    reply = api.call("submission_images", {"session": api.session_key, "subid": submission_id})
    assert reply.json() == {"status": "success", "image_ids": images}


@pytest.mark.parametrize("strict_nova", [False, True])
def test_files_for_readers_need_a_referer_if_strict(strict_nova: bool) -> None:
    with NovaServer(strict_nova=strict_nova) as server:
        api = Api.login(server.url, server.api_key)
        reply = api.get(f"new_fits_file/{api.solve(api.upload(b'x'))}")
    assert reply.status_code == 200
    assert ("/ask_human?" in reply.url) is strict_nova
    assert reply.content.startswith(b"SIMPLE") is not strict_nova


def test_odd_address_is_sent_back_safely(nova_server: NovaServer) -> None:
    url = f"{nova_server.url}/corr_file/1%0d%0aX-Injected:%20%C3%A9"
    reply = requests.get(url, allow_redirects=False, timeout=DEADLINE_S)
    assert (reply.status_code, "X-Injected" in reply.headers) == (302, False)
    assert reply.headers["Location"] == "/ask_human?next=/corr_file/1%0D%0AX-Injected%3A%20%C3%A9"


def test_nothing_made_stays_behind(orion: Solve, nova: LocalServer) -> None:
    orion.file("corr_file")
    assert list((nova.data_dir / "made").iterdir()) == []


def test_calibration_of_an_older_server_has_no_stars(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "db")
    connection.executescript(f"{SCHEMAS[0]} PRAGMA user_version = 1; PRAGMA foreign_keys = OFF;")
    connection.execute("INSERT INTO calibrations VALUES (1, 1, '{}', '[]', '')")
    connection.commit()
    connection.close()
    database = Database(tmp_path / "db")
    row = database.row("SELECT stars FROM calibrations")
    database.close()
    assert row is not None
    assert row["stars"] == "[]"
