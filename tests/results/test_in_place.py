"""Solutions in the header of the image itself: all of the old one goes, nothing else is touched."""

import gzip
import hashlib
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrometry_client.errors import InputError
from astrometry_client.results import check_place, write_in_place

SIZE = (40, 30)


def wcs_file(**more: Any) -> bytes:
    header = fits.PrimaryHDU().header
    header.update(WCSAXES=2, CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", CRVAL1=10.0, CRVAL2=20.0)
    header.update(CRPIX1=20.5, CRPIX2=15.5, CD1_1=-0.01, CD1_2=0.001, CD2_1=0.001, CD2_2=0.01)
    header.update(A_ORDER=2, A_2_0=1e-6, B_ORDER=2, B_0_2=1e-6, EQUINOX=2000.0, **more)
    header.update(IMAGEW=SIZE[0], IMAGEH=SIZE[1])
    header["HISTORY"] = "made by a solver"
    return bytes(header.tostring().encode())


def image(path: Path, *, axes: int = 2, extension: bool = False, **cards: Any) -> Path:
    data = np.arange(SIZE[0] * SIZE[1] * 3 ** (axes - 2), dtype=np.uint16).reshape(
        [3] * (axes - 2) + [SIZE[1], SIZE[0]]
    )
    header = fits.Header({"OBJECT": "M 31", "EXPTIME": 30.0})
    header.update(cards)
    first = [fits.PrimaryHDU(), fits.ImageHDU(data, header)] if extension else [fits.PrimaryHDU(data, header)]
    fits.HDUList([*first, fits.ImageHDU(np.ones((5, 5)), name="FLAT")]).writeto(path)
    return path


def put(path: Path, solution: bytes | None = None) -> bool:
    return write_in_place(path, solution or wcs_file(), before=lambda old, new: None)


def cards(header: fits.Header) -> list[str]:
    return [str(card) for card in header.cards]


@pytest.mark.parametrize("extension", [False, True])
def test_solution_stands_in_the_header_and_all_else_stays(tmp_path: Path, extension: bool) -> None:
    path = image(tmp_path / "a.fits", extension=extension)
    with fits.open(path) as hdus:
        before = [cards(hdu.header) for hdu in hdus]
        data = [hdu.data.copy() for hdu in hdus if hdu.data is not None]
    assert put(path)
    with fits.open(path, checksum=True) as hdus:
        placed = WCS(hdus[int(extension)].header)
        assert placed.wcs.crval.tolist() == [10.0, 20.0]
        assert placed.sip.a[2, 0] == 1e-6
        for number, hdu in enumerate(hdus):
            left = [card for card in cards(hdu.header) if card in before[number]]
            assert left == before[number]
            assert (len(hdu.header) == len(before[number])) == (number != int(extension))
        found = [hdu.data for hdu in hdus if hdu.data is not None]
        assert all(np.array_equal(*pair) for pair in zip(data, found, strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["a.fits"]


OLD = {
    "CDELT1": 1.0, "CDELT2": 1.0, "CROTA1": 3.0, "CROTA2": 3.0, "PC1_1": 1.0, "PC2_2": 1.0, "PC001002": 0.5,
    "CD1_1": 5.0, "CD2_2": 5.0, "CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "CRVAL1": 1.0, "CRVAL2": 2.0,
    "PV1_1": 1.0, "PV2_10": 0.1, "A_ORDER": 3, "A_3_0": 1e-3, "AP_ORDER": 3, "AP_0_1": 1e-3, "BP_ORDER": 3,
    "WAT1_001": "wtype=tnx", "WCSDIM": 2, "LONPOLE": 170.0, "LATPOLE": 3.0, "RADECSYS": "FK4",
    "EPOCH": 1950.0,     "CPDIS1": "LOOKUP", "CUNIT1": "deg", "CRDER1": 1.0,
}  # fmt: skip


def test_nothing_of_an_old_solution_is_left(tmp_path: Path) -> None:
    path = image(tmp_path / "a.fits", CTYPE1A="LINEAR", CRVAL1A=3.0, **OLD)
    clean = image(tmp_path / "b.fits", CTYPE1A="LINEAR", CRVAL1A=3.0)
    for each in (path, clean):
        assert put(each)
    assert sorted(cards(fits.getheader(path))) == sorted(cards(fits.getheader(clean)))
    assert fits.getheader(path)["CTYPE1A"] == "LINEAR"


def test_second_time_changes_nothing(tmp_path: Path) -> None:
    path = image(tmp_path / "a.fits", CD1_1=3.0)
    assert put(path)
    before = (path.read_bytes(), path.stat().st_ino)
    assert not put(path)
    assert (path.read_bytes(), path.stat().st_ino) == before
    assert put(path, wcs_file(LATPOLE=5.0))


def test_colour_image_has_a_solution_of_its_plane(tmp_path: Path) -> None:
    path = image(tmp_path / "a.fits", axes=3)
    assert put(path)
    placed = WCS(fits.getheader(path), naxis=2)
    assert placed.pixel_to_world_values(19.5, 14.5)[0] == pytest.approx(10.0)


def test_checksum_of_the_data_stays_true(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.ones((SIZE[1], SIZE[0]))).writeto(path, checksum=True)
    assert put(path)
    with warnings.catch_warnings(action="error"), fits.open(path, checksum=True) as hdus:
        assert "DATASUM" in hdus[0].header


def test_mode_and_link_stay(tmp_path: Path) -> None:
    path = image(tmp_path / "a.fits")
    path.chmod(0o640)
    (tmp_path / "link.fits").symlink_to(path)
    assert put(tmp_path / "link.fits")
    assert (tmp_path / "link.fits").is_symlink()
    assert "CRVAL1" in fits.getheader(path)
    assert path.stat().st_mode & 0o777 == 0o640


def test_both_contents_are_told_before_the_new_one_is_there(tmp_path: Path) -> None:
    path = image(tmp_path / "a.fits")
    old = path.read_bytes()
    told: list[str] = []

    def before(*digests: str) -> None:
        assert path.read_bytes() == old
        told.extend(digests)

    assert write_in_place(path, wcs_file(), before=before)
    assert told == [hashlib.sha256(content).hexdigest() for content in (old, path.read_bytes())]


def test_refusal_at_the_last_moment_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = image(tmp_path / "a.fits")
    old = path.read_bytes()

    def before(*_: str) -> None:
        raise InputError("no")

    with pytest.raises(InputError):
        write_in_place(path, wcs_file(), before=before)
    assert path.read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["a.fits"]


def compressed(path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(np.zeros((30, 40), np.int16))]).writeto(path)


def zipped(path: Path) -> None:
    path.write_bytes(gzip.compress(image(path.with_name("b")).read_bytes()))


BAD = {
    "empty.fits": lambda path: path.write_bytes(b""),
    "text.fits": lambda path: path.write_text("hello"),
    "cut.fits": lambda path: path.write_bytes(image(path.with_name("b")).read_bytes()[:1000]),
    "zipped.fits": zipped,
    "packed.fits.fz": compressed,
    "table.fits": lambda path: fits.PrimaryHDU().writeto(path),
    "nothing.fits": lambda path: None,
}


@pytest.mark.parametrize("name", BAD)
def test_file_that_cannot_take_a_solution_is_told_and_left(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    BAD[name](path)
    old = path.read_bytes() if path.exists() else None
    with pytest.raises(InputError, match=name):
        check_place(path)
    with pytest.raises(InputError, match=name):
        put(path)
    assert (path.read_bytes() if path.exists() else None) == old


def test_solution_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((5, 5))).writeto(path)
    check_place(path)
    with pytest.raises(InputError, match="5 x 5"):
        put(path)


KILLED = """
import os, signal, sys, time
from pathlib import Path
from astropy.io import fits
from astrometry_client.results import write_in_place
path, solution = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
seen = set()
for kill in range(200):
    child = os.fork()
    if not child:
        while True:
            write_in_place(path, solution, before=lambda old, new: None)
            now, then = (b" 10.0", b" 11.0") if b" 10.0" in solution else (b" 11.0", b" 10.0")
            solution = solution.replace(now, then)
    time.sleep(0.003 * kill)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with fits.open(path) as hdus:
        print(hdus[0].header.get("CRVAL1"), hdus[0].data[-1, -1], hdus["FLAT"].data.sum())
        seen.add(hdus[0].header.get("CRVAL1"))
    if kill >= 19 and seen >= {10.0, 11.0}:
        break
"""


def test_killed_at_any_moment_the_file_is_whole(tmp_path: Path) -> None:
    path = image(tmp_path / "a.fits")
    (tmp_path / "wcs").write_bytes(wcs_file())
    command = [sys.executable, "-c", KILLED, path, tmp_path / "wcs"]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    assert len(told) >= 20
    assert {line.split()[0] for line in told} >= {"10.0", "11.0"}
    assert {tuple(line.split()[1:]) for line in told} == {(str(SIZE[0] * SIZE[1] - 1), "25.0")}
