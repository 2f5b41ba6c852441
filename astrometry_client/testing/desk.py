"""What the embedded server's application stands on in a test: solvers on a clock, and nothing that lasts."""

import hashlib
from pathlib import Path
from typing import Any, BinaryIO

from starlette.concurrency import run_in_threadpool

from astrometry_client.server.accounts import Accounts
from astrometry_client.server.database import Database
from astrometry_client.server.files import FileStore
from astrometry_client.server.making import NotMade
from astrometry_client.server.queue import Queue
from astrometry_client.server.records import Records
from astrometry_client.server.settings import ServerSettings
from astrometry_client.server.tasks import MakeTask
from astrometry_client.server.wire import ApiError
from astrometry_client.server.workers import understand

from .clock import Clock
from .records import UploadRecord
from .solvers import Solver, Solvers
from .table_engine import TableEngine, plain_name

__all__ = ["TestDesk"]


class CountedAccounts(Accounts):
    """Accounts whose logins end after a number of uses."""

    def __init__(self, database: Database, *, uses: int | None, session_s: float, clock: Clock) -> None:
        super().__init__(database, session_s=session_s, clock=clock.time)
        self._database, self._uses = database, uses
        self._used: dict[str, int] = {}

    def user_of(self, session_key: str) -> int:
        """Return the id of the user logged in with this session key, and count this use."""
        self._used[session_key] = used = self._used.get(session_key, 0) + 1
        if self._uses is not None and used > self._uses:
            raise ApiError(f'no session with key "{session_key}"')
        return super().user_of(session_key)

    def expire(self, *, purged: bool) -> None:
        """End all logins; the two kinds of end are told in different words."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM sessions" if purged else "UPDATE sessions SET expires = 0")


class TestDesk:
    """What the application asks of a server, for the length of a test."""

    __test__ = False

    def __init__(
        self,
        folder: Path,
        *,
        engine: Any,
        clock: Clock,
        session_uses: int | None,
        session_lifetime_s: float | None,
        strict_nova: bool,
        **solvers: Any,
    ) -> None:
        self.settings = ServerSettings.given(
            data_dir=folder, session_s=session_lifetime_s, strict_nova=strict_nova
        )
        self.settings.made_dir.mkdir()
        self._clock = clock
        self._database = Database(Path(":memory:"))
        self._counted = CountedAccounts(
            self._database, uses=session_uses, session_s=self.settings.session_s, clock=clock
        )
        self.accounts: Accounts = self._counted
        self.files = FileStore(self.settings.files_dir, lasting=False)
        self.records = Records(self._database)
        self._queue = Queue(self._database, clock=clock.time)
        self._solver = self._solver_of(engine)
        self.solvers = Solvers(self._queue, self._database, self._solver, clock=clock, **solvers)
        self.uploads: list[UploadRecord] = []

    def _solver_of(self, engine: Any) -> Solver:
        if isinstance(engine, TableEngine):
            from .table_solver import TableSolver

            return TableSolver(engine, self.files, self.settings)
        from astrometry_client.server.solving import Solving

        return Solving(engine, self.files, self.settings)

    def submit(self, user_id: int, *, sha1: str | None, filename: str, options: dict[str, Any]) -> int:
        """Add a submission and return its id."""
        submission_id = self._queue.submit(user_id, sha1=sha1, filename=filename, options=options)
        path = None if sha1 is None else self.files.path(sha1)
        self.uploads.append(
            UploadRecord(
                name=plain_name(filename),
                filename=filename,
                sha256=None if path is None else hashlib.sha256(path.read_bytes()).hexdigest(),
                submission_id=submission_id,
                time_s=self._clock.monotonic(),
                options=options,
                path=path,
            )
        )
        self.solvers.catch_up()
        return submission_id

    async def make(self, task: MakeTask) -> BinaryIO:
        """Return a new result file, open to be read."""
        made = understand(await run_in_threadpool(self._solver.make, task))
        if not isinstance(made, Path):
            raise NotMade(str(made))
        file = made.open("rb")
        made.unlink()
        return file

    def expire_sessions(self, *, purged: bool) -> None:
        """End all logins."""
        self._counted.expire(purged=purged)

    def close(self) -> None:
        """Close the database."""
        self._database.close()
