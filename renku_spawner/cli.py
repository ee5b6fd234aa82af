"""The command line: `renku-spawner db upgrade | check | downgrade`, `images probe | script`, `demo [--reset]`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import cli_images
from .demo import run
from .store import migrate


def main(arguments: list[str] | None = None) -> None:
    """Do what the arguments say; what goes wrong is one sentence on stderr and exit status 1."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.do(parsed)
    except (migrate.OutOfDate, OSError, ValueError) as problem:
        sys.exit(f"renku-spawner: {problem}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="renku-spawner", description="Renku's sessions on a JupyterHub.")
    commands = parser.add_subparsers(required=True)
    database = commands.add_parser("db", help="Renku's tables in the hub's database")
    steps = database.add_subparsers(required=True)
    _step(steps, "upgrade", _upgrade, "make the tables, or bring them up to date")
    _step(steps, "check", _check, "exit with 1 unless the tables are up to date")
    back = _step(steps, "downgrade", _downgrade, "take the tables back to what an older release needs")
    back.add_argument("revision", help="as that release names it when it refuses to start; base removes the tables")
    back.add_argument("--yes", action="store_true", help="also if something is lost, which is listed without")
    cli_images.add(commands)
    demo = commands.add_parser("demo", help="a hub on this machine, with people and projects to try")
    demo.add_argument("--reset", action="store_true", help="throw the demo's data away and start over")
    demo.add_argument("--prepare", action="store_true", help="make the data, but start no hub")
    demo.set_defaults(do=_demo)
    return parser


def _step(steps: Any, name: str, do: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
    step: argparse.ArgumentParser = steps.add_parser(name, help=text)
    step.add_argument("--url", default="sqlite:///jupyterhub.sqlite", help="c.JupyterHub.db_url of the hub")
    step.set_defaults(do=do)
    return step


def _upgrade(parsed: argparse.Namespace) -> None:
    migrate.prepare(parsed.url, upgrade=True)
    print(f"Renku's tables are at revision {migrate.current(parsed.url)}.")


def _check(parsed: argparse.Namespace) -> None:
    migrate.check(parsed.url)
    print(f"Renku's tables are up to date (revision {migrate.current(parsed.url)}).")


def _downgrade(parsed: argparse.Namespace) -> None:
    """Raises ValueError: something would be lost, and nobody has agreed to that."""
    try:
        lost = migrate.downgrade(parsed.url, parsed.revision, may_lose=parsed.yes)
    except migrate.Loses as refused:
        listed = "\n".join(f"  {line}" for line in refused.args[0])
        raise ValueError(f"This would lose\n{listed}\nNothing has been changed. With --yes it is done.") from None
    print("\n".join([*(f"Lost: {line}" for line in lost), f"Renku's tables are at revision {parsed.revision}."]))


def _demo(parsed: argparse.Namespace) -> None:
    """`PORT`, `DATA` and `PASSWORD` of the environment override the demo's own."""
    port = run.port(os.environ.get("PORT") or "8000")
    data = Path(os.environ.get("DATA") or run.CONFIG.parent / "demo-data").resolve()
    if parsed.reset:
        run.reset(data)
    run.prepare(data, port=port)
    if not parsed.prepare:
        run.require_free(port)
        run.become_hub(data, port=port, password=os.environ.get("PASSWORD") or "renku")


if __name__ == "__main__":
    main()
