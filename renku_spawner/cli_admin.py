"""`renku-spawner environments | instances | orphans`: what admins of Renku do over the API."""

from __future__ import annotations

import argparse
import sys
import time
from itertools import groupby
from typing import Any

from . import cli_base, cli_reach, cli_show
from .cli_base import Ended, Exit
from .cli_local import add_probe
from .cli_show import listed, safe
from .client import Client
from .client.models import (
    AdminInstanceAnswer,
    ArchiveBody,
    EnvironmentAnswer,
    EnvironmentBody,
    OrphanAnswer,
    OrphansBody,
)
from .domain.names import is_id
from .domain.text import folded

_ADMINS = "The hub offers this to admins of Renku only."
_LOOK_SECONDS = 1.0  # between two looks at what is left of what is being paused
_AT_ONCE = 200  # orphans that the API removes in one call
_STATES = ("draft", "active", "deprecated", "archived", "all")
_STATUSES = ("launching", "running", "paused", "failed", "stopping", "unknown")


def add(commands: Any) -> None:
    """The commands' places on the command line."""
    environments = cli_base.group(commands, "environments", "ready-made environments")
    found = cli_base.add(environments, "list", _environments, "those that are offered; for admins also the others")
    found.add_argument("--state", choices=_STATES, default="", help="for admins: those in this state")
    found.add_argument("--json", action="store_true", help="as the API gives them")
    _changes(environments)
    add_probe(environments)
    _operating(commands)


def _changes(environments: Any) -> None:
    new = cli_base.add(environments, "add", _add, "add one, whose image is asked for by the hub's credentials")
    new.add_argument("name", metavar="NAME")
    new.add_argument("image", metavar="IMAGE", help="as for `docker pull`")
    new.add_argument("--description", default="", metavar="TEXT")
    new.add_argument("--keyword", action="append", default=[], metavar="WORD", help="may be given several times")
    new.add_argument("--active", action="store_true", help="offer it at once; else it is a draft")
    old = cli_base.add(environments, "archive", _archive, "offer one no more: nothing new starts from it")
    old.add_argument("environment", metavar="ENVIRONMENT", help="its id or name")
    old.add_argument("--successor", metavar="ENVIRONMENT", help="what editors of its sessions are offered instead")
    old.add_argument("--message", default="", metavar="TEXT", help="why, and what to do: for all who see its sessions")


def _operating(commands: Any) -> None:
    instances = cli_base.group(commands, "instances", "everybody's sessions; that you looked is on record")
    found = cli_base.add(instances, "list", _instances, "whose sessions run or keep files")
    found.add_argument("--status", choices=_STATUSES, default="")
    for name, text in (
        ("owner", "of this user"),
        ("project", "of this project"),
        ("reason", "that ended with this code"),
    ):
        found.add_argument(f"--{name}", default="", metavar=name.upper(), help=f"only those {text}")
    found.add_argument("--json", action="store_true", help="as the API gives them")
    text = "pause one, or all of a node or of the hub; owners read that an admin did it, and why"
    pause = cli_base.add(instances, "pause", _pause, text)
    pause.add_argument("username", metavar="USER", nargs="?", default="")
    pause.add_argument("session", metavar="ID", nargs="?", default="", help="of the session")
    pause.add_argument("--node", default="", metavar="NODE", help="pause all sessions of this node")
    pause.add_argument("--all", action="store_true", help="pause all sessions of the hub")
    pause.add_argument("--dry-run", action="store_true", help="with --node or --all: only say how many those are")
    pause.add_argument("--yes", action="store_true", help="with --node or --all: without asking")
    orphans = cli_base.add(commands, "orphans", _orphans, "pods, claims, folders and records that belong to nothing")
    kinds = ("pod", "claim", "folder", "storage", "run", "record")
    orphans.add_argument("--kind", choices=kinds, help="only those of this kind")
    orphans.add_argument("--remove", action="store_true", help="remove those that can be, for good")
    orphans.add_argument("--yes", action="store_true", help="without asking")
    orphans.add_argument("--json", action="store_true", help="as the API gives them")


# ---- environments -------------------------------------------------------------------------------


def _environments(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed) as hub:
        found = list(hub.environments(state=parsed.state))
    listed(parsed, found, map(_environment, found), empty="There are none.")


def _environment(each: EnvironmentAnswer) -> dict[str, Any]:
    keywords = ", ".join(each.keywords)
    return {"id": each.id, "name": each.name, "state": each.state, "image": each.image, "keywords": keywords}


def _add(parsed: argparse.Namespace) -> None:
    new = EnvironmentBody(
        name=parsed.name, image=parsed.image, description=parsed.description, keywords=parsed.keyword,
        state="active" if parsed.active else "draft",
    )  # fmt: skip
    with cli_reach.connected(parsed) as hub:
        made = hub.add_environment(new)
    print(f"{safe(made.name)} ({made.id}) is {made.state}: {safe(made.image)}")


