"""Lines for the user that are no result."""

import sys


def tell(line: str) -> None:
    """Print a line, above the display if one is shown: that takes the place of `sys.stderr`."""
    sys.stderr.write(f"{line}\n")
