"""Search the sessions of all projects that a person may see, one for each image."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ..context.app_context import AppContext, read_transaction
from ..domain.access import Person, ProjectAction
from ..domain.environments import EnvironmentKind
from ..domain.images import parse_image_reference
from ..domain.projects import Project
from ..domain.reasons import format_reason_sentence
from ..domain.resource_classes import build_no_fitting_class_message, list_fitting_classes
from ..domain.session_search import (
    FoundSession,
    LaunchCounts,
    PackageRequirement,
    parse_package_requirement,
)
from ..domain.sessions import Session
from ..persistence.database import Transaction

LAUNCH_COUNT_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class FoundSessionList:
    """One page of a search; `into` is the project that the user wants to add a session to."""

    items: list[FoundSession]
    next: str | None
    into: Project | None = None


async def search_sessions(
    context: AppContext,
    person: Person,
    *,
    text: str = "",
    package: str = "",
    into: str | None = None,
    after: str | None = None,
    limit: int = 20,
) -> FoundSessionList:
    """Search sessions by *text* and by an installed *package*, such as `xarray>=2025`; the most used images come first.

    With *into*, the id or path of a project that *person* may change, its own sessions are left out.

    Raises:
        InvalidInputError: at `package` or `after`.
        NotFoundError, ForbiddenError: the project *into*.
        UnavailableError: the source of the projects does not answer.
    """
    requirement = parse_package_requirement(package)
    target = await context.source.get_project(person, into, ProjectAction.WRITE) if into else None
    scope = await context.source.get_search_scope(person)
    since = context.now() - timedelta(days=LAUNCH_COUNT_DAYS)

    def read(tx: Transaction) -> FoundSessionList:
        versions = _find_package_versions(tx, requirement)
        found, following = tx.session_search.search(
            scope, text=text, digests=versions, outside=target.id if target else "", after=after, limit=limit
        )
        sessions = tx.sessions.get_many(each.session for each in found)
        projects = tx.projects.get_many_without_repositories({each.project for each in sessions.values()})
        launches = tx.session_search.count_launches(scope, (each.image for each in found), since)
        items = []
        for each in found:
            session = sessions[each.session]
            item = FoundSession(
                session=session,
                project_path=projects[session.project].path,
                project_title=projects[session.project].title,
                uses=each.uses,
                launches=launches.get(each.image, LaunchCounts()),
                package=", ".join(sorted(versions[each.image])) if versions is not None else None,
                obstacle=_find_obstacle(context, person, session),
            )
            items.append(item)
        return FoundSessionList(items=items, next=following, into=target)

    return await read_transaction(context, read)


def _find_package_versions(tx: Transaction, requirement: PackageRequirement | None) -> dict[str, set[str]] | None:
    """Return the versions that meet *requirement*, by digest; None without one."""
    if requirement is None:
        return None
    found: dict[str, set[str]] = {}
    for digest, version in tx.software.list_package_versions(requirement.names):
        if requirement.is_met_by(version):
            found.setdefault(digest, set()).add(version)
    return found


def _find_obstacle(context: AppContext, person: Person, session: Session) -> str | None:
    """Return why *person* could not run the session on this hub, as far as that is known without a start."""
    image, needs, policy = session.revision.canonical_reference, session.configuration.needs, context.policy
    own = session.environment.kind is EnvironmentKind.EXTERNAL
    if own and not policy.images.is_permitted(parse_image_reference(image), person):
        return format_reason_sentence("registry_not_allowed", image=image)
    if not list_fitting_classes(policy.classes, person, needs):
        return build_no_fitting_class_message(needs)
    return None
