"""`renku-spawner projects | sessions | me`: what there is, and how one's own stands."""

from __future__ import annotations

import argparse
from typing import Any

from . import cli_base, cli_reach
from .cli_show import as_json, listed, moment, table
from .client.models import InstanceAnswer, MyInstanceAnswer, ProjectEntryAnswer, SessionAnswer
from .domain.quantity import size_of


def add(commands: Any) -> None:
    """The commands' places on the command line."""
    projects = cli_base.add(commands, "projects", _projects, "the projects that you may see")
    projects.add_argument("--search", default="", metavar="WORDS", help="only those with this in their words")
    sessions = cli_base.add(commands, "sessions", _sessions, "your sessions in all projects, or those of one project")
    sessions.add_argument("project", nargs="?", metavar="PROJECT", help="its path or id, such as ada/climate")
    me = cli_base.add(commands, "me", _me, "inside a session: which one it is, and when it pauses")
    for each in (projects, sessions, me):
        each.add_argument("--json", action="store_true", help="as the API gives them")


def _projects(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed) as hub:
        found = list(hub.projects(parsed.search))
    listed(parsed, found, map(_project, found), empty="There are no projects that you may see.")


def _project(each: ProjectEntryAnswer) -> dict[str, Any]:
    status = each.instance.status if each.default_session else ""
    return {"path": each.path, "title": each.title, "role": each.role, "sessions": each.sessions, "default": status}


def _sessions(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed) as hub:
        if parsed.project:
            of = list(hub.sessions(parsed.project))
            listed(parsed, of, map(_session, of), empty="This project has no sessions yet.")
        else:
            mine = list(hub.mine())
            listed(parsed, mine, map(_mine, mine), empty="None of your sessions runs or keeps files.")


def _me(parsed: argparse.Namespace) -> None:
    """With the token of the session in any case: another one knows nothing of where it is used."""
    with cli_reach.inside(parsed) as hub:
        found = hub.me()
    if parsed.json:
        as_json(found)
        return
    named = f"{found.project_path}:{found.title}" if found.project_path else found.title
    awake = f"until {moment(found.awake_until)}" if found.awake_until else None
    pauses = moment(found.pauses_at) if found.pauses_at else None
    table([{"id": found.session, "session": named, "pauses": pauses, "kept awake": awake}])


def _session(each: SessionAnswer) -> dict[str, Any]:
    named = f"{each.title} (default)" if each.is_default else each.title
    environment = each.environment
    return {"id": each.id, "title": named, "environment": environment.name, "status": each.instance.status}


def _mine(each: MyInstanceAnswer) -> dict[str, Any]:
    instance = each.instance
    return {
        "id": each.session,
        "session": f"{each.project_path}:{each.title}" if each.project_path else each.title,
        "status": instance.status,
        "since": instance.paused_at if instance.status == "paused" else instance.started_at,
        "class": instance.resource_class,
        "size": None if instance.disk_used is None else size_of(instance.disk_used),
        "next": _end(instance),
        "why": instance.message,
    }


def _end(instance: InstanceAnswer) -> str:
    """What comes next by itself, and when."""
    if instance.queue_position is not None:
        return f"starts, place {instance.queue_position} in the line"
    if instance.trashed_until:
        return f"in the trash until {moment(instance.trashed_until)}"
    if instance.deleted_on:
        return f"deleted {moment(instance.deleted_on)}"
    return f"pauses {moment(instance.pauses_at)}" if instance.pauses_at else ""
