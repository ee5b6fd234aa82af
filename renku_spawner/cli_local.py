"""The commands of admins that are run where the hub runs: they know its database, its cluster and its configuration."""

from __future__ import annotations

import argparse
from typing import Any

from . import cli_base
from .cli_base import Do, Later


def add(commands: Any) -> None:
    """The commands' places on the command line."""
    database = cli_base.group(commands, "db", "Renku's tables in the hub's database")
    _step(database, "upgrade", Later("cli_database", "upgrade"), "make the tables, or bring them up to date")
    _step(database, "check", Later("cli_database", "check"), "exit with 1 unless the tables are up to date")
    down = Later("cli_database", "downgrade")
    back = _step(database, "downgrade", down, "take the tables back to what an older release needs")
    back.add_argument("revision", help="as that release names it when it refuses to start; base removes the tables")
    back.add_argument("--yes", action="store_true", help="also if something is lost, which is listed without")
    images = cli_base.group(commands, "images", "what is installed in the images of ready-made environments")
    add_probe(images)
    cli_base.add(images, "script", Later("cli_images", "script"), "print the script that looks into an image")
    text = "whether this hub would start, and whether database, GitLab, registries and cluster are as they should be"
    check = cli_base.add(commands, "check", Later("cli_check", "check"), text)
    check.add_argument(
        "--config",
        default="",
        help="the hub's configuration, by default jupyterhub_config.py; in the hub's pod the chart's",
    )
    check.add_argument("--settings", action="store_true", help="only what the hub itself looks at when it starts")
    check.add_argument("--json", action="store_true", help="what was found as a list")
    demo = cli_base.add(commands, "demo", Later("cli_demo", "demo"), "a hub on this machine, with people and projects")
    demo.add_argument("--reset", action="store_true", help="throw the demo's data away and start over")
    demo.add_argument("--prepare", action="store_true", help="make the data, but start no hub")


def _step(steps: Any, name: str, do: Do, text: str) -> argparse.ArgumentParser:
    step = cli_base.add(steps, name, do, text)
    step.add_argument("--url", default="sqlite:///jupyterhub.sqlite", help="c.JupyterHub.db_url of the hub")
    return step


def add_probe(steps: Any) -> None:
    """`probe`, which looks into images of the environments in the hub's configuration."""
    text = "take what is installed from the images' own lists, or say how to look into them"
    looks = cli_base.add(steps, "probe", Later("cli_images", "probe_images"), text)
    looks.add_argument("environments", nargs="*", metavar="ENVIRONMENT", help="keys of the settings; all if left out")
    looks.add_argument(
        "--config",
        default="",
        help="the hub's configuration, by default jupyterhub_config.py; in the hub's pod the chart's",
    )
    looks.add_argument("--pod", action="store_true", help="look into the others by a pod each on the hub's cluster")
    looks.add_argument("--report", help="keep what the script has printed in one environment's image (- is stdin)")
    looks.add_argument("--digest", help="of the image that --report is about; the present one if left out")
