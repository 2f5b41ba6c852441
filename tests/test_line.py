"""The order of uploads: who waits, whose turn it is, and what is seen of others."""

import math

import pytest

from astrometry_client.flow.line import Line, Watch


def line_of(count: int) -> tuple[Line, list[Watch]]:
    """Return a line in which so many images stand since second 0."""
    line = Line()
    return line, [line.add((1, number), 0.0) for number in range(count)]


def queued(line: Line, watch: Watch, at_s: float) -> None:
    watch.seen_s = at_s
    line.saw_queued(watch)


def begun(line: Line, watch: Watch, at_s: float) -> None:
    before_s, watch.seen_s = watch.seen_s, at_s
    line.saw_begun(watch, at_s, before_s)


def test_image_that_waits_tells_how_many_are_solved_at_once() -> None:
    line, watches = line_of(6)
    assert line.room == math.inf
    assert all(line.begins_s(watch) == 0.0 for watch in watches)
    queued(line, watches[2], 1.0)
    assert line.room == 2
    assert [line.begins_s(watch) for watch in watches[:3]] == [0.0, 0.0, None]


def test_each_end_makes_room_for_one_more() -> None:
    line, watches = line_of(4)
    queued(line, watches[2], 1.0)
    line.remove(watches[0], 3.0)
    assert [line.begins_s(watch) for watch in watches[1:]] == [0.0, 3.0, None]


def test_all_that_are_solved_while_one_waits_are_known_to_be_unfinished() -> None:
    line, watches = line_of(4)
    queued(line, watches[2], 1.0)
    queued(line, watches[2], 5.0)
    assert [watch.unfinished_s for watch in watches[:2]] == [5.0, 5.0]
    assert line.ended_unseen() == (0, [])


def test_beginning_of_one_tells_of_the_end_of_another() -> None:
    line, watches = line_of(5)
    queued(line, watches[2], 1.0)
    queued(line, watches[3], 4.0)
    assert line.ended_unseen() == (1, watches[:3])
    watches[1].unfinished_s = 4.0  # a look has found it unfinished
    assert line.ended_unseen() == (1, [watches[0], watches[2]])
    line.remove(watches[0], 3.0)
    assert line.ended_unseen() == (0, [])


def test_room_grows_when_nobody_has_ended_and_more_have_begun() -> None:
    line, watches = line_of(5)
    queued(line, watches[1], 1.0)
    assert line.room == 1
    begun(line, watches[1], 2.0)
    for watch in watches[:2]:
        watch.unfinished_s = 3.0
    assert line.ended_unseen() == (0, [])
    assert line.room == 2


@pytest.mark.parametrize("overtaken", [2, 3])
def test_images_that_overtake_each_other_have_no_turns(overtaken: int) -> None:
    line, watches = line_of(5)
    begun(line, watches[4], 1.0)
    for _ in range(overtaken):
        queued(line, watches[0], 2.0)
    assert line.is_in_order is (overtaken < 3)
    assert line.begins_s(watches[1]) == (0.0 if overtaken < 3 else None)


def test_image_that_has_vanished_from_a_solver_waits_in_its_place_again() -> None:
    line, watches = line_of(3)
    for watch in watches[:2]:
        begun(line, watch, 1.0)
    queued(line, watches[0], 2.0)
    assert watches[0].begun_s is None
    assert [*line.waiting.values()] == [watches[0], watches[2]]
    assert line.head is watches[0]
    assert len(line) == 3


def test_uploads_may_become_known_in_any_order() -> None:
    line = Line()
    watches = {place: line.add(place, 0.0) for place in [(3, 0), (1, 1), (2, 0), (1, 0)]}
    assert [*line.waiting.values()] == [watches[place] for place in sorted(watches)]
    assert line.last_place == (3, 0)
    found = line.add(None, 1.0)
    assert watches[3, 0].place < found.place
    # The next submission may have the number that was supposed.
    line.add((4, 0), 1.0)
    assert found in line
    assert len(line) == 6


def test_thousands_that_seem_to_be_overtaken_are_not_all_thought_about() -> None:
    line, watches = line_of(5000)
    queued(line, watches[4], 1.0)
    queued(line, watches[4000], 2.0)
    unseen, among = line.ended_unseen()
    assert 0 < unseen < len(among) <= 64
