"""One image by the command, again and again."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner, Result
from PIL import Image
from small_nova import SmallNova, ra_of

from astrometry_client.cli import main

Solve = Callable[..., Result]


@pytest.fixture
def image(folder: Path) -> Path:
    return picture(folder / "a.png", 50)


@pytest.fixture
def solve(server: SmallNova, image: Path) -> Solve:
    """Return the command, with a server and a ledger."""

    def run(*arguments: str | Path, code: int = 0, given: bytes = b"") -> Result:
        told = ["--server", server.url, "--ledger", "ledger"]
        result = CliRunner().invoke(main, ["solve", *map(str, [*arguments, *told])], input=given)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return run


def picture(path: Path, grey: int) -> Path:
    Image.fromarray(np.full((40, 60), grey, np.uint8)).save(path)
    return path


def ra_in(path: Path) -> float:
    return float(fits.getheader(path)["CRVAL1"])


def test_same_command_again_asks_nothing_and_says_so(solve: Solve, server: SmallNova, image: Path) -> None:
    solve("a.png", "--picture")
    asked = len(server.arrivals)
    wcs, drawn = image.with_suffix(".wcs"), image.with_suffix(".stars.png")
    before = [path.stat().st_mtime_ns for path in (wcs, drawn)]
    result = solve("a.png", "--picture")
    assert "was solved before" in result.stdout
    assert (result.stderr, len(server.arrivals)) == ("", asked)
    assert [path.stat().st_mtime_ns for path in (wcs, drawn)] == before
    assert json.loads(solve("a.png", "--json").stdout)["known"] is True
    wcs.unlink()
    solve("a.png")
    assert (ra_in(wcs), len(server.arrivals)) == (ra_of(image.read_bytes()), asked)


def test_result_of_ours_is_replaced_when_the_image_is_another_or_solved_again(
    solve: Solve, server: SmallNova, image: Path
) -> None:
    solve("a.png", "--picture")
    drawn = image.with_suffix(".stars.png").read_bytes()
    picture(image, 90)
    assert "Solved a.png in " in solve("a.png", "--picture").stdout
    assert ra_in(image.with_suffix(".wcs")) == ra_of(image.read_bytes())
    assert image.with_suffix(".stars.png").read_bytes() != drawn
    assert "Solved a.png in " in solve("a.png", "--picture", "--force").stdout
    assert len(server.uploads) == 3


def test_standard_input_is_solved_and_known_again(solve: Solve, server: SmallNova, image: Path) -> None:
    content = image.read_bytes()
    for told in ("Solved - in ", "- was solved before"):
        assert told in solve("-", "--wcs", "a.wcs", given=content).stdout
    assert ra_in(image.with_suffix(".wcs")) == ra_of(content)
    assert len(server.uploads) == 1


@pytest.mark.parametrize("taken", ["a.wcs", "a.stars.png"])
def test_foreign_file_is_told_before_anything_is_sent(
    solve: Solve, server: SmallNova, image: Path, taken: str
) -> None:
    image.with_name(taken).write_text("mine")
    assert f"{taken} exists and is not known to be ours" in solve("a.png", "--picture", code=2).stderr
    assert image.with_name(taken).read_text() == "mine"
    assert server.arrivals == []


def test_foreign_file_is_told_also_if_the_image_is_known(
    solve: Solve, server: SmallNova, image: Path
) -> None:
    solve("a.png")
    image.with_suffix(".wcs").write_text("mine")
    asked = len(server.arrivals)
    assert "not known to be ours" in solve("a.png", code=2).stderr
    solve("a.png", "--wcs", "other.fits")
    assert ra_in(image.with_name("other.fits")) == ra_of(image.read_bytes())
    assert (image.with_suffix(".wcs").read_text(), len(server.arrivals)) == ("mine", asked)
