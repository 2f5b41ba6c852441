"""Looks at the right time: the real flows against a simulated server, in virtual time."""

import random
import statistics

import pytest
from nights import OWN, PUBLIC, mean_of, one_by_one

from astrometry_client import flow
from astrometry_client.flow.solve_times import SolveTimes


@pytest.mark.parametrize(
    ("known", "polling", "requests", "median_s", "p95_s"),
    [
        (True, PUBLIC, 5.3, 1.7, 4.1),
        pytest.param(False, PUBLIC, 5.0, 2.3, 6.5, marks=pytest.mark.soak),
        pytest.param(True, OWN, 5.4, 1.6, 4.0, marks=pytest.mark.soak),
        (False, OWN, 5.9, 1.7, 4.0),
    ],
    ids=["a server known", "a server never met", "own server known", "own server never met"],
)
def test_ends_are_known_soon_after_few_looks(
    known: bool, polling: flow.Polling, requests: float, median_s: float, p95_s: float
) -> None:
    measured = [one_by_one(seed, known=known, polling=polling) for seed in range(12)]
    assert mean_of(measured, "requests") <= requests
    assert mean_of(measured, "median_s") <= median_s
    assert mean_of(measured, "p95_s") <= p95_s


@pytest.mark.parametrize("solvers", [2, *(pytest.param(count, marks=pytest.mark.soak) for count in (1, 16))])
def test_number_of_solvers_need_not_be_known(solvers: int) -> None:
    measured = [one_by_one(seed, known=True, solvers=solvers) for seed in range(3)]
    assert mean_of(measured, "requests") <= 5.4
    assert mean_of(measured, "median_s") <= 1.9
    assert mean_of(measured, "p95_s") <= 6


def test_images_taken_up_in_any_order_are_all_found() -> None:
    chance = random.Random(1)
    for seed in range(2):
        measured = one_by_one(seed, known=True, order=lambda number: number + chance.uniform(0, 20))
        assert measured.requests < 8
        assert measured.longest_s < 200


def test_image_that_is_never_taken_up_holds_up_no_other() -> None:
    measured = one_by_one(1, known=True, order=lambda number: 1e9 if number == 2 else number)
    assert measured.requests < 7
    assert measured.median_s < 30


@pytest.mark.parametrize("median_s", [0.5, 60.0])
def test_solve_times_are_learned_from_those_of_the_batch(median_s: float) -> None:
    measured = one_by_one(1, known=False, median_s=median_s)
    assert measured.requests < 7.5
    assert measured.median_s < max(4, 0.5 * median_s)


def test_few_odd_solve_times_do_no_harm() -> None:
    supposed = SolveTimes.supposed(5.0, 0.3)
    assert supposed.age_s(0.3) == pytest.approx(5.0)
    odd = supposed.learned([500.0])
    assert odd.median_s < 20 * supposed.median_s
    assert supposed.learned([6.0] * 10 + [500.0]).median_s < 12
    many = supposed.learned([6.0] * 50)
    assert many.median_s == pytest.approx(6.0, rel=0.05)
    assert many.sd_log < 0.5


def test_unfinished_solves_make_solve_times_longer() -> None:
    supposed = SolveTimes.supposed(0.25, 0.3)
    assert supposed.learned([], [5.0] * 4).median_s > 3.0


def test_time_that_a_solve_is_over_is_the_mean_of_what_may_be() -> None:
    times = SolveTimes(mean_log=1.8, sd_log=0.8)
    for seen_s, age_s in ((0.0, 1.0), (0.0, 40.0), (3.0, 9.0), (-2.0, 6.0), (100.0, 130.0)):
        steps_s = [seen_s + (age_s - seen_s) * (step + 0.5) / 2000 for step in range(2000)]
        mean_s = statistics.mean(times.chance(seen_s, at_s) for at_s in steps_s) * (age_s - seen_s)
        assert times.overdue_s(seen_s, age_s) == pytest.approx(mean_s, rel=1e-3)
    assert times.overdue_s(5.0, 5.0) == times.overdue_s(1e9, 2e9) == 0.0


def test_chances_of_impossible_ages_are_none() -> None:
    times = SolveTimes.supposed(5.0, 0.3)
    assert times.chance(1e9, 2e9) == 0.0
    assert times.unfinished(-1.0) == times.unfinished(0.0) == 1.0
