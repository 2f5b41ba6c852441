"""A matcher is used for one image after the other, and is replaced when its process ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sky
from processes import descendants_of, wait_for_descendants, wait_until_gone

from astrometry_client.server.engine import Engine, Field, Hints, Matcher, engines, field_of, shipped_dir


@pytest.fixture
def matcher() -> Iterator[Matcher]:
    with Matcher() as matcher:
        yield matcher


@pytest.fixture
def engine(matcher: Matcher) -> Engine:
    return engines(matcher=matcher)["sep"]


def known(*, ra_deg: float, width_deg: float) -> Field:
    """Return the sources of a field."""
    view = sky.View(ra_deg=ra_deg, dec_deg=10.0, width_deg=width_deg)
    pixels, mags = sky.stars_in(view, [shipped_dir()])
    pixels = pixels[np.argsort(mags)]
    inside = np.all((pixels >= 1.0) & (pixels <= (view.width_px, view.height_px)), axis=1)
    return field_of(*pixels[inside][:100].T, size_px=(view.width_px, view.height_px))


def unrelated() -> Field:
    """Return points that are searched for as long as is allowed."""
    rng = np.random.default_rng(1)
    return field_of(rng.uniform(1, 1000, 100), rng.uniform(1, 750, 100), size_px=(1000, 750))


def is_solved(engine: Engine, ra_deg: float = 100.0, width_deg: float = 20.0) -> bool:
    match = engine.solve(known(ra_deg=ra_deg, width_deg=width_deg), Hints())
    return match is not None and match.calibration["ra"] == pytest.approx(ra_deg, abs=0.01)


def processes() -> list[int]:
    return descendants_of(os.getpid())


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def test_one_process_matches_one_image_after_the_other(engine: Engine) -> None:
    before = processes()
    assert is_solved(engine, ra_deg=100.0, width_deg=20.0)
    started = [pid for pid in processes() if pid not in before]
    assert len(started) == 1
    assert is_solved(engine, ra_deg=200.0, width_deg=12.0)
    assert is_solved(engine, ra_deg=100.0, width_deg=30.0)
    assert [pid for pid in processes() if pid not in before] == started


def test_search_without_end_leaves_the_next_image_its_time(engine: Engine) -> None:
    assert engine.solve(unrelated(), Hints(time_limit_s=1.0)) is None
    assert is_solved(engine)


def test_each_search_has_all_of_its_time(engine: Engine) -> None:
    before, field, hints = processes(), known(ra_deg=100.0, width_deg=30.0), Hints(time_limit_s=1.0)
    engine.solve(field, hints)
    (started,) = [pid for pid in processes() if pid not in before]
    while cpu_s(started) < 2.0:
        assert engine.solve(field, hints)


def test_killed_process_is_replaced(engine: Engine) -> None:
    before = processes()
    assert is_solved(engine)
    started = [pid for pid in processes() if pid not in before]
    os.kill(started[0], signal.SIGKILL)
    wait_until_gone(started)
    assert is_solved(engine)


def test_closed_matcher_leaves_no_process_and_can_be_used_again(engine: Engine, matcher: Matcher) -> None:
    before = processes()
    assert is_solved(engine)
    matcher.close()
    assert processes() == before
    assert is_solved(engine)


KEPT = """
import sys
import numpy as np
from astrometry_client.server.engine import Hints, Matcher, engines, field_of
engine = engines(matcher=Matcher())["sep"]
rng = np.random.default_rng(1)
field = field_of(rng.uniform(1, 1000, 100), rng.uniform(1, 750, 100), size_px=(1000, 750))
try:
    engine.solve(field, Hints())
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.read()
"""
"""A program that goes on when its search is interrupted."""


def test_interrupted_search_is_ended_at_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KEPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdout
        searchers = wait_for_descendants(program.pid, count=1)
        program.send_signal(signal.SIGINT)
        assert program.stdout.readline() == b"interrupted\n"
        wait_until_gone(searchers)


def test_process_ends_with_the_one_that_keeps_it() -> None:
    with subprocess.Popen([sys.executable, "-c", KEPT]) as program:
        searchers = wait_for_descendants(program.pid, count=1)
        program.kill()
    wait_until_gone(searchers)
