"""`renku-spawner completion`: print the completion script for a shell.

`make docs` generates the scripts (docs/cli.py).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .base import add_command

COMPLETION_SCRIPTS_FOLDER = Path(__file__).with_name("completion")
COMPLETION_SHELLS = ("bash", "zsh", "fish")


def add_completion_command(commands: Any) -> None:
    """Add the command `completion`."""
    completion = add_command(
        commands, "completion", _print_completion_script, "print the completion script for your shell"
    )
    completion.add_argument("shell", choices=COMPLETION_SHELLS)


def get_completion_script(shell: str) -> Path:
    """Return the path of the completion script for *shell*."""
    return COMPLETION_SCRIPTS_FOLDER / f"renku-spawner.{shell}"


def _print_completion_script(parsed: argparse.Namespace) -> None:
    print(get_completion_script(parsed.shell).read_text(encoding="utf-8"), end="")
