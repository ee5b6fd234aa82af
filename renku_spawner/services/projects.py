"""What a user can do with projects."""

from __future__ import annotations

from collections.abc import Sequence

from ..domain import names, text
from ..domain.access import Action, Person, Role
from ..domain.errors import Conflict, Forbidden, Invalid
from ..domain.instance import Instance
from ..domain.policy import Policy
from ..domain.project import Member, NewProject, Project, ProjectChange, ProjectEntry
from ..domain.repository import Repository
from ..store.database import Clash, Lost, Transaction
from .parts import Parts, read, write
from .repositories import chosen, placed, refuse_beside

MEMBERS_LIMIT = 200


async def listed(
    parts: Parts, person: Person, *, search: str = "", after: str | None = None, limit: int = 20
) -> tuple[list[tuple[ProjectEntry, Instance | None]], str | None]:
    """The projects that *person* may see, with their own instance of each default session."""
    entries, following = await parts.source.listed(person, search=search, after=after, limit=limit)
    defaults = [entry.default_session for entry in entries if entry.default_session]
    mine = await read(parts, lambda tx: tx.instances.for_sessions(person.name, defaults)) if defaults else {}
    return [(entry, mine.get(entry.default_session or "")) for entry in entries], following


async def show(parts: Parts, person: Person, ref: str) -> Project:
    """The project with id or path *ref*. Raises NotFound."""
    return await parts.source.get(person, ref, Action.READ)


async def create(parts: Parts, person: Person, new: NewProject) -> Project:
    """Make a project below one's own name, or as an admin below any group's.

    Raises:
        Invalid: with what is wrong at which field.
        Forbidden: somebody else's namespace, or projects are made in GitLab.
        Conflict: `path_taken`; `limit_projects`, when one has created as many as an admin allows.
    """
    _require_made_here(parts)
    new, repositories = checked(parts.policy, new)
    _require_namespace(parts, person, new.path)
    limit = _limit_of(parts.policy, person)

    def work(tx: Transaction) -> Project:
        if limit is not None:
            tx.instances.lock_user(person.name)
            _require_below(limit, tx.projects.count_created(person.name))
        try:
            return tx.projects.add(
                new, id=names.new_id(), repositories=repositories, owner=person.name, now=parts.now()
            )
        except Clash:
            raise _path_taken(new.path) from None

    return await write(parts, work)


async def share_of(parts: Parts, person: Person) -> tuple[int, int] | None:
    """How many projects the person has created, and how many they may; None where nothing limits them."""
    limit = _limit_of(parts.policy, person)
    if limit is None:
        return None
    return await read(parts, lambda tx: tx.projects.count_created(person.name)), limit


def _limit_of(policy: Policy, person: Person) -> int | None:
    """Hub admins create projects for groups, too, and may set the limit anyway."""
    return None if person.admin else policy.projects_per_user


def _require_below(limit: int, count: int) -> None:
    if count >= limit:
        raise Conflict(
            f"You have created {count} of {limit} projects, the limit that an admin has set. Delete one first.",
            code="limit_projects", details={"count": count, "limit": limit},
        )  # fmt: skip


def checked(policy: Policy, new: NewProject) -> tuple[NewProject, list[Repository]]:
    """A new project with cleaned texts, and its repositories with their directories."""
    first, second = names.project_path(new.path)
    cleaned = NewProject(
        path=f"{first}/{second}",
        title=text.title(new.title),
        description=text.description(new.description),
        visibility=new.visibility,
    )
    return cleaned, placed(policy, new.repositories)


async def change(parts: Parts, person: Person, ref: str, change: ProjectChange) -> Project:
    """Edit a project: members, path and visibility as an owner, the rest as an editor; of one
    in GitLab only the default session and the further repositories.

    Raises:
        NotFound, Forbidden, Invalid.
        Conflict: `changed` (with the newer version in `details`), `path_taken`.
    """
    owners_only = (change.members, change.path, change.visibility)
    action = Action.WRITE if all(value is None for value in owners_only) else Action.MANAGE
    project = await parts.source.get(person, ref, action)
    _require_decided_here(project, change)
    change = _cleaned(parts, person, project, change)
    repositories = None if change.repositories is None else await chosen(parts, person, project, change.repositories)

    def work(tx: Transaction) -> Project:
        _check_default(tx, project, change.default_session)
        refuse_beside(repositories or (), [storage.directory for storage in tx.storages.of_project(project.id)])
        try:
            return tx.projects.change(project, change, repositories=repositories, now=parts.now())
        except Clash:
            raise _path_taken(change.path or project.path) from None
        except Lost:
            raise _changed(tx.projects.get(project.id)) from None

    changed = await write(parts, work)
    return changed if project.ours else await parts.source.get(person, project.id, Action.READ)


def _cleaned(parts: Parts, person: Person, project: Project, change: ProjectChange) -> ProjectChange:
    if change.path is not None and change.path != project.path:
        names.project_path(change.path)
        _require_namespace(parts, person, change.path)
    return ProjectChange(
        version=change.version,
        path=change.path,
        title=None if change.title is None else text.title(change.title),
        description=None if change.description is None else text.description(change.description),
        visibility=change.visibility,
        default_session=change.default_session,
        repositories=change.repositories,
        members=None if change.members is None else _require_known(parts, project, change),
    )


