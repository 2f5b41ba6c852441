"""The driver that carries out a flow in the calling thread."""

import math
from collections.abc import Callable
from contextlib import closing
from typing import Final, TypeVar

from astrometry_client import flow
from astrometry_client.config import DEFAULTS, NotGiven
from astrometry_client.errors import AstrometryError
from astrometry_client.session import ClientSession, get_local_session, is_dry_run_enabled, is_loopback

__all__ = ["Progress", "drive", "pace_of", "pauses"]

T = TypeVar("T")
Progress = Callable[[flow.Step], None]


def drive(
    steps: flow.Steps[T], client_session: ClientSession | None = None, *, on_step: Progress | None = None
) -> T:
    """Carry out the effects of a flow, one after the other, and return what it ends with.

    Parameters
    ----------
    client_session
        Makes the requests; by default the calling thread's own. It waits with the session's own sleep and
        clock, those of its `retrying`, so that time is replaced in one place.
    on_step
        Called before each request and each wait.
    """
    session = client_session or get_local_session()
    started_s, pause_s = session.retrying.clock(), pauses(session)
    with closing(steps):
        try:
            effect = next(steps)
            while True:
                if on_step and not isinstance(effect, flow.Local):
                    on_step(effect)
                try:
                    if isinstance(effect, flow.Local):
                        answer = effect.make()
                    elif isinstance(effect, flow.Make):
                        answer = effect.request.make(session)
                    else:
                        seconds = pause_s(effect)
                        if seconds:
                            session.retrying.sleep(seconds)
                        answer = session.retrying.clock() - started_s
                except AstrometryError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value


def pauses(client_session: ClientSession) -> Callable[[flow.Wait], float]:
    """Return what tells how long a wait lasts: no time in a dry run, where uploads are solved at once."""
    return _no_time if is_dry_run_enabled("POST", client_session) else _its_seconds


def _no_time(_wait: flow.Wait) -> float:
    return 0.0


def _its_seconds(wait: flow.Wait) -> float:
    return wait.seconds


_PUBLIC_PACE_S: Final = (5.0, 60.0)
"""The official client looks every 5 s; the maintainers ask for fewer looks, so ours grow apart."""

_OWN_PACE_S: Final = (0.25, 2.0)
"""A server on this machine may be asked as often as its solves are short."""


def pace_of(
    server: str,
    *,
    first_s: float | NotGiven = NotGiven.NOT_GIVEN,
    longest_s: float | NotGiven | None = NotGiven.NOT_GIVEN,
    timeout_s: float | None = DEFAULTS.solve_timeout_s,
) -> flow.Polling:
    """Return how a server is polled unless told otherwise.

    Parameters
    ----------
    first_s, longest_s, timeout_s
        See `Polling`. `None` is no longest wait, and no end.

    Raises
    ------
    InputError
        A number is not above 0.
    """
    usual_first_s, usual_longest_s = _OWN_PACE_S if is_loopback(server) else _PUBLIC_PACE_S
    chosen_s = usual_longest_s if isinstance(longest_s, NotGiven) else longest_s
    return flow.Polling(
        first_s=usual_first_s if isinstance(first_s, NotGiven) else first_s,
        longest_s=math.inf if chosen_s is None else chosen_s,
        timeout_s=math.inf if timeout_s is None else timeout_s,
    )
