"""What operators ask of everybody's instances and starts."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import event

from renku_spawner.domain.administration import DurationSummary, InstanceFilter
from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.instances import DesiredState, InstanceStatus, ObservedState, mark_stopped, mark_stopping
from renku_spawner.persistence.database import Database, Transaction

from .made import NOW, environment, later, launch, project, session, started


def pages(tx: Transaction, *, limit: int = 100, **asked: Any) -> list[str]:
    """The owners of all that is found, page by page."""
    found, after = [], None
    while True:
        rows, after = tx.administration.list_instances(InstanceFilter(**asked), after=after, limit=limit)
        found += [row.instance.username for row in rows]
        if after is None:
            return found


def test_every_instance_is_found_by_its_own_status_and_by_no_other(db: Database) -> None:
    every = list(product(DesiredState, ObservedState, (None, "crash_exit"), (None, "claim")))
    expected: dict[InstanceStatus, set[str]] = {status: set() for status in InstanceStatus}
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
        for number, (desired, observed, reason, claim) in enumerate(every):
            mine = started(tx, of, f"user{number}", later(number))
            state = replace(mine, desired=desired, observed=observed, reason=reason, claim=claim and f"c{number}")
            expected[tx.instances.save(mine, state).status].add(mine.username)
    with db.read() as tx:
        found = {status: pages(tx, status=status, limit=7) for status in InstanceStatus}
        assert len(pages(tx, limit=9)) == len(every) - len(expected[InstanceStatus.INACTIVE])
    assert all(len(set(names)) == len(names) for names in found.values())
    expected[InstanceStatus.INACTIVE] = set()  # of those nothing is there
    assert {status: set(names) for status, names in found.items()} == expected
    assert all(expected[status] for status in InstanceStatus if status is not InstanceStatus.INACTIVE)


def test_instances_are_found_by_owner_project_and_reason_the_latest_first(db: Database) -> None:
    with db.write() as tx:
        what, here = environment(tx), project(tx, "Ada/Climate")
        of, elsewhere = session(tx, here, what), session(tx, project(tx, "ada/rivers"), what, "Flow")
        for number, name in enumerate(("ada", "bob", "carol")):
            started(tx, of, name, later(number))
        away = started(tx, elsewhere, "bob", later(9))
        idle = mark_stopped(mark_stopping(away, ended_reason="stopped_by_admin", now=NOW), now=NOW)
        tx.instances.save(away, idle)
    with db.read() as tx:
        assert pages(tx, limit=1) == ["bob", "carol", "bob", "ada"]
        assert pages(tx, owner="bob") == ["bob", "bob"]
        assert pages(tx, project="ada/climate") == pages(tx, project=here.id) == ["carol", "bob", "ada"]
        assert pages(tx, reason="stopped_by_admin", owner="bob", status=InstanceStatus.PAUSED) == ["bob"]
        assert pages(tx, owner="nobody") == pages(tx, project="ada/none") == pages(tx, reason="evicted") == []
        [row], _ = tx.administration.list_instances(InstanceFilter(reason="stopped_by_admin"), after=None, limit=5)
        assert (row.title, row.project_path, row.disk) == ("Flow", "ada/rivers", "1Gi")


@pytest.mark.parametrize("after", ["x", "WzFd", "WyIyMDI2LTExLTI0IiwgImEiXQ"])
def test_a_page_that_nobody_has_offered_does_not_exist(db: Database, after: str) -> None:
    asks = (
        lambda tx: tx.administration.list_instances(InstanceFilter(), after=after, limit=5),
        lambda tx: tx.administration.list_environment_starts(after=after, limit=5),
        lambda tx: tx.audit.list_page(after=after, limit=5),
    )
    for ask in asks:
        with db.read() as tx, pytest.raises(InvalidInputError):
            ask(tx)


def test_claims_on_record_are_told_in_order_and_whose_they_are(db: Database) -> None:
    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
        for number in range(5):
            mine = started(tx, of, f"u{number}")
            tx.instances.save(mine, replace(mine, claim=None if number == 3 else f"c{9 - number}"))
    with db.read() as tx:
        assert tx.administration.list_claims_after("", 2) == ["c5", "c7"]
        assert tx.administration.list_claims_after("c7", 9) == ["c8", "c9"]
        found = tx.administration.get_instances_by_claim(["c9", "c5", "none"])
        assert {claim: row.instance.username for claim, row in found.items()} == {"c9": "u0", "c5": "u4"}


def test_failures_are_counted_by_day_and_reason(db: Database) -> None:
    def failed(days: int, reason: str | None) -> Any:
        return replace(launch(of, at=NOW - timedelta(days=days)), outcome="failed", reason=reason)

    with db.write() as tx:
        of = session(tx, project(tx), environment(tx))
        tried = [(0, "crash_oom"), (0, "crash_oom"), (0, "evicted"), (3, "crash_oom"), (40, "evicted"), (3, None)]
        for one in [failed(*each) for each in tried] + [launch(of, seconds=3)]:
            tx.launches.add(one)
    with db.read() as tx:
        found = {
            (each.day, each.reason): each.count for each in tx.administration.count_failures(NOW - timedelta(days=30))
        }
    assert found == {
        (date(2026, 11, 24), "crash_oom"): 2,
        (date(2026, 11, 24), "evicted"): 1,
        (date(2026, 11, 21), "crash_oom"): 1,
        (date(2026, 11, 21), ""): 1,
    }


def many(tx: Transaction, name: str, seconds: Iterable[float]) -> str:
    what = environment(tx, name)
    of = session(tx, project(tx, f"ada/{name}", title=name), what)
    for number, each in enumerate(seconds):
        good = launch(of, at=later(number), seconds=each)
        tx.launches.add(replace(good, stages={"pulling": each - 1, "waiting": 1.0} if number % 2 else None))
    tx.launches.add(replace(launch(of), outcome="failed"))
    return what.id


def test_starts_are_told_by_environment_with_their_spread_and_that_of_their_stages(db: Database) -> None:
    with db.write() as tx:
        # Only the latest 200 say how long it takes; an older one was slow.
        common, rare = many(tx, "common", [999.0, *range(1, 201)]), many(tx, "rare", [])
        environment(tx, "never started")
    with db.read() as tx:
        first, after = tx.administration.list_environment_starts(after=None, limit=1)
        second, end = tx.administration.list_environment_starts(after=after, limit=1)
    [one], [other] = first, second
    assert (one.environment, one.name, one.starts, one.failed, end) == (common, "common", 202, 1, None)
    assert one.whole == DurationSummary(count=200, median=100.5, p95=190.0)
    assert one.stages == {
        "pulling": DurationSummary(count=100, median=99.0, p95=188.0),
        "waiting": DurationSummary(count=100, median=1.0, p95=1.0),
    }
    assert (other.environment, other.starts, other.failed, other.whole, other.stages) == (rare, 1, 1, None, {})


def test_counting_starts_reads_nothing_but_an_index(sqlite_db: Database) -> None:
    asked: list[Any] = []
    event.listen(sqlite_db.engine, "before_cursor_execute", lambda *args: asked.append(args[2:4]))
    with sqlite_db.read() as tx:
        tx.administration.list_environment_starts(after=None, limit=20)
    counting = next(each for each in asked if "sum(" in each[0])
    with sqlite_db.engine.connect() as connection:
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {counting[0]}", counting[1])]
    assert any("USING COVERING INDEX ix_renku_launches_environment" in line for line in plan), plan


def test_audit_events_are_found_by_actor_and_action_page_by_page(db: Database) -> None:
    with db.write() as tx:
        for number in range(6):
            actor, action = ("root", "ada")[number % 2], ("paused", "looked")[number % 3 == 0]
            tx.audit.add(
                at=later(number // 2), actor=actor, username=None, action=action, subject=str(number), detail={}
            )

    def found(tx: Transaction, **asked: str) -> str:
        said, after = "", None
        while True:
            events, after = tx.audit.list_page(after=after, limit=2, **asked)
            said += "".join(each.subject for each in events)
            if after is None:
                return said

    with db.read() as tx:
        assert found(tx) == "543210"
        assert found(tx, actor="root") == "420"
        assert found(tx, action="looked") == "30"
        assert found(tx, actor="root", action="looked") == "0"
