"""`astrometry-client index` tells what there is, what it serves, and what to install."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from astrometry_client.cli import main
from astrometry_client.server.engine.indexes import shipped_dir

FILE = "index-tycho2-19.littleendian.fits"


@pytest.fixture(autouse=True)
def no_other_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ASTROMETRY_INDEX_DIR", raising=False)
    monkeypatch.setattr("astrometry_client.server.engine.indexes.SYSTEM_DIR", tmp_path / "system")


def told(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["index", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_shipped_files_are_listed_with_their_fields() -> None:
    lines = told().splitlines()
    (widest,) = (line for line in lines if line.startswith(FILE))
    assert "47° to 50°" in widest
    assert "whole sky" in widest
    assert "1,080 stars" in widest
    assert "Tycho-2" in widest
    assert "Fields served: 5.7° to 50°" in lines
    assert "apt install astrometry-data-tycho2-10-19" in lines[-1]


def test_machines_read_one_document(tmp_path: Path) -> None:
    (tmp_path / "index-bad.fits").write_text("no")
    document = json.loads(told("--json", "--index-dir", str(tmp_path)))
    assert len(document["files"]) == 7
    assert document["files"][0]["path"] == str(shipped_dir() / FILE)
    assert document["files"][0]["size_bytes"] == (shipped_dir() / FILE).stat().st_size
    assert document["searched"] == [str(tmp_path), str(shipped_dir())]
    assert list(document["damaged"]) == [str(tmp_path / "index-bad.fits")]
    assert document["covered_deg"][0] == pytest.approx([5.7, 50.0], abs=0.1)
    assert document["missing"][0]["field_widths_deg"][0] == 0.0


def test_damaged_file_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes((shipped_dir() / FILE).read_bytes()[:50_000])
    assert f"Fetch it anew, or remove it: {tmp_path / FILE}" in told("--index-dir", str(tmp_path))


def test_environment_names_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(shipped_dir() / FILE, tmp_path / "index-mine.fits")
    monkeypatch.setenv("ASTROMETRY_INDEX_DIR", str(tmp_path))
    assert "index-mine.fits" in told()


def test_missing_folder_is_wrong_use(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["index", "--index-dir", str(tmp_path / "nowhere")])
    assert result.exit_code == 2
    assert "does not exist" in result.output
