"""One's own instances in every order, page by page, and what they come to."""

from dataclasses import replace
from datetime import timedelta

import pytest

from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.instances import InstanceSort, OwnedInstancesSummary, mark_stopped
from renku_spawner.persistence.database import Database

from .made import NOW, environment, later, project, session, started

DAY = timedelta(days=1)
# By title: when it was started and used, how large it is, and when its data go.
ROWS = {
    "alpha": (1, 90, None, None),
    "Beta": (5, None, 4 << 30, 20),
    "gamma": (3, 20, 1 << 20, 10),
    "omega": (4, 10, 4 << 30, 10),
    "zeta": (2, 50, 0, None),
}
ORDERS = {
    InstanceSort.STARTED: ["Beta", "omega", "gamma", "zeta", "alpha"],
    InstanceSort.USED: ["alpha", "zeta", "gamma", "omega", "Beta"],
    InstanceSort.NAME: ["alpha", "Beta", "gamma", "omega", "zeta"],
    InstanceSort.SIZE: ["Beta|omega", "omega|Beta", "gamma", "zeta", "alpha"],
    InstanceSort.EXPIRY: ["gamma|omega", "omega|gamma", "Beta", "alpha|zeta", "zeta|alpha"],
}


@pytest.fixture
def titles(db: Database) -> dict[str, str]:
    """By session, with rows of somebody else's and one of nothing beside them."""
    made = {}
    with db.write() as tx:
        where, what = project(tx), environment(tx)
        for title, (at, used, size, on) in ROWS.items():
            of = session(tx, where, what, title)
            mine = started(tx, of, now=later(at))
            rests = replace(
                mark_stopped(mine, now=NOW), disk_used=size, last_activity=None if used is None else later(used),
                deleted_on=NOW + on * DAY if on else None,
            )  # fmt: skip
            tx.instances.save(mine, rests)
            made[of.id] = title
        running = session(tx, where, what, "Bob's")
        started(tx, running, "bob")
        tx.instances.get_or_create(session(tx, where, what, "Never started"), "ada", now=NOW)
    return made


@pytest.mark.parametrize("sort", InstanceSort)
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_every_order_is_the_same_however_it_is_paged(
    db: Database, titles: dict[str, str], sort: InstanceSort, limit: int
) -> None:
    seen, after = [], None
    while True:
        with db.read() as tx:
            found, after = tx.owned_instances.list_page("ada", sort, after=after, limit=limit)
        seen += [titles[each.session] for each in found]
        if after is None:
            break
    assert all(title in expected.split("|") for title, expected in zip(seen, ORDERS[sort], strict=True)), seen
    assert sorted(seen) == sorted(ROWS)


def test_a_cursor_is_of_one_order(db: Database, titles: dict[str, str]) -> None:
    with db.read() as tx:
        _, after = tx.owned_instances.list_page("ada", InstanceSort.SIZE, after=None, limit=1)
        for wrong in (after, "x", ""):
            with pytest.raises(InvalidInputError):
                tx.owned_instances.list_page("ada", InstanceSort.NAME, after=wrong, limit=1)


def test_the_sum_of_what_is_mine(db: Database, titles: dict[str, str]) -> None:
    with db.read() as tx:
        size = (8 << 30) + (1 << 20)
        assert tx.owned_instances.get_summary("ada") == OwnedInstancesSummary(
            active=0, kept=5, trashed=0, disk_used=size, unmeasured=1
        )
        assert tx.owned_instances.get_summary("carol") == OwnedInstancesSummary()
        assert tx.owned_instances.get_summary("bob") == OwnedInstancesSummary(active=1, kept=1, unmeasured=1)
        assert (
            len(tx.owned_instances.list_active_sessions("bob")),
            tx.owned_instances.list_active_sessions("ada"),
        ) == (1, [])


def test_what_will_soon_be_deleted_is_counted_but_not_what_is_in_the_trash(
    db: Database, titles: dict[str, str]
) -> None:
    with db.write() as tx:
        assert tx.owned_instances.count_expiring("ada", NOW + 9 * DAY) == (0, None)
        assert tx.owned_instances.count_expiring("ada", NOW + 12 * DAY) == (2, NOW + 10 * DAY)
        for each in tx.owned_instances.list_page("ada", InstanceSort.EXPIRY, after=None, limit=1)[0]:
            tx.instances.save(each, replace(each, trashed_until=NOW + 15 * DAY))
        assert tx.owned_instances.count_expiring("ada", NOW + 30 * DAY) == (2, NOW + 10 * DAY)
        assert tx.owned_instances.count_expiring("bob", NOW + 30 * DAY) == (0, None)
