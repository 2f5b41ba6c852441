import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import sky

from astrometry_client.server.engine.indexes import (
    field_widths_deg,
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
    assert field_widths_deg(files) == pytest.approx((5.7, 46.7), abs=0.1)
    assert all(index.whole_sky for index in files)


def test_no_files_serve_no_field() -> None:
    assert field_widths_deg([]) is None


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


def test_files_that_are_no_index_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "index-broken.fits").write_bytes(b"not a FITS file")
    assert index_files([tmp_path]) == []
