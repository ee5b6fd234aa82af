"""`renku-spawner completion`: what lets a shell complete the commands; `make docs` writes the scripts (docs/cli.py)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import cli_base

SCRIPTS = Path(__file__).with_name("completion")
SHELLS = ("bash", "zsh", "fish")


def add(commands: Any) -> None:
    """The command's place on the command line."""
    made = cli_base.add(commands, "completion", _completion, "print what lets your shell complete these commands")
    made.add_argument("shell", choices=SHELLS)


def script(shell: str) -> Path:
    """Where the script for *shell* is."""
    return SCRIPTS / f"renku-spawner.{shell}"


def _completion(parsed: argparse.Namespace) -> None:
    print(script(parsed.shell).read_text(encoding="utf-8"), end="")
