"""Which session somebody means: its id, `project/path:title`, or a project's path for its default session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .cli_base import Ended, Exit
from .client import Client
from .client.models import InstanceAnswer, SessionAnswer
from .domain.names import is_id
from .domain.text import folded

NAMED = "its id, or project/path:title"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A session; `project` is its project's id or path, empty where one may not see it any more."""

    id: str
    project: str
    title: str
    instance: InstanceAnswer


def session(hub: Client, said: str) -> Found:
    """A session of any project that one may see. Raises Ended, ClientError."""
    if is_id(said):
        found = hub.session_by_id(said)
        return _of(found.project, found)
    path, colon, title = said.partition(":")
    if not colon:
        return _default(hub, path)
    return _one([_of(path, each) for each in hub.sessions(path)], title, said)


def mine(hub: Client, said: str) -> Found:
    """One's own instance, also in a project that one may not see any more. Raises Ended, ClientError."""
    found = [
        (
            each.project_path,
            Found(id=each.session, project=each.project or "", title=each.title, instance=each.instance),
        )
        for each in hub.mine()
    ]
    if is_id(said) and (by_id := [each for _, each in found if each.id == said]):
        return by_id[0]
    path, colon, title = said.partition(":")
    if colon:
        return _one([each for of, each in found if path in (of, each.project)], title, said)
    return _one([each for _, each in found], path, said)


def _default(hub: Client, path: str) -> Found:
    if "/" not in path:
        raise Ended(f"Which project's {path}? Name it as project/path:title, or by its id.", Exit.USAGE)
    project = hub.project(path)
    if project.default_session is None:
        raise Ended(f"{path} has no sessions yet.", Exit.NOT_FOUND)
    return _of(project.id, hub.session(project.id, project.default_session))


def _of(project: str, each: SessionAnswer) -> Found:
    return Found(id=each.id, project=project, title=each.title, instance=each.instance)


def _one(found: Sequence[Found], title: str, said: str) -> Found:
    """The one of that title or id, else the only one whose title begins so."""
    wanted = folded(title)
    exact = [each for each in found if folded(each.title) == wanted or each.id == title]
    fitting = exact or [each for each in found if wanted and folded(each.title).startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise Ended(f"There is no session {said}.{_among(found)}", Exit.NOT_FOUND)
    raise Ended(f"{said} may be any of several sessions.{_among(fitting)}", Exit.USAGE)


def _among(found: Iterable[Found]) -> str:
    names = [f"{each.title} ({each.id})" for each in found]
    return f" There are: {', '.join(names[:10])}{', …' if len(names) > 10 else ''}." if names else ""
