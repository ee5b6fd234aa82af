"""Entry point of the command line: `renku-spawner COMMAND`."""

from __future__ import annotations

import argparse
import os
import sys

from .. import __version__
from .administration import add_admin_commands
from .base import CommandError, ExitStatus
from .completion import add_completion_command
from .hub_commands import add_local_commands
from .login import add_login_commands
from .output import escape_for_terminal
from .session_files import add_document_commands
from .sessions import add_data_commands, add_list_commands, add_session_commands

_COMMAND_ADDERS = (
    add_login_commands,
    add_list_commands,
    add_session_commands,
    add_data_commands,
    add_document_commands,
    add_admin_commands,
    add_local_commands,
    add_completion_command,
)


def main(arguments: list[str] | None = None) -> None:
    """Run a command. An error is printed to stderr as a sentence, with an exit status of `base.ExitStatus`."""
    parsed = build_argument_parser().parse_args(arguments)
    try:
        parsed.do(parsed)
        sys.stdout.flush()
    except CommandError as problem:
        _exit_with_message(str(problem), problem.status)
    except KeyboardInterrupt:
        _exit_with_message("", ExitStatus.INTERRUPTED)
    except BrokenPipeError:  # `… | head` has closed the pipe, and Python would print an error when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError) as problem:
        _exit_with_message(str(problem), ExitStatus.FAILED)


def _exit_with_message(message: str, status: ExitStatus) -> None:
    if message:
        lines = [escape_for_terminal(line) for line in message.splitlines()]
        print("\n".join(["renku-spawner: " + lines[0], *lines[1:]]), file=sys.stderr)
    sys.exit(int(status))


def build_argument_parser() -> argparse.ArgumentParser:
    """Build the parser with all commands."""
    parser = argparse.ArgumentParser(prog="renku-spawner", description="Renku's sessions on a JupyterHub.")
    parser.add_argument("--version", action="version", version=f"renku-spawner {__version__}")
    parser.set_defaults(environ=os.environ)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add_commands in _COMMAND_ADDERS:
        add_commands(commands)
    return parser


if __name__ == "__main__":
    main()
