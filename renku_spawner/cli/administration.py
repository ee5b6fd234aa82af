"""Commands for administrators.

`environments`, `instances` and `orphans` use the API. `db`, `images`, `check` and `demo` run where the hub runs, with
its database, cluster and configuration.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..domain.ids import is_valid_id
from ..domain.text import fold_title
from .login import connect_to_hub
from .output import (
    FILE_NAME,
    CommandError,
    ExitStatus,
    escape_for_terminal,
    json_option,
    print_items,
    print_table,
    require_typed_confirmation,
)

if TYPE_CHECKING:
    from ..client import Client
    from ..web.administration.schemas import AdminInstanceAnswer, OrphanAnswer
    from ..web.sessions.schemas import EnvironmentAnswer

_ADMINS_ONLY_MESSAGE = "Only admins of Renku can do this."
_PAUSE_POLL_INTERVAL_SECONDS = 1.0  # between two counts of the sessions that are still being paused
_MAX_ORPHANS_PER_REQUEST = 200  # the API's limit for one call
_ENVIRONMENT_STATES = ("draft", "active", "deprecated", "archived", "all")
_INSTANCE_STATUSES = ("launching", "running", "paused", "failed", "stopping", "unknown")
_ORPHAN_KINDS = ("pod", "claim", "folder", "storage", "run", "record")


@click.group("environments")
def manage_environments() -> None:
    """Manage ready-made environments."""


@manage_environments.command("list")
@click.option("--state", type=click.Choice(_ENVIRONMENT_STATES), help="only those in this state, for admins")
@json_option()
def list_environments(state: str | None, as_json: bool) -> None:
    """List active environments; admins can also list others."""
    with connect_to_hub() as hub:
        environments = list(hub.environments(state=state or ""))
    rows = map(_to_environment_row, environments)
    print_items(environments, rows, as_json=as_json, empty="There are no environments.")


def _to_environment_row(each: EnvironmentAnswer) -> dict[str, Any]:
    keywords = ", ".join(each.keywords)
    return {"id": each.id, "name": each.name, "state": each.state, "image": each.image, "keywords": keywords}


@manage_environments.command("add")
@click.argument("name")
@click.argument("image", help="as for `docker pull`")
@click.option("--description", default="", metavar="TEXT")
@click.option("--keyword", multiple=True, metavar="WORD", help="can be given several times")
@click.option("--active", is_flag=True, help="offer it at once; otherwise it is a draft")
def add_environment(name: str, image: str, description: str, keyword: Sequence[str], active: bool) -> None:
    """Add an environment; the hub's credentials are used for its image."""
    from ..client.models import EnvironmentBody

    state = "active" if active else "draft"
    new = EnvironmentBody.model_validate(
        {"name": name, "image": image, "description": description, "keywords": list(keyword), "state": state}
    )
    with connect_to_hub() as hub:
        made = hub.add_environment(new)
    print(f"{escape_for_terminal(made.name)} ({made.id}) is {made.state}: {escape_for_terminal(made.image)}")


@manage_environments.command("archive")
@click.argument("environment", help="its id or name")
@click.option("--successor", metavar="ENVIRONMENT", help="replacement to offer to editors of its sessions")
@click.option("--message", default="", metavar="TEXT", help="reason and advice for users who see its sessions")
def archive_environment(environment: str, successor: str | None, message: str) -> None:
    """Archive an environment: no new session starts from it."""
    from ..client.models import ArchiveBody

    with connect_to_hub(hidden=_ADMINS_ONLY_MESSAGE) as hub:
        old = hub.environment(_resolve_environment_id(hub, environment))
        optional = {"successor": _resolve_environment_id(hub, successor)} if successor else {}
        done = hub.archive_environment(
            old.id, ArchiveBody.model_validate({"version": old.version, "message": message, **optional})
        )
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


@click.group("instances")
def manage_instances() -> None:
    """Manage the sessions of all users; access is audited."""


@manage_instances.command("list")
@click.option("--status", type=click.Choice(_INSTANCE_STATUSES))
@click.option("--owner", default="", metavar="OWNER", help="only those of this user")
@click.option("--project", default="", metavar="PROJECT", help="only those of this project")
@click.option("--reason", default="", metavar="REASON", help="only those that ended with this code")
@json_option()
def list_instances(status: str | None, owner: str, project: str, reason: str, as_json: bool) -> None:
    """List sessions that run or have files."""
    with connect_to_hub(hidden=_ADMINS_ONLY_MESSAGE) as hub:
        instances = list(hub.all_instances(status=status or "", owner=owner, project=project, reason=reason))
    rows = map(_to_admin_instance_row, instances)
    print_items(instances, rows, as_json=as_json, empty="There are no instances.")


