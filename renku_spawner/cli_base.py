"""What all commands have in common: how they are found, and how they end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from importlib import import_module
from typing import Any

Do = Callable[[argparse.Namespace], None]


class Exit(IntEnum):
    """Exit statuses, for scripts; 0 is that it was done. `EXITS` has them in words."""

    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    AWAY = 5
    SESSION_FAILED = 6
    LOG_IN = 7
    CHANGES = 8
    INTERRUPTED = 130


EXITS = {
    Exit.FAILED: "something went wrong, for which there is no other number",
    Exit.USAGE: "the command was typed wrong, a name fits several sessions, or nobody was there to confirm",
    Exit.NOT_FOUND: "there is no such thing, or you may not see it",
    Exit.REFUSED: "you may not do this, or it does not go together with what is there",
    Exit.AWAY: "the hub cannot be reached, or is too busy; worth another try",
    Exit.SESSION_FAILED: "the session does not run: its start failed or was cancelled",
    Exit.LOG_IN: "nobody is logged in, or the hub does not know the token any more",
    Exit.CHANGES: "`apply --dry-run --exit-code`: something would change",
    Exit.INTERRUPTED: "Ctrl-C",
}


class Ended(Exception):
    """A command that did not do what it was asked for; as a text it is a sentence for who typed it."""

    def __init__(self, message: str, status: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Later:
    """A function of a module beside this one that is loaded when it is wanted: those of admins know the hub itself,
    and a command that only asks a hub need not wait for that."""

    module: str
    function: str

    def __call__(self, parsed: argparse.Namespace) -> None:
        self.found()(parsed)

    def found(self) -> Do:
        found: Do = getattr(import_module(f".{self.module}", __package__), self.function)
        return found


def add(commands: Any, name: str, do: Do, text: str) -> argparse.ArgumentParser:
    """A command that does *do*; the parser is for its arguments."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.")
    parser.set_defaults(do=do)
    return parser


def group(commands: Any, name: str, text: str) -> Any:
    """A command that has commands of its own, which are added to what this returns."""
    parser = commands.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.")
    return parser.add_subparsers(required=True, metavar="COMMAND")


def require_somebody() -> None:
    """Raises Ended: nobody can be asked."""
    if not sys.stdin.isatty():
        raise Ended("Nobody is there to confirm it; with --yes nobody is asked.", Exit.USAGE)


def confirm(word: str, why: str) -> None:
    """Go on when somebody has typed *word*. Raises Ended."""
    require_somebody()
    print(why, file=sys.stderr)
    print(f"Type {word} to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != word:
        raise Ended("That was something else. Nothing has been done.", Exit.REFUSED)
