"""Match lists of sources against index files, in a process of its own.

Run as a script, never imported: one JSON request on standard input, one JSON line for each pass on standard
output.
The package `astrometry` it stands on is licensed under the GPL; this process is the only one that loads it.
It ends with its parent (standard input closes; on Linux the kernel sees to it) and after its CPU time.
"""

import ctypes
import json
import math
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
"""From Linux' `sys/prctl.h`: send this signal when the parent dies."""


def end_with_parent() -> None:
    """Leave no search behind when whoever asked for it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def search(request: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Yield the matches of each pass, most certain first: log-odds, index file and the plain TAN header."""
    import astrometry

    def enough(logodds: list[float]) -> astrometry.Action:
        certain = max(logodds, default=-math.inf) > request["certain_logodds"]
        return astrometry.Action.STOP if certain else astrometry.Action.CONTINUE

    scale, position = request["scale_arcsec"], request["position"]
    with astrometry.Solver([Path(path) for path in request["index_files"]]) as solver:
        for tolerance, depths in request["passes"]:
            parameters = astrometry.SolutionParameters(
                sip_order=0,
                tune_up_logodds_threshold=None,
                positional_noise_pixels=request["positional_error_px"],
                code_tolerance_l2_distance=tolerance,
                parity=astrometry.Parity(request["parity"]),
                output_logodds_threshold=request["least_logodds"],
                slices_generator=partial(slices, depths),
                logodds_callback=enough,
            )
            solution = solver.solve(
                stars=request["stars"],
                size_hint=astrometry.SizeHint(*scale),
                position_hint=astrometry.PositionHint(*position) if position else None,
                solution_parameters=parameters,
            )
            yield [
                {
                    "logodds": match.logodds,
                    "index": str(match.index_path),
                    "wcs": {key: value for key, (value, _) in match.wcs_fields.items()},
                }
                for match in solution.matches
            ]


def slices(depths: list[int], count: int) -> list[tuple[int, int]]:
    """Return the ranges of sources that are added in turn, of so many in all."""
    ends = sorted({min(depth, count) for depth in depths})
    return list(zip([0, *ends], ends, strict=False))


def main() -> None:
    """Answer one request."""
    request = json.loads(sys.stdin.buffer.readline())
    limit = max(1, math.ceil(request["time_limit_s"]))
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    end_with_parent()
    for matches in search(request):
        print(json.dumps(matches), flush=True)  # noqa: T201  the caller reads it
    os._exit(0)


if __name__ == "__main__":
    main()
