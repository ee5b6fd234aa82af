"""What git inside a session is given: the user's own token, for the project's own repositories only (decision 32)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ..domain import git_inside, names
from ..domain.access import Action, Person
from ..domain.errors import Forbidden, NotFound, Unavailable
from ..domain.git_inside import GitInside
from ..domain.instance import Desired, Instance
from ..domain.project import Project
from ..domain.repository import without_credentials
from ..domain.session import SessionSpec
from ..gitlab.client import GitLab
from ..gitlab.errors import LogInAgain
from . import records, runs
from .parts import Parts

LEFT = 300.0  # seconds that a token is good for at least: git works on with what it was given
WITHIN = 5.0  # seconds for what GitLab is asked: git waits for it
_USER = "oauth2"  # GitLab takes any name beside an OAuth token; this is what others use


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What git says of the repository (https://git-scm.com/docs/git-credential#IOFMT)."""

    protocol: str
    host: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Credential:
    username: str = _USER
    password: str = field(repr=False)


async def credential(parts: Parts, person: Person, session_id: str | None, asked: Asked) -> Credential:
    """A fresh token of *person* for the repository that git in their session *session_id* asks for.

    *session_id* is the session whose own token asks, None for any other token. What is refused goes on record.

    Raises:
        Forbidden: with words for who reads them in a terminal.
        Unavailable: GitLab does not answer.
    """
    try:
        gitlab, project = await _allowed(parts, person, session_id)
        await _require_repository(parts, person, project, asked)
    except (Forbidden, NotFound) as refusal:
        wanted = without_credentials(f"{refusal.code} {asked.protocol}://{asked.host}/{asked.path}")
        action, subject = "git credentials refused", session_id or "no session"
        await records.record(
            parts, actor=person.name, username=person.name, action=action, subject=subject, detail=wanted
        )
        raise
    token = await gitlab.tokens.of(person.name, left=LEFT)
    return Credential(password=token.access)


async def _allowed(parts: Parts, person: Person, session_id: str | None) -> tuple[GitLab, Project]:
    gitlab = parts.gitlab
    if gitlab is None or parts.policy.git_credentials == "off":
        raise Forbidden("This hub gives no git credentials.", code="git_off")
    if session_id is None:
        raise Forbidden("Git credentials are given to running sessions only.", code="git_no_session")
    instance = await runs.recorded(parts, person.name, session_id)
    if instance is None or not _is_up(instance):
        raise Forbidden("Git credentials are given to running sessions only.", code="git_no_session")
    project = await parts.source.get(person, instance.project, Action.LAUNCH)
    if not await given_to(parts, person, project, Action.LAUNCH):
        raise Forbidden(
            "You are not a member of the project of this session: the hub gives it no git credentials of yours.",
            code="git_no_member",
        )
    return gitlab, project


def _is_up(instance: Instance) -> bool:
    """Also while it starts: that is when its repositories are cloned."""
    return instance.active and instance.desired is Desired.RUNNING


async def _require_repository(parts: Parts, person: Person, project: Project, asked: Asked) -> None:
    gitlab = parts.gitlab.url if parts.gitlab else ""
    wanted = git_inside.address(asked.protocol, asked.host, asked.path)
    ours = git_inside.living_at(gitlab, (repository.url for repository in project.repositories))
    if wanted in ours or (wanted and await _was_here(parts, person, project, wanted, ours)):
        return
    sentence = "The hub gives git credentials for the repositories of this session's project only."
    raise Forbidden(sentence, code="git_foreign")


async def _was_here(parts: Parts, person: Person, project: Project, wanted: str, ours: Collection[str]) -> bool:
    """Whether the project was at that address before it moved: what was cloned then still goes there, and GitLab
    follows (R34). GitLab says which project it is; another one that has taken the path is not ours."""
    if parts.gitlab is None or not git_inside.living_at(parts.gitlab.url, [wanted]):
        return False
    path = wanted.removeprefix(parts.gitlab.url).strip("/")
    if not names.is_path(path) or wanted.lower() in {each.lower() for each in ours}:
        return False
    try:
        found = await parts.gitlab.get(person.name, f"/projects/{quote(path, safe='')}", within=WITHIN)
    except (Forbidden, NotFound):
        return False
    return isinstance(found, dict) and str(found.get("id")) == project.source_id


async def inside(parts: Parts, person: Person, spec: SessionSpec, user: Mapping[str, Any]) -> GitInside | None:
    """What git in a session knows of *person*, whom GitLab describes as *user* (`GET /user`).

    Whether they are a member need be known no better than for a page, and a GitLab that does not say it
    stops no start: credentials are asked for again each time, and that is when it is decided.
    """
    if parts.gitlab is None:
        return None
    name, email = git_inside.identity(user, parts.gitlab.url) if user else ("", "")
    project = await parts.source.get(person, spec.project, Action.LAUNCH)
    urls = (repository.url for repository in project.repositories)
    return GitInside(
        gitlab=parts.gitlab.url,
        name=name,
        email=email,
        credentials=await _likely_given_to(parts, person, project),
        repositories=git_inside.living_at(parts.gitlab.url, urls),
        ssh=project.ssh,
    )


async def _likely_given_to(parts: Parts, person: Person, project: Project) -> bool:
    try:
        return await given_to(parts, person, project, Action.READ)
    except (Unavailable, LogInAgain):
        return True


async def given_to(parts: Parts, person: Person, project: Project, action: Action) -> bool:
    """Whether git in *person*'s session of *project* can act in GitLab as them, known as well as *action* needs it."""
    if parts.gitlab is None or project.ours or parts.policy.git_credentials == "off":
        return False
    return parts.policy.git_credentials == "all" or await parts.source.is_member(person, project, action)
