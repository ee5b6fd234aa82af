"""Every statement of a page finds its rows by an index, however much is stored."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event

from renku_spawner.domain.administration import InstanceFilter
from renku_spawner.domain.environments import EnvironmentState
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.persistence.database import Database, Transaction

from .made import NOW, environment, launch, project, session, started

ASKED = {
    "a project by its path": lambda tx, _: tx.projects.get_by_path("ada/climate"),
    "a project by an old path": lambda tx, _: tx.projects.get_by_path("ada/weather"),
    "a project of GitLab's by its path": lambda tx, _: tx.external_projects.get_number_by_path("gitlab", "ada/climate"),
    "a project of GitLab's by our id": lambda tx, of: tx.external_projects.get_number("gitlab", id=of.project),
    "a project of GitLab's by its number": lambda tx, _: tx.projects.get_by_source("gitlab", "42"),
    "a page of projects of GitLab's": lambda tx, _: tx.external_projects.get_many("gitlab", ["42", "43"]),
    "the projects that one sees": lambda tx, _: tx.projects.list_visible(name="ada", groups=["staff"], limit=20),
    "a page of sessions": lambda tx, of: tx.sessions.list_for_project(of.project),
    "a search in a page of sessions": lambda tx, of: tx.sessions.list_for_project(of.project, search="a", keyword="b"),
    "a session": lambda tx, of: tx.sessions.get(of.id),
    "one's instances of a page": lambda tx, of: tx.instances.get_for_project_page(
        "ada", of.project, [of.id, "another"]
    ),
    "one's instances": lambda tx, _: tx.instances.list_for_user("ada"),
    "one's instance in a slot": lambda tx, of: tx.instances.find_in_slot("ada", f"{of.project}/{of.environment.id}"),
    "whether others have data": lambda tx, of: tx.instances.has_data_of_others(of.id, "ada"),
    "a page of ready-made environments": lambda tx, _: tx.environments.list_page(EnvironmentState, "b"),
    "which of them can change places": lambda tx, _: tx.environments.list_added_ids(),
    "how much environments are used": lambda tx, of: tx.environment_usage.get_usage([of.environment.id], NOW),
    "how many are active": lambda tx, _: tx.instances.count_running("ada"),
    "one's that run": lambda tx, _: tx.instances.list_running("ada"),
    "one's that have data": lambda tx, _: tx.instances.list_kept("ada"),
    "who waits in line": lambda tx, _: tx.start_queue.list_queued(),
    "what was coming up": lambda tx, _: tx.start_queue.list_starting(),
    "where the line begins": lambda tx, _: tx.start_queue.get_first_turn(),
    "one's last in line": lambda tx, _: tx.start_queue.get_last_turn("ada"),
    "whether others have data in a project": lambda tx, of: tx.instances.has_project_data_of_others(of.project, "ada"),
    "whose data shall go": lambda tx, _: tx.instances.list_pending_deletion(),
    "what expires now": lambda tx, _: tx.expiry.list_due(NOW, 50),
    "what was announced": lambda tx, _: tx.expiry.list_announced("", 200),
    "what has data": lambda tx, _: tx.expiry.list_with_data("", 200),
    "when all was well": lambda tx, _: tx.expiry.get_last_job_run("expiry"),
    "all that are active": lambda tx, _: tx.instances.list_active(),
    "a page of all that are active": lambda tx, _: tx.instances.list_active_after(
        tx.instances.list_active_after(None, 1)[0], 200
    ),
    "a page of everybody's instances": lambda tx, _: tx.administration.list_instances(
        InstanceFilter(), after=None, limit=50
    ),
    "everybody's that run": lambda tx, _: everybody(tx, status=InstanceStatus.RUNNING),
    "everybody's that failed": lambda tx, _: everybody(tx, status=InstanceStatus.FAILED),
    "everybody's that ended so": lambda tx, _: everybody(tx, reason="culled_idle"),
    "somebody's": lambda tx, _: everybody(tx, owner="ada"),
    "those of a project": lambda tx, _: everybody(tx, project="ada/climate"),
    "what the rounds look at": lambda tx, _: tx.idle_checks.list_due(NOW, 200),
    "the claims on record": lambda tx, _: tx.administration.list_claims_after("", 1000),
    "whose claims they are": lambda tx, _: tx.administration.get_instances_by_claim(["one", "two"]),
    "failures by day": lambda tx, _: tx.administration.count_failures(NOW),
    "audit events of one actor": lambda tx, _: tx.audit.list_page(actor="root", limit=50),
    "audit events of one kind": lambda tx, _: tx.audit.list_page(action="start refused", limit=50),
    "one's starts of a session": lambda tx, of: tx.launches.list_for_session(of.id, "ada"),
    "what is installed in an image": lambda tx, of: tx.software.get(of.revision.digest),
    "the usual time of a start": lambda tx, of: tx.launches.get_usual_seconds(of.revision),
}

# Those indexes hold only the rows that are meant, in the order of the page: they may be walked from end to end.
WALKED = ("_latest_failed", "_latest_active")


def everybody(tx: Transaction, **asked: Any) -> object:
    return tx.administration.list_instances(InstanceFilter(**asked), after=None, limit=50)


@pytest.fixture
def plans(db: Database) -> Iterator[Callable[[Any], list[str]]]:
    """A function that says how the database goes about each statement of a question."""
    seen: list[tuple[str, Any]] = []
    listen = ("before_cursor_execute", lambda *args: seen.append((args[2], args[3])))

    def plan(ask: Callable[[Transaction], object]) -> list[str]:
        with db.read() as tx:
            event.listen(db.engine, *listen)
            ask(tx)
            event.remove(db.engine, *listen)
        return [line for statement, values in seen for line in _explained(db, statement, values)]

    yield plan


def _explained(db: Database, statement: str, values: Any) -> list[str]:
    with db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            return [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # with few rows it would not look for an index
        return [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values)]


@pytest.mark.parametrize("question", ASKED)
def test_no_table_is_read_from_end_to_end(db: Database, plans: Callable[[Any], list[str]], question: str) -> None:
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
        started(tx, of)
        tx.launches.add(launch(of, seconds=3))
    found = plans(lambda tx: ASKED[question](tx, of))
    assert found
    for line in (line for line in found if not any(index in line for index in WALKED)):
        assert "SCAN renku_" not in line, found
        assert "Seq Scan on renku_" not in line, found


def test_a_page_gets_its_instances_and_what_is_active_beside_them(db: Database) -> None:
    with db.write() as tx:
        where, away, what = project(tx), project(tx, "ada/rivers", title="Rivers"), environment(tx)
        here, other, still = (session(tx, where, what, title) for title in ("Here", "Other", "Still"))
        mine = started(tx, other)
        shown = tx.instances.get_or_create(here, "ada", now=NOW)
        tx.instances.get_or_create(still, "ada", now=NOW)
        started(tx, other, "bob")
        started(tx, session(tx, away, what), "ada")
    with db.read() as tx:
        assert tx.instances.get_for_project_page("ada", where.id, [here.id]) == {here.id: shown, other.id: mine}
        assert tx.instances.get_for_project_page("carol", where.id, [here.id, other.id]) == {}
