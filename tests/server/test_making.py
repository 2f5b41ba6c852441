"""Making a file goes wrong without a trace."""

import asyncio
from pathlib import Path

import pytest

from astrometry_client.server.making import Maker, NotMade
from astrometry_client.server.settings import ServerSettings
from astrometry_client.server.tasks import MakeTask

TASK = MakeTask(product="axy_file", sha1="0", field="0", options={}, wcs=None, stars=[], annotations=[])


def failure(settings: ServerSettings, *, leftover: bool = False) -> str:
    async def make() -> str:
        maker = Maker(settings)
        async with maker.working():
            if leftover:
                (settings.made_dir / "half").write_bytes(b"half a file")
            with pytest.raises(NotMade) as caught:
                await maker.make(TASK)
            assert list(settings.made_dir.iterdir()) == []
            return str(caught.value)

    return asyncio.run(make())


def test_file_of_missing_sources_is_not_made(toy_dir: Path, tmp_path: Path) -> None:
    assert "the worker ended" in failure(ServerSettings(data_dir=tmp_path, engine="toy_engines:toy"))


def test_file_that_takes_too_long_is_not_made(toy_dir: Path, tmp_path: Path) -> None:
    settings = ServerSettings(data_dir=tmp_path, engine="toy_engines:toy", make_timeout_s=1e-9)
    assert failure(settings, leftover=True) == "stopped after 1e-09 s"


def test_without_an_engine_nothing_is_made(tmp_path: Path) -> None:
    assert "is not installed" in failure(ServerSettings(data_dir=tmp_path, engine="none"))
