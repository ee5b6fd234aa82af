"""One step at a time, one winner of two, and one active instance per environment."""

from dataclasses import replace
from functools import partial

import pytest

from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.instances import Instance, ObservedState, mark_data_deleted, mark_ready, mark_stopped
from renku_spawner.persistence.database import Database
from renku_spawner.persistence.statements import ConcurrentUpdate, UniqueConflict

from .made import NOW, begun, environment, later, project, session, started
from .together import together

ROUNDS = 50


def test_an_instance_is_read_as_it_was_saved(db: Database) -> None:
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
        assert tx.instances.get(of.id, "ada") is None
        fresh = tx.instances.get_or_create(of, "ada", now=NOW)
        assert (fresh.status, fresh.project, fresh.environment) == ("inactive", of.project, of.environment.id)
        wanted = replace(begun(fresh), notices=({"code": "c", "title": "t", "text": "☃"},), url="http://x", message="m")
        saved = tx.instances.save(fresh, wanted)
    assert saved == replace(wanted, generation=1)
    with db.read() as tx:
        assert tx.instances.get(of.id, "ada") == saved
        assert tx.instances.find_in_slot("ada", saved.slot) == saved
        assert tx.instances.find_in_slot("bob", saved.slot) is None
        assert tx.instances.get_for_sessions("ada", [of.id, "unknown"]) == {of.id: saved}
        assert tx.instances.get_for_sessions("bob", [of.id]) == {}
        assert tx.instances.get_for_sessions("ada", []) == {}


def test_who_asks_again_gets_the_same_instance(db: Database) -> None:
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
        assert tx.instances.get_or_create(of, "ada", now=NOW) == tx.instances.get_or_create(of, "ada", now=later(1))


def test_a_step_from_what_is_no_longer_stored_is_lost(db: Database) -> None:
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
        first = started(tx, of)
        second = tx.instances.save(first, mark_ready(first, url="http://x", now=NOW))
    with pytest.raises(ConcurrentUpdate), db.write() as tx:
        tx.instances.save(first, mark_stopped(first, now=NOW))
    with db.read() as tx:
        assert tx.instances.get(of.id, "ada") == second


def test_a_second_session_of_an_environment_is_refused_while_the_first_is_active(db: Database) -> None:
    with db.write() as tx:
        where, what = project(tx), environment(tx)
        one, two = session(tx, where, what, "one"), session(tx, where, what, "two")
        first = started(tx, one)
        started(tx, two, "bob")
        started(tx, session(tx, where, environment(tx, "R"), "three"))
        started(tx, session(tx, project(tx, "ada/other"), what))
    with pytest.raises(UniqueConflict) as clash, db.write() as tx:
        started(tx, two)
    assert clash.value.what == "slot"
    with db.write() as tx:
        tx.instances.save(first, mark_stopped(first, now=NOW))
        assert started(tx, two).is_active


def start(db: Database, fresh: Instance) -> str:
    with db.write() as tx:
        tx.instances.save(fresh, begun(fresh))
    return "won"


def both_start(db: Database, one: Instance, two: Instance) -> list[str]:
    return sorted(together(lambda: start(db, one), lambda: start(db, two)))


def test_of_two_parallel_starts_of_sessions_of_one_environment_exactly_one_wins(db: Database) -> None:
    with db.write() as tx:
        where, what = project(tx), environment(tx)
        of = [session(tx, where, what, title) for title in ("one", "two")]
    for number in range(ROUNDS):
        with db.write() as tx:
            fresh = [tx.instances.get_or_create(one, f"user{number}", now=NOW) for one in of]
        assert both_start(db, *fresh) == ["slot", "won"]
        with db.read() as tx:
            assert tx.instances.count_running(f"user{number}") == 1


def test_of_two_parallel_starts_of_one_session_exactly_one_wins(db: Database) -> None:
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
    for number in range(ROUNDS):
        with db.write() as tx:
            fresh = tx.instances.get_or_create(of, f"user{number}", now=NOW)
        assert both_start(db, fresh, fresh) == ["lost", "won"]


def test_parallel_first_contacts_make_one_instance(db: Database) -> None:
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))

    def ensure(name: str) -> str:
        with db.write() as tx:
            return tx.instances.get_or_create(of, name, now=NOW).id

    for number in range(ROUNDS):
        ids = together(*[partial(ensure, f"user{number}")] * 2)
        assert ids[0] == ids[1]
        with db.read() as tx:
            assert tx.instances.get(of.id, f"user{number}").id == ids[0]


def test_mine_are_those_that_are_not_inactive_the_latest_started_first(db: Database) -> None:
    with db.write() as tx:
        where = project(tx)
        of = [session(tx, where, environment(tx, str(n)), str(n)) for n in range(6)]
        made = [started(tx, one, now=later(n // 2)) for n, one in enumerate(of[:5])]
        tx.instances.get_or_create(of[5], "ada", now=NOW)
        started(tx, of[5], "bob")
        forgotten = tx.instances.save(made[0], mark_data_deleted(made[0], now=NOW))
    assert forgotten.status == "inactive"
    seen, after = [], None
    with db.read() as tx:
        while True:
            page, after = tx.instances.list_for_user("ada", after=after, limit=2)
            seen += page
            if after is None:
                break
    assert seen == sorted(made[1:], key=lambda one: (one.requested_at, one.id), reverse=True)


@pytest.mark.parametrize("after", ["x", "WyJub3ciLCJhIl0", "WyIyMDI2LTAxLTAxIiwiYSJd"])
def test_an_invented_place_is_refused(db: Database, after: str) -> None:
    with pytest.raises(InvalidInputError), db.read() as tx:
        tx.instances.list_for_user("ada", after=after)


def test_what_counts_as_active_and_as_kept(db: Database) -> None:
    with db.write() as tx:
        where = project(tx)
        of = [session(tx, where, environment(tx, str(n)), str(n)) for n in range(4)]
        running, unknown, paused = (started(tx, one) for one in of[:3])
        unknown = tx.instances.save(unknown, replace(unknown, observed=ObservedState.UNKNOWN))
        paused = tx.instances.save(paused, mark_stopped(paused, now=NOW))
        tx.instances.get_or_create(of[3], "ada", now=NOW)
        other = started(tx, of[0], "bob")
        assert tx.instances.count_running("ada") == 2
        assert tx.instances.count_kept("ada") == 3
        assert {one.id for one in tx.instances.list_active()} == {running.id, unknown.id, other.id}
        assert tx.instances.has_data_of_others(of[0].id, "ada")
        assert not tx.instances.has_data_of_others(of[1].id, "ada")
        assert tx.instances.has_data_of_others(of[1].id, "bob")


def test_all_that_are_active_come_in_pages(db: Database) -> None:
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
        names = sorted(f"user{number}" for number in range(7))
        for name in reversed(names):
            started(tx, of, name)
        tx.instances.get_or_create(of, "zoe", now=NOW)
        pages, last = [], None
        while page := tx.instances.list_active_after(last, 3):
            pages.append([one.username for one in page])
            last = page[-1]
    assert pages == [names[:3], names[3:6], names[6:]]


def test_activity_moves_forward_only_and_is_no_step(db: Database) -> None:
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
        saved = started(tx, of)
        tx.instances.update_last_activity(of.id, "ada", later(10))
        tx.instances.update_last_activity(of.id, "ada", later(5))
        found = tx.instances.get(of.id, "ada")
        assert found == replace(saved, last_activity=later(10))
        tx.instances.save(found, mark_stopped(found, now=NOW))
