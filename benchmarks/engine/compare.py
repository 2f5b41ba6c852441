"""Compare the engines on rendered fields whose truth is known: how many solve, how well, for how much CPU.

    python benchmarks/engine/compare.py --index-dir /usr/share/astrometry --widths 45 30 15 8 4 2 --fields 20

Without `--index-dir` the shipped index files are used, which serve fields of about 6° to 45°.
"""

import argparse
import resource
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import sky

from astrometry_client.server.engine import Engine, Hints, Match, engines


@attrs.frozen(kw_only=True)
class Trial:
    """What one engine made of one field; errors are parts of the limits that make a solution right."""

    solved: bool
    right: bool
    cpu_s: float
    scale_error: float


def main() -> None:
    """Print one line per engine and field width."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--index-dir", type=Path, action="append", default=[])
    parser.add_argument("--widths", type=float, nargs="+", default=[45.0, 30.0, 15.0, 8.0, 6.0])
    parser.add_argument("--fields", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--distortion", type=float, default=0.0)
    parser.add_argument("--clean", action="store_true", help="no cosmic rays, no hot pixels")
    parser.add_argument("--time-limit-s", type=float, default=30.0)
    parser.add_argument("--engine", nargs="+", default=["sep", "solve-field"])
    given = parser.parse_args()
    found = engines(given.index_dir)
    print("engine       width  solved  right  CPU median  CPU max  scale error median")
    for width_deg in given.widths:
        for name in given.engine:
            print(_line(name, width_deg, list(_trials(found[name], given, width_deg))), flush=True)


def _trials(engine: Engine, given: argparse.Namespace, width_deg: float) -> Iterator[Trial]:
    """Yield one trial per field; every engine sees the same fields."""
    rng = np.random.default_rng([given.seed, round(1000 * width_deg)])
    for _ in range(given.fields):
        view = sky.random_view(rng, width_deg=width_deg, distortion=given.distortion)
        camera = sky.Camera(cosmic_rays=0, hot_pixels=0) if given.clean else sky.Camera()
        picture = sky.render(view, rng, camera=camera, folders=given.index_dir)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "field.fits"
            path.write_bytes(picture.fits_bytes())
            before = _cpu_s()
            # The reference pixel at the centre, so that scale and orientation are those of the centre.
            match = engine.solve(path, Hints(crpix_center=True, time_limit_s=given.time_limit_s))
            yield _judge(match, view, cpu_s=_cpu_s() - before)


def _judge(match: Match | None, view: sky.View, *, cpu_s: float) -> Trial:
    """Judge as the tests do."""
    if match is None:
        return Trial(solved=False, right=False, cpu_s=cpu_s, scale_error=float("nan"))
    errors = sky.errors(match.calibration, view, top_down=False)
    return Trial(solved=True, right=errors.right, cpu_s=cpu_s, scale_error=errors.scale)


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _line(name: str, width_deg: float, trials: list[Trial]) -> str:
    solved, right = sum(t.solved for t in trials), sum(t.right for t in trials)
    cpu_s = [t.cpu_s for t in trials]
    scale = statistics.median([100 * t.scale_error for t in trials if t.solved] or [float("nan")])
    return (
        f"{name:11}  {width_deg:4.0f}°  {solved:2}/{len(trials)}   {right:2}/{len(trials)}"
        f"  {statistics.median(cpu_s):8.2f} s  {max(cpu_s):5.1f} s  {scale:.4f} %"
    )


if __name__ == "__main__":
    main()
