"""What the tests must see of processes they did not start themselves."""

import time
from pathlib import Path

DEADLINE_S = 20.0


def children_of(pid: int) -> list[int]:
    """Return the processes this one started and that still run."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        return []
    listed = " ".join((task / "children").read_text() for task in tasks.iterdir())
    return [int(child) for child in listed.split() if alive(int(child))]


def alive(pid: int) -> bool:
    """Tell whether this process still runs; one that waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def descendants_of(pid: int) -> list[int]:
    """Return the processes below this one."""
    below = children_of(pid)
    return below + [deeper for child in below for deeper in descendants_of(child)]


def wait_for_descendants(pid: int, *, count: int) -> list[int]:
    """Return the processes below this one, once there are as many."""
    end = time.monotonic() + DEADLINE_S
    while len(found := descendants_of(pid)) < count:
        assert time.monotonic() < end, f"{found} started, expected {count}"
        time.sleep(0.02)
    return found


def wait_until_gone(pids: list[int]) -> None:
    """Return when none of these processes runs any more."""
    end = time.monotonic() + DEADLINE_S
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < end, f"still running: {left}"
        time.sleep(0.02)
