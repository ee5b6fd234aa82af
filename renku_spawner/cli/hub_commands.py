"""Register commands for admins that run where the hub runs and use its database, cluster and configuration.

The commands themselves are imported only when they run.
"""

from __future__ import annotations

import argparse
from typing import Any

from .base import CommandFunction, LazyCommand, add_command, add_command_group


def add_local_commands(commands: Any) -> None:
    """Add the commands `db`, `images`, `check` and `demo`."""
    database = add_command_group(commands, "db", "manage Renku's tables in the hub's database")
    _add_database_command(
        database,
        "upgrade",
        LazyCommand("database", "run_database_upgrade"),
        "create the tables or upgrade them",
    )
    _add_database_command(
        database, "check", LazyCommand("database", "run_database_check"), "exit with 1 unless the tables are up to date"
    )
    down = LazyCommand("database", "run_database_downgrade")
    back = _add_database_command(database, "downgrade", down, "downgrade the tables for an older release")
    back.add_argument("revision", help="as that release names it when it refuses to start; base removes the tables")
    back.add_argument("--yes", action="store_true", help="also if data is lost; without it the losses are listed")
    images = add_command_group(commands, "images", "find packages in the images of ready-made environments")
    add_probe_command(images)
    add_command(
        images, "script", LazyCommand("checks", "print_probe_script"), "print the script that lists an image's packages"
    )
    text = "check whether this hub can start, and its database, GitLab, registries and cluster"
    check = add_command(commands, "check", LazyCommand("checks", "check_hub"), text)
    check.add_argument(
        "--config",
        default="",
        help="the hub's configuration, by default jupyterhub_config.py; in the hub's pod the chart's",
    )
    check.add_argument("--settings", action="store_true", help="only the checks that the hub makes when it starts")
    check.add_argument("--json", action="store_true", help="print the results as JSON")
    demo = add_command(
        commands, "demo", LazyCommand("demo", "run_demo"), "run a hub on this machine with example users and projects"
    )
    demo.add_argument("--reset", action="store_true", help="delete the demo's data and start over")
    demo.add_argument("--prepare", action="store_true", help="create the data, but do not start a hub")


def _add_database_command(steps: Any, name: str, do: CommandFunction, text: str) -> argparse.ArgumentParser:
    step = add_command(steps, name, do, text)
    step.add_argument("--url", default="sqlite:///jupyterhub.sqlite", help="c.JupyterHub.db_url of the hub")
    return step


def add_probe_command(steps: Any) -> None:
    """Add the command `probe`, which finds packages in the images of configured environments."""
    text = "read the images' own package lists, or print how to probe images without one"
    probe = add_command(steps, "probe", LazyCommand("checks", "probe_environment_images"), text)
    probe.add_argument("environments", nargs="*", metavar="ENVIRONMENT", help="keys of the settings; all by default")
    probe.add_argument(
        "--config",
        default="",
        help="the hub's configuration, by default jupyterhub_config.py; in the hub's pod the chart's",
    )
    probe.add_argument("--pod", action="store_true", help="probe images without a list by a pod on the hub's cluster")
    probe.add_argument("--report", help="file with the script's output in one environment's image (- is stdin)")
    probe.add_argument("--digest", help="digest of the image that --report is about; the current one by default")
