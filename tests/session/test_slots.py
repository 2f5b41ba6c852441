"""The arithmetic, on the memory store and by hand; every store is compared with it elsewhere."""

import math

import pytest
from arrivals import ManualTime, busiest
from hypothesis import given, strategies as st

from astrometry_client.errors import InputError
from astrometry_client.session.rates import windows_of
from astrometry_client.session.slots import LATE_S, MAX_PENALTY_S, Slot, Window
from astrometry_client.session.slots_memory import MemorySlots

TWO_A_SECOND = (Window(2, 1.0),)
STEP = 1.03


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


@pytest.fixture
def store(time: ManualTime) -> MemorySlots:
    return MemorySlots(clock=time.clock)


def reserve(store, windows=TWO_A_SECOND, *, name="nova", weight=1, max_wait_s=math.inf) -> Slot | None:
    return store.reserve(name, windows, weight, max_wait_s)


def waits(store, count, windows=TWO_A_SECOND) -> list[float]:
    return [round(reserve(store, windows).wait_s, 6) for _ in range(count)]


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ((Window(2, 1.0),), [0, 0, STEP, STEP, 2 * STEP]),
        ((Window(1, 5.0),), [0, 5.03, 10.06]),
        ((Window(1, 0.2),), [0, 0.206, 0.412]),
        ((Window(2, 1.0), Window(3, 60.0)), [0, 0, STEP, 60.03, 60.03, 61.06]),
        ((Window(1, 1.0), Window(2, 2.0)), [0, STEP, 2 * STEP]),
    ],
)
def test_slots_come_as_soon_as_every_window_allows(store, windows, expected):
    assert waits(store, len(expected), windows) == pytest.approx(expected)


def test_an_idle_budget_is_full_again(store, time):
    waits(store, 2)
    time.now += STEP
    assert waits(store, 3) == pytest.approx([0, 0, STEP])


def test_servers_do_not_share_a_budget(store):
    waits(store, 2)
    assert reserve(store, name="other").wait_s == 0


def test_giving_up_beforehand_takes_no_slot(store):
    waits(store, 2)
    assert reserve(store, max_wait_s=0.5) is None
    assert reserve(store, max_wait_s=0) is None
    assert waits(store, 1) == pytest.approx([STEP])


def test_requests_that_leave_together_fit_together(store):
    three = (Window(3, 1.0),)
    assert [reserve(store, three, weight=2).wait_s for _ in range(3)] == pytest.approx([0, STEP, 2 * STEP])


def test_limits_of_two_users_of_one_budget_count_the_same_slots(store):
    assert waits(store, 2, (Window(2, 1.0),)) == [0, 0]
    assert waits(store, 1, (Window(1, 10.0),)) == [pytest.approx(10.03)]


def test_the_last_slot_can_be_given_back(store):
    waits(store, 2)
    last = reserve(store)
    store.give_back("nova", last)
    assert reserve(store) == last


def test_a_slot_somebody_queues_behind_passes_unused(store):
    waits(store, 2)
    passed, _ = reserve(store), reserve(store)
    store.give_back("nova", passed)
    assert reserve(store).wait_s == pytest.approx(2 * STEP)


def test_slots_given_back_leave_the_windows_intact(store, time):
    for _ in range(5):
        time.now += 2
        waits(store, 2)
    for _ in range(3):
        store.give_back("nova", reserve(store))
    assert waits(store, 1) == pytest.approx([STEP])


def test_a_slot_used_in_time_is_confirmed(store, time):
    waits(store, 2)
    slot = reserve(store)
    time.now = slot.at + LATE_S / 2
    assert store.confirm("nova", TWO_A_SECOND, slot).wait_s <= 0


def test_a_queue_that_slept_too_long_is_not_sent_at_once(store, time):
    waits(store, 2)
    queue = [reserve(store) for _ in range(8)]
    time.now += 3600
    left = [store.confirm("nova", TWO_A_SECOND, slot).at for slot in queue]
    assert busiest(left, 1.0) == 2


def test_a_late_slot_with_nobody_behind_moves_instead_of_being_lost(store, time):
    waits(store, 2)
    slot = reserve(store)
    time.now = slot.at + LATE_S * 2
    assert store.confirm("nova", TWO_A_SECOND, slot).wait_s == 0
    assert waits(store, 1) == [0]


def test_a_pause_moves_slots_already_handed_out_and_keeps_their_order(store, time):
    waits(store, 2)
    queue = [reserve(store) for _ in range(4)]
    time.now += 0.5
    store.penalize("nova", 30)
    at = [store.confirm("nova", TWO_A_SECOND, slot).at - time.now for slot in queue]
    assert at == pytest.approx([30, 30, 30 + STEP, 30 + STEP])
    assert waits(store, 1) == [pytest.approx(30 + 2 * STEP)]


