"""One's own instances in any order, a page at a time, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Integer, Select, and_, bindparam, case, func, or_, select, true

from ..domain.instance import Instance
from ..domain.mine import Sort, Summary
from .instances import FIELDS, whole
from .search import cursor, moment, no_such_page, place
from .statements import Statements
from .tables import instances, sessions
from .types import UTCDateTime

_I, _S = instances.c, sessions.c
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
_MINE = and_(_I.username == bindparam("of_user"), _I.listed == true())
_MOST_PAUSED = 100


@dataclass(frozen=True, kw_only=True)
class _Order:
    """By which value, whether the greatest comes first, and how that value stands in a cursor."""

    key: ColumnElement[Any]
    down: bool
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _number(text: str) -> int:
    if not text.removeprefix("-").isdecimal() or len(text) > 18:
        raise no_such_page()
    return int(text)


def _by_time(key: ColumnElement[Any], *, down: bool) -> _Order:
    return _Order(key=key, down=down, write=datetime.isoformat, read=moment)


# What is not inactive was started once, so that there is a time; each key has a value in every row.
_ORDERS = {
    Sort.STARTED: _by_time(_I.requested_at, down=True),
    Sort.USED: _by_time(func.coalesce(_I.last_activity, _I.requested_at, type_=UTCDateTime), down=True),
    Sort.NAME: _Order(key=_S.folded_title, down=False, write=str, read=str),
    Sort.SIZE: _Order(key=func.coalesce(_I.disk_used, -1), down=True, write=str, read=_number),
    Sort.EXPIRY: _by_time(
        func.coalesce(_I.deleted_on, bindparam("never", _NEVER, type_=UTCDateTime), type_=UTCDateTime), down=False
    ),
}
_ACTIVE = (
    select(_I.session)
    .where(_I.username == bindparam("of_user"), _I.active == true())
    .order_by(_I.requested_at.desc(), _I.id.desc())
    .limit(_MOST_PAUSED)
)


def _count(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(case((condition, 1), else_=0), type_=Integer), 0)


_KEPT = _I.claim.is_not(None)
_SUMMARY = select(
    _count(_I.active == true()),
    _count(_KEPT),
    _count(_I.trashed_until.is_not(None)),
    func.coalesce(func.sum(case((_KEPT, _I.disk_used))), 0),
    _count(and_(_KEPT, _I.disk_used.is_(None))),
).where(_MINE)

_GOING = select(func.count(), func.min(_I.deleted_on, type_=UTCDateTime)).where(
    _MINE, _I.deleted_on <= bindparam("by", type_=UTCDateTime), _I.trashed_until.is_(None)
)


class MineStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def page(self, username: str, sort: Sort, *, after: str | None, limit: int) -> tuple[list[Instance], str | None]:
        """One page of those that are not inactive, and where the next begins.

        Raises:
            Invalid: *after* is nothing that a page in this order has offered.
        """
        order, values = _ORDERS[sort], dict[str, Any](of_user=username, most=limit + 1)
        if after is not None:
            of, said, values["after_id"] = place(after, str, str, str)
            if of != sort:
                raise no_such_page()
            values["after_key"] = order.read(said)
        rows = self._db.rows(_page(sort, after is not None), **values)
        following = (
            cursor(str(sort), order.write(rows[limit - 1][-1]), rows[limit - 1][0]) if len(rows) > limit else None
        )
        return [whole(row[:-1]) for row in rows[:limit]], following

    def summary(self, username: str) -> Summary:
        """What all of somebody's come to."""
        row: Sequence[Any] = self._db.row(_SUMMARY, of_user=username) or (0,) * 5
        active, kept, trashed, used, unmeasured = map(int, row)
        return Summary(active=active, kept=kept, trashed=trashed, disk_used=used, unmeasured=unmeasured)

    def going(self, username: str, by: datetime) -> tuple[int, datetime | None]:
        """How many have data that will be deleted by then and are not in the trash yet, and when the first of them."""
        row: Sequence[Any] = self._db.row(_GOING, of_user=username, by=by) or (0, None)
        return int(row[0]), row[1]

    def active(self, username: str) -> list[str]:
        """The sessions of which somebody's instance runs, starts or stops."""
        return [row[0] for row in self._db.rows(_ACTIVE, of_user=username)]


@lru_cache
def _page(sort: Sort, after: bool) -> Select[Any]:
    order = _ORDERS[sort]
    assert FIELDS[0] == "id"
    found = select(*(_I[name] for name in FIELDS), order.key.label("key")).where(_MINE).limit(bindparam("most"))
    if sort is Sort.NAME:
        found = found.join(sessions, _S.id == _I.session)
    if after:
        key: BindParameter[Any] = bindparam("after_key", type_=order.key.type)
        last: BindParameter[str] = bindparam("after_id")
        beyond = order.key < key if order.down else order.key > key
        beyond_last = _I.id < last if order.down else _I.id > last
        found = found.where(or_(beyond, and_(order.key == key, beyond_last)))
    return found.order_by(order.key.desc(), _I.id.desc()) if order.down else found.order_by(order.key, _I.id)