def _archive(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed, hidden=_ADMINS) as hub:
        one = hub.environment(_id(hub, parsed.environment))
        heir = {"successor": _id(hub, parsed.successor)} if parsed.successor else {}
        done = hub.archive_environment(one.id, ArchiveBody(version=one.version, message=parsed.message, **heir))
    print(f"{safe(done.name)} is {done.state}.")


def _id(hub: Client, said: str) -> str:
    """Raises Ended: there is none, or several share the name."""
    found = [each for each in hub.environments(state="all") if said == each.id or folded(said) == folded(each.name)]
    if len(found) == 1:
        return found[0].id
    if found:
        ids = ", ".join(each.id for each in found)
        raise Ended(f"Several environments are called {said}; name one by its id: {ids}.", Exit.USAGE)
    raise Ended(f"There is no environment {said}.", Exit.NOT_FOUND)


# ---- everybody's --------------------------------------------------------------------------------


def _instances(parsed: argparse.Namespace) -> None:
    asked = {name: getattr(parsed, name) for name in ("status", "owner", "project", "reason")}
    with cli_reach.connected(parsed, hidden=_ADMINS) as hub:
        found = list(hub.all_instances(**asked))
    listed(parsed, found, map(_instance, found), empty="There are none.")


def _instance(each: AdminInstanceAnswer) -> dict[str, Any]:
    since = each.paused_at if each.status == "paused" else each.started_at
    return {
        "user": each.username, "id": each.session, "session": f"{each.project_path or each.project}:{each.title}",
        "status": each.status, "since": since, "class": each.resource_class, "why": each.reason,
    }  # fmt: skip


def _pause(parsed: argparse.Namespace) -> None:
    one = bool(parsed.username or parsed.session)
    if one + bool(parsed.node) + parsed.all != 1:
        raise Ended("Name a user and a session, or --node, or --all.", Exit.USAGE)
    if not one:
        _pause_all(parsed)
        return
    if not is_id(parsed.session):
        raise Ended("Name the session by its id, as `renku-spawner instances list` has it.", Exit.USAGE)
    with cli_reach.connected(parsed, hidden=f"There is no such instance, or: {_ADMINS}") as hub:
        hub.pause_for(parsed.username, parsed.session)
    print(f"{safe(parsed.username)}'s session is being paused.")


def _pause_all(parsed: argparse.Namespace) -> None:
    where = f"on {safe(parsed.node)}" if parsed.node else "on this hub"
    node = parsed.node or None
    with cli_reach.connected(parsed, hidden=_ADMINS) as hub:
        count = hub.pause_all(node, dry_run=True)
        print(f"{count} {'session runs or starts' if count == 1 else 'sessions run or start'} {where}.")
        if parsed.dry_run or not count:
            return
        if not parsed.yes:
            cli_base.confirm(f"pause {count}", "Their programs end; files stay, and their owners can resume them.")
        _wait_for_the_end(hub, node, hub.pause_all(node))


def _wait_for_the_end(hub: Client, node: str | None, count: int) -> None:
    """Say each time that fewer are left."""
    before = count
    while left := _left(hub, node):
        if left < before:
            print(f"{count - left} of {count} are paused.", flush=True)
        before = min(before, left)
        time.sleep(_LOOK_SECONDS)
    print("All are paused.")


def _left(hub: Client, node: str | None) -> int:
    found = hub.nodes()
    if found.unknown and node is not None:
        raise Ended(f"{found.unknown} The pauses go on.")
    return sum(each.sessions + each.stopping for each in found.items if node in (None, each.node))


def _orphans(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed, hidden=_ADMINS) as hub:
        found = hub.orphans()
        if found.unknown:
            raise Ended(found.unknown, Exit.AWAY)
        if found.warning:
            print(safe(found.warning), file=sys.stderr)
        items = [each for each in found.items if parsed.kind in (None, each.kind)]
        if not parsed.remove:
            listed(parsed, items, map(_orphan, items), empty="There are no orphans.")
            return
        _remove(parsed, hub, [each for each in items if each.hindrance is None])


def _orphan(each: OrphanAnswer) -> dict[str, Any]:
    names = ("kind", "name", "title", "size", "since")
    return {**{name: getattr(each, name) for name in names}, "user": each.username, "stays because": each.hindrance}


def _remove(parsed: argparse.Namespace, hub: Client, items: list[OrphanAnswer]) -> None:
    """Raises Ended: nobody has confirmed it."""
    if not items:
        print("There is nothing that can be removed.", file=sys.stderr)
        return
    if not parsed.yes:
        cli_show.table([_orphan(each) for each in items])
        cli_base.confirm(f"remove {len(items)}", "These are removed for good.")
    for kind, some in groupby(sorted(items, key=lambda each: each.kind), lambda each: each.kind):
        names = [each.name for each in some]
        for start in range(0, len(names), _AT_ONCE):
            removed = hub.remove_orphans(OrphansBody(kind=kind, names=names[start : start + _AT_ONCE]))
            print(f"{kind}: {removed.removed} removed")
