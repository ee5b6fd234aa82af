"""Entry point of the command line: `renku-spawner COMMAND`."""

from __future__ import annotations

import os
import sys

import click
from click.shell_completion import get_completion_class

from .. import __version__
from . import administration, login, sessions
from .output import CommandError, ExitStatus

_PROGRAM = "renku-spawner"
_COMPLETION_VARIABLE = "_RENKU_SPAWNER_COMPLETE"


class CommandLine(click.Group):
    """The group of all commands, which turns their exceptions into a sentence and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # as they were added, not by the alphabet

    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            ctx.exit(ExitStatus.INTERRUPTED)
        except (
            BrokenPipeError
        ):  # `… | head` has closed the pipe, and Python would print an error when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError) as problem:
            raise CommandError(str(problem)) from None


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message=f"{_PROGRAM} %(version)s")
def command_line() -> None:
    """Renku's sessions on a JupyterHub."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def print_completion_script(shell: str) -> None:
    """Print the completion script for your shell."""
    completion_class = get_completion_class(shell)
    assert completion_class is not None
    print(completion_class(command_line, {}, _PROGRAM, _COMPLETION_VARIABLE).source(), end="")


for _command in (*login.COMMANDS, *sessions.COMMANDS, *administration.COMMANDS, print_completion_script):
    command_line.add_command(_command)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit. An error is printed to stderr as a sentence, with an exit status of `ExitStatus`."""
    command_line.main(arguments, prog_name=_PROGRAM, complete_var=_COMPLETION_VARIABLE)
