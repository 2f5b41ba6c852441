"""The way of an image through the service, as generators that decide and do nothing themselves.

They yield two effects: `Make` this request, `Wait` this long. A driver carries them out and sends back
the request's value, or the seconds since the start. A flow knows no clock and opens nothing, so it can
be stepped by hand.
"""

from astrometry_client.flow.solving import follow, follow_job, solve, unsolved
from astrometry_client.flow.steps import Effect, Make, Polling, Stage, Steps, Wait
from astrometry_client.flow.uploading import Lookup, find, send
from astrometry_client.flow.waiting import ENDED, Ended, rejection, wait_for_job, wait_for_jobs

__all__ = [
    "ENDED",
    "Effect",
    "Ended",
    "Lookup",
    "Make",
    "Polling",
    "Stage",
    "Steps",
    "Wait",
    "find",
    "follow",
    "follow_job",
    "rejection",
    "send",
    "solve",
    "unsolved",
    "wait_for_job",
    "wait_for_jobs",
]
