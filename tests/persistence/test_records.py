"""Launches, people and events: what is kept for later, and what is let go."""

from dataclasses import replace

import pytest

from renku_spawner.domain.access import Role
from renku_spawner.domain.projects import ProjectChange, ProjectMember
from renku_spawner.persistence.database import Database

from .made import NOW, environment, later, launch, project, revision, session, started


def test_a_launch_is_read_as_it_was_added_and_changed(db: Database) -> None:
    with db.write() as tx:
        one = launch(session(tx, project(tx), environment(tx)))
        tx.launches.add(one)
        assert tx.launches.get(one.id) == one
        tx.launches.update(one.id, outcome="running", ready_at=later(12))
        tx.launches.update(one.id, outcome="failed", reason="oom", message="m", log="☃\n", ended_at=later(99))
    with db.read() as tx:
        assert tx.launches.get(one.id) == replace(
            one, outcome="failed", reason="oom", message="m", log="☃\n", ready_at=later(12), ended_at=later(99)
        )
        assert tx.launches.get("unknown") is None


def test_who_and_what_of_a_launch_never_change(db: Database) -> None:
    with pytest.raises(TypeError, match="username"), db.write() as tx:
        tx.launches.update("x", username="eve")


def test_ones_launches_of_a_session_come_newest_first(db: Database) -> None:
    with db.write() as tx:
        where, what = project(tx), environment(tx)
        of, other = session(tx, where, what, "a"), session(tx, where, what, "b")
        made = [launch(of, at=later(n)) for n in range(4)]
        for one in (*made, launch(of, "bob"), launch(other)):
            tx.launches.add(one)
        assert tx.launches.list_for_session(of.id, "ada", limit=3) == made[:0:-1]


def test_the_usual_time_is_the_median_of_the_last_twenty_that_succeeded(db: Database) -> None:
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
        for n in range(30):
            tx.launches.add(launch(of, at=later(n), seconds=100 if n < 10 else n))
            tx.launches.add(launch(of, at=later(n)))
        assert tx.launches.get_usual_seconds(of.revision) == 19.5
        assert tx.launches.get_usual_seconds(of.revision.id) == 19.5


def test_two_starts_say_nothing_and_the_third_counts_when_it_answers(db: Database) -> None:
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
        third = launch(of, at=later(3))
        for one in (launch(of, seconds=4), launch(of, seconds=5), third):
            tx.launches.add(one)
        assert tx.launches.get_usual_seconds(of.revision) is None
        tx.launches.update(third.id, ready_at=later(3 + 60))
        assert tx.launches.get_usual_seconds(of.revision) == 5


def test_the_usual_time_is_of_the_digest_else_of_the_revision(db: Database) -> None:
    with db.write() as tx:
        where, one, same = project(tx), environment(tx, "a"), environment(tx, "b")
        unknown = tx.environments.add_revision(one.id, revision(digest=None), by="a", now=NOW)
        first = session(tx, where, one)
        for seconds in (1, 2, 3):
            tx.launches.add(launch(first, "bob", seconds=seconds))
            tx.launches.add(replace(launch(first, seconds=10 * seconds), revision=unknown.id))
        ids = [one.revision.id, same.revision.id, unknown.id, "nothing"]
        assert tx.launches.get_usual_seconds_by_revision(ids) == {ids[0]: 2, ids[1]: 2, ids[2]: 20}
        assert tx.launches.get_usual_seconds_by_revision(ids, "ada") == {ids[2]: 20}
        assert tx.launches.get_usual_seconds(one.revision, "bob") == 2


def test_old_launches_go_but_never_one_under_way(db: Database) -> None:
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
        old, under_way, new = launch(of, seconds=1), launch(of), launch(of, at=later(10), seconds=1)
        for one in (old, under_way, new):
            tx.launches.add(one)
        assert tx.launches.prune(later(5)) == 1
        assert tx.launches.prune(later(5)) == 0
        assert {one.id for one in tx.launches.list_for_session(of.id, "ada")} == {under_way.id, new.id}


def test_pruning_stays_short_and_comes_to_an_end(db: Database) -> None:
    with db.write() as tx:
        for n in range(1001):
            tx.audit.add(at=later(n), actor="a", username=None, action="x", subject="s", detail={})
        assert [tx.audit.prune(later(5000)) for _ in range(3)] == [1000, 1, 0]


def test_events_come_newest_first(db: Database) -> None:
    with db.write() as tx:
        for action in ("view", "stop", "refuse"):
            tx.audit.add(at=NOW, actor="admin", username="ada", action=action, subject="s", detail={"n": [1, "☃"]})
        found = tx.audit.list_recent(2)
    assert [(event.action, event.at, event.username) for event in found] == [
        ("refuse", NOW, "ada"),
        ("stop", NOW, "ada"),
    ]
    assert found[0].detail == {"n": [1, "☃"]}


def test_a_user_made_again_under_an_old_name_inherits_nothing(db: Database) -> None:
    ada = ProjectMember(kind="user", name="ada", role=Role.EDITOR)
    group = ProjectMember(kind="group", name="ada", role=Role.VIEWER)
    with db.write() as tx:
        assert not tx.known_users.record_user("ada", later(-100))
        shared = project(tx, owner="bob")
        tx.projects.update(
            shared, ProjectChange(version=1, members=(*shared.members, ada, group)), repositories=None, now=NOW
        )
        of = session(tx, shared, environment(tx))
        old = started(tx, of)
        others = started(tx, of, "bob")
        tx.launches.add(launch(of))
    with db.write() as tx:
        assert tx.known_users.is_known("ada", later(-100))
        assert not tx.known_users.is_known("ada", later(100))
        assert tx.known_users.record_user("ada", later(100))
        assert not tx.known_users.record_user("ada", later(100))
    with db.read() as tx:
        assert set(tx.projects.get(shared.id).members) == {*shared.members, group}
        assert tx.instances.get(of.id, "ada") is None
        assert tx.instances.list_for_user("ada") == ([], None)
        assert tx.launches.list_for_session(of.id, "ada") == []
        assert tx.instances.get(of.id, "bob") == others
        assert tx.instances.has_data_of_others(of.id, "bob")
        former = [one for one in tx.instances.list_active() if one.id == old.id]
    assert former == [replace(old, username="ada (before 2026-11-24T09:31:55.123456Z)")]


@pytest.mark.parametrize("again", [-100, -200, None])
def test_a_user_who_comes_back_keeps_everything(db: Database, again: int | None) -> None:
    with db.write() as tx:
        tx.known_users.record_user("ada", later(-100))
        made = project(tx)
        assert not tx.known_users.record_user("ada", None if again is None else later(again))
        assert tx.projects.get(made.id) == made


def test_an_age_that_was_unknown_is_learnt_without_loss(db: Database) -> None:
    with db.write() as tx:
        tx.known_users.record_user("ada", None)
        made = project(tx)
        assert not tx.known_users.is_known("ada", later(50))
        assert not tx.known_users.record_user("ada", later(50))
        assert tx.known_users.is_known("ada", later(50))
        assert tx.projects.get(made.id) == made
