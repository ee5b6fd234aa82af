"""The command line: `renku-spawner db upgrade | check`, `images probe | script`, `demo [--reset]`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

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
    for name, do, text in (
        ("upgrade", _upgrade, "make the tables, or bring them up to date"),
        ("check", _check, "exit with 1 unless the tables are up to date"),
    ):
        step = steps.add_parser(name, help=text)
        step.add_argument("--url", default="sqlite:///jupyterhub.sqlite", help="c.JupyterHub.db_url of the hub")
        step.set_defaults(do=do)
    cli_images.add(commands)
    demo = commands.add_parser("demo", help="a hub on this machine, with people and projects to try")
    demo.add_argument("--reset", action="store_true", help="throw the demo's data away and start over")
    demo.add_argument("--prepare", action="store_true", help="make the data, but start no hub")
    demo.set_defaults(do=_demo)
    return parser


def _upgrade(parsed: argparse.Namespace) -> None:
    migrate.prepare(parsed.url, upgrade=True)
    print(f"Renku's tables are at revision {migrate.current(parsed.url)}.")


def _check(parsed: argparse.Namespace) -> None:
    migrate.check(parsed.url)
    print(f"Renku's tables are up to date (revision {migrate.current(parsed.url)}).")


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
