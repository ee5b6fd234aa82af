"""Rows of projects as values; several at once, for lists of instances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, select

from ..domain.access import Role, Visibility
from ..domain.project import Member, Project
from ..domain.repository import Repository
from .statements import Statements
from .tables import members, projects, repositories

_P, _M = projects.c, members.c
FIELDS = (
    _P.id, _P.source, _P.source_id, _P.path, _P.title, _P.description, _P.visibility, _P.default_session,
    _P.version, _P.created_by, _P.created_at, _P.directory,
)  # fmt: skip
_SOME = select(*FIELDS).where(_P.id.in_(bindparam("keys", expanding=True)), _P.deleted_at.is_(None))
_SOME_MEMBERS = (
    select(_M.project, _M.kind, _M.name, _M.role)
    .where(_M.project.in_(bindparam("keys", expanding=True)))
    .order_by(_M.kind, _M.role, _M.name)
)
_R = repositories.c
_REPOSITORIES = (
    select(_R.project, _R.directory, _R.url, _R.ref, _R.lfs, _R.submodules)
    .where(_R.project.in_(bindparam("keys", expanding=True)))
    .order_by(_R.project, _R.position)
)


def heads(db: Statements, ids: Iterable[str]) -> dict[str, Project]:
    """Living projects by id with their members, without their repositories."""
    keys = sorted(ids)
    found = db.rows(_SOME, keys=keys)
    of: dict[str, list[Member]] = {row[0]: [] for row in found}
    for project, kind, name, role in db.rows(_SOME_MEMBERS, keys=keys):
        if project in of:
            of[project].append(Member(kind=kind, name=name, role=Role(role)))
    return {row[0]: whole(row, tuple(of[row[0]]), ()) for row in found}


def repositories_of(db: Statements, ids: Iterable[str]) -> dict[str, list[Repository]]:
    """The repositories that are kept for several projects, by project."""
    keys = sorted(ids)
    found: dict[str, list[Repository]] = {key: [] for key in keys}
    for project, directory, url, ref, lfs, submodules in db.rows(_REPOSITORIES, keys=keys) if keys else ():
        clone = Repository(directory=directory, url=url, ref=ref, lfs=bool(lfs), submodules=bool(submodules))
        found[project].append(clone)
    return found


def whole(row: Sequence[Any], people: tuple[Member, ...], clones: tuple[Repository, ...]) -> Project:
    """The project of a row of `FIELDS`."""
    return Project(
        id=row[0],
        source=row[1],
        source_id=row[2],
        path=row[3],
        title=row[4],
        description=row[5],
        visibility=Visibility(row[6]),
        default_session=row[7],
        version=row[8],
        created_by=row[9],
        created_at=row[10],
        directory=row[11],
        members=people,
        repositories=clones,
    )
