"""Time that passes only when told to, and what a server would see arriving."""

import threading
from collections.abc import Callable, Iterable

import attrs


@attrs.define
class ManualTime:
    """A clock, and a sleep that moves it."""

    now: float = 1_700_000_000.0
    slept: list[float] = attrs.field(factory=list)
    during_sleep: Callable[[], None] | None = None

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        act, self.during_sleep = self.during_sleep, None
        if act is not None:
            act()
        self.now += seconds


def busiest(times: Iterable[float], interval_s: float) -> int:
    """Return the most arrivals in any span of `interval_s`, its end excluded."""
    ordered = sorted(times)
    first = most = 0
    for last, time in enumerate(ordered):
        while ordered[first] <= time - interval_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def run_threads(work: Callable[[], None], count: int) -> None:
    """Run `work` in so many threads at once, and raise what one of them raised."""
    errors: list[Exception] = []

    def guarded() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
