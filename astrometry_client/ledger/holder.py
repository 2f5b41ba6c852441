# ruff: noqa: S608  queries are put together of our own parts only
"""Who works on images: takes them in hand, writes every step down, and lets go of them at the end."""

import os
import sqlite3
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import Any, Self

import attrs

from astrometry_client.errors import AstrometryError, LedgerError
from astrometry_client.ledger.attempts import IMAGE, add_name, begin, key_values, latest
from astrometry_client.ledger.leases import Leases
from astrometry_client.ledger.ledger_file import LedgerFile
from astrometry_client.ledger.values import ENDED, Entry, Key, NamesInTars, State, calibration_json
from astrometry_client.models import Solution


class LeaseLostError(AstrometryError):
    """Another process has taken the image over, because this one was silent for too long."""


@attrs.frozen(kw_only=True)
class Claim:
    """What somebody who wants to work on an image is told."""

    entry: Entry
    granted: bool
    """Whether the image is now in hand. If not, it has ended, or somebody else works on it."""
    maybe_sent: bool
    """Whether an upload may have reached the server without anybody knowing: look before sending it again."""


class Holder:
    """Somebody who works on images, for as long as it is used as a context manager.

    What it holds, nobody else gets, also none of the same process. If the process dies, all of it is free for
    others after the time of the lease.
    """

    def __init__(self, file: LedgerFile, leases: Leases) -> None:
        self._file = file
        self._leases = leases
        self._clock = leases.clock
        self._since_s = leases.clock()
        self._name = leases.new_owner()
        self._process_id = os.getpid()
        self._in_hand: set[Key] = set()

    def __enter__(self) -> Self:
        self._leases.join(self._name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if os.getpid() != self._process_id:
            return  # a forked child has nothing in hand
        self._leases.leave(self._name)
        if self._in_hand:
            self._file.transact(
                lambda connection: connection.execute(
                    "UPDATE images SET owner = NULL, leased_until_s = NULL WHERE owner = ?", (self._name,)
                )
            )

    def claim(self, key: Key, *, name: str, redo: Collection[State] = ()) -> Claim:
        """Take an image in hand, unless it has ended or somebody else has.

        Parameters
        ----------
        name
            The path it is given under.
        redo
            States of an ended attempt, `solved` or `failed`, after which a new one is begun; what ended
            since this holder began counts as new.

        Raises
        ------
        LedgerError
            The ledger cannot be written.
        """
        claim = self._file.transact(lambda connection: self._claim(connection, key, name, redo))
        if claim.granted:
            self._in_hand.add(key)
        return claim

    def release(self, entry: Entry) -> None:
        """Let go of an image, ended or not."""
        self._file.transact(lambda connection: self._release(connection, entry))
        self._in_hand.discard(entry.key)

    def sending(self, entry: Entry, *, filename: str) -> bool:
        """Write down that the upload is about to leave.

        Returns
        -------
        bool
            Whether one left before, and its answer is still not known.

        Raises
        ------
        LeaseLostError
            Another process works on it now: do not send it.
        """
        until_s = self._leases.until_s

        def step(connection: sqlite3.Connection) -> State | None:
            ours = connection.execute(
                f"UPDATE images SET leased_until_s = ? WHERE owner = ? AND id = ({IMAGE})",
                (until_s, self._name, *key_values(entry.key)),
            )
            return _write(connection, entry, state="sending", filename=filename) if ours.rowcount else None

        before = self._file.transact(step)
        if before is None:
            raise LeaseLostError("Another process has taken the image over: leave it to that one.")
        return before == "sending"

    def not_sent(self, entry: Entry) -> None:
        """Write down that the server has not got it after all."""
        self._write(entry, state="waiting")

    def sent(self, entry: Entry, *, submission_id: int | None = None, job_id: int | None = None) -> None:
        """Write down what the upload has become: a submission, or the job it was found by."""
        now_s = self._clock()
        self._write(entry, state="sent", submission_id=submission_id, job_id=job_id, sent_s=now_s)

    def sent_together(self, entries: Iterable[Entry], *, submission_id: int) -> None:
        """Write down at once that uploads have become one submission: none may seem to be alone in it."""
        now_s = self._clock()

        def step(connection: sqlite3.Connection) -> None:
            for entry in entries:
                _write(connection, entry, state="sent", submission_id=submission_id, sent_s=now_s)

        self._file.transact(step)

    def shares_submission(self, entry: Entry) -> bool:
        """Return whether other images were sent with this one, in the same submission."""
        query = """SELECT count(*) FROM attempts JOIN images ON images.id = image
            WHERE server = ? AND submission_id = ?"""
        values = entry.key.server, entry.submission_id
        (count,) = self._file.transact(lambda connection: connection.execute(query, values).fetchone())
        return bool(count > 1)

    def names_in_tars(self, server: str) -> NamesInTars:
        """Return what is known of the order of a server's jobs."""
        query = "SELECT kept, broken FROM orders WHERE server = ?"
        found = self._file.transact(lambda connection: connection.execute(query, (server,)).fetchone())
        return NamesInTars(*found) if found else NamesInTars()

    def found_in_tar(self, server: str, kept: bool) -> None:
        """Write down whether one more job was where its file was in its tar."""
        query = """INSERT INTO orders VALUES (?, ?, ?) ON CONFLICT (server) DO UPDATE
            SET kept = kept + excluded.kept, broken = broken + excluded.broken"""
        self._file.transact(lambda connection: connection.execute(query, (server, kept, not kept)))

    def solved(self, entry: Entry, solution: Solution, *, solve_s: float | None = None) -> None:
        """Write down the result and about how long the solve took, and let go of the image."""
        self._end(
            entry,
            state="solved",
            job_id=solution.job_id,
            calibration=calibration_json(solution.calibration),
            wcs_file=solution.wcs_file,
            solve_s=solve_s,
        )

    def failed(self, entry: Entry, error: AstrometryError, *, solve_s: float | None = None) -> None:
        """Write down that it has failed for good, after how long, and let go of the image."""
        self._end(
            entry,
            state="failed",
            job_id=error.job_id,
            error_kind=type(error).__name__,
            error_message=str(error),
            server_message=error.server_message,
            solve_s=solve_s,
        )

    def _claim(self, connection: sqlite3.Connection, key: Key, name: str, redo: Collection[State]) -> Claim:
        now_s = self._clock()
        add_name(connection, key, name)
        image = connection.execute(
            f"SELECT id, owner, leased_until_s FROM images WHERE id = ({IMAGE})", key_values(key)
        ).fetchone()
        entry = latest(connection, image["id"], key)
        if entry is not None and entry.ended and not self._is_redone(entry, redo):
            return Claim(entry=entry, granted=False, maybe_sent=False)
        others = image["owner"] not in {None, self._name}
        if entry is not None and others and image["leased_until_s"] > now_s:
            return Claim(entry=entry, granted=False, maybe_sent=False)
        if entry is None or entry.ended:
            attempt = 1 if entry is None else entry.attempt + 1
            entry, others = begin(connection, image["id"], key, attempt=attempt, now_s=now_s), False
        connection.execute(
            "UPDATE images SET owner = ?, leased_until_s = ? WHERE id = ?",
            (self._name, self._leases.until_s, image["id"]),
        )
        # Who died may have sent it just before the machine lost what was written last.
        maybe_sent = entry.state == "sending" or (entry.state == "waiting" and others)
        return Claim(entry=entry, granted=True, maybe_sent=maybe_sent)

    def _is_redone(self, entry: Entry, redo: Collection[State]) -> bool:
        return entry.state in redo and entry.ended_s is not None and entry.ended_s <= self._since_s

    def _end(self, entry: Entry, **values: Any) -> None:
        now_s = self._clock()

        def step(connection: sqlite3.Connection) -> None:
            _write(connection, entry, ended_s=now_s, **values)
            self._release(connection, entry)

        self._file.transact(step)
        self._in_hand.discard(entry.key)

    def _write(self, entry: Entry, **values: Any) -> None:
        self._file.transact(lambda connection: _write(connection, entry, **values))

    def _release(self, connection: sqlite3.Connection, entry: Entry) -> None:
        connection.execute(
            f"UPDATE images SET owner = NULL, leased_until_s = NULL WHERE owner = ? AND id = ({IMAGE})",
            (self._name, *key_values(entry.key)),
        )


def _write(connection: sqlite3.Connection, entry: Entry, **values: Any) -> State:
    """Write down what is new about an attempt, unless it has ended, and return the state it was in.

    What is `None` stays as it is.
    """
    row = connection.execute(
        f"SELECT id, state FROM attempts WHERE attempt = ? AND image = ({IMAGE})",
        (entry.attempt, *key_values(entry.key)),
    ).fetchone()
    if row is None:
        raise LedgerError("The ledger was replaced while it was in use: run the same again.")
    known = {name: value for name, value in values.items() if value is not None}
    if row["state"] not in ENDED:
        connection.execute(
            f"UPDATE attempts SET {', '.join(f'{name} = ?' for name in known)} WHERE id = ?",
            (*known.values(), row["id"]),
        )
    state: State = row["state"]
    return state