def _to_admin_instance_row(each: AdminInstanceAnswer) -> dict[str, Any]:
    since = each.paused_at if each.status == "paused" else each.started_at
    return {
        "user": each.username, "id": each.session, "session": f"{each.project_path or each.project}:{each.title}",
        "status": each.status, "since": since, "class": each.resource_class, "why": each.reason,
    }  # fmt: skip


@manage_instances.command("pause")
@click.argument("username", metavar="USER", default="")
@click.argument("session", metavar="ID", default="", help="id of the session")
@click.option("--node", default="", metavar="NODE", help="pause all sessions of this node")
@click.option("--all", "whole_hub", is_flag=True, help="pause all sessions of the hub")
@click.option("--dry-run", is_flag=True, help="with --node or --all: only count the sessions")
@click.option("--yes", is_flag=True, help="with --node or --all: do not ask for confirmation")
def pause_instances(username: str, session: str, node: str, whole_hub: bool, dry_run: bool, yes: bool) -> None:
    """Pause one session, or all of a node or of the hub; owners see that an admin did it."""
    one = bool(username or session)
    if one + bool(node) + whole_hub != 1:
        raise CommandError("Name a user and a session, or --node, or --all.", ExitStatus.USAGE)
    if not one:
        _pause_all_instances(node or None, dry_run=dry_run, yes=yes)
        return
    if not is_valid_id(session):
        raise CommandError("Use the id of the session, which `renku-spawner instances list` shows.", ExitStatus.USAGE)
    with connect_to_hub(hidden=f"There is no such instance, or: {_ADMINS_ONLY_MESSAGE}") as hub:
        hub.pause_for(username, session)
    print(f"{escape_for_terminal(username)}'s session is being paused.")


def _pause_all_instances(node: str | None, *, dry_run: bool, yes: bool) -> None:
    where = f"on {escape_for_terminal(node)}" if node else "on this hub"
    with connect_to_hub(hidden=_ADMINS_ONLY_MESSAGE) as hub:
        count = hub.pause_all(node, dry_run=True)
        print(f"{count} {'session runs or starts' if count == 1 else 'sessions run or start'} {where}.")
        if dry_run or not count:
            return
        if not yes:
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


@click.command("orphans")
@click.option("--kind", type=click.Choice(_ORPHAN_KINDS), help="only those of this kind")
@click.option("--remove", is_flag=True, help="remove for good those that can be removed")
@click.option("--yes", is_flag=True, help="do not ask for confirmation")
@json_option()
def list_or_remove_orphans(kind: str | None, remove: bool, yes: bool, as_json: bool) -> None:
    """List or remove orphaned pods, claims, folders and records."""
    with connect_to_hub(hidden=_ADMINS_ONLY_MESSAGE) as hub:
        found = hub.orphans()
        if found.unknown:
            raise CommandError(found.unknown, ExitStatus.AWAY)
        if found.warning:
            print(escape_for_terminal(found.warning), file=sys.stderr)
        items = [each for each in found.items if kind in (None, each.kind)]
        if not remove:
            print_items(items, map(_to_orphan_row, items), as_json=as_json, empty="There are no orphans.")
            return
        _remove_orphans(hub, [each for each in items if each.hindrance is None], yes=yes)


def _to_orphan_row(each: OrphanAnswer) -> dict[str, Any]:
    names = ("kind", "name", "title", "size", "since")
    return {**{name: getattr(each, name) for name in names}, "user": each.username, "stays because": each.hindrance}


def _remove_orphans(hub: Client, items: list[OrphanAnswer], *, yes: bool) -> None:
    """Remove *items* after a confirmation. Raises CommandError without one."""
    from ..client.models import OrphansBody

    if not items:
        print("There is nothing that can be removed.", file=sys.stderr)
        return
    if not yes:
        print_table([_to_orphan_row(each) for each in items])
        require_typed_confirmation(f"remove {len(items)}", "These will be removed for good.")
    for kind, some in groupby(sorted(items, key=lambda each: each.kind), lambda each: each.kind):
        names = [each.name for each in some]
        for start in range(0, len(names), _MAX_ORPHANS_PER_REQUEST):
            removed = hub.remove_orphans(OrphansBody(kind=kind, names=names[start : start + _MAX_ORPHANS_PER_REQUEST]))
            print(f"{kind}: {removed.removed} removed")


@click.group("db")
def manage_database() -> None:
    """Manage Renku's tables in the hub's database."""


