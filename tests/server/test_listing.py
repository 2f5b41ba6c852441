"""The list of all images: each once, in the state it is in."""

from collections.abc import Callable

import pytest
from live_server import OpenDatabase

from astrometry_client.server.listing import PAGE_ENTRIES, Listing
from astrometry_client.server.queue import Queue
from astrometry_client.server.tasks import FoundImage, ReadTask, Solved, SolveTask

CALIBRATION = {"ra": 1.0, "dec": 2.0}


class Desk:
    """A queue whose work is done by hand."""

    def __init__(self, open_database: OpenDatabase) -> None:
        self.database = open_database()
        self.queue, self.listing = Queue(self.database), Listing(self.database)
        self.users = [self._user(name) for name in ("ada", "eve")]

    def _user(self, name: str) -> int:
        with self.database.transaction() as connection:
            row = connection.execute("INSERT INTO users (name) VALUES (?) RETURNING id", (name,)).fetchone()
        return int(row["id"])

    def submit(self, name: str, user: int = 0) -> int:
        return self.queue.submit(self.users[user], sha1="0" * 40, filename=name, options={})

    def read(self, *names: str) -> None:
        task = self.queue.take()
        assert isinstance(task, ReadTask)
        images = [FoundImage(sha1="1" * 40, filename=name, field="2" * 40) for name in names]
        self.queue.finish_reading(task.submission_id, images)

    def take(self) -> int:
        task = self.queue.take()
        assert isinstance(task, SolveTask)
        return task.job_id

    def states(self) -> list[tuple[str, str]]:
        return [(entry.name, entry.state) for entry in self.listing.page(0)]


@pytest.fixture
def desk(open_database: OpenDatabase) -> Desk:
    return Desk(open_database)


def test_image_is_listed_from_its_upload_to_its_end(desk: Desk) -> None:
    desk.submit("night.tar")
    assert desk.states() == [("night.tar", "queued")]
    desk.read("a.fits", "b.fits")
    assert desk.states() == [("a.fits", "queued"), ("b.fits", "queued")]
    first = desk.take()
    assert desk.states() == [("a.fits", "solving"), ("b.fits", "queued")]
    desk.queue.solved(first, Solved(CALIBRATION, [], b""))
    desk.queue.failed(desk.take(), "no match was found")
    assert desk.states() == [("a.fits", "solved"), ("b.fits", "failed")]
    solved, failed = desk.listing.page(0)
    assert (solved.calibration, solved.reason) == (CALIBRATION, None)
    assert (failed.calibration, failed.reason) == (None, "no match was found")


def test_submission_without_image_has_failed(desk: Desk) -> None:
    submission_id = desk.submit("letter.txt")
    desk.queue.take()
    desk.queue.reject(submission_id, "not an image")
    desk.submit("empty.tar")
    desk.read()
    assert desk.states() == [("empty.tar", "failed"), ("letter.txt", "failed")]
    assert [entry.reason for entry in desk.listing.page(0)] == [None, "not an image"]


def test_everybody_has_a_list_of_their_own(desk: Desk) -> None:
    desk.submit("a.fits", user=0)
    desk.submit("b.fits", user=1)
    names = [[entry.name for entry in desk.listing.page(0, user_id=user)] for user in desk.users]
    assert names == [["a.fits"], ["b.fits"]]
    assert desk.listing.counts(user_id=desk.users[0]) == {"queued": 1, "solving": 0, "solved": 0, "failed": 0}


def test_pages_hold_every_entry_once_and_the_newest_first(desk: Desk) -> None:
    names = [f"{number}.fits" for number in range(PAGE_ENTRIES + 10)]
    for name in names:
        desk.submit(name)
    pages = [[entry.name for entry in desk.listing.page(number)] for number in range(3)]
    assert [len(page) for page in pages] == [PAGE_ENTRIES, 10, 0]
    assert [*pages[0], *pages[1]] == names[::-1]


def test_only_one_state_is_listed(desk: Desk) -> None:
    desk.submit("a.tar")
    desk.read("a.fits", "b.fits")
    desk.queue.failed(desk.take(), "no match was found")
    assert [entry.name for entry in desk.listing.page(0, state="failed")] == ["a.fits"]
    assert desk.listing.page(0, state="solved") == []


@pytest.mark.parametrize(
    "change",
    [
        lambda desk: desk.submit("c.fits"),
        lambda desk: desk.take(),
        lambda desk: desk.queue.failed(1, "no match was found"),
    ],
)
def test_version_tells_of_every_change(desk: Desk, change: Callable[[Desk], object]) -> None:
    desk.submit("a.tar")
    desk.read("a.fits", "b.fits")
    desk.take()
    before = desk.listing.version
    desk.states()
    assert desk.listing.version == before
    change(desk)
    assert desk.listing.version != before
