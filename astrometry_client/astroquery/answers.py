"""What a solve ends with, as astroquery returns and prints it."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from astrometry_client.astroquery.exceptions import refused, too_late
from astrometry_client.driver import Progress
from astrometry_client.errors import (
    APIKeyError,
    ServerRefused,
    SolveTimeout,
    StatusFailedException,
    SubmissionFailed,
)
from astrometry_client.models import Solution

if TYPE_CHECKING:
    from astropy.io.fits import Header

    Answer: TypeAlias = Header | dict[str, Any] | tuple[Header | dict[str, Any], int | str | None]
    """A header, or `{}` without a solution; where the id is asked for too, it and the id."""

logger = logging.getLogger(__name__)


def answer(
    solve: Callable[..., Solution],
    *,
    verbose: bool,
    return_submission_id: bool,
    given: int | str | None = None,
) -> "Answer":
    """Return what astroquery would return for what a solve ends with.

    Parameters
    ----------
    solve
        Called with `on_step`.
    given
        The submission id the user named, to be handed back as it came.
    """
    header: Header | dict[str, Any] = {}
    try:
        solution = solve(on_step=_dots() if verbose else None)
        header, submission_id = solution.header(), solution.submission_id
    except (StatusFailedException, SubmissionFailed) as unsolved:
        logger.warning("%s", unsolved)
        submission_id = unsolved.submission_id
    except SolveTimeout as late:
        raise too_late(str(late), given or late.submission_id) from late
    except (APIKeyError, ServerRefused) as error:
        raise refused(error) from error
    finally:
        if verbose:
            show("")
    return (header, given or submission_id) if return_submission_id else header


def _dots() -> Progress:
    show("Solving", end="")
    return lambda _: show(".", end="")


def show(text: str, *, end: str = "\n") -> None:
    """Print at once what is told to the user of `verbose`."""
    print(text, end=end, flush=True)  # noqa: T201  astroquery prints
