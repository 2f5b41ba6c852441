"""A server for the command, and the folder in which it runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_nova import SmallNova


@pytest.fixture
def server() -> Iterator[SmallNova]:
    with SmallNova() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which the command runs."""
    path = tmp_path / "night"
    path.mkdir()
    monkeypatch.chdir(path)
    monkeypatch.setenv("ASTROMETRY_API_KEY", "key")
    return path
