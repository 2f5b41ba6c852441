"""A server in trouble is left alone, longer each time, and asked again by itself."""

import logging

import pytest

from astrometry_client.circuit import Circuit
from astrometry_client.errors import Overloaded, Unreachable

REFUSED = Overloaded("503")


@pytest.fixture
def circuit() -> Circuit:
    return Circuit("https://nova.example")


def fail(circuit: Circuit, now_s: float, times: int = 1) -> None:
    for _ in range(times):
        circuit.failed(REFUSED, now_s)


def test_third_failure_in_a_row_opens_it(circuit: Circuit) -> None:
    fail(circuit, 0, times=2)
    circuit.answered(1)
    fail(circuit, 2, times=2)
    assert not circuit.is_open
    fail(circuit, 3)
    assert circuit.is_open
    assert circuit.rest_s(10) == 23


def test_rests_grow_to_a_longest_one(circuit: Circuit) -> None:
    fail(circuit, 0, times=3)
    now_s, rests = 0.0, []
    for _ in range(8):
        rests.append(circuit.rest_s(now_s))
        now_s += rests[-1]
        fail(circuit, now_s)
    assert rests == [30, 60, 120, 240, 480, 600, 600, 600]


def test_late_failures_of_what_was_on_its_way_prolong_nothing(circuit: Circuit) -> None:
    fail(circuit, 0, times=3)
    fail(circuit, 5, times=7)
    assert circuit.rest_s(5) == 25
    fail(circuit, 30)
    assert circuit.rest_s(30) == 60


def test_what_the_server_asks_for_is_honoured(circuit: Circuit) -> None:
    fail(circuit, 0, times=2)
    circuit.failed(Overloaded("403", retry_after_s=3600), 0)
    assert circuit.rest_s(0) == 3600


def test_answer_closes_it_and_the_time_is_told(circuit: Circuit, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        circuit.failed(Unreachable("no route"), 0)
        fail(circuit, 5, times=2)
        circuit.answered(50)
    assert not circuit.is_open
    assert circuit.held_s(100) == 45
    assert [record.message for record in caplog.records] == [
        "https://nova.example is asked nothing for 30 s: 503",
        "https://nova.example answers again.",
    ]


def test_server_on_this_machine_is_tried_again_soon() -> None:
    circuit = Circuit("http://127.0.0.1:8000")
    fail(circuit, 0, times=3)
    assert circuit.rest_s(0) == 1
