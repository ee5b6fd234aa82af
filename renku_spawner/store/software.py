"""What was found in images, by their digests."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, delete, insert, or_, select, update

from ..domain.software import Origin, Software, as_json, from_json
from .statements import Statements
from .tables import environments, images, projects, revisions, sessions, software

_S = software.c
_DIGEST = _S.digest == bindparam("key")
_GET = select(_S.found, _S.origin, _S.found_at).where(_DIGEST)
_ORIGIN = select(_S.origin).where(_DIGEST)
_INSERT = insert(software)
_UPDATE = update(software).where(_DIGEST)
_PRUNE = 100  # some are megabytes
_LIVES = select(sessions.c.id).join(projects, projects.c.id == sessions.c.project).where(
    sessions.c.environment == environments.c.id, sessions.c.deleted_at.is_(None), projects.c.deleted_at.is_(None)
)  # fmt: skip
_OF_REVISIONS = select(revisions.c.digest).join(environments, environments.c.id == revisions.c.environment).where(
    revisions.c.digest.is_not(None), or_(environments.c.project.is_(None), _LIVES.exists())
)  # fmt: skip
_OF_TAGS = select(images.c.digest).where(images.c.digest.is_not(None))
_UNUSED = _S.digest.not_in(_OF_REVISIONS) & _S.digest.not_in(_OF_TAGS)
_DELETE = delete(software).where(
    _S.digest.in_(select(_S.digest).where(_S.found_at < bindparam("before"), _UNUSED).limit(_PRUNE))
)


class SoftwareStore:
    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def get(self, digest: str) -> Software | None:
        row = self._db.row(_GET, key=digest)
        return None if row is None else from_json(row[0], origin=Origin(row[1]), found_at=row[2])

    def origin(self, digest: str) -> Origin | None:
        """Who said what is installed; None if nobody has looked yet."""
        found = self._db.value(_ORIGIN, key=digest)
        return None if found is None else Origin(found)

    def save(self, digest: str, found: Software) -> bool:
        """Keep it, unless what is there deserves more trust; whether it was kept.

        Raises:
            ValueError: what a hub says of its own Python is about no image (decision 30).
        """
        if found.origin is Origin.HUB:
            raise ValueError("The packages of a hub's Python are not those of an image.")
        before = self.origin(digest)
        if before is not None and before.trust > found.origin.trust:
            return False
        values = {"origin": str(found.origin), "found_at": found.found_at, "found": as_json(found)}
        if before is None:
            self._db.run(_INSERT, digest=digest, **values)
        else:
            self._db.run(_UPDATE.values(values), key=digest)
        return True

    def prune(self, before: datetime) -> int:
        """Forget up to 100 that were found before and belong to no image that a session may start or
        accept; how many there were."""
        return self._db.run(_DELETE, before=before)
