"""Make `orion.jpg` and `orion.truth.json`: Orion as a camera on a tripod sees it, from real catalogue stars.

    python examples/make_orion.py

Positions and magnitudes are those of Tycho-2 and of the bright stars in `astrometry_client/server/data`;
the sky, the noise, the shape of the stars, cosmic rays and hot pixels are drawn by `tests/sky.py`.
"""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

import sky  # noqa: E402  the folder of the tests is not a package

# North is up and east to the left when row 0 is drawn on top, turned by 15 degrees.
VIEW = sky.View(
    ra_deg=83.8,
    dec_deg=-1.0,
    width_deg=28.0,
    width_px=1400,
    height_px=1000,
    position_angle_deg=165.0,
    parity=1,
)


def main() -> None:
    """Write the picture and, beside it, the calibration a solver should find."""
    picture = sky.render(VIEW, np.random.default_rng(1603), camera=sky.Camera(faintest_mag=8.3))
    (HERE / "orion.jpg").write_bytes(picture.picture_bytes("JPEG", quality=88))
    truth = {"image": "orion.jpg", "calibration": VIEW.truth(top_down=True)}
    (HERE / "orion.truth.json").write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
