import multiprocessing
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from arrivals import ManualTime, run_threads
from hypothesis import HealthCheck, example, given, settings
from slot_steps import STEPS, WINDOWS, play

from astrometry_client.session.slots import Window
from astrometry_client.session.slots_memory import MemorySlots
from astrometry_client.session.slots_sqlite import SQLiteSlots

ONE_A_MINUTE = (Window(1, 60.0),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "ratelimit.db"


@pytest.fixture
def store(path: Path):
    store = SQLiteSlots(path)
    yield store
    store.close()


def take(store, name="nova", windows=ONE_A_MINUTE):
    """Return the number of a slot that is free now, or None."""
    slot = store.reserve(name, windows, 1, 0)
    return slot and slot.number


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(steps=[("reserve", 0.0), ("give back", 0), ("pass", 1.0), ("reserve", 0.0), ("confirm", 0)])
@given(steps=STEPS)
def test_every_step_does_as_in_memory(tmp_path_factory, steps):
    times = ManualTime(), ManualTime()
    in_file = SQLiteSlots(tmp_path_factory.mktemp("rates") / "r.db", clock=times[0].clock)
    try:
        assert play(in_file, steps, times[0]) == play(MemorySlots(clock=times[1].clock), steps, times[1])
    finally:
        in_file.close()


def test_threads_never_get_the_same_slot(store):
    numbers = []
    run_threads(
        lambda: numbers.extend(store.reserve("nova", WINDOWS, 1, 1e9).number for _ in range(50)), count=8
    )
    assert sorted(numbers) == list(range(1, 401))


def test_the_budget_outlives_its_store(store, path):
    assert take(store) == 1
    store.close()
    other = SQLiteSlots(path)
    assert take(other) is None
    other.close()


def test_yesterdays_file_leaves_the_whole_allowance(path):
    time = ManualTime()
    store = SQLiteSlots(path, clock=time.clock)
    assert take(store) == 1
    time.now += 86400
    assert take(store) == 2
    store.close()


def test_file_and_folder_are_for_their_owner_alone(store, path):
    take(store)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(modes, 0o600)
    assert len(modes) == 4


def test_the_log_is_written_ahead(store, path):
    take(store)
    with sqlite3.connect(path) as reader:
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.close()


def open_files() -> list[str]:
    return sorted(str(fd.readlink()) for fd in list(Path("/proc/self/fd").iterdir()) if fd.exists())


def test_closing_gives_every_file_back(store, path):
    before = open_files()
    take(store)
    assert len(open_files()) - len(before) == 3
    store.close()
    assert open_files() == before


def test_a_closed_store_opens_again(store):
    assert take(store) == 1
    store.close()
    assert take(store) is None


def test_a_removed_file_is_noticed_and_begun_anew(store, path):
    take(store)
    for file in path.parent.iterdir():
        file.unlink()
    assert take(store) == 1
    assert path.exists()


def test_an_interrupt_in_a_transaction_leaves_a_usable_store(store):
    def interrupt(book):
        book.write(1, 0.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.change("nova", interrupt)
    assert take(store) == 1


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_process_killed_in_a_transaction_leaves_a_usable_file(store, path):
    assert take(store, "other") == 1
    code = """
        import sys, time
        from pathlib import Path
        from astrometry_client.session.slots_sqlite import SQLiteSlots

        def hold(book):
            book.write(1, 1e12)
            print("holding", flush=True)
            time.sleep(600)

        SQLiteSlots(Path(sys.argv[1])).change("nova", hold)
    """
    with run(code, path) as holder:
        assert holder.stdout.readline() == "holding\n"
        holder.send_signal(signal.SIGKILL)
    assert take(store) == 1
    assert take(store, "other") is None


def test_processes_that_create_the_file_at_once_share_it(path):
    code = """
        import sys
        from pathlib import Path
        from astrometry_client.session.slots import Window
        from astrometry_client.session.slots_sqlite import SQLiteSlots

        sys.stdin.readline()
        store = SQLiteSlots(Path(sys.argv[1]))
        print(*[store.reserve("nova", (Window(1, 1.0),), 1, 1e9).number for _ in range(20)])
    """
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for starter in starters:
        starter.stdin.write("\n")
        starter.stdin.flush()
    numbers = [int(number) for starter in starters for number in starter.communicate()[0].split()]
    assert sorted(numbers) == list(range(1, 81))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_the_file_itself(store):
    assert take(store) == 1
    inherited = store._database._connection

    def in_child(answers):
        answers.put((store._database._connection is inherited, take(store), take(store, "other")))
        store.close()

    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=in_child, args=(answers,))
    child.start()
    assert answers.get(timeout=30) == (False, None, 1)
    child.join()
    assert child.exitcode == 0
    assert take(store, "other") is None
