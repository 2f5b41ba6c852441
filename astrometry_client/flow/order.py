"""Whether the jobs of a server come in the order in which their files were sent."""

from collections.abc import Callable
from functools import partial
from typing import Final

import attrs

from astrometry_client.flow.steps import Local, Steps

_ENOUGH: Final = 10
"""After so many jobs that were all where their file was in its tar, as many as a tar has, one name a tar is
checked, not all. (Upstream's `net/process_submissions.py` takes members in their order; read 2026-11.)"""


def _forget(_kept: bool) -> None:
    """Do nothing: what is found holds for this process only."""


@attrs.define
class Order:
    """Whether a server's jobs come in the order of the files in their tars.

    Parameters
    ----------
    kept, broken
        How many names were found where they should be, and how many were not.
    is_trusted
        Whether an order that was always kept is believed to be kept again.
    write
        Writes down what one more name was.
    """

    kept: int = 0
    broken: int = 0
    is_trusted: bool = True
    write: Callable[[bool], None] = _forget

    @property
    def is_known(self) -> bool:
        """Whether it was always kept, often enough for what is at stake."""
        return self.is_trusted and self.kept >= _ENOUGH and not self.broken

    def checked(self, kept: bool) -> Steps[None]:
        """Take note of one more name."""
        self.kept += kept
        self.broken += not kept
        yield Local(partial(self.write, kept))
