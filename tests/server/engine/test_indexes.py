import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import sky
from astropy.io import fits

from astrometry_client.server.engine.coverage import covered
from astrometry_client.server.engine.indexes import (
    find_index_files,
    index_dirs,
    index_files,
    shipped_dir,
    stars_near,
    stars_of,
    to_degrees,
    to_vectors,
)


def test_shipped_files_serve_fields_of_6_to_45_degrees() -> None:
    files = index_files([shipped_dir()])
    assert [index.name for index in files] == [f"index-tycho2-{n}" for n in range(19, 12, -1)]
    assert covered(files) == [pytest.approx((5.7, 50.0), abs=0.1)]
    assert all(index.whole_sky for index in files)


def test_shipped_data_stay_small() -> None:
    assert sum(path.stat().st_size for path in shipped_dir().iterdir()) < 5_000_000


def test_every_data_file_has_its_licence_beside_it() -> None:
    assert "BSD-2-Clause" in (shipped_dir() / "LICENSE-index-tycho2.txt").read_text(encoding="utf-8")
    assert "Olaf Frohn" in (shipped_dir() / "LICENSE-bright-stars.txt").read_text(encoding="utf-8")
    assert "Mattia Verga" in (shipped_dir() / "LICENSE-deep-sky.txt").read_text(encoding="utf-8")


def test_stars_of_an_index_file_are_those_of_the_sky() -> None:
    vectors, magnitudes = stars_of(shipped_dir() / "index-tycho2-13.littleendian.fits")
    assert len(vectors) == 48000
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-8)
    bright, bright_mags = sky.bright_stars()
    cosines = to_vectors(bright) @ vectors.T
    nearest = cosines.argmax(axis=1)
    found = cosines.max(axis=1) > np.cos(np.radians(5.0 / 3600.0))
    assert found.mean() > 0.6
    assert abs(np.median(magnitudes[nearest][found] - bright_mags[found])) < 0.15


def test_positions_survive_the_way_through_vectors() -> None:
    degrees = np.array([[0.0, 0.0], [359.9, -89.0], [123.4, 45.6]])
    assert np.allclose(to_degrees(to_vectors(degrees)), degrees)


def test_stars_in_several_files_count_once() -> None:
    centre = to_vectors(np.array([[83.8, -1.0]]))[0]
    degrees, magnitudes = stars_near(
        [i.path for i in index_files([shipped_dir()])], centre=centre, radius_deg=10.0
    )
    vectors = to_vectors(degrees)
    assert len(degrees) == len(magnitudes) > 200
    twins = (vectors @ vectors.T > np.cos(np.radians(1.0 / 3600.0))).sum() - len(degrees)
    assert twins < 0.01 * len(degrees)


def test_named_folders_and_the_environment_come_before_the_shipped_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, listed = tmp_path / "named", tmp_path / "listed"
    named.mkdir()
    listed.mkdir()
    monkeypatch.setenv("ASTROMETRY_INDEX_DIR", os.pathsep.join([str(listed), str(tmp_path / "missing")]))
    folders = index_dirs([named])
    assert folders[:2] == [named, listed]
    assert folders[-1] == shipped_dir()
    copy = shutil.copy(shipped_dir() / "index-tycho2-19.littleendian.fits", listed)
    assert Path(copy) in [index.path for index in index_files(folders)]


def damages(folder: Path) -> dict[str, bytes]:
    """Return what may lie in a folder under the name of an index file."""
    whole = (shipped_dir() / "index-tycho2-19.littleendian.fits").read_bytes()
    image = folder.parent / "image.fits"
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(image)
    return {
        "empty": b"",
        "letter": b"Dear friend,",
        "header": whole[:2880],
        "half": whole[: len(whole) // 2],
        "cut": whole[:-2880],
        "zeros": bytes(10_000),
        "noise": bytes(range(256)) * 100,
        "image": image.read_bytes(),
        "bent": whole[:3000] + b"#" * 20_000 + whole[23_000:],
    }


def test_damaged_files_are_told_and_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "indexes"
    folder.mkdir()
    for name, content in damages(folder).items():
        (folder / f"index-{name}.fits").write_bytes(content)
    (folder / "index-folder.fits").mkdir()
    (folder / "index-nowhere.fits").symlink_to(folder / "missing")
    shutil.copy(shipped_dir() / "index-tycho2-19.littleendian.fits", folder)
    found, damaged = find_index_files([folder])
    assert [index.name for index in found] == ["index-tycho2-19"]
    assert {path.name for path in damaged} == {p.name for p in folder.iterdir()} - {found[0].path.name}
    assert all(reason and "\n" not in reason for reason in damaged.values())


def test_mended_file_is_found_by_the_same_process(tmp_path: Path) -> None:
    path = tmp_path / "index-tycho2-19.fits"
    path.write_bytes(b"")
    assert index_files([tmp_path]) == []
    shutil.copy(shipped_dir() / "index-tycho2-19.littleendian.fits", path)
    assert [index.path for index in index_files([tmp_path])] == [path]


def test_part_of_the_sky_is_known_as_such(tmp_path: Path) -> None:
    path = Path(shutil.copy(shipped_dir() / "index-tycho2-19.littleendian.fits", tmp_path))
    with fits.open(path, mode="update") as hdus:
        hdus[0].header.update(HEALPIX=7, HPNSIDE=2)
    (index,) = index_files([tmp_path])
    assert (index.healpix, index.healpix_sides, index.whole_sky) == (7, 2, False)
