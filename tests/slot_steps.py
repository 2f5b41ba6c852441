"""Random steps on a store of slots, to compare one store with another."""

from typing import Any

from arrivals import ManualTime
from hypothesis import strategies as st

from astrometry_client.session.slots import Slot, SlotStore, Window

WINDOWS = (Window(3, 1.0), Window(7, 5.0))

Step = tuple[str, float]

STEPS = st.lists(
    st.tuples(st.just("reserve"), st.sampled_from([0.0, 0.5, 3.0, 1e9]))
    | st.tuples(st.just("reserve two"), st.just(1e9))
    | st.tuples(st.sampled_from(["confirm", "give back"]), st.integers(0, 20))
    | st.tuples(st.just("penalize"), st.floats(0.1, 20))
    | st.tuples(st.just("pass"), st.floats(0, 4))
    | st.tuples(st.just("set clock"), st.floats(-100, 100)),
    max_size=40,
)


def play(store: SlotStore, steps: list[Step], time: ManualTime) -> list[Any]:
    """Return what a user of the store saw: numbers, and waits in whole milliseconds."""
    taken: list[Slot] = []
    return [_step(store, step, time, taken) for step in steps]


def _step(store: SlotStore, step: Step, time: ManualTime, taken: list[Slot]) -> Any:
    name, value = step
    chosen = taken[int(value) % len(taken)] if taken else None
    slot = None
    if name.startswith("reserve"):
        slot = store.reserve("nova", WINDOWS, 2 if name.endswith("two") else 1, value)
        taken += [slot] if slot else []
    elif name == "confirm" and chosen:
        slot = store.confirm("nova", WINDOWS, chosen)
        taken[taken.index(chosen)] = slot or chosen
    elif name == "give back" and chosen:
        store.give_back("nova", chosen)
    elif name == "penalize":
        store.penalize("nova", value)
    elif name in {"pass", "set clock"}:
        time.now += value
    return slot and (slot.number, round(slot.wait_s, 3))
