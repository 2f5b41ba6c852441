"""The photographs and rendered fields that are solved through HTTP."""

from pathlib import Path

import numpy as np
import sky

PHOTOGRAPHS = Path(__file__).with_name("photographs")

RENDERED = 20


def rendered(number: int) -> tuple[sky.View, bytes]:
    """Return one of the rendered fields, 45° to 6° wide: its truth, and the file."""
    rng = np.random.default_rng([20, number])
    view = sky.random_view(rng, width_deg=float(rng.choice([45.0, 30.0, 20.0, 12.0, 8.0, 6.0])))
    return view, sky.render(view, rng).fits_bytes()
