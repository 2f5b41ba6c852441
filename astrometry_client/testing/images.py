"""Files to upload in a test."""

import random

__all__ = ["fits_image"]

BLOCK_BYTES = 2880


def fits_image(name: str = "", *, width_px: int = 32, height_px: int = 24) -> bytes:
    """Return a small FITS image of noise, other noise for another name: same files are solved only once.

    Parameters
    ----------
    name
        Decides its content.
    width_px, height_px
        Its size, pixels.
    """
    cards = {"SIMPLE": "T", "BITPIX": 8, "NAXIS": 2, "NAXIS1": width_px, "NAXIS2": height_px}
    lines = [*(f"{key:<8}= {value:>20}" for key, value in cards.items()), "END"]
    head = "".join(line.ljust(80) for line in lines).ljust(BLOCK_BYTES).encode()
    pixels = random.Random(name).randbytes(width_px * height_px)  # noqa: S311
    return head + pixels.ljust(-(-len(pixels) // BLOCK_BYTES) * BLOCK_BYTES, b"\0")
