"""Nothing in the queue is lost, and nothing is done twice."""

import pytest
from live_server import OpenDatabase

from astrometry_client.server.accounts import Accounts
from astrometry_client.server.database import Database
from astrometry_client.server.queue import Queue
from astrometry_client.server.records import Records
from astrometry_client.server.tasks import FetchTask, FoundImage, ReadTask, Solved, SolveTask

SOLVED = Solved(
    {"ra": 1.0, "dec": 2.0, "radius": 3.0, "pixscale": 4.0, "orientation": 5.0, "parity": 1.0}, [], b""
)


@pytest.fixture
def database(open_database: OpenDatabase) -> Database:
    database = open_database()
    Accounts(database, session_s=1.0).new_key("someone")
    return database


@pytest.fixture
def queue(database: Database) -> Queue:
    return Queue(database)


@pytest.fixture
def records(database: Database) -> Records:
    return Records(database)


def submit(queue: Queue, user: int = 1) -> int:
    return queue.submit(user, sha1="abc", filename="a.fits", options={"parity": 1})


def submit_images(queue: Queue, *names: str, user: int = 1) -> int:
    submission_id = submit(queue, user)
    queue.take()
    queue.finish_reading(submission_id, [FoundImage("abc", name, f"field of {name}") for name in names])
    return submission_id


def test_empty_queue_gives_nothing(queue: Queue) -> None:
    assert queue.take() is None


def test_submission_is_read_once(queue: Queue) -> None:
    submission_id = submit(queue)
    assert queue.take() == ReadTask(submission_id, "abc", "a.fits", {"parity": 1})
    assert queue.take() is None


def test_every_image_is_solved_once(queue: Queue) -> None:
    submit_images(queue, "a", "b")
    taken = [queue.take(), queue.take(), queue.take()]
    assert taken == [
        SolveTask(1, "abc", "field of a", {"parity": 1}),
        SolveTask(2, "abc", "field of b", {"parity": 1}),
        None,
    ]


def test_submission_is_finished_before_it_has_a_job(queue: Queue, records: Records) -> None:
    submission_id = submit(queue)
    assert states(records, submission_id) == (True, True, [])
    queue.take()
    assert states(records, submission_id) == (False, True, [])
    queue.finish_reading(submission_id, [FoundImage("abc", "a", "")])
    assert states(records, submission_id) == (False, False, [None])
    queue.take()
    assert states(records, submission_id) == (False, False, [1])


def states(records: Records, submission_id: int) -> tuple[bool, bool, list[int | None]]:
    document = records.submission(submission_id) or {}
    times = [document[key] == "None" for key in ("processing_started", "processing_finished")]
    return times[0], times[1], document["jobs"]


def test_job_goes_through_novas_states(queue: Queue, records: Records) -> None:
    submission_id = submit_images(queue, "a")
    queue.take()
    assert records.status(1) == "solving"
    queue.recover()
    assert records.status(1) == "processing"
    queue.take()
    queue.solved(1, SOLVED)
    assert records.status(1) == "success"
    assert (records.submission(submission_id) or {})["job_calibrations"] == [[1, 1]]


def test_work_of_an_ended_server_is_taken_again_under_its_old_id(
    queue: Queue, open_database: OpenDatabase
) -> None:
    submit_images(queue, "a")
    begun = queue.take()
    read_again = submit(queue)
    queue.take()
    later = Queue(open_database())
    later.recover()
    assert later.take() == begun
    assert later.take() == ReadTask(read_again, "abc", "a.fits", {"parity": 1})
    assert later.take() is None


def test_ended_work_is_not_taken_again(queue: Queue) -> None:
    submit_images(queue, "a", "b")
    for end in (lambda: queue.solved(1, SOLVED), lambda: queue.failed(2, "no match")):
        queue.take()
        end()
    submission_id = submit(queue)
    queue.take()
    queue.reject(submission_id, "no image")
    queue.recover()
    assert queue.take() is None


