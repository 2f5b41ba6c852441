import math

import pytest
from pyrate_limiter import Duration, Rate

from astrometry_client.errors import InputError
from astrometry_client.session.rates import windows_of
from astrometry_client.session.slots import Window


@pytest.mark.parametrize(
    ("given", "windows"),
    [
        ({}, []),
        ({"per_second": 5}, [(5, 1)]),
        ({"per_second": 5.0}, [(5, 1)]),
        ({"per_second": 0.2}, [(1, 5)]),
        ({"per_second": 2.5}, [(2, 0.8), (3, 1)]),
        ({"per_minute": 30}, [(30, 60)]),
        ({"per_minute": 0.5}, [(1, 120)]),
        ({"per_day": 1000}, [(1000, 86400)]),
        ({"per_second": 0, "per_minute": 30}, [(30, 60)]),
        ({"per_second": 5, "burst": 1}, [(1, 0.2)]),
        ({"per_second": 5, "burst": 10}, [(10, 2)]),
        ({"per_second": 0.2, "burst": 3}, [(3, 15)]),
        ({"per_second": 1, "per_minute": 30, "per_day": 1000}, [(1, 1), (30, 60), (1000, 86400)]),
        ({"per_second": 1, "per_minute": 60}, [(1, 1), (60, 60)]),
        ({"per_second": 2, "additional_rate_limit": Rate(100, Duration.HOUR)}, [(2, 1), (100, 3600)]),
        ({"additional_rate_limit": [Rate(1, 500), Rate(9, 10_000)]}, [(1, 0.5), (9, 10)]),
    ],
)
def test_limits_become_sliding_windows(given, windows):
    assert [(w.limit, pytest.approx(w.interval_s)) for w in windows_of(**given)] == windows


@pytest.mark.parametrize("name", ["per_second", "per_minute", "per_day"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, -math.inf, True, "5"])
def test_what_is_no_rate_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=f"{name}={value!r}.*above 0, or None"):
        windows_of(**{name: value})


@pytest.mark.parametrize("burst", [0, -1, 1.5, True, "2"])
def test_a_burst_is_a_whole_number_from_one(burst):
    with pytest.raises(InputError, match=r"burst=.*whole number from 1"):
        windows_of(per_second=5, burst=burst)


@pytest.mark.parametrize(
    "given",
    [{"per_second": 0}, {"per_second": 0, "per_minute": 0, "per_day": 0}, {"per_day": 0.0}],
)
def test_all_zero_is_refused(given):
    with pytest.raises(InputError, match=r"no request at all.*None for no limit"):
        windows_of(**given)


@pytest.mark.parametrize("per_second", [None, 0])
def test_a_burst_without_per_second_is_refused(per_second):
    with pytest.raises(InputError, match="per_second too"):
        windows_of(per_second=per_second, per_minute=30, burst=5)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"per_second": 5, "per_minute": 5}, r"per_second=5 .*per_minute=5"),
        ({"per_second": 5, "per_minute": 3}, r"per_second=5 .*per_minute=3"),
        ({"per_minute": 30, "per_day": 20}, r"per_minute=30 .*per_day=20"),
        ({"per_second": 1, "per_minute": 0.5}, r"per_second=1 .*per_minute=0.5"),
        ({"per_second": 0.001, "per_minute": 5}, r"per_minute=5 .*per_second=0.001"),
        ({"per_second": 5, "burst": 40, "per_minute": 40}, r"burst=40 with per_second=5 .*per_minute=40"),
        ({"per_second": 5, "additional_rate_limit": Rate(5, 2000)}, r"per_second=5 .*additional_rate_limit"),
        ({"additional_rate_limit": [Rate(5, 1000), Rate(5, 1000)]}, "additional_rate_limit"),
    ],
)
def test_a_limit_that_never_matters_is_refused(given, named):
    with pytest.raises(InputError, match=named):
        windows_of(**given)


def test_the_margin_costs_no_more_than_3_percent():
    assert Window(5, 60).spacing_s == pytest.approx(60.03)
    assert Window(1, 0.2).spacing_s == pytest.approx(0.206)