def test_a_slot_that_came_up_but_was_not_used_waits_for_the_end_of_the_pause(store, time):
    waits(store, 2)
    slot = reserve(store)
    time.now = slot.at + 0.001
    store.penalize("nova", 30)
    assert store.confirm("nova", TWO_A_SECOND, slot).wait_s == pytest.approx(30)


def test_a_shorter_pause_does_not_end_a_longer_one(store):
    store.penalize("nova", 30)
    store.penalize("nova", 1)
    assert reserve(store).wait_s == 30


def test_a_pause_has_an_upper_bound(store):
    store.penalize("nova", 1e12)
    assert reserve(store).wait_s == MAX_PENALTY_S


def test_a_senseless_pause_ends_within_the_bound_too(store):
    reserve(store)
    store._books["nova"].budget.blocked_until = math.inf
    assert reserve(store).wait_s == MAX_PENALTY_S


def test_a_pause_past_the_allowed_wait_gives_the_slot_back(store, time):
    waits(store, 2)
    slot = reserve(store, max_wait_s=5)
    store.penalize("nova", 30)
    assert store.confirm("nova", TWO_A_SECOND, slot) is None
    time.now += 30
    assert waits(store, 3) == pytest.approx([0, 0, STEP])


def test_a_clock_set_back_takes_the_log_with_it(store, time):
    waits(store, 2)
    time.now -= 86400
    assert waits(store, 3) == pytest.approx([STEP, STEP, 2 * STEP])


def test_a_clock_set_back_takes_a_pause_with_it(store, time):
    store.penalize("nova", 30)
    time.now -= 86400
    assert reserve(store).wait_s == pytest.approx(30)


def test_a_clock_set_forward_does_not_stop_anybody(store, time):
    waits(store, 8)
    time.now += 86400
    assert waits(store, 1) == [0]


def test_a_slot_no_queue_explains_is_pulled_back(store, time):
    waits(store, 2)
    store._books["nova"].write(2, time.now + 1e9)
    assert reserve(store).wait_s < 2 * STEP


def test_a_long_queue_is_no_reason_to_pull_anything_back(store):
    slow = (Window(1, 86400.0),)
    assert waits(store, 300, slow)[-1] == pytest.approx(299 * 86400.03)


def test_the_log_stays_as_short_as_its_longest_window(store, time):
    for _ in range(1000):
        time.now += 1
        reserve(store, (Window(2, 1.0), Window(60, 60.0)))
    assert len(store._books["nova"]._times) <= 62


RATES = st.fixed_dictionaries(
    {},
    optional={
        "per_second": st.floats(0.01, 50) | st.integers(1, 50),
        "per_minute": st.floats(0.5, 500) | st.integers(1, 500),
        "per_day": st.integers(1, 5000),
        "burst": st.integers(1, 60),
    },
)


def windows_or_none(rates: dict[str, float]) -> tuple[Window, ...]:
    try:
        return windows_of(**rates)
    except InputError:
        return ()


@given(rates=RATES, pauses=st.lists(st.floats(0, 3), min_size=1, max_size=20))
def test_no_window_is_ever_exceeded(rates, pauses):
    windows = windows_or_none(rates)
    time = ManualTime(now=0.0)
    store = MemorySlots(clock=time.clock)
    left = []
    for turn in range(200 if windows else 0):
        slot = reserve(store, windows)
        left.append(slot.at)
        if slot.number % 3 == 0:
            time.now = max(time.now, slot.at)
        time.now += pauses[turn % len(pauses)]
    for window in windows:
        assert busiest(left, window.interval_s) <= window.limit
    for name, interval_s in (("per_minute", 60), ("per_day", 86400)):
        if left and rates.get(name):
            assert busiest(left, interval_s) <= math.ceil(rates[name])
    if left and rates.get("per_second") and "burst" not in rates:
        assert busiest(left, 1) <= math.ceil(rates["per_second"])


def ideal(windows: tuple[Window, ...], count: int) -> list[float]:
    """Return the earliest times that hold every window, with no margin."""
    times: list[float] = []
    for number in range(count):
        earliest = [times[number - w.limit] + w.interval_s for w in windows if number >= w.limit]
        times.append(max([0.0, *times[-1:], *earliest]))
    return times


@given(rates=RATES)
def test_a_steady_demand_uses_at_least_95_percent(rates):
    windows = windows_or_none(rates)
    store = MemorySlots(clock=lambda: 0.0)
    left = [reserve(store, windows).at for _ in range(300 if windows else 0)]
    for at, best in zip(left, ideal(windows, len(left)), strict=True):
        assert 0.95 * at <= best
