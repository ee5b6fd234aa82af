"""Commands for administrators that use the API: environments, instances and orphans.

Commands that run where the hub runs, such as `db` and `check`, are in `cli.hub_commands`.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import groupby
from typing import Any

from ..client import Client
from ..domain.ids import is_valid_id
from ..domain.text import fold_title
from ..web.administration.forms import OrphansBody
from ..web.administration.schemas import AdminInstanceAnswer, OrphanAnswer
from ..web.environments.schemas import ArchiveBody, EnvironmentBody
from ..web.sessions.schemas import EnvironmentAnswer
from .base import CommandError, ExitStatus, add_command, add_command_group, require_typed_confirmation
from .hub_commands import add_probe_command
from .login import connect_to_hub
from .output import escape_for_terminal, print_items, print_table

_ADMINS_ONLY_MESSAGE = "Only admins of Renku can do this."
_PAUSE_POLL_INTERVAL_SECONDS = 1.0  # between two counts of the sessions that are still being paused
_MAX_ORPHANS_PER_REQUEST = 200  # the API's limit for one call
_ENVIRONMENT_STATES = ("draft", "active", "deprecated", "archived", "all")
_INSTANCE_STATUSES = ("launching", "running", "paused", "failed", "stopping", "unknown")


def add_admin_commands(commands: Any) -> None:
    """Add the commands `environments`, `instances` and `orphans`."""
    environments = add_command_group(commands, "environments", "manage ready-made environments")
    listing = add_command(
        environments, "list", _list_environments, "list active environments; admins can also list others"
    )
    listing.add_argument(
        "--state", choices=_ENVIRONMENT_STATES, default="", help="only those in this state, for admins"
    )
    listing.add_argument("--json", action="store_true", help="print the API's JSON")
    _add_environment_commands(environments)
    add_probe_command(environments)
    _add_operator_commands(commands)


def _add_environment_commands(environments: Any) -> None:
    new = add_command(
        environments, "add", _add_environment, "add an environment; the hub's credentials are used for its image"
    )
    new.add_argument("name", metavar="NAME")
    new.add_argument("image", metavar="IMAGE", help="as for `docker pull`")
    new.add_argument("--description", default="", metavar="TEXT")
    new.add_argument("--keyword", action="append", default=[], metavar="WORD", help="can be given several times")
    new.add_argument("--active", action="store_true", help="offer it at once; otherwise it is a draft")
    old = add_command(
        environments, "archive", _archive_environment, "archive an environment: no new session starts from it"
    )
    old.add_argument("environment", metavar="ENVIRONMENT", help="its id or name")
    old.add_argument("--successor", metavar="ENVIRONMENT", help="replacement to offer to editors of its sessions")
    old.add_argument("--message", default="", metavar="TEXT", help="reason and advice for users who see its sessions")


def _add_operator_commands(commands: Any) -> None:
    instances = add_command_group(commands, "instances", "manage the sessions of all users; access is audited")
    listing = add_command(instances, "list", _list_instances, "list sessions that run or have files")
    listing.add_argument("--status", choices=_INSTANCE_STATUSES, default="")
    for name, text in (
        ("owner", "of this user"),
        ("project", "of this project"),
        ("reason", "that ended with this code"),
    ):
        listing.add_argument(f"--{name}", default="", metavar=name.upper(), help=f"only those {text}")
    listing.add_argument("--json", action="store_true", help="print the API's JSON")
    text = "pause one session, or all of a node or of the hub; owners see that an admin did it"
    pause = add_command(instances, "pause", _pause_instances_as_admin, text)
    pause.add_argument("username", metavar="USER", nargs="?", default="")
    pause.add_argument("session", metavar="ID", nargs="?", default="", help="id of the session")
    pause.add_argument("--node", default="", metavar="NODE", help="pause all sessions of this node")
    pause.add_argument("--all", action="store_true", help="pause all sessions of the hub")
    pause.add_argument("--dry-run", action="store_true", help="with --node or --all: only count the sessions")
    pause.add_argument("--yes", action="store_true", help="with --node or --all: do not ask for confirmation")
    orphans = add_command(
        commands, "orphans", _list_or_remove_orphans, "list or remove orphaned pods, claims, folders and records"
    )
    kinds = ("pod", "claim", "folder", "storage", "run", "record")
    orphans.add_argument("--kind", choices=kinds, help="only those of this kind")
    orphans.add_argument("--remove", action="store_true", help="remove for good those that can be removed")
    orphans.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    orphans.add_argument("--json", action="store_true", help="print the API's JSON")


def _list_environments(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed) as hub:
        environments = list(hub.environments(state=parsed.state))
    print_items(parsed, environments, map(_to_environment_row, environments), empty="There are no environments.")


def _to_environment_row(each: EnvironmentAnswer) -> dict[str, Any]:
    keywords = ", ".join(each.keywords)
    return {"id": each.id, "name": each.name, "state": each.state, "image": each.image, "keywords": keywords}


def _add_environment(parsed: argparse.Namespace) -> None:
    new = EnvironmentBody(
        name=parsed.name, image=parsed.image, description=parsed.description, keywords=parsed.keyword,
        state="active" if parsed.active else "draft",
    )  # fmt: skip
    with connect_to_hub(parsed) as hub:
        made = hub.add_environment(new)
    print(f"{escape_for_terminal(made.name)} ({made.id}) is {made.state}: {escape_for_terminal(made.image)}")


def _archive_environment(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed, hidden=_ADMINS_ONLY_MESSAGE) as hub:
        old = hub.environment(_resolve_environment_id(hub, parsed.environment))
        successor = {"successor": _resolve_environment_id(hub, parsed.successor)} if parsed.successor else {}
        done = hub.archive_environment(old.id, ArchiveBody(version=old.version, message=parsed.message, **successor))
    print(f"{escape_for_terminal(done.name)} is {done.state}.")


def _resolve_environment_id(hub: Client, said: str) -> str:
    """Return the id of the environment with the id or name *said*.

    Raises:
        CommandError: there is none, or several have that name.
    """
    found = [
        each for each in hub.environments(state="all") if said == each.id or fold_title(said) == fold_title(each.name)
    ]
    if len(found) == 1:
        return found[0].id
    if found:
        ids = ", ".join(each.id for each in found)
        raise CommandError(f"Several environments are called {said}; use one of the ids {ids}.", ExitStatus.USAGE)
    raise CommandError(f"There is no environment {said}.", ExitStatus.NOT_FOUND)


def _list_instances(parsed: argparse.Namespace) -> None:
    filters = {name: getattr(parsed, name) for name in ("status", "owner", "project", "reason")}
    with connect_to_hub(parsed, hidden=_ADMINS_ONLY_MESSAGE) as hub:
        instances = list(hub.all_instances(**filters))
    print_items(parsed, instances, map(_to_admin_instance_row, instances), empty="There are no instances.")


def _to_admin_instance_row(each: AdminInstanceAnswer) -> dict[str, Any]:
    since = each.paused_at if each.status == "paused" else each.started_at
    return {
        "user": each.username, "id": each.session, "session": f"{each.project_path or each.project}:{each.title}",
        "status": each.status, "since": since, "class": each.resource_class, "why": each.reason,
    }  # fmt: skip


def _pause_instances_as_admin(parsed: argparse.Namespace) -> None:
    one = bool(parsed.username or parsed.session)
    if one + bool(parsed.node) + parsed.all != 1:
        raise CommandError("Name a user and a session, or --node, or --all.", ExitStatus.USAGE)
    if not one:
        _pause_all_instances(parsed)
        return
    if not is_valid_id(parsed.session):
        raise CommandError("Use the id of the session, which `renku-spawner instances list` shows.", ExitStatus.USAGE)
    with connect_to_hub(parsed, hidden=f"There is no such instance, or: {_ADMINS_ONLY_MESSAGE}") as hub:
        hub.pause_for(parsed.username, parsed.session)
    print(f"{escape_for_terminal(parsed.username)}'s session is being paused.")


def _pause_all_instances(parsed: argparse.Namespace) -> None:
    where = f"on {escape_for_terminal(parsed.node)}" if parsed.node else "on this hub"
    node = parsed.node or None
    with connect_to_hub(parsed, hidden=_ADMINS_ONLY_MESSAGE) as hub:
        count = hub.pause_all(node, dry_run=True)
        print(f"{count} {'session runs or starts' if count == 1 else 'sessions run or start'} {where}.")
        if parsed.dry_run or not count:
            return
        if not parsed.yes:
            require_typed_confirmation(
                f"pause {count}", "Their processes stop. Files are kept, and owners can resume them."
            )
        _wait_until_all_paused(hub, node, hub.pause_all(node))


def _wait_until_all_paused(hub: Client, node: str | None, count: int) -> None:
    """Wait until all are paused, and print the progress."""
    before = count
    while left := _count_active_sessions(hub, node):
        if left < before:
            print(f"{count - left} of {count} are paused.", flush=True)
        before = min(before, left)
        time.sleep(_PAUSE_POLL_INTERVAL_SECONDS)
    print("All are paused.")


def _count_active_sessions(hub: Client, node: str | None) -> int:
    nodes = hub.nodes()
    if nodes.unknown and node is not None:
        raise CommandError(f"{nodes.unknown} Pausing continues.")
    return sum(each.sessions + each.stopping for each in nodes.items if node in (None, each.node))


def _list_or_remove_orphans(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed, hidden=_ADMINS_ONLY_MESSAGE) as hub:
        found = hub.orphans()
        if found.unknown:
            raise CommandError(found.unknown, ExitStatus.AWAY)
        if found.warning:
            print(escape_for_terminal(found.warning), file=sys.stderr)
        items = [each for each in found.items if parsed.kind in (None, each.kind)]
        if not parsed.remove:
            print_items(parsed, items, map(_to_orphan_row, items), empty="There are no orphans.")
            return
        _remove_orphans(parsed, hub, [each for each in items if each.hindrance is None])


def _to_orphan_row(each: OrphanAnswer) -> dict[str, Any]:
    names = ("kind", "name", "title", "size", "since")
    return {**{name: getattr(each, name) for name in names}, "user": each.username, "stays because": each.hindrance}


def _remove_orphans(parsed: argparse.Namespace, hub: Client, items: list[OrphanAnswer]) -> None:
    """Remove *items* after a confirmation. Raises CommandError without one."""
    if not items:
        print("There is nothing that can be removed.", file=sys.stderr)
        return
    if not parsed.yes:
        print_table([_to_orphan_row(each) for each in items])
        require_typed_confirmation(f"remove {len(items)}", "These will be removed for good.")
    for kind, some in groupby(sorted(items, key=lambda each: each.kind), lambda each: each.kind):
        names = [each.name for each in some]
        for start in range(0, len(names), _MAX_ORPHANS_PER_REQUEST):
            removed = hub.remove_orphans(OrphansBody(kind=kind, names=names[start : start + _MAX_ORPHANS_PER_REQUEST]))
            print(f"{kind}: {removed.removed} removed")
