"""Store the newest images that GitLab CI has built: one row per image of a branch, shared by all users."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, insert, select, tuple_, update

from ..domain.ci_images import BranchImageStatus, CiState
from .environments import cast_json_to_text
from .statements import StatementRunner
from .tables import builds

_B = builds.c
_CI_IMAGE_KEY_FIELDS = ("source", "ref", "image")
_CI_IMAGE_FIELDS = (*_CI_IMAGE_KEY_FIELDS, "looked_at", "answered", "since")
_CI_IMAGE_JSON_FIELDS = ("commit", "tag", "digest", "pipeline", "link")
_CI_IMAGE_SOURCE: BindParameter[str] = bindparam("source_")
_CI_IMAGE_REF: BindParameter[str] = bindparam("ref_")
_CI_IMAGE_NAME: BindParameter[str] = bindparam("image_")
_SELECT_CI_IMAGES_BY_KEYS = select(*(_B[name] for name in _CI_IMAGE_FIELDS), cast_json_to_text(_B.found)).where(
    tuple_(_B.source, _B.ref, _B.image).in_(bindparam("keys", expanding=True))
)
_INSERT_CI_IMAGE = insert(builds)
_UPDATE_CI_IMAGE = update(builds).where(
    _B.source == _CI_IMAGE_SOURCE, _B.ref == _CI_IMAGE_REF, _B.image == _CI_IMAGE_NAME
)
_MARK_CI_IMAGES_STALE = (
    update(builds).where(_B.source == _CI_IMAGE_SOURCE).values(answered=False, looked_at=bindparam("long_ago"))
)
_MAX_PRUNED_CI_IMAGES = 1000
_DELETE_OLD_CI_IMAGES = delete(builds).where(
    tuple_(_B.source, _B.ref, _B.image).in_(
        select(_B.source, _B.ref, _B.image)
        .where(_B.looked_at < bindparam("before"))
        .order_by(_B.source, _B.ref, _B.image)
        .limit(_MAX_PRUNED_CI_IMAGES)
    )
)


CiImageKey = tuple[str, str, str]


class CiImageStore:
    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def get(self, key: CiImageKey) -> BranchImageStatus | None:
        return self.get_many([key]).get(key)

    def get_many(self, keys: Iterable[CiImageKey]) -> dict[CiImageKey, BranchImageStatus]:
        """Return the stored statuses by (project, branch, image), in one statement; none is run without keys."""
        unique = list(dict.fromkeys(keys))
        rows = self._db.fetch_all(_SELECT_CI_IMAGES_BY_KEYS, keys=unique) if unique else ()
        return {(row[0], row[1], row[2]): _to_branch_image_status(row) for row in rows}

    def save(self, newest: BranchImageStatus) -> None:
        """Insert or replace the status of a branch image.

        Raises:
            UniqueConflict: `build`; the same new row was inserted in parallel.
        """
        values = {name: getattr(newest, name) for name in _CI_IMAGE_FIELDS[len(_CI_IMAGE_KEY_FIELDS) :]}
        values["found"] = {name: getattr(newest, name) for name in _CI_IMAGE_JSON_FIELDS} | {
            "shas": list(newest.shas), "statuses": dict(newest.statuses),
            "facts": dict(newest.facts), "state": str(newest.state),
        }  # fmt: skip
        if not self._db.execute(
            _UPDATE_CI_IMAGE.values(values), source_=newest.source, ref_=newest.ref, image_=newest.image
        ):
            self._db.execute(_INSERT_CI_IMAGE, source=newest.source, ref=newest.ref, image=newest.image, **values)

    def mark_stale(self, source: str, long_ago: datetime) -> int:
        """Mark the project's images as stale, so that the next query asks GitLab again; return how many there are."""
        return self._db.execute(_MARK_CI_IMAGES_STALE, source_=source, long_ago=long_ago)

    def prune(self, before: datetime) -> int:
        """Delete up to 1000 images that were last queried before *before*; return how many were deleted."""
        return self._db.execute(_DELETE_OLD_CI_IMAGES, before=before)


def _to_branch_image_status(row: Sequence[Any]) -> BranchImageStatus:
    found = json.loads(row[-1])
    values = dict(zip(_CI_IMAGE_FIELDS, row, strict=False))
    return BranchImageStatus(**values, **{**found, "shas": tuple(found["shas"]), "state": CiState(found["state"])})