def _require_known(parts: Parts, project: Project, change: ProjectChange) -> tuple[Member, ...]:
    """The members of *change*. Raises Invalid for a new one, or a new owner, whom the hub does not know."""
    wanted = _members(change.members or ())
    new = {(m.kind, m.name): m for m in wanted if m not in project.members}
    unknown = {("user", name) for name in parts.gone([m.name for m in new.values() if m.kind == "user"])}
    if any(m.kind == "group" for m in new.values()):
        there = set(parts.groups())
        unknown |= {("group", m.name) for m in new.values() if m.kind == "group" and m.name not in there}
    present = {(m.kind, m.name) for m in project.members}
    fields = {
        f"members.{place}.name": _unknown(m)
        for place, m in enumerate(wanted)
        if (m.kind, m.name) in unknown
        and (m.role is Role.OWNER or not (change.allow_unknown or (m.kind, m.name) in present))
    }
    if fields:
        raise Invalid(next(iter(fields.values())), fields=fields, code="member_unknown")
    return wanted


def _unknown(member: Member) -> str:
    """The words for a member whom the hub does not know; no confirmation makes one an owner."""
    said = (
        f"There is no group “{member.name}” here."
        if member.kind == "group"
        else f"“{member.name}” has never logged in here."
    )
    return (
        f"{said} Only users and groups that this hub knows can be owners."
        if member.role is Role.OWNER
        else f"{said} Add anyway?"
    )


def _members(members: Sequence[Member]) -> tuple[Member, ...]:
    """Each user and group once, at least one owner that is a user."""
    problem = None
    if len(members) > MEMBERS_LIMIT:
        problem = f"At most {MEMBERS_LIMIT} members, please; a group counts as one."
    elif len({(m.kind, m.name) for m in members}) < len(members):
        problem = "A member is listed twice."
    elif not any(m.kind == "user" and m.role is Role.OWNER for m in members):
        problem = "A project needs at least one owner."
    elif any(not m.name or len(m.name) > 255 or not m.name.isprintable() for m in members):
        problem = "A member needs a name."
    if problem:
        raise Invalid(problem, fields={"members": problem})
    return tuple(members)


def _check_default(tx: Transaction, project: Project, session_id: str | None) -> None:
    if session_id is None:
        return
    session = tx.sessions.get(session_id)
    if session is None or session.project != project.id:
        sentence = "There is no such session in this project."
        raise Invalid(sentence, fields={"default_session": sentence})


async def delete(parts: Parts, person: Person, ref: str) -> None:
    """Delete a project; instances stay their owners' to stop, to save and to delete."""
    project = await parts.source.get(person, ref, Action.MANAGE)
    _require_ours(project)

    def work(tx: Transaction) -> None:
        tx.projects.delete(project.id, parts.now())
        tx.storages.wipe(project.id)

    await write(parts, work)


async def others_have_data(parts: Parts, person: Person, ref: str) -> bool:
    """Whether somebody else has data in one of its sessions; never who or how many (decision 5)."""
    project = await parts.source.get(person, ref, Action.MANAGE)
    _require_ours(project)
    return await read(parts, lambda tx: tx.instances.others_in_project(project.id, person.name))


async def leave(parts: Parts, person: Person, ref: str) -> None:
    """Stop being a member.

    Raises:
        Conflict: the last owner cannot leave; a group's member leaves the group.
    """
    project = await parts.source.get(person, ref, Action.READ)
    _require_ours(project)
    mine = [m for m in project.members if m.kind == "user" and m.name == person.name]
    if not mine:
        raise Conflict("You are no member by your own name; ask the admins of your group.", code="no_member")
    owners = [m for m in project.members if m.kind == "user" and m.role is Role.OWNER]
    if mine[0] in owners and len(owners) == 1:
        raise Conflict("You are the only owner: make somebody else an owner first.", code="last_owner")
    await write(parts, lambda tx: tx.projects.leave(project.id, "user", person.name))


def namespaces(parts: Parts, person: Person) -> list[str]:
    """Below what *person* may make projects: first their own name, then for admins any group's (decision 24).

    Raises:
        Forbidden: projects are made in GitLab.
    """
    _require_made_here(parts)
    own = names.namespace(person.name)
    groups = sorted(map(names.namespace, parts.groups())) if person.admin else []
    return [own, *(group for group in groups if group != own)]


def _require_made_here(parts: Parts) -> None:
    if parts.gitlab:
        raise Forbidden(f"Projects are made in GitLab: {parts.gitlab.url}/projects/new", code="decided_in_gitlab")


def _require_ours(project: Project) -> None:
    if not project.ours:
        raise _decided_there()


def _require_decided_here(project: Project, change: ProjectChange) -> None:
    """Title, description, path, visibility and members are as they are in GitLab."""
    theirs = ("title", "description", "path", "visibility", "members")
    said = [name for name in theirs if getattr(change, name) is not None]
    if said and not project.ours:
        raise _decided_there(*said)


def _decided_there(*fields: str) -> Forbidden:
    sentence = "This project lives in GitLab: change it there."
    return Forbidden(sentence, code="decided_in_gitlab", fields=dict.fromkeys(fields, sentence))


def _require_namespace(parts: Parts, person: Person, path: str) -> None:
    own, *groups = namespaces(parts, person)
    if path.partition("/")[0].casefold() in {name.casefold() for name in (own, *groups)}:
        return
    others = " and, as an admin, below the names of groups" if person.admin else ""
    sentence = f"You can make projects below {own}/{others} only."
    raise Forbidden(sentence, fields={"path": sentence})


def _path_taken(path: str) -> Conflict:
    sentence = f"There is a project {path} already; choose another path."
    return Conflict(sentence, code="path_taken", fields={"path": sentence})


def _changed(newer: Project | None) -> Conflict:
    details = {"version": newer.version, "project": newer.id} if newer else {}
    said = "This project was changed since you opened the page. Check it as it is now, then try again."
    return Conflict(said, code="changed", details=details)