def test_crashed_work_is_repeated_once(queue: Queue, records: Records) -> None:
    submission_id = submit_images(queue, "a")
    job = queue.take()
    assert isinstance(job, SolveTask)
    queue.crashed(job, "it died")
    assert queue.take() == job
    queue.crashed(job, "it died")
    assert (queue.take(), records.status(job.job_id)) == (None, "failure")
    assert "error_message" not in (records.submission(submission_id) or {})


def test_submission_that_crashes_its_reader_ends_with_a_message(queue: Queue, records: Records) -> None:
    submission_id = submit(queue)
    for _ in range(2):
        task = queue.take()
        assert isinstance(task, ReadTask)
        queue.crashed(task, "it died")
    assert queue.take() is None
    assert (records.submission(submission_id) or {})["error_message"] == "it died"


def test_jobs_belong_to_their_user(queue: Queue, records: Records, database: Database) -> None:
    Accounts(database, session_s=1.0).new_key("another")
    submit_images(queue, "a", "b")
    queue.take()
    queue.take()
    assert (records.jobs_of(1), records.jobs_of(2)) == ([1, 2], [])


def named(*names: str) -> Solved:
    notes = [
        {"type": "bright", "names": [name], "pixelx": 1.0, "pixely": 1.0, "radius": 0.0} for name in names
    ]
    return Solved(SOLVED.calibration, notes, b"")


@pytest.fixture
def two_named(queue: Queue, records: Records) -> Records:
    submit_images(queue, "a", "b")
    for job_id, names in ((1, ["Alioth", "ε UMa"]), (2, ["Alioth", "100%", "Aliothis"])):
        queue.take()
        queue.solved(job_id, named(*names))
    return records


@pytest.mark.parametrize(
    ("query", "exact", "jobs"),
    [
        ("alioth", False, [2, 2, 1]),
        ("ALIOTH", True, [2, 1]),
        ("", False, [2, 2, 2, 1, 1]),
        ("", True, []),
        ("%", False, [2]),
        ("Vega", False, []),
    ],
)
def test_job_is_found_once_for_every_tag_that_fits(
    two_named: Records, query: str, exact: bool, jobs: list[int]
) -> None:
    assert two_named.jobs_by_tag(query, exact=exact) == jobs


@pytest.mark.parametrize(("bright_stars", "count"), [(0, 3), (2, 2), (9, 3), (-1, 3)])
def test_brightest_stars_can_be_asked_for(two_named: Records, bright_stars: int, count: int) -> None:
    notes = two_named.annotations(2, bright_stars=bright_stars) or []
    assert [note["names"][0] for note in notes] == ["Alioth", "100%", "Aliothis"][:count]


def users(database: Database, *names: str) -> None:
    for name in names:
        Accounts(database, session_s=1.0).new_key(name)


def owners(queue: Queue, database: Database, count: int) -> str:
    """Take so much work, and return a digit for each: whose it was."""
    owner = "SELECT user_id FROM submissions WHERE id = ?"
    solved = "SELECT owner_id AS user_id FROM images JOIN jobs ON image_id = images.id WHERE jobs.id = ?"
    told = ""
    for _ in range(count):
        task = queue.take()
        assert task is not None
        found = (
            database.row(solved, task.job_id)
            if isinstance(task, SolveTask)
            else database.row(owner, task.submission_id)
        )
        assert found is not None
        told += str(found["user_id"])
    return told


def test_users_take_turns(queue: Queue, database: Database) -> None:
    users(database, "second", "third")
    submit_images(queue, *(str(number) for number in range(6)), user=1)
    submit_images(queue, "x", "y", user=2)
    assert owners(queue, database, 8) in ("12121111", "21211111")
    submit_images(queue, "z", user=3)
    assert queue.take() is not None


def test_one_image_is_not_held_up_by_a_thousand(queue: Queue, database: Database) -> None:
    users(database, "busy", "with one")
    submit_images(queue, *(str(number) for number in range(1000)), user=2)
    for _ in range(200):
        submit(queue, user=2)
    assert owners(queue, database, 5) == "22222"
    submission_id = submit(queue, user=3)
    assert "3" in owners(queue, database, 2)
    queue.finish_reading(submission_id, [FoundImage("abc", "one", "field")])
    assert "3" in owners(queue, database, 2)


