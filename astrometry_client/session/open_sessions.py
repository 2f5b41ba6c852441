"""Which sessions are open in this process, so that the last one gives back what they share."""

import os
import threading
import weakref

import requests

__all__ = ["note_closed", "note_open"]

_open: "weakref.WeakSet[requests.Session]" = weakref.WeakSet()
_lock = threading.Lock()


def note_open(session: requests.Session) -> None:
    """Count a session among the open ones as long as it lives."""
    with _lock:
        _open.add(session)


def note_closed(session: requests.Session) -> list[requests.Session]:
    """Count a session out, and return those that are still open."""
    with _lock:
        _open.discard(session)
        return list(_open)


def _start_anew_in_child() -> None:
    """Drop the connections a forked child shares with its parent: both would read the same replies."""
    _lock.release()
    for session in list(_open):
        for adapter in session.adapters.values():
            adapter.close()


# Held across a fork, so that the child does not inherit it from another thread.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_start_anew_in_child)
