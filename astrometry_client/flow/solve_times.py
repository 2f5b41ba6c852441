"""What a server's solve times are like, learned from those it took."""

import math
from collections.abc import Sequence
from typing import Final

import attrs

_SD_LOG: Final = 0.8
"""Solve times of one kind of images spread by a factor of about two, up and down."""

_PRIOR_OF_MEAN: Final = 0.5
_PRIOR_OF_SD: Final = 8.0
"""So many solves weigh as much as what was supposed before: of the typical time little is known, the less the
more solves there are, and much of how far times spread, which a few odd ones must not change."""

_ROUNDS: Final = 4
"""The fit to unfinished solves is improved so often; it moves by percents after that."""

_LEAST: Final = 1e-12


@attrs.frozen
class SolveTimes:
    """A log-normal distribution of solve times in seconds."""

    mean_log: float
    sd_log: float

    @classmethod
    def supposed(cls, first_look_s: float, chance: float) -> "SolveTimes":
        """Return the distribution in which a first look at this time finds so many solves ended."""
        times = cls(0.0, _SD_LOG)
        return cls(math.log(first_look_s / times.age_s(chance)), _SD_LOG)

    @property
    def median_s(self) -> float:
        """Half of the solves take longer."""
        return math.exp(self.mean_log)

    def unfinished(self, age_s: float) -> float:
        """Return the share of solves that take longer."""
        return 0.5 * math.erfc(self._deviation(age_s) / math.sqrt(2)) if age_s > 0 else 1.0

    def chance(self, seen_s: float, age_s: float) -> float:
        """Return the chance that a solve that was seen unfinished at one age has ended at another."""
        before = self.unfinished(seen_s)
        return 1.0 - self.unfinished(age_s) / before if before > _LEAST else 0.0

    def overdue_s(self, seen_s: float, age_s: float) -> float:
        """Return how long it has been over on average at an age, if it was seen unfinished at another."""
        before = self.unfinished(seen_s)
        if before <= _LEAST or age_s <= seen_s:
            return 0.0
        return max(0.0, age_s - seen_s - (self._spent_s(age_s) - self._spent_s(seen_s)) / before)

    def age_s(self, share: float) -> float:
        """Return the age at which this share of the solves has ended."""
        least, most = self.mean_log - 8 * self.sd_log, self.mean_log + 8 * self.sd_log
        for _ in range(40):
            middle = (least + most) / 2
            least, most = (least, middle) if 1 - self.unfinished(math.exp(middle)) > share else (middle, most)
        return math.exp(least)

    def learned(self, solves_s: Sequence[float], unfinished_s: Sequence[float] = ()) -> "SolveTimes":
        """Return what these solves, and the ages of unfinished ones, make of this supposition."""
        logs = [math.log(max(solve_s, 1e-3)) for solve_s in solves_s]
        prior, fit = _PRIOR_OF_MEAN / max(1, len(logs)), self
        for _ in range(_ROUNDS if unfinished_s else 1):
            # What is not finished counts as it will be on average, by the fit so far (E. of E.-M.).
            later = [fit._beyond(age_s) for age_s in unfinished_s if age_s > 0]
            means = [*logs, *(mean for mean, _ in later)]
            mean = (prior * self.mean_log + sum(means)) / (prior + len(means))
            centre = sum(means) / len(means) if means else mean
            squares = sum((value - centre) ** 2 for value in means) + sum(spread for _, spread in later)
            variance = (_PRIOR_OF_SD * self.sd_log**2 + squares) / (_PRIOR_OF_SD + len(means))
            fit = SolveTimes(mean, math.sqrt(variance))
        return fit

    def _deviation(self, age_s: float) -> float:
        return (math.log(age_s) - self.mean_log) / self.sd_log

    def _spent_s(self, age_s: float) -> float:
        """Return how much of this time is spent on a solve on average."""
        if age_s <= 0:
            return age_s
        ended = 0.5 * math.erfc((self.sd_log - self._deviation(age_s)) / math.sqrt(2))
        return age_s * self.unfinished(age_s) + math.exp(self.mean_log + self.sd_log**2 / 2) * ended

    def _beyond(self, age_s: float) -> tuple[float, float]:
        """Return mean and variance of the logarithm of solves that take longer than this."""
        deviation = self._deviation(age_s)
        share = self.unfinished(age_s)
        if share < _LEAST:
            return math.log(age_s), 0.0
        excess = math.exp(-(deviation**2) / 2) / math.sqrt(2 * math.pi) / share
        spread = max(0.0, 1 + deviation * excess - excess**2)
        return self.mean_log + self.sd_log * excess, self.sd_log**2 * spread
