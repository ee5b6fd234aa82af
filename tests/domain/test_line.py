"""The line of starts that wait: order, fairness, room, words."""

from datetime import UTC, datetime, timedelta

import pytest

from renku_spawner.domain.start_queue import (
    QueuedStart,
    count_free_starts,
    format_ordinal,
    format_queue_position,
    get_next_queue_turn,
    get_queue_positions,
)

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def joined(*who):
    """The line after these have joined, one a second; a name stands for a start of that person."""
    waiting = []
    for second, name in enumerate(who):
        turns = [each.turn for each in waiting]
        own = [each.turn for each in waiting if each.username == name]
        turn = get_next_queue_turn(min(turns, default=None), max(own, default=None))
        since = NOON + timedelta(seconds=second)
        waiting.append(QueuedStart(turn=turn, since=since, id=str(second), username=name, session=f"s{second}"))
    return waiting


@pytest.mark.parametrize(
    ("asked", "begin"),
    [
        ("a b c", "a b c"),
        ("a a a b", "a b a a"),
        ("a a b b c", "a b c a b"),
        ("a a a a b c b", "a b c a b a a"),
        ("b a a a", "b a a a"),
        ("", ""),
    ],
)
def test_people_take_turns_and_ones_own_keep_their_order(asked, begin):
    waiting = sorted(joined(*asked.split()))
    assert [each.username for each in waiting] == begin.split()
    for name in set(asked.split()):
        own = [each.since for each in waiting if each.username == name]
        assert own == sorted(own)


def test_whoever_comes_later_overtakes_no_second_start_for_ever():
    waiting = sorted(joined("a", "a", "b"))
    left = waiting[2:]  # the first of a and of b have begun; a's second is at the head
    new = get_next_queue_turn(left[0].turn, None)
    assert (left[0].username, new) == ("a", left[0].turn)
    late = QueuedStart(turn=new, since=NOON + timedelta(seconds=9), id="9", username="c", session="s9")
    assert sorted([late, *left])[0] is left[0]


def test_places_are_counted_from_one():
    assert get_queue_positions(joined("a", "a", "b")) == {("a", "s0"): 1, ("b", "s2"): 2, ("a", "s1"): 3}


@pytest.mark.parametrize(
    ("at_once", "starting", "at_most", "active", "free"),
    [(0, 9, 0, 9, None), (2, 0, 0, 0, 2), (2, 2, 0, 0, 0), (2, 3, 0, 0, 0), (2, 0, 5, 4, 1), (0, 0, 5, 7, 0)],
)
def test_there_is_room_below_both_limits(at_once, starting, at_most, active, free):
    assert count_free_starts(at_once=at_once, starting=starting, at_most=at_most, active=active) == free


def test_words_say_where_one_stands_and_why():
    assert format_queue_position(3, at_once=64, at_most=0, full=False) == "3rd in line; the hub starts 64 at a time"
    assert format_queue_position(1, at_once=64, at_most=200, full=True) == "1st in line; the hub runs 200 at most"
    assert format_queue_position(None, at_once=64, at_most=0, full=False) == "Queued"
    said = {2: "2nd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 111: "111th"}
    assert {number: format_ordinal(number) for number in said} == said
