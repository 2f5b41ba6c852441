"""Match lists of sources against index files, in a process of its own.

Run as a script, never imported. A line of standard input is a request, as JSON, or `null`: a request begins a
search, `null` goes on with it. Each is answered by one line on standard output, the matches of one pass.
The package `astrometry` it stands on is licensed under the GPL; this process is the only one that loads it.
It ends with its parent (standard input closes; on Linux the kernel sees to it), and when a search has used up
its CPU time.
"""

import ctypes
import json
import math
import os
import queue
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
"""From Linux' `sys/prctl.h`: send this signal when the parent dies."""


def lines() -> "queue.SimpleQueue[bytes]":
    """Return a queue of the lines of standard input; no search is left behind when whoever asked is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    read: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def watch() -> None:
        for line in sys.stdin.buffer:
            read.put(line)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return read


def allow(cpu_s: float) -> None:
    """End this process when it has computed so much longer."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (max(1, math.ceil(time.process_time() + cpu_s)), most))


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
    """Answer as long as somebody asks."""
    asked = lines()
    passes: Iterator[list[dict[str, Any]]] = iter(())
    while True:
        request = json.loads(asked.get())
        if request is not None:
            allow(request["time_limit_s"])
            passes = search(request)
        print(json.dumps(next(passes)), flush=True)  # noqa: T201  the caller reads it


if __name__ == "__main__":
    main()
