"""The leases of a process: one thread renews what all its holders have in hand."""

import json
import logging
import os
import secrets
import threading
from collections.abc import Callable
from typing import Final

from astrometry_client.child_lock import ChildLock
from astrometry_client.errors import LedgerError
from astrometry_client.ledger.ledger_file import LedgerFile

logger = logging.getLogger(__name__)

_RENEWALS: Final = 3
"""So often in the time of a lease it is renewed."""


class Leases:
    """Keeps what is in hand for as long as somebody has joined.

    Parameters
    ----------
    file
        Where the leases are written.
    lease_s
        Seconds for which they hold.
    clock
        Seconds since the epoch.
    """

    def __init__(self, file: LedgerFile, *, lease_s: float, clock: Callable[[], float]) -> None:
        self.lease_s = lease_s
        self.clock = clock
        self._file = file
        self._lock = ChildLock()
        self._renewer: threading.Thread | None = None
        self._start_anew()

    @property
    def until_s(self) -> float:
        """When a lease ends that is taken now."""
        return self.clock() + self.lease_s

    def new_owner(self) -> str:
        """Return a name for somebody who takes images in hand."""
        with self._lock:
            if self._process_id != os.getpid():
                self._start_anew()
            return f"{self._process_id}-{secrets.token_hex(12)}"

    def join(self, owner: str) -> None:
        """Renew from now on what somebody has in hand."""
        with self._lock:
            self._joined.add(owner)
            if len(self._joined) == 1:
                self._nobody_left.clear()
                self._renewer = threading.Thread(target=self._renew_often, name="ledger-lease", daemon=True)
                self._renewer.start()

    def leave(self, owner: str) -> None:
        """Renew that no more."""
        with self._lock:
            self._joined.discard(owner)
            if not self._joined and self._renewer is not None:
                self._nobody_left.set()
                self._renewer.join()

    def renew(self) -> None:
        """Keep what all who have joined have in hand for another time of the lease."""
        owners = json.dumps([*self._joined])
        self._file.transact(
            lambda connection: connection.execute(
                "UPDATE images SET leased_until_s = ? WHERE owner IN (SELECT value FROM json_each(?))",
                (self.until_s, owners),
            )
        )

    def _start_anew(self) -> None:
        """Have no holders, as in a new or a forked process."""
        self._process_id = os.getpid()
        self._joined: set[str] = set()
        self._nobody_left = threading.Event()
        self._renewer = None

    def _renew_often(self) -> None:
        while not self._nobody_left.wait(self.lease_s / _RENEWALS):
            try:
                self.renew()
            except LedgerError as error:
                logger.warning("What is in hand could not be kept: %s", error)