_database_option = click.option(
    "--url", default="sqlite:///jupyterhub.sqlite", metavar="URL", help="c.JupyterHub.db_url of the hub"
)


@manage_database.command("upgrade")
@_database_option
def upgrade_database(url: str) -> None:
    """Create the tables or upgrade them."""
    from ..persistence.migrate import get_schema_revision, prepare_schema

    prepare_schema(url, upgrade=True)
    print(f"Renku's tables are at revision {get_schema_revision(url)}.")


@manage_database.command("check")
@_database_option
def check_database(url: str) -> None:
    """Exit with 1 unless the tables are up to date."""
    from ..persistence.migrate import check_schema, get_schema_revision

    check_schema(url)
    print(f"Renku's tables are up to date (revision {get_schema_revision(url)}).")


@manage_database.command("downgrade")
@click.argument("revision", help="as that release names it when it refuses to start; base removes the tables")
@_database_option
@click.option("--yes", is_flag=True, help="also if data is lost; without it the losses are listed")
def downgrade_database(revision: str, url: str, yes: bool) -> None:
    """Downgrade the tables for an older release."""
    from ..persistence.migrate import DowngradeLosesData, downgrade_schema

    try:
        lost = downgrade_schema(url, revision, may_lose=yes)
    except DowngradeLosesData as refused:
        listed = "\n".join(f"  {line}" for line in refused.args[0])
        raise CommandError(
            f"This would lose\n{listed}\nNothing was changed. Use --yes to downgrade all the same."
        ) from None
    print("\n".join([*(f"Lost: {line}" for line in lost), f"Renku's tables are at revision {revision}."]))


_config_option = click.option(
    "--config",
    default="",
    type=FILE_NAME,
    metavar="CONFIG",
    help="the hub's configuration, by default jupyterhub_config.py; in the hub's pod the chart's",
)


@click.group("images")
def manage_images() -> None:
    """Find packages in the images of ready-made environments."""


@manage_environments.command("probe")
@click.argument("environment", nargs=-1, help="keys of the settings; all by default")
@_config_option
@click.option("--pod", is_flag=True, help="probe images without a list by a pod on the hub's cluster")
@click.option(
    "--report",
    type=FILE_NAME,
    metavar="REPORT",
    help="file with the script's output in one environment's image (- is stdin)",
)
@click.option(
    "--digest", metavar="DIGEST", help="digest of the image that --report is about; the current one by default"
)
def probe_images(environment: Sequence[str], config: str, pod: bool, report: str | None, digest: str | None) -> None:
    """Read the images' own package lists, or print how to probe images without one."""
    from .checks import probe_environment_images

    if not probe_environment_images(config, environment, pod=pod, report=report, digest=digest):
        raise CommandError("")


manage_images.add_command(probe_images)


@manage_images.command("script")
def print_probe_script() -> None:
    """Print the script that lists an image's packages."""
    from .checks import format_probe_script

    print(format_probe_script(), end="")


@click.command("check")
@_config_option
@click.option("--settings", is_flag=True, help="only the checks that the hub makes when it starts")
@json_option("print the results as JSON")
def check_hub(config: str, settings: bool, as_json: bool) -> None:
    """Check whether this hub can start, and its database, GitLab, registries and cluster."""
    from .checks import run_hub_checks

    run_hub_checks(config, settings_only=settings, as_json=as_json)


@click.command("demo")
@click.option("--reset", is_flag=True, help="delete the demo's data and start over")
@click.option("--prepare", is_flag=True, help="create the data, but do not start a hub")
def run_demo(reset: bool, prepare: bool) -> None:
    """Run a hub on this machine with example users and projects."""
    from ..demo.run import (
        DEMO_CONFIG_FILE,
        parse_demo_port,
        prepare_demo_data,
        require_free_ports,
        reset_demo_data,
        run_demo_hub,
        stop_stale_demo,
    )

    port = parse_demo_port(os.environ.get("PORT") or "8000")
    data = Path(os.environ.get("DATA") or DEMO_CONFIG_FILE.parent / "demo-data").resolve()
    if reset or not prepare:
        stop_stale_demo(data, port=port)
    if reset:
        reset_demo_data(data)
    prepare_demo_data(data, port=port)
    if not prepare:
        require_free_ports(port)
        if run_demo_hub(data, port=port, password=os.environ.get("PASSWORD") or "renku"):
            raise CommandError("The hub of the demo failed.")


COMMANDS = (
    manage_environments,
    manage_instances,
    list_or_remove_orphans,
    manage_database,
    manage_images,
    check_hub,
    run_demo,
)
