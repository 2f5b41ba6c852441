import os

from arrivals import run_threads

from astrometry_client.session.slots import Window
from astrometry_client.session.slots_memory import MemorySlots, process_slots

ANY = (Window(1, 1.0),)


def test_threads_never_get_the_same_slot():
    store = MemorySlots()
    numbers = []
    run_threads(
        lambda: numbers.extend(store.reserve("nova", ANY, 1, 1e9).number for _ in range(100)), count=8
    )
    assert sorted(numbers) == list(range(1, 801))


def test_a_process_has_one_store_in_memory():
    assert process_slots() is process_slots()


def test_a_forked_child_does_not_inherit_a_held_lock():
    store = MemorySlots()
    with store._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if store.reserve("nova", ANY, 1, 0) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