def test_images_of_one_user_keep_their_order(queue: Queue) -> None:
    submit_images(queue, "a", "b", "c")
    fields = [task.field for _ in range(3) if isinstance(task := queue.take(), SolveTask)]
    assert fields == ["field of a", "field of b", "field of c"]


def submit_url(queue: Queue, user: int = 1) -> int:
    return queue.submit(user, sha1=None, filename="a", options={"url": "http://x/a"})


def test_url_is_fetched_once_and_then_read(queue: Queue) -> None:
    submission_id = submit_url(queue)
    assert queue.take() is None
    assert queue.take_fetch() == FetchTask(submission_id, "http://x/a")
    assert queue.take_fetch() is None
    assert queue.take() is None
    queue.fetched(submission_id, "abc")
    assert queue.take() == ReadTask(submission_id, "abc", "a", {"url": "http://x/a"})
    assert queue.take_fetch() is None


def test_fetching_takes_turns_of_its_own(queue: Queue, database: Database) -> None:
    users(database, "second")
    first, again, other = submit_url(queue), submit_url(queue), submit_url(queue, 2)
    taken = [task.submission_id for _ in range(3) if (task := queue.take_fetch())]
    assert taken == [first, other, again]


def test_fetch_that_was_cut_is_repeated(queue: Queue, open_database: OpenDatabase) -> None:
    submission_id = submit_url(queue)
    queue.take_fetch()
    later = Queue(open_database())
    later.recover()
    assert later.take_fetch() == FetchTask(submission_id, "http://x/a")


def test_submission_whose_files_went_meanwhile_is_read_again(database: Database) -> None:
    kept = {"abc"}
    queue = Queue(database, stored=kept.__contains__)
    submission_id = submit(queue)
    task = queue.take()
    queue.finish_reading(submission_id, [FoundImage("abc", "a", "field of a")])
    assert queue.take() == task
    kept.add("field of a")
    queue.finish_reading(submission_id, [FoundImage("abc", "a", "field of a")])
    assert isinstance(queue.take(), SolveTask)


def test_what_became_of_removed_work_is_passed_over(queue: Queue, database: Database) -> None:
    """Ended submissions go when the disk is full; a worker may still be at a copy of one."""
    tasks = [FetchTask(99, "http://x"), ReadTask(99, "abc", "a", {}), SolveTask(99, "abc", "a", {})]
    for task in tasks:
        queue.crashed(task, "it died")
        queue.fail(task, "it failed")
    queue.finish_reading(99, [FoundImage("abc", "a", "")])
    queue.fetched(99, "abc")
    queue.solved(99, SOLVED)
    assert queue.take() is None
    assert database.rows("SELECT * FROM calibrations") == []


def test_long_archive_waits_for_its_next_turn(queue: Queue, database: Database, records: Records) -> None:
    users(database, "second")
    archive = submit(queue, user=1)
    queue.take()
    other = submit(queue, user=2)
    queue.finish_reading(archive, [FoundImage("abc", "a", "field of a")], members_read=3)
    assert states(records, archive) == (False, True, [None])
    taken = [queue.take(), queue.take(), queue.take()]
    assert taken[:2] == [
        ReadTask(other, "abc", "a.fits", {"parity": 1}),
        ReadTask(archive, "abc", "a.fits", {"parity": 1}, members_read=3),
    ]
    assert isinstance(taken[2], SolveTask)
    queue.finish_reading(archive, [], reason="no image")
    assert states(records, archive) == (False, False, [1])
    assert "error_message" not in (records.submission(archive) or {})


def test_submission_without_an_image_ends_with_a_reason(queue: Queue, records: Records) -> None:
    submission_id = submit(queue)
    queue.take()
    queue.finish_reading(submission_id, [], reason="no image")
    assert (records.submission(submission_id) or {})["error_message"] == "no image"
