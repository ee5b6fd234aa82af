"""What registries last said of images; one row for each reference, shared by all sessions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, insert, select, update

from ..domain.sighting import Sighting
from ..domain.verdict import Verdict
from .revisions import raw
from .statements import Statements
from .tables import images

_I = images.c
_FIELDS = ("reference", "verdict", "looked_at", "digest", "since", "answered")
_KEY: BindParameter[str] = bindparam("key_")
_SOME = select(*(_I[name] for name in _FIELDS), raw(_I.facts)).where(
    _I.reference.in_(bindparam("references", expanding=True))
)
_INSERT = insert(images)
_PRUNE = 1000
_DELETE = delete(images).where(
    _I.reference.in_(select(_I.reference).where(_I.looked_at < bindparam("before")).limit(_PRUNE))
)
_UPDATE = update(images).where(_I.reference == _KEY)


class ImageStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def get(self, reference: str) -> Sighting | None:
        return self.some([reference]).get(reference)

    def some(self, references: Iterable[str]) -> dict[str, Sighting]:
        """What is known, by reference; one statement, none for no references."""
        asked = list(dict.fromkeys(references))
        rows = self._db.rows(_SOME, references=asked) if asked else ()
        return {row[0]: _sighting(row) for row in rows}

    def note(self, sighting: Sighting) -> None:
        """Put it in the place of what was known. Raises Clash: `image`, when two note a new one at once."""
        values = {name: getattr(sighting, name) for name in _FIELDS[1:]}
        values |= {"verdict": str(sighting.verdict), "facts": dict(sighting.facts)}
        if not self._db.run(_UPDATE.values(values), key_=sighting.reference):
            self._db.run(_INSERT, reference=sighting.reference, **values)

    def prune(self, before: datetime) -> int:
        """Forget up to 1000 of which nobody has asked since; how many there were. Who looks again asks again."""
        return self._db.run(_DELETE, before=before)


def _sighting(row: Sequence[Any]) -> Sighting:
    values = dict(zip(_FIELDS, row, strict=False))
    values["verdict"] = Verdict(values["verdict"])
    return Sighting(**values, facts=json.loads(row[-1]))
