"""The page for users of other clients: what it says is ours runs as it stands there."""

import re
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import attrs
import click
import numpy as np
import pytest
import sky
from astropy.io import fits

import astrometry_client
from astrometry_client import Client, Session, Settings, Submission
from astrometry_client.astroquery import AstrometryNet, conf
from astrometry_client.cli import main

PAGE = (Path(__file__).parents[1] / "docs" / "migration.md").read_text()
ROWS = [
    (theirs, ours)
    for theirs, ours in re.findall(r"^\| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
    if ours != "here"
]
OURS = sorted({code for _, ours in ROWS for code in re.findall(r"`([^`]+)`", ours)})
COMMANDS = [code for code in OURS if code.startswith("astrometry-client ")]
CALLS = [code for code in OURS if code not in COMMANDS and not code.isupper()]


@pytest.fixture(scope="module")
def image_bytes() -> bytes:
    view = sky.View(ra_deg=83.8, dec_deg=-1.0, width_deg=25.0)
    return sky.render(view, np.random.default_rng(1)).fits_bytes()


@pytest.fixture
def names(tmp_path: Path, image_bytes: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Return what the page speaks of, in a folder with the files it names, and with nothing sent."""
    monkeypatch.setenv("DRY_RUN_ENABLED", "1")
    monkeypatch.setattr(conf, "api_key", "")
    monkeypatch.setattr(AstrometryNet, "_url", None)
    (tmp_path / "key").write_text("secret")
    (tmp_path / "key").chmod(0o600)
    image = tmp_path / "m31.fits"
    image.write_bytes(image_bytes)
    fits.setval(image, "RA", value="05 35 12")
    fits.setval(image, "DEC", value="-01 00 00")
    session = Session()
    with chdir(tmp_path):
        yield {
            **{name: getattr(astrometry_client, name) for name in astrometry_client.__all__},
            "AstrometryNet": AstrometryNet,
            "attrs": attrs,
            "client": Client(),
            "images": ["m31.fits"],
            "job": Client().job(8),
            "key": "secret",
            "session": session,
            "settings": Settings(),
            "submission": Submission(7, session=session),
            "x": [1.0, 2.0],
            "y": [3.0, 4.0],
        }


def test_there_is_something_to_check() -> None:
    assert len(ROWS) > 60
    assert len(CALLS) > 50
    assert len(COMMANDS) > 8


@pytest.mark.parametrize("code", CALLS)
def test_call_runs(code: str, names: dict[str, Any]) -> None:
    exec(compile(code, "docs/migration.md", "exec"), names)


def test_generator_of_the_page_runs_to_its_end(names: dict[str, Any]) -> None:
    (code,) = (code for code in CALLS if "upload_files_gen" in code)
    assert [name for _, name in eval(code, names)] == names["images"]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_command_can_be_parsed(arguments: str) -> None:
    _, name, *rest = arguments.split()
    command = main.get_command(click.Context(main), name)
    assert isinstance(command, click.Command)
    command.make_context(name, rest)


@pytest.mark.parametrize("theirs", [theirs for theirs, _ in ROWS if "AstrometryNet." in theirs])
def test_call_of_astroquery_is_one(theirs: str) -> None:
    from astroquery.astrometry_net import AstrometryNetClass

    for name in re.findall(r"AstrometryNet\.(\w+)", theirs):
        assert hasattr(AstrometryNetClass, name)


def test_calls_that_need_no_change_are_the_same() -> None:
    section = PAGE[PAGE.index("## From astroquery") : PAGE.index("What differs")]
    rows = re.findall(r"^\| `(AstrometryNet.+)` \| `(.+)` \|$", section, re.MULTILINE)
    assert len(rows) == 7
    assert [theirs for theirs, _ in rows] == [ours for _, ours in rows]
