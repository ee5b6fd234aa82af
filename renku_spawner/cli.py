"""The command line: `renku-spawner COMMAND`; docs/cli.md has them all."""

from __future__ import annotations

import argparse
import os
import sys

from . import __version__, cli_admin, cli_code, cli_completion, cli_data, cli_lists, cli_local, cli_login, cli_sessions
from .cli_base import Ended, Exit
from .cli_show import safe

_COMMANDS = (cli_login, cli_lists, cli_sessions, cli_data, cli_code, cli_admin, cli_local, cli_completion)


def main(arguments: list[str] | None = None) -> None:
    """Do what the arguments say; what goes wrong is a sentence on stderr and an exit status (`cli_base.Exit`)."""
    parsed = parser().parse_args(arguments)
    try:
        parsed.do(parsed)
        sys.stdout.flush()
    except Ended as problem:
        _end(str(problem), problem.status)
    except KeyboardInterrupt:
        _end("", Exit.INTERRUPTED)
    except BrokenPipeError:  # `… | head`: who read has enough, and Python would say so when it flushes at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError) as problem:
        _end(str(problem), Exit.FAILED)


def _end(message: str, status: Exit) -> None:
    if message:
        lines = [safe(line) for line in message.splitlines()]
        print("\n".join(["renku-spawner: " + lines[0], *lines[1:]]), file=sys.stderr)
    sys.exit(int(status))


def parser() -> argparse.ArgumentParser:
    """All commands with their arguments."""
    made = argparse.ArgumentParser(prog="renku-spawner", description="Renku's sessions on a JupyterHub.")
    made.add_argument("--version", action="version", version=f"renku-spawner {__version__}")
    made.set_defaults(environ=os.environ)
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for each in _COMMANDS:
        each.add(commands)
    return made


if __name__ == "__main__":
    main()
