"""Registration of commands, exit statuses, and confirmation, shared by all commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from importlib import import_module
from typing import Any

CommandFunction = Callable[[argparse.Namespace], None]


class ExitStatus(IntEnum):
    """Exit statuses for scripts; 0 is success. `EXIT_STATUS_DESCRIPTIONS` explains them."""

    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    AWAY = 5
    SESSION_FAILED = 6
    LOG_IN = 7
    CHANGES = 8
    INTERRUPTED = 130


EXIT_STATUS_DESCRIPTIONS = {
    ExitStatus.FAILED: "an error without a status of its own",
    ExitStatus.USAGE: "invalid arguments, a name that fits several sessions, or no terminal for the confirmation",
    ExitStatus.NOT_FOUND: "it does not exist, or you may not see it",
    ExitStatus.REFUSED: "you may not do this, or it conflicts with the current state",
    ExitStatus.AWAY: "the hub cannot be reached or is too busy; try again",
    ExitStatus.SESSION_FAILED: "the session does not run: its start failed or was cancelled",
    ExitStatus.LOG_IN: "you are not logged in, or the token is no longer valid",
    ExitStatus.CHANGES: "`apply --dry-run --exit-code`: something would change",
    ExitStatus.INTERRUPTED: "Ctrl-C",
}


class CommandError(Exception):
    """A failed command. Its message is shown to the user."""

    def __init__(self, message: str, status: ExitStatus = ExitStatus.FAILED) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class LazyCommand:
    """A command whose module of this package is imported when it runs.

    Commands that run where the hub runs import JupyterHub, which would slow down all other commands.
    """

    module: str
    function: str

    def __call__(self, parsed: argparse.Namespace) -> None:
        self.load_function()(parsed)

    def load_function(self) -> CommandFunction:
        function: CommandFunction = getattr(import_module(f".{self.module}", __package__), self.function)
        return function


def add_command(commands: Any, name: str, do: CommandFunction, text: str) -> argparse.ArgumentParser:
    """Add a command that runs *do*; return its parser, to which arguments can be added."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.")
    parser.set_defaults(do=do)
    return parser


def add_command_group(commands: Any, name: str, text: str) -> Any:
    """Add a command with subcommands; return the object to which they are added."""
    parser = commands.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.")
    return parser.add_subparsers(required=True, metavar="COMMAND")


def require_interactive_terminal() -> None:
    """Raise CommandError if stdin is not a terminal, so that no confirmation can be typed."""
    if not sys.stdin.isatty():
        raise CommandError("There is no terminal for a confirmation. Use --yes to go on without one.", ExitStatus.USAGE)


def require_typed_confirmation(word: str, why: str) -> None:
    """Ask the user to type *word*. Raises CommandError if the input is different or there is no terminal."""
    require_interactive_terminal()
    print(why, file=sys.stderr)
    print(f"Type {word} to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != word:
        raise CommandError("The confirmation does not match. Nothing was changed.", ExitStatus.REFUSED)
