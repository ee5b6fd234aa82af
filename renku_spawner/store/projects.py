"""Projects with their members and repositories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    String,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    union_all,
    update,
)  # fmt: skip

from ..domain.access import Role
from ..domain.project import Member, NewProject, Project, ProjectChange, ProjectEntry
from ..domain.repository import Repository
from ..domain.text import folded
from .faults import Lost
from .heads import FIELDS, heads, repositories_of, whole
from .listing import listed
from .search import searchable
from .statements import Statements
from .tables import members, paths, projects, repositories

_P, _M, _R = projects.c, members.c, repositories.c
_LIVING = _P.deleted_at.is_(None)
_ID: BindParameter[str] = bindparam("key")
_BY_ID = select(*FIELDS).where(_P.id == _ID, _LIVING)
_BY_SOURCE = select(*FIELDS).where(_P.source == bindparam("where"), _P.source_id == bindparam("number"), _LIVING)
_BY_PATH = select(*FIELDS).where(_P.folded_path == bindparam("path"), _LIVING)
_BY_OLD_PATH = select(*FIELDS).join(paths).where(paths.c.folded_path == bindparam("path"), _LIVING)
# Members and repositories in one statement: a page has eight at most.
_PARTS = union_all(
    select(
        _M.kind.label("kind"), _M.name.label("name"), _M.role.label("number"), cast(null(), Text).label("url"),
        cast(null(), String).label("ref"), cast(null(), Boolean).label("lfs"),
        cast(null(), Boolean).label("submodules"),
    ).where(_M.project == _ID),
    select(
        literal("repository", String, literal_execute=True), _R.directory, _R.position, _R.url, _R.ref, _R.lfs,
        _R.submodules,
    ).where(_R.project == _ID),
).order_by("kind", "number", "name")  # fmt: skip
_INSERT, _INSERT_MEMBER, _INSERT_REPOSITORY = insert(projects), insert(members), insert(repositories)
_UPDATE = update(projects).where(_P.id == _ID, _LIVING)
_CHANGE = _UPDATE.where(_P.version == bindparam("seen"))
_BUMP = _UPDATE.values(version=_P.version + 1)
_SET_DEFAULT = _BUMP.values(default_session=bindparam("default"))
_DELETE = _BUMP.values(deleted_at=bindparam("now"))
_FORGET_PATHS = delete(paths).where(paths.c.project == _ID)
_FORGET_PATH = delete(paths).where(paths.c.folded_path == bindparam("path"))
_REMOVE_MEMBER = delete(members).where(
    _M.project == _ID, _M.kind == bindparam("member_kind"), _M.name == bindparam("member_name")
)
_SET_ROLE = (
    update(members)
    .where(_M.project == _ID, _M.kind == bindparam("member_kind"), _M.name == bindparam("member_name"))
    .values(role=bindparam("new_role"))
)
_REMOVE_REPOSITORIES = delete(repositories).where(_R.project == _ID)
_CREATED = select(func.count()).where(_P.created_by == bindparam("creator"), _P.source == "hub", _LIVING)
_OWNERS = select(func.count()).where(_M.project == _ID, _M.role == int(Role.OWNER))


class ProjectStore:
    """Living projects only: what is deleted is not found. A session of a deleted project still is."""

    def __init__(self, statements: Statements) -> None:
        self._db = statements

    def get(self, id: str) -> Project | None:
        return self._whole(self._db.row(_BY_ID, key=id))

    def by_path(self, path: str) -> Project | None:
        """The project at *path*, whatever the case, or the one that was there before;
        its `path` is the present one."""
        key = folded(path)
        return self._whole(self._db.row(_BY_PATH, path=key) or self._db.row(_BY_OLD_PATH, path=key))

    def of_source(self, source: str, source_id: str) -> Project | None:
        """The row of a project that lives elsewhere; nobody is a member of it here."""
        return self._whole(self._db.row(_BY_SOURCE, where=source, number=source_id))

    def count_created(self, username: str) -> int:
        """How many living projects of the hub's own this user has created."""
        return int(self._db.value(_CREATED, creator=username))

    def heads(self, ids: Iterable[str]) -> dict[str, Project]:
        """Those projects by id with their members, without their repositories."""
        return heads(self._db, ids)

    def repositories_of(self, ids: Iterable[str]) -> dict[str, list[Repository]]:
        """The repositories that are kept for those projects, by project."""
        return repositories_of(self._db, ids)

    def listed(
        self, *, name: str, groups: Iterable[str], search: str = "", after: str | None = None, limit: int = 20
    ) -> tuple[list[ProjectEntry], str | None]:
        """What *name* may see, by title, and where the next page begins."""
        return listed(self._db, name=name, groups=groups, search=search, after=after, limit=limit)

    def add(
        self, new: NewProject, *, id: str, repositories: Sequence[Repository], owner: str, now: datetime,
        source: str = "hub", source_id: str | None = None,
    ) -> Project:  # fmt: skip
        """Raises Clash: `path` or `directory`."""
        project = Project(
            id=id, source=source, source_id=source_id or id, path=new.path, title=new.title,
            description=new.description, visibility=new.visibility, default_session=None, version=1,
            created_by=owner, created_at=now, repositories=tuple(repositories),
            members=(Member(kind="user", name=owner, role=Role.OWNER),),
        )  # fmt: skip
        self._db.run(
            _INSERT,
            id=id,
            source=project.source,
            source_id=project.source_id,
            session_count=0,
            version=1,
            created_by=owner,
            created_at=now,
            **_written(project),
        )
        self._db.run(_FORGET_PATH, path=folded(project.path))
        self._add_members(id, project.members, now)
        self._add_repositories(id, repositories)
        return project

    def change(
        self, project: Project, change: ProjectChange, *, repositories: Sequence[Repository] | None, now: datetime
    ) -> Project:
        """The project with what *change* says; members and repositories are replaced as a whole.

        Raises:
            Lost: somebody changed it since the version that *change* names.
            Clash: `path` or `directory`.
        """
        said = {name: getattr(change, name) for name in ("path", "title", "description", "visibility", "members")}
        given = {name: value for name, value in said.items() if value is not None}
        changed = replace(project, version=change.version + 1, **given)
        changed = replace(changed, default_session=change.default_session or project.default_session)
        if repositories is not None:
            changed = replace(changed, repositories=tuple(repositories))
        values = {**_written(changed), "default_session": changed.default_session, "version": changed.version}
        if not self._db.run(_CHANGE.values(values), key=project.id, seen=change.version):
            raise Lost
        self._move(project, changed)
        if change.members is not None:
            self._change_members(project, change.members, now)
        if repositories is not None:
            self._db.run(_REMOVE_REPOSITORIES, key=project.id)
            self._add_repositories(project.id, repositories)
        return self.get(project.id) or changed

    def set_default(self, project_id: str, session_id: str | None) -> None:
        self._db.run(_SET_DEFAULT, key=project_id, default=session_id)

    def delete(self, project_id: str, now: datetime) -> None:
        """Mark it deleted: its path is free again, and its old ones lead nowhere."""
        self._db.run(_DELETE, key=project_id, now=now)
        self._db.run(_FORGET_PATHS, key=project_id)

    def leave(self, project_id: str, kind: str, name: str) -> None:
        """Raises Lost: nobody would own the project any more."""
        self._db.run(_BUMP, key=project_id)  # first, so that of two owners who leave at once one waits
        self._db.run(_REMOVE_MEMBER, key=project_id, member_kind=kind, member_name=name)
        if not self._db.value(_OWNERS, key=project_id):
            raise Lost

    def _whole(self, row: Sequence[Any] | None) -> Project | None:
        if row is None:
            return None
        parts = self._db.rows(_PARTS, key=row[0])
        members = tuple(Member(kind=p[0], name=p[1], role=Role(p[2])) for p in parts if p[0] != "repository")
        clones = tuple(
            Repository(directory=p[1], url=p[3], ref=p[4], lfs=bool(p[5]), submodules=bool(p[6]))
            for p in parts
            if p[0] == "repository"
        )
        return whole(row, members, clones)

    def _move(self, old: Project, new: Project) -> None:
        """Let the old path lead to the new one, unless only the case has changed."""
        before, after = folded(old.path), folded(new.path)
        if before != after:
            self._db.run(_FORGET_PATH, path=after)
            self._db.run(insert(paths), folded_path=before, project=new.id)

    def _add_members(self, project_id: str, new: Iterable[Member], now: datetime) -> None:
        values = [{"project": project_id, "kind": m.kind, "name": m.name, "role": int(m.role)} for m in new]
        self._db.run_each(_INSERT_MEMBER, [{**value, "added_at": now} for value in values])

    def _change_members(self, project: Project, new: Sequence[Member], now: datetime) -> None:
        """Touch only who changes: since when somebody is a member stays known (decision 23)."""
        old = {(m.kind, m.name): m.role for m in project.members}
        wanted = {(m.kind, m.name): m for m in new}
        for kind, name in old.keys() - wanted.keys():
            self._db.run(_REMOVE_MEMBER, key=project.id, member_kind=kind, member_name=name)
        for (kind, name), member in wanted.items():
            if (kind, name) in old and old[kind, name] != member.role:
                self._db.run(_SET_ROLE, key=project.id, member_kind=kind, member_name=name, new_role=int(member.role))
        self._add_members(project.id, [member for key, member in wanted.items() if key not in old], now)

    def _add_repositories(self, project_id: str, new: Iterable[Repository]) -> None:
        values = [
            {
                "project": project_id,
                "position": position,
                "directory": repository.directory,
                "folded_directory": folded(repository.directory),
                "url": repository.url,
                "ref": repository.ref,
                "lfs": repository.lfs,
                "submodules": repository.submodules,
            }
            for position, repository in enumerate(new)
        ]
        self._db.run_each(_INSERT_REPOSITORY, values)


def _written(project: Project) -> dict[str, Any]:
    """The columns that an edit changes, with those that are made from them."""
    return {
        "path": project.path,
        "folded_path": folded(project.path),
        "title": project.title,
        "folded_title": folded(project.title),
        "description": project.description,
        "visibility": str(project.visibility),
        "search": searchable(project.title, project.path, project.description),
    }
