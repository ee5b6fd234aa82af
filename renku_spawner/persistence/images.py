"""Store what registries last reported about images, and the software that was found in them.

Images that GitLab CI has built are in persistence.ci_images.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, insert, or_, select, update

from ..domain.image_checks import InspectionResult
from ..domain.image_updates import ImageStatus
from ..domain.software import (
    ImageSoftware,
    SoftwareOrigin,
    list_searchable_packages,
    parse_software_json,
    to_software_json,
)
from .environments import cast_json_to_text
from .statements import StatementRunner
from .tables import environments, images, packages, projects, revisions, sessions, software

_I = images.c
_IMAGE_FIELDS = ("reference", "verdict", "looked_at", "digest", "since", "answered")
_IMAGE_REFERENCE: BindParameter[str] = bindparam("key_")
_SELECT_IMAGES_BY_REFERENCES = select(*(_I[name] for name in _IMAGE_FIELDS), cast_json_to_text(_I.facts)).where(
    _I.reference.in_(bindparam("references", expanding=True))
)
_INSERT_IMAGE = insert(images)
_MAX_PRUNED_IMAGES = 1000
_DELETE_OLD_IMAGES = delete(images).where(
    _I.reference.in_(select(_I.reference).where(_I.looked_at < bindparam("before")).limit(_MAX_PRUNED_IMAGES))
)
_UPDATE_IMAGE = update(images).where(_I.reference == _IMAGE_REFERENCE)


class ImageStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def get(self, reference: str) -> ImageStatus | None:
        return self.get_many([reference]).get(reference)

    def get_many(self, references: Iterable[str]) -> dict[str, ImageStatus]:
        """Return the stored statuses by reference, in one statement; none is run without references."""
        unique = list(dict.fromkeys(references))
        rows = self._db.fetch_all(_SELECT_IMAGES_BY_REFERENCES, references=unique) if unique else ()
        return {row[0]: _to_image_status(row) for row in rows}

    def save(self, sighting: ImageStatus) -> None:
        """Insert or replace the status of an image.

        Raises:
            UniqueConflict: `image`; the same new row was inserted in parallel.
        """
        values = {name: getattr(sighting, name) for name in _IMAGE_FIELDS[1:]}
        values |= {"verdict": str(sighting.verdict), "facts": dict(sighting.facts)}
        if not self._db.execute(_UPDATE_IMAGE.values(values), key_=sighting.reference):
            self._db.execute(_INSERT_IMAGE, reference=sighting.reference, **values)

    def prune(self, before: datetime) -> int:
        """Delete up to 1000 statuses that were last queried before *before*; return how many were deleted."""
        return self._db.execute(_DELETE_OLD_IMAGES, before=before)


def _to_image_status(row: Sequence[Any]) -> ImageStatus:
    values = dict(zip(_IMAGE_FIELDS, row, strict=False))
    values["verdict"] = InspectionResult(values["verdict"])
    return ImageStatus(**values, facts=json.loads(row[-1]))


_S = software.c
_HAS_SOFTWARE_DIGEST = _S.digest == bindparam("key")
_SELECT_SOFTWARE = select(_S.found, _S.origin, _S.found_at).where(_HAS_SOFTWARE_DIGEST)
_SELECT_SOFTWARE_ORIGIN = select(_S.origin).where(_HAS_SOFTWARE_DIGEST)
_INSERT_SOFTWARE = insert(software)
_UPDATE_SOFTWARE = update(software).where(_HAS_SOFTWARE_DIGEST)
_MAX_PRUNED_SOFTWARE_ROWS = 100  # some are megabytes
_SELECT_ENVIRONMENT_SESSIONS = select(sessions.c.id).join(projects, projects.c.id == sessions.c.project).where(
    sessions.c.environment == environments.c.id, sessions.c.deleted_at.is_(None), projects.c.deleted_at.is_(None)
)  # fmt: skip
_SELECT_REVISION_DIGESTS = (
    select(revisions.c.digest)
    .join(environments, environments.c.id == revisions.c.environment)
    .where(
        revisions.c.digest.is_not(None), or_(environments.c.project.is_(None), _SELECT_ENVIRONMENT_SESSIONS.exists())
    )
)
_SELECT_TAG_DIGESTS = select(images.c.digest).where(images.c.digest.is_not(None))
_IS_UNUSED_SOFTWARE = _S.digest.not_in(_SELECT_REVISION_DIGESTS) & _S.digest.not_in(_SELECT_TAG_DIGESTS)
_DELETE_UNUSED_SOFTWARE = delete(software).where(
    _S.digest.in_(
        select(_S.digest).where(_S.found_at < bindparam("before"), _IS_UNUSED_SOFTWARE).limit(_MAX_PRUNED_SOFTWARE_ROWS)
    )
)
_K = packages.c
_INSERT_PACKAGE = insert(packages)
_DELETE_PACKAGES_OF_IMAGE = delete(packages).where(_K.digest == bindparam("of_digest"))
_DELETE_PACKAGES_WITHOUT_SOFTWARE = delete(packages).where(_K.digest.not_in(select(_S.digest)))
_SELECT_PACKAGE_VERSIONS = select(_K.digest, _K.version).where(_K.name.in_(bindparam("names", expanding=True)))


class SoftwareStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def get(self, digest: str) -> ImageSoftware | None:
        row = self._db.fetch_one(_SELECT_SOFTWARE, key=digest)
        return None if row is None else parse_software_json(row[0], origin=SoftwareOrigin(row[1]), found_at=row[2])

    def get_origin(self, digest: str) -> SoftwareOrigin | None:
        """Return the origin of the stored software list, or None if there is none yet."""
        origin = self._db.fetch_value(_SELECT_SOFTWARE_ORIGIN, key=digest)
        return None if origin is None else SoftwareOrigin(origin)

    def save(self, digest: str, found: ImageSoftware) -> bool:
        """Store the list unless the stored one is more trustworthy; return whether it was stored.

        Raises:
            ValueError: the list describes the hub's own Python and not an image.
        """
        if found.origin is SoftwareOrigin.HUB:
            raise ValueError("The packages of a hub's Python are not those of an image.")
        before = self.get_origin(digest)
        if before is not None and before.trust_rank > found.origin.trust_rank:
            return False
        values = {"origin": str(found.origin), "found_at": found.found_at, "found": to_software_json(found)}
        if before is None:
            self._db.execute(_INSERT_SOFTWARE, digest=digest, **values)
        else:
            self._db.execute(_UPDATE_SOFTWARE.values(values), key=digest)
            self._db.execute(_DELETE_PACKAGES_OF_IMAGE, of_digest=digest)
        rows = [
            {"digest": digest, "name": name, "version": version} for name, version in list_searchable_packages(found)
        ]
        self._db.execute_many(_INSERT_PACKAGE, rows)
        return True

    def list_package_versions(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Return digest and version for each image that has a package with one of these normalized *names*."""
        return [(row[0], row[1]) for row in self._db.fetch_all(_SELECT_PACKAGE_VERSIONS, names=sorted(names))]

    def prune(self, before: datetime) -> int:
        """Delete up to 100 lists that were found before *before* and that no session's image needs.

        Lists of images that a session may start or update to are kept. Returns how many were deleted.
        """
        deleted = self._db.execute(_DELETE_UNUSED_SOFTWARE, before=before)
        if deleted:
            self._db.execute(_DELETE_PACKAGES_WITHOUT_SOFTWARE)
        return deleted
