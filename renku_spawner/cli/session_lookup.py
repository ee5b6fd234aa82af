"""Find the session that an argument names: by id, `project/path:title`, or a project's path for its default session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..client import Client
from ..domain.ids import is_valid_id
from ..domain.text import fold_title
from ..web.instances.schemas import InstanceAnswer
from ..web.sessions.schemas import SessionAnswer
from .base import CommandError, ExitStatus

SESSION_ARGUMENT_HELP = "its id, or project/path:title"


@dataclass(frozen=True, kw_only=True)
class SessionMatch:
    """A session; `project` is its project's id or path, empty if the user may no longer see the project."""

    id: str
    project: str
    title: str
    instance: InstanceAnswer


def find_session_by_argument(hub: Client, said: str) -> SessionMatch:
    """Find a session in any project that the user may see. Raises CommandError, ClientError."""
    if is_valid_id(said):
        found = hub.session_by_id(said)
        return _to_session_match(found.project, found)
    path, colon, title = said.partition(":")
    if not colon:
        return _find_default_session(hub, path)
    return _select_match([_to_session_match(path, each) for each in hub.sessions(path)], title, said)


def find_own_session(hub: Client, said: str) -> SessionMatch:
    """Find one of the user's own instances, also in a project that is no longer visible.

    Raises:
        CommandError, ClientError: there is none, or several fit.
    """
    found = [
        (
            each.project_path,
            SessionMatch(id=each.session, project=each.project or "", title=each.title, instance=each.instance),
        )
        for each in hub.mine()
    ]
    if is_valid_id(said) and (by_id := [each for _, each in found if each.id == said]):
        return by_id[0]
    path, colon, title = said.partition(":")
    if colon:
        return _select_match([each for of, each in found if path in (of, each.project)], title, said)
    return _select_match([each for _, each in found], path, said)


def _find_default_session(hub: Client, path: str) -> SessionMatch:
    if "/" not in path:
        raise CommandError(
            f"Name the session as project/path:title or by its id: {path} alone is not enough.", ExitStatus.USAGE
        )
    project = hub.project(path)
    if project.default_session is None:
        raise CommandError(f"{path} has no sessions yet.", ExitStatus.NOT_FOUND)
    return _to_session_match(project.id, hub.session(project.id, project.default_session))


def _to_session_match(project: str, each: SessionAnswer) -> SessionMatch:
    return SessionMatch(id=each.id, project=project, title=each.title, instance=each.instance)


def _select_match(found: Sequence[SessionMatch], title: str, said: str) -> SessionMatch:
    """Return the session with that title or id, otherwise the only one whose title begins with *title*."""
    wanted = fold_title(title)
    exact = [each for each in found if fold_title(each.title) == wanted or each.id == title]
    fitting = exact or [each for each in found if wanted and fold_title(each.title).startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise CommandError(f"There is no session {said}.{_format_session_choices(found)}", ExitStatus.NOT_FOUND)
    raise CommandError(f"{said} fits several sessions.{_format_session_choices(fitting)}", ExitStatus.USAGE)


def _format_session_choices(found: Iterable[SessionMatch]) -> str:
    names = [f"{each.title} ({each.id})" for each in found]
    return f" Available: {', '.join(names[:10])}{', …' if len(names) > 10 else ''}." if names else ""
