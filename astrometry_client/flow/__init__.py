"""The way of an image through the service, as generators that decide and do nothing themselves.

They yield three effects: `Make` this request, `Wait` this long, take this `Local` step. A driver carries
them out and sends back what came of it: the request's value, the seconds since the start, what the step
returned. A flow knows no clock and opens nothing, so it can be stepped by hand.
"""

from astrometry_client.flow.finding import Lookup, Names, find
from astrometry_client.flow.forecast import Forecast
from astrometry_client.flow.looking import ForeseenLooks
from astrometry_client.flow.order import Order
from astrometry_client.flow.packs import Found, Pack, wait_in_pack
from astrometry_client.flow.solving import fetch, follow, follow_job, solve, unsolved
from astrometry_client.flow.steps import Effect, Local, Make, Polling, Stage, Step, Steps, Wait
from astrometry_client.flow.uploading import send
from astrometry_client.flow.waiting import ENDED, Ended, rejection, wait_for_job, wait_for_jobs

__all__ = [
    "ENDED",
    "Effect",
    "Ended",
    "Forecast",
    "ForeseenLooks",
    "Found",
    "Local",
    "Lookup",
    "Make",
    "Names",
    "Order",
    "Pack",
    "Polling",
    "Stage",
    "Step",
    "Steps",
    "Wait",
    "fetch",
    "find",
    "follow",
    "follow_job",
    "rejection",
    "send",
    "solve",
    "unsolved",
    "wait_for_job",
    "wait_for_jobs",
    "wait_in_pack",
]
