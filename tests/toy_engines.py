"""Engines for tests: what happens is decided by the number of sources of the field."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from astropy.io import fits

from astrometry_client.server.engine import Field, Hints, Match

SOLVED, UNSOLVED, ENDLESS, DEADLY, DEADLY_ONCE, GREEDY, BROKEN = 10, 1, 2, 3, 4, 5, 6

CALIBRATION = {
    "ra": 10.0,
    "dec": 20.0,
    "width_arcsec": 3600.0,
    "height_arcsec": 1800.0,
    "radius": 0.55,
    "pixscale": 36.0,
    "orientation": 12.0,
    "parity": 1.0,
}


def toy_dir() -> Path:
    return Path(os.environ["TOY_DIR"])


def note(name: str) -> None:
    with (toy_dir() / name).open("a") as file:
        file.write(f"{os.getpid()}\n")


def wcs_file() -> bytes:
    header = fits.PrimaryHDU().header
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=10.0, CRVAL2=20.0, CRPIX1=50.0, CRPIX2=25.0)
    header.update(CD1_1=-0.01, CD1_2=0.0, CD2_1=0.0, CD2_2=0.01, IMAGEW=100, IMAGEH=50)
    return bytes(header.tostring().encode())


class Toy:
    name = "toy"

    def solve(self, field: Field, hints: Hints) -> Match | None:
        match len(field.x):
            case 1:
                return None
            case 2:
                helper = subprocess.Popen(["sleep", "1000"])
                note("solving")
                (toy_dir() / "helper").write_text(str(helper.pid))
                time.sleep(1000)
            case 3:
                note("deadly")
                os.kill(os.getpid(), signal.SIGKILL)
            case 4 if not (toy_dir() / "deadly_once").exists():
                note("deadly_once")
                os.kill(os.getpid(), signal.SIGKILL)
            case 5:
                np.empty(1 << 30)  # 8 GiB of addresses
            case 6:
                raise ValueError("the toy is broken")
        return Match(
            wcs_file=wcs_file(),
            calibration={**CALIBRATION, "pixscale": hints.scale_lower_arcsec or 36.0},
            stars=np.zeros((0, 4)),
            index_name="toy",
        )


def toy(index_dirs: Iterable[Path]) -> Toy:
    return Toy()


class Slow(Toy):
    """Takes a moment, and notes which image it has solved."""

    def solve(self, field: Field, hints: Hints) -> Match | None:
        time.sleep(0.03)
        note(f"solved {field.x.max():.0f}")
        return super().solve(field, hints)


def slow(index_dirs: Iterable[Path]) -> Toy:
    return Slow()


def broken(index_dirs: Iterable[Path]) -> Toy:
    raise RuntimeError("this engine has no fuel")
