"""Read and write projects with their members and repositories, including the rows of external (GitLab) projects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    Select,
    String,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    tuple_,
    union,
    union_all,
    update,
)  # fmt: skip

from ..domain.access import Role, Visibility
from ..domain.ids import create_id, make_unique_directory
from ..domain.projects import NewProject, Project, ProjectChange, ProjectEntry, ProjectMember, Repository
from ..domain.text import fold_title
from .search import build_search_text, build_text_condition, build_text_pattern, decode_cursor, encode_cursor
from .statements import ConcurrentUpdate, StatementRunner
from .tables import members, paths, projects, repositories, sessions

_P, _M = projects.c, members.c
PROJECT_COLUMNS = (
    _P.id, _P.source, _P.source_id, _P.path, _P.title, _P.description, _P.visibility, _P.default_session,
    _P.version, _P.created_by, _P.created_at, _P.directory, _P.listed,
)  # fmt: skip
_SELECT_PROJECTS_BY_IDS = select(*PROJECT_COLUMNS).where(
    _P.id.in_(bindparam("keys", expanding=True)), _P.deleted_at.is_(None)
)
_SELECT_MEMBERS_BY_PROJECT = (
    select(_M.project, _M.kind, _M.name, _M.role)
    .where(_M.project.in_(bindparam("keys", expanding=True)))
    .order_by(_M.kind, _M.role, _M.name)
)
_R = repositories.c
_SELECT_REPOSITORIES_BY_PROJECT = (
    select(_R.project, _R.directory, _R.url, _R.ref, _R.lfs, _R.submodules)
    .where(_R.project.in_(bindparam("keys", expanding=True)))
    .order_by(_R.project, _R.position)
)


def load_projects_without_repositories(db: StatementRunner, ids: Iterable[str]) -> dict[str, Project]:
    """Return living projects by id with their members, without their repositories."""
    keys = sorted(ids)
    rows = db.fetch_all(_SELECT_PROJECTS_BY_IDS, keys=keys)
    members: dict[str, list[ProjectMember]] = {row[0]: [] for row in rows}
    for project, kind, name, role in db.fetch_all(_SELECT_MEMBERS_BY_PROJECT, keys=keys):
        if project in members:
            members[project].append(ProjectMember(kind=kind, name=name, role=Role(role)))
    return {row[0]: to_project(row, tuple(members[row[0]]), ()) for row in rows}


def load_repositories_by_project(db: StatementRunner, ids: Iterable[str]) -> dict[str, list[Repository]]:
    """Return the stored repositories of several projects, by project id."""
    keys = sorted(ids)
    found: dict[str, list[Repository]] = {key: [] for key in keys}
    for project, directory, url, ref, lfs, submodules in (
        db.fetch_all(_SELECT_REPOSITORIES_BY_PROJECT, keys=keys) if keys else ()
    ):
        clone = Repository(directory=directory, url=url, ref=ref, lfs=bool(lfs), submodules=bool(submodules))
        found[project].append(clone)
    return found


def to_project(row: Sequence[Any], people: tuple[ProjectMember, ...], clones: tuple[Repository, ...]) -> Project:
    """Build a project from a row of `PROJECT_COLUMNS`."""
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
        listed=bool(row[12]),
        members=people,
        repositories=clones,
    )


_VIEWER_NAME: BindParameter[str] = bindparam("name")
_VIEWER_GROUPS: BindParameter[list[str]] = bindparam("groups", expanding=True)
IS_VIEWER = or_(and_(_M.kind == "user", _M.name == _VIEWER_NAME), and_(_M.kind == "group", _M.name.in_(_VIEWER_GROUPS)))
_SELECT_MEMBER_PROJECTS = (
    select(_P.folded_title, _P.id).where(_P.deleted_at.is_(None)).where(_P.id.in_(select(_M.project).where(IS_VIEWER)))
)
_SELECT_PUBLIC_PROJECTS = select(_P.folded_title, _P.id).where(
    _P.deleted_at.is_(None), _P.visibility == Visibility.PUBLIC.value, _P.source == "hub"
)
_SELECT_VIEWER_ROLE = select(func.max(_M.role)).where(_M.project == _P.id, IS_VIEWER).scalar_subquery()
_SELECT_PROJECT_ENTRIES = (
    select(
        _P.id, _P.path, _P.title, _P.description, _P.visibility, _SELECT_VIEWER_ROLE, sessions.c.id, sessions.c.title,
        _P.session_count,
    )
    .outerjoin(sessions, and_(sessions.c.id == _P.default_session, sessions.c.deleted_at.is_(None)))
    .where(_P.id.in_(bindparam("ids", expanding=True)))
    .order_by(_P.folded_title, _P.id)
)  # fmt: skip


def list_project_entries(
    db: StatementRunner, *, name: str, groups: Iterable[str], search: str, after: str | None, limit: int
) -> tuple[list[ProjectEntry], str | None]:
    """Return one page of visible projects by title, and the cursor of the next page, in two statements.

    Raises:
        InvalidInputError: *after* is not a cursor of an earlier page.
    """
    viewer = {"name": name, "groups": sorted(groups)}
    values: dict[str, Any] = {**viewer, **build_text_pattern(search), "most": limit + 1}
    if after is not None:
        values |= zip(("after_title", "after_id"), decode_cursor(after, str, str), strict=True)
    found = db.fetch_all(_build_visible_projects_statement(bool(search), after is not None), **values)
    ids = [row[1] for row in found[:limit]]
    entries = db.fetch_all(_SELECT_PROJECT_ENTRIES, ids=ids, **viewer) if ids else []
    following = encode_cursor(*found[limit - 1]) if len(found) > limit else None
    return [_to_project_entry(row) for row in entries], following


@lru_cache
def _build_visible_projects_statement(search: bool, after: bool) -> Select[Any]:
    """Build a query for title and id of public projects and of those with the viewer as a member.

    Each branch of the union uses its own index, so that private projects of other users are never read.
    """
    conditions: list[ColumnElement[bool]] = []
    if search:
        conditions.append(build_text_condition(_P.search))
    if after:
        conditions.append(tuple_(_P.folded_title, _P.id) > tuple_(bindparam("after_title"), bindparam("after_id")))
    most: BindParameter[int] = bindparam("most")
    branches = [
        select(branch.where(*conditions).order_by(_P.folded_title, _P.id).limit(most).subquery())
        for branch in (_SELECT_MEMBER_PROJECTS, _SELECT_PUBLIC_PROJECTS)
    ]
    both = union(*branches).subquery()
    return select(both).order_by(*both.c).limit(most)


def _to_project_entry(row: Any) -> ProjectEntry:
    return ProjectEntry(
        id=row[0],
        path=row[1],
        title=row[2],
        description=row[3],
        visibility=Visibility(row[4]),
        role=Role(row[5] or Role.VIEWER),
        default_session=row[6],
        default_title=row[7],
        sessions=row[8],
    )


_P, _M, _R = projects.c, members.c, repositories.c
_IS_LIVING_PROJECT = _P.deleted_at.is_(None)
_PROJECT_ID: BindParameter[str] = bindparam("key")
_SELECT_PROJECT_BY_ID = select(*PROJECT_COLUMNS).where(_P.id == _PROJECT_ID, _IS_LIVING_PROJECT)
_SELECT_PROJECT_BY_SOURCE = select(*PROJECT_COLUMNS).where(
    _P.source == bindparam("where"), _P.source_id == bindparam("number"), _IS_LIVING_PROJECT
)
_SELECT_PROJECT_BY_PATH = select(*PROJECT_COLUMNS).where(_P.folded_path == bindparam("path"), _IS_LIVING_PROJECT)
_SELECT_PROJECT_BY_OLD_PATH = (
    select(*PROJECT_COLUMNS).join(paths).where(paths.c.folded_path == bindparam("path"), _IS_LIVING_PROJECT)
)
_OWN = members.alias()
_SELECT_FELLOW_MEMBERS = (
    select(_M.name)
    .distinct()
    .join(_OWN, _OWN.c.project == _M.project)
    .join(projects, _P.id == _M.project)
    .where(_OWN.c.kind == "user", _OWN.c.name == bindparam("username"), _M.kind == "user", _IS_LIVING_PROJECT)
    .order_by(_M.name)
    .limit(200)
)
# Members and repositories in one statement, since a page may run at most eight statements.
_SELECT_MEMBERS_AND_REPOSITORIES = union_all(
    select(
        _M.kind.label("kind"), _M.name.label("name"), _M.role.label("number"), cast(null(), Text).label("url"),
        cast(null(), String).label("ref"), cast(null(), Boolean).label("lfs"),
        cast(null(), Boolean).label("submodules"),
    ).where(_M.project == _PROJECT_ID),
    select(
        literal("repository", String, literal_execute=True), _R.directory, _R.position, _R.url, _R.ref, _R.lfs,
        _R.submodules,
    ).where(_R.project == _PROJECT_ID),
).order_by("kind", "number", "name")  # fmt: skip
_INSERT_PROJECT, _INSERT_MEMBER, _INSERT_REPOSITORY = insert(projects), insert(members), insert(repositories)
_UPDATE_PROJECT = update(projects).where(_P.id == _PROJECT_ID, _IS_LIVING_PROJECT)
_UPDATE_PROJECT_VERSION = _UPDATE_PROJECT.where(_P.version == bindparam("seen"))
_BUMP_PROJECT_VERSION = _UPDATE_PROJECT.values(version=_P.version + 1)
_SET_DEFAULT_SESSION = _BUMP_PROJECT_VERSION.values(default_session=bindparam("default"))
_MARK_PROJECT_DELETED = _BUMP_PROJECT_VERSION.values(deleted_at=bindparam("now"))
_DELETE_OLD_PATHS_OF_PROJECT = delete(paths).where(paths.c.project == _PROJECT_ID)
_DELETE_OLD_PATH = delete(paths).where(paths.c.folded_path == bindparam("path"))
_DELETE_MEMBER = delete(members).where(
    _M.project == _PROJECT_ID, _M.kind == bindparam("member_kind"), _M.name == bindparam("member_name")
)
_UPDATE_MEMBER_ROLE = (
    update(members)
    .where(_M.project == _PROJECT_ID, _M.kind == bindparam("member_kind"), _M.name == bindparam("member_name"))
    .values(role=bindparam("new_role"))
)
_DELETE_REPOSITORIES = delete(repositories).where(_R.project == _PROJECT_ID)
_COUNT_CREATED_PROJECTS = select(func.count()).where(
    _P.created_by == bindparam("creator"), _P.source == "hub", _IS_LIVING_PROJECT
)
_COUNT_PROJECT_OWNERS = select(func.count()).where(_M.project == _PROJECT_ID, _M.role == int(Role.OWNER))


class ProjectStore:
    """Read and write living projects. Deleted projects are not found, but their sessions still are."""

    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def get(self, id: str) -> Project | None:
        return self._load_full_project(self._db.fetch_one(_SELECT_PROJECT_BY_ID, key=id))

    def get_by_path(self, path: str) -> Project | None:
        """Return the project at *path*, in any case, or the one that had this path before.

        The `path` of the returned project is its present one.
        """
        key = fold_title(path)
        return self._load_full_project(
            self._db.fetch_one(_SELECT_PROJECT_BY_PATH, path=key)
            or self._db.fetch_one(_SELECT_PROJECT_BY_OLD_PATH, path=key)
        )

    def get_by_source(self, source: str, source_id: str) -> Project | None:
        """Return the row of an external project; its members are not stored here."""
        return self._load_full_project(self._db.fetch_one(_SELECT_PROJECT_BY_SOURCE, where=source, number=source_id))

    def count_created(self, username: str) -> int:
        """Return how many living projects of source `hub` this user has created."""
        return int(self._db.fetch_value(_COUNT_CREATED_PROJECTS, creator=username))

    def get_many_without_repositories(self, ids: Iterable[str]) -> dict[str, Project]:
        """Return the living projects by id with their members, without their repositories."""
        return load_projects_without_repositories(self._db, ids)

    def list_fellow_members(self, username: str) -> list[str]:
        """Return names of users who are members by name of a living project of which *username* is one, 200 at most."""
        return [row[0] for row in self._db.fetch_all(_SELECT_FELLOW_MEMBERS, username=username)]

    def get_repositories(self, ids: Iterable[str]) -> dict[str, list[Repository]]:
        """Return the stored repositories of these projects, by project id."""
        return load_repositories_by_project(self._db, ids)

    def list_visible(
        self, *, name: str, groups: Iterable[str], search: str = "", after: str | None = None, limit: int = 20
    ) -> tuple[list[ProjectEntry], str | None]:
        """Return one page of the projects that user *name* may see, by title, and the cursor of the next page."""
        return list_project_entries(self._db, name=name, groups=groups, search=search, after=after, limit=limit)

    def add(
        self, new: NewProject, *, id: str, repositories: Sequence[Repository], owner: str, now: datetime,
        source: str = "hub", source_id: str | None = None,
    ) -> Project:  # fmt: skip
        """Add a project with its owner and repositories.

        Raises:
            UniqueConflict: `path` or `directory`.
        """
        project = Project(
            id=id, source=source, source_id=source_id or id, path=new.path, title=new.title,
            description=new.description, visibility=new.visibility, default_session=None, version=1,
            created_by=owner, created_at=now, repositories=tuple(repositories),
            members=(ProjectMember(kind="user", name=owner, role=Role.OWNER),),
        )  # fmt: skip
        self._db.execute(
            _INSERT_PROJECT,
            id=id,
            source=project.source,
            source_id=project.source_id,
            session_count=0,
            version=1,
            created_by=owner,
            created_at=now,
            **_to_project_columns(project),
        )
        self._db.execute(_DELETE_OLD_PATH, path=fold_title(project.path))
        self._add_members(id, project.members, now)
        self._add_repositories(id, repositories)
        return project

    def update(
        self, project: Project, change: ProjectChange, *, repositories: Sequence[Repository] | None, now: datetime
    ) -> Project:
        """Apply *change* to the project; members and repositories are replaced as a whole.

        Raises:
            ConcurrentUpdate: the project was changed since the version that *change* names.
            UniqueConflict: `path` or `directory`.
        """
        fields = {
            name: getattr(change, name) for name in ("path", "title", "description", "visibility", "listed", "members")
        }
        given = {name: value for name, value in fields.items() if value is not None}
        changed = replace(project, version=change.version + 1, **given)
        changed = replace(changed, default_session=change.default_session or project.default_session)
        if repositories is not None:
            changed = replace(changed, repositories=tuple(repositories))
        values = {
            **_to_project_columns(changed),
            "default_session": changed.default_session,
            "version": changed.version,
        }
        if not self._db.execute(_UPDATE_PROJECT_VERSION.values(values), key=project.id, seen=change.version):
            raise ConcurrentUpdate
        self._redirect_old_path(project, changed)
        if change.members is not None:
            self._update_members(project, change.members, now)
        if repositories is not None:
            self._db.execute(_DELETE_REPOSITORIES, key=project.id)
            self._add_repositories(project.id, repositories)
        return self.get(project.id) or changed

    def set_default_session(self, project_id: str, session_id: str | None) -> None:
        self._db.execute(_SET_DEFAULT_SESSION, key=project_id, default=session_id)

    def delete(self, project_id: str, now: datetime) -> None:
        """Mark the project as deleted. Its path becomes free again, and its former paths no longer redirect."""
        self._db.execute(_MARK_PROJECT_DELETED, key=project_id, now=now)
        self._db.execute(_DELETE_OLD_PATHS_OF_PROJECT, key=project_id)

    def remove_member(self, project_id: str, kind: str, name: str) -> None:
        """Remove a member.

        Raises:
            ConcurrentUpdate: the project would have no owner left.
        """
        # First: this locks the project's row, so that the last two owners cannot leave in parallel.
        self._db.execute(_BUMP_PROJECT_VERSION, key=project_id)
        self._db.execute(_DELETE_MEMBER, key=project_id, member_kind=kind, member_name=name)
        if not self._db.fetch_value(_COUNT_PROJECT_OWNERS, key=project_id):
            raise ConcurrentUpdate

    def _load_full_project(self, row: Sequence[Any] | None) -> Project | None:
        if row is None:
            return None
        parts = self._db.fetch_all(_SELECT_MEMBERS_AND_REPOSITORIES, key=row[0])
        members = tuple(ProjectMember(kind=p[0], name=p[1], role=Role(p[2])) for p in parts if p[0] != "repository")
        clones = tuple(
            Repository(directory=p[1], url=p[3], ref=p[4], lfs=bool(p[5]), submodules=bool(p[6]))
            for p in parts
            if p[0] == "repository"
        )
        return to_project(row, members, clones)

    def _redirect_old_path(self, old: Project, new: Project) -> None:
        """Redirect the old path to the new one, unless only the case has changed."""
        before, after = fold_title(old.path), fold_title(new.path)
        if before != after:
            self._db.execute(_DELETE_OLD_PATH, path=after)
            self._db.execute(insert(paths), folded_path=before, project=new.id)

    def _add_members(self, project_id: str, new: Iterable[ProjectMember], now: datetime) -> None:
        values = [{"project": project_id, "kind": m.kind, "name": m.name, "role": int(m.role)} for m in new]
        self._db.execute_many(_INSERT_MEMBER, [{**value, "added_at": now} for value in values])

    def _update_members(self, project: Project, new: Sequence[ProjectMember], now: datetime) -> None:
        """Write only members that changed, so that the others keep the date on which they were added."""
        old = {(m.kind, m.name): m.role for m in project.members}
        wanted = {(m.kind, m.name): m for m in new}
        for kind, name in old.keys() - wanted.keys():
            self._db.execute(_DELETE_MEMBER, key=project.id, member_kind=kind, member_name=name)
        for (kind, name), member in wanted.items():
            if (kind, name) in old and old[kind, name] != member.role:
                self._db.execute(
                    _UPDATE_MEMBER_ROLE, key=project.id, member_kind=kind, member_name=name, new_role=int(member.role)
                )
        self._add_members(project.id, [member for key, member in wanted.items() if key not in old], now)

    def _add_repositories(self, project_id: str, new: Iterable[Repository]) -> None:
        values = [
            {
                "project": project_id,
                "position": position,
                "directory": repository.directory,
                "folded_directory": fold_title(repository.directory),
                "url": repository.url,
                "ref": repository.ref,
                "lfs": repository.lfs,
                "submodules": repository.submodules,
            }
            for position, repository in enumerate(new)
        ]
        self._db.execute_many(_INSERT_REPOSITORY, values)


def _to_project_columns(project: Project) -> dict[str, Any]:
    """Return the columns that an edit changes, including the derived ones."""
    return {
        "path": project.path,
        "folded_path": fold_title(project.path),
        "title": project.title,
        "folded_title": fold_title(project.title),
        "description": project.description,
        "visibility": str(project.visibility),
        "listed": project.listed,
        "search": build_search_text(project.title, project.path, project.description),
    }


_P = projects.c
_EXTERNAL_SOURCE: BindParameter[str] = bindparam("where")
_EXTERNAL_PROJECT_COLUMNS = (_P.id, _P.source_id, _P.path, _P.title, _P.description, _P.visibility)
_SELECT_EXTERNAL_PROJECTS = (
    select(*_EXTERNAL_PROJECT_COLUMNS, sessions.c.id, sessions.c.title, _P.session_count)
    .outerjoin(sessions, and_(sessions.c.id == _P.default_session, sessions.c.deleted_at.is_(None)))
    .where(_P.source == _EXTERNAL_SOURCE, _P.source_id.in_(bindparam("keys", expanding=True)))
)
_SELECT_SOURCE_NUMBER = select(_P.source_id).where(_P.source == _EXTERNAL_SOURCE)
_SELECT_SOURCE_NUMBER_BY_ID = _SELECT_SOURCE_NUMBER.where(_P.id == bindparam("key"))
_SELECT_SOURCE_NUMBER_BY_PATH = _SELECT_SOURCE_NUMBER.where(
    _P.folded_path == bindparam("path"), _P.deleted_at.is_(None)
)
_SELECT_SOURCE_NUMBER_BY_OLD_PATH = _SELECT_SOURCE_NUMBER.join(paths).where(paths.c.folded_path == bindparam("path"))
_SELECT_PROJECT_AT_PATH = select(_P.id, _P.source_id, _P.path).where(
    _P.folded_path == bindparam("path"), _P.deleted_at.is_(None)
)
_INSERT_EXTERNAL_PROJECT = insert(projects)
_UPDATE_EXTERNAL_PROJECT = update(projects).where(_P.id == bindparam("key"))
_DELETE_EXTERNAL_OLD_PATH = delete(paths).where(paths.c.folded_path == bindparam("path"))
_INSERT_EXTERNAL_OLD_PATH = insert(paths)


@dataclass(frozen=True, kw_only=True)
class ExternalProject:
    """The stored fields of an external project; `number` is its id at the source.

    `directory` is only written when the row is created: clones must stay in it when the project is renamed.
    """

    id: str
    number: str
    path: str
    title: str
    description: str
    visibility: Visibility
    directory: str | None = None
    default_session: str | None = None
    default_title: str | None = None
    sessions: int = 0

    @property
    def source_fields(self) -> tuple[str, str, str, Visibility]:
        """The fields that the source may change."""
        return self.path, self.title, self.description, self.visibility


class ExternalProjectStore:
    """Read and write rows of external projects, identified by their number at the source and not by their path."""

    def __init__(self, statements: StatementRunner) -> None:
        self._db = statements

    def get_many(self, source: str, numbers: Iterable[str]) -> dict[str, ExternalProject]:
        """Return the rows by number, with the default session, in one statement."""
        rows = self._db.fetch_all(_SELECT_EXTERNAL_PROJECTS, where=source, keys=sorted(numbers))
        return {row[1]: _to_external_project(row) for row in rows}

    def get_number(self, source: str, *, id: str) -> str | None:
        """Return the number of the project with our *id*, or None."""
        number: str | None = self._db.fetch_value(_SELECT_SOURCE_NUMBER_BY_ID, where=source, key=id)
        return number

    def get_number_by_path(self, source: str, path: str) -> str | None:
        """Return the number of the project with this stored or former path, or None."""
        values = {"where": source, "path": fold_title(path)}
        number: str | None = self._db.fetch_value(_SELECT_SOURCE_NUMBER_BY_PATH, **values) or self._db.fetch_value(
            _SELECT_SOURCE_NUMBER_BY_OLD_PATH, **values
        )
        return number

    def save_all(
        self, source: str, seen: Sequence[ExternalProject], *, by: str, now: datetime
    ) -> dict[str, ExternalProject]:
        """Create or update the rows of the projects in *seen*; their `id` is used only for new rows.

        A path that another project had before moves to the project that has it now, and nothing else of the other
        project does.

        Raises:
            UniqueConflict: the same project was recorded in parallel.
        """
        before = self.get_many(source, [project.number for project in seen])
        for project in seen:
            old = before.get(project.number)
            if old is not None and old.source_fields == project.source_fields:
                continue
            self._free_path(project)
            if old is None:
                self._db.execute(
                    _INSERT_EXTERNAL_PROJECT,
                    **_to_new_external_columns(source, project, by, now),
                    **_to_external_columns(project),
                )
            else:
                self._update(old, project)
        return self.get_many(source, before.keys() | {project.number for project in seen})

    def _update(self, old: ExternalProject, new: ExternalProject) -> None:
        self._db.execute(_UPDATE_EXTERNAL_PROJECT.values(**_to_external_columns(new)), key=old.id)
        before, after = fold_title(old.path), fold_title(new.path)
        if before != after:
            self._db.execute(_DELETE_EXTERNAL_OLD_PATH, path=before)
            self._db.execute(_INSERT_EXTERNAL_OLD_PATH, folded_path=before, project=old.id)

    def _free_path(self, new: ExternalProject) -> None:
        """Free the path of *new* if another project still has it in our table.

        Until its present path is read from GitLab, the other project gets a placeholder path that no GitLab project
        can have and that still resolves to it.
        """
        path = fold_title(new.path)
        self._db.execute(_DELETE_EXTERNAL_OLD_PATH, path=path)
        row = self._db.fetch_one(_SELECT_PROJECT_AT_PATH, path=path)
        if row is not None and row[1] != new.number:
            former = f"{row[2][:200]}@{row[1]}"
            self._db.execute(_UPDATE_EXTERNAL_PROJECT.values(path=former, folded_path=fold_title(former)), key=row[0])


def _to_external_project(row: Sequence[Any]) -> ExternalProject:
    return ExternalProject(
        id=row[0], number=row[1], path=row[2], title=row[3], description=row[4], visibility=Visibility(row[5]),
        default_session=row[6], default_title=row[7], sessions=row[8],
    )  # fmt: skip


def _to_new_external_columns(source: str, one: ExternalProject, by: str, now: datetime) -> dict[str, Any]:
    made = {"id": one.id, "source": source, "source_id": one.number, "directory": one.directory, "listed": True}
    return {**made, "session_count": 0, "version": 1, "created_by": by, "created_at": now}


def _to_external_columns(one: ExternalProject) -> dict[str, Any]:
    return {
        "path": one.path,
        "folded_path": fold_title(one.path),
        "title": one.title,
        "folded_title": fold_title(one.title),
        "description": one.description,
        "visibility": str(one.visibility),
        "search": build_search_text(one.title, one.path, one.description),
    }


def build_external_project(
    *, number: int, path: str, title: str, description: str, visibility: Visibility
) -> ExternalProject:
    """Build a project from the fields of its source, with an id and a directory in case its row is new."""
    return ExternalProject(
        id=create_id(), number=str(number), path=path, title=title, description=description, visibility=visibility,
        directory=make_unique_directory(path, ()),
    )  # fmt: skip
