"""The newest images that CI has built: one row for each image of a branch, shared by all who see sessions of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, insert, select, tuple_, update

from ..domain.built import Newest
from ..domain.ci import CiState
from .revisions import raw
from .statements import Statements
from .tables import builds

_B = builds.c
_KEY = ("source", "ref", "image")
_FIELDS = (*_KEY, "looked_at", "answered", "since")
_FOUND = ("commit", "tag", "digest", "pipeline", "link")
_SOURCE: BindParameter[str] = bindparam("source_")
_REF: BindParameter[str] = bindparam("ref_")
_IMAGE: BindParameter[str] = bindparam("image_")
_SOME = select(*(_B[name] for name in _FIELDS), raw(_B.found)).where(
    tuple_(_B.source, _B.ref, _B.image).in_(bindparam("keys", expanding=True))
)
_INSERT = insert(builds)
_UPDATE = update(builds).where(_B.source == _SOURCE, _B.ref == _REF, _B.image == _IMAGE)
_STALE = update(builds).where(_B.source == _SOURCE).values(answered=False, looked_at=bindparam("long_ago"))
_PRUNE = 1000
_DELETE = delete(builds).where(
    tuple_(_B.source, _B.ref, _B.image).in_(
        select(_B.source, _B.ref, _B.image)
        .where(_B.looked_at < bindparam("before"))
        .order_by(_B.source, _B.ref, _B.image)
        .limit(_PRUNE)
    )
)


Key = tuple[str, str, str]


class BuildStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def get(self, key: Key) -> Newest | None:
        return self.some([key]).get(key)

    def some(self, keys: Iterable[Key]) -> dict[Key, Newest]:
        """What is known, by project, branch and image; one statement, none for no keys."""
        asked = list(dict.fromkeys(keys))
        rows = self._db.rows(_SOME, keys=asked) if asked else ()
        return {(row[0], row[1], row[2]): _newest(row) for row in rows}

    def note(self, newest: Newest) -> None:
        """Put it in the place of what was known. Raises Clash: `build`, when two note a new one at once."""
        values = {name: getattr(newest, name) for name in _FIELDS[len(_KEY) :]}
        values["found"] = {name: getattr(newest, name) for name in _FOUND} | {
            "shas": list(newest.shas), "statuses": dict(newest.statuses),
            "facts": dict(newest.facts), "state": str(newest.state),
        }  # fmt: skip
        if not self._db.run(_UPDATE.values(values), source_=newest.source, ref_=newest.ref, image_=newest.image):
            self._db.run(_INSERT, source=newest.source, ref=newest.ref, image=newest.image, **values)

    def expire(self, source: str, long_ago: datetime) -> int:
        """Something happened in that project: whoever looks next asks again; how many images are known."""
        return self._db.run(_STALE, source_=source, long_ago=long_ago)

    def prune(self, before: datetime) -> int:
        """Forget up to 1000 of which nobody has asked since; how many there were."""
        return self._db.run(_DELETE, before=before)


def _newest(row: Sequence[Any]) -> Newest:
    found = json.loads(row[-1])
    values = dict(zip(_FIELDS, row, strict=False))
    return Newest(**values, **{**found, "shas": tuple(found["shas"]), "state": CiState(found["state"])})
