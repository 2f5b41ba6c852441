"""What is not known of solves that have begun: whether they have ended, and for how long."""

from typing import Final, Literal

import attrs

from astrometry_client.flow.line import Line, Watch
from astrometry_client.flow.solve_times import SolveTimes

Ends = Literal["all", "solved", "failed"]
"""The ends that a look would tell of."""

_FAILING_SHARE: Final = 0.1
"""Of all images about this share has no solution."""

_BELIEVED: Final = 3
"""So many solve times long others are believed about an image: how many are solved at once is a guess."""

_LEAST: Final = 1e-9
"""A chance that is none."""


@attrs.frozen
class Doubt:
    """What is not known of one solve."""

    begun_s: float
    known_s: float
    """Until then the chances below are reckoned."""
    ended_s: float
    """When it has ended unseen, if it has."""
    failed: float
    """The chance that it has ended unseen without a solution."""
    solved: float

    @property
    def ended(self) -> float:
        """The chance that it has ended unseen."""
        return self.failed + self.solved

    def scaled(self, ended: float) -> "Doubt":
        """Return the same with another chance, if that is one."""
        factor = min(1.0, ended) / max(self.ended, _LEAST)
        return attrs.evolve(self, failed=factor * self.failed, solved=factor * self.solved)

    def overdue_s(self, now_s: float, times: SolveTimes, ends: Ends) -> float:
        """Return how long one would have waited on average for these ends to be told."""
        later_s = times.overdue_s(self.known_s - self.begun_s, now_s - self.begun_s)
        later_s *= 1 - self.ended
        ago_s = max(0.0, now_s - self.ended_s)
        failed_s = self.failed * ago_s + _FAILING_SHARE * later_s
        solved_s = self.solved * ago_s + (1 - _FAILING_SHARE) * later_s
        return {"all": failed_s + solved_s, "solved": solved_s, "failed": failed_s}[ends]


class Doubts:
    """The doubts about all images in a line, as long as nothing new is known."""

    def __init__(self, line: Line, times: SolveTimes) -> None:
        self._line = line
        self._times = times
        unseen, among = line.ended_unseen()
        priors = {one: prior for one in among if (prior := self._prior(one, line.counted_s))}
        odds = {one: prior.ended / (1.0 - prior.ended + _LEAST) for one, prior in priors.items()}
        per_odds = unseen / max(sum(odds.values()), _LEAST)
        self._of = {one: prior.scaled(per_odds * odds[one]) for one, prior in priors.items()}

    def of(self, watch: Watch) -> Doubt | None:
        """Return what is not known of an image, if its solve has begun, as it seems."""
        return self._of.get(watch) or self._prior(watch, watch.seen_s)

    def _prior(self, watch: Watch, until_s: float) -> Doubt | None:
        """Return what is not known of an image, by its own solve time alone."""
        begun_s = self._line.begins_s(watch)
        if begun_s is None:
            return None
        times = self._times
        believed_s = max(begun_s, watch.told_s) + _BELIEVED * times.median_s
        unfinished_s = max(begun_s, min(watch.unfinished_s, believed_s))
        unsolved_s = max(unfinished_s, watch.seen_s)
        until_s, age_s = max(unsolved_s, until_s), unfinished_s - begun_s
        ended = times.chance(age_s, until_s - begun_s)
        failed = _FAILING_SHARE * ended
        solved = (1 - _FAILING_SHARE) * (ended - times.chance(age_s, unsolved_s - begun_s))
        possible = failed + solved + 1 - ended
        return Doubt(begun_s, until_s, (unfinished_s + until_s) / 2, failed / possible, solved / possible)
