"""A lock that does not outlive the thread that holds it, when that is left behind by a fork."""

import os
import threading
import weakref

__all__ = ["ChildLock"]

_locks: "weakref.WeakSet[ChildLock]" = weakref.WeakSet()


class ChildLock:
    """A lock that a forked child finds free: who held it in the parent process is not there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def start_anew(self) -> None:
        """Let go of it; called in a forked child."""
        self._lock = threading.Lock()


def _start_anew_in_child() -> None:
    for lock in list(_locks):
        lock.start_anew()


os.register_at_fork(after_in_child=_start_anew_in_child)
