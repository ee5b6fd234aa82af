"""Exit statuses, errors, confirmation, and output that is safe for a terminal, shared by all commands.

Modules of this package import slow libraries and the client only where a command needs them: each Tab of a shell's
completion imports these modules again.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from time import monotonic
from typing import IO, TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

    from ..web.instances.schemas import ProgressAnswer


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


class CommandError(click.ClickException):
    """A failed command. Its message is printed to stderr, unless it is empty."""

    def __init__(self, message: str, status: ExitStatus = ExitStatus.FAILED) -> None:
        super().__init__(message)
        self.exit_code = int(status)  # type: ignore[misc]  # click reads it from the instance, and declares it for the class

    def show(self, file: IO[Any] | None = None) -> None:
        if self.message:
            lines = [escape_for_terminal(line) for line in self.message.splitlines()]
            print("\n".join(["renku-spawner: " + lines[0], *lines[1:]]), file=file or sys.stderr)


FILE_NAME = click.Path(readable=False, allow_dash=True)  # for completion; the commands check their files themselves


def json_option(text: str = "print the API's JSON") -> Callable[[Any], Any]:
    """Build the decorator of the option `--json`, which is passed to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=text)


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


_ZERO_WIDTH_JOINER = "\u200d"  # joins emoji
# Control sequences of terminals: CSI, OSC and the like with their parameters, then any other escape
_ESCAPE_SEQUENCE_PATTERN = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
)
_STATUS_COLOURS = {
    "running": "green",
    "failed": "red",
    "launching": "yellow",
    "stopping": "yellow",
    "unknown": "magenta",
}
_MAX_TABLE_CELLS = 100_000  # wider than any table: a terminal wraps long lines, and a pipe gets them whole


def escape_for_terminal(text: str) -> str:
    """Return *text* in one line with invisible characters escaped, so that it cannot control the terminal."""
    return "".join(
        c if c.isprintable() or c == _ZERO_WIDTH_JOINER else c.encode("unicode_escape").decode() for c in text
    )


def format_log_line(line: str, stream: TextIO) -> str:
    """Return a line of a session's log, without control sequences if *stream* is a terminal."""
    if not stream.isatty():
        return line
    return "\t".join(escape_for_terminal(part) for part in _ESCAPE_SEQUENCE_PATTERN.sub("", line).split("\t"))


def format_local_time(at: datetime | None) -> str:
    """Format a time in the local time zone, to the minute; empty for None."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M") if at else ""


def print_json(value: Any) -> None:
    """Print models as JSON, in ASCII only, so that they cannot control the terminal."""
    print(json.dumps(value, indent=2, default=lambda model: model.model_dump(mode="json")))


def print_items(items: Sequence[BaseModel], rows: Iterable[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print *items* as JSON, or *rows* as a table, or *empty* to stderr if there are none."""
    if as_json:
        print_json(items)
    elif items:
        print_table(list(rows))
    else:
        print(empty, file=sys.stderr)


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows below a header; empty columns are left out. Words of a status have a colour on a terminal."""
    from rich.table import Table
    from rich.text import Text  # unlike a string, never read as markup

    texts = [{name: escape_for_terminal(_format_cell(value)) for name, value in row.items()} for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    names = [name for name in texts[0] if any(row[name] for row in texts)]
    for name in names:
        table.add_column(Text(name.upper()), no_wrap=True)
    for row in texts:
        table.add_row(*(Text(row[name], _STATUS_COLOURS.get(row[name], "")) for name in names))
    console = _build_console(sys.stdout, width=_MAX_TABLE_CELLS)
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _format_cell(value: Any) -> str:
    if isinstance(value, datetime):
        return format_local_time(value)
    return "" if value is None else str(value)


def _build_console(stream: TextIO, *, width: int | None = None) -> Console:
    """Build a console without markup, with colours only on a terminal that wants them (https://no-color.org)."""
    from rich.console import Console

    return Console(file=stream, force_terminal=stream.isatty(), width=width, markup=False, emoji=False, highlight=False)


@dataclass(frozen=True)
class LaunchStage:
    """The latest progress of a launch; its text counts the elapsed seconds on between two answers."""

    answer: ProgressAnswer
    received_at: float

    def __str__(self) -> str:
        text = _format_stage(self.answer)
        if self.answer.progress is not None:
            text = f"about {self.answer.progress} % {text}"
        if self.answer.elapsed is not None:
            text += f", {self.answer.elapsed + int(monotonic() - self.received_at)} s"
            text += f" (usually {round(self.answer.usual)} s)" if self.answer.usual else ""
        return text


def _format_stage(answer: ProgressAnswer) -> str:
    """Return the text of the current stage; for a queued start it includes the position."""
    return escape_for_terminal(answer.stage_text or answer.status)


@contextmanager
def show_launch_progress(title: str) -> Iterator[Callable[[ProgressAnswer], None]]:
    """Yield a function that shows a launch on stderr: a bar on a terminal, otherwise a line for each stage."""
    console, title = _build_console(sys.stderr), escape_for_terminal(title)
    if not console.is_terminal or console.is_dumb_terminal:
        last = ""

        def print_stage(answer: ProgressAnswer) -> None:
            nonlocal last
            if (stage := _format_stage(answer)) != last:
                print(f"{title}: {stage}", file=sys.stderr, flush=True)
                last = stage

        yield print_stage
        return

    from rich.progress import BarColumn, Progress, TextColumn

    stage_column = TextColumn("{task.fields[stage]}", markup=False)
    columns = (TextColumn("{task.description}:", markup=False), BarColumn(bar_width=20), stage_column)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None, stage="")

        def draw_stage(answer: ProgressAnswer) -> None:
            total = None if answer.progress is None else 100
            stage = LaunchStage(answer, monotonic())
            progress.update(task, total=total, completed=answer.progress or 0, stage=stage)

        yield draw_stage


@contextmanager
def show_byte_count() -> Iterator[Callable[[int], None]]:
    """Yield a function that adds a number of received bytes to those shown on a terminal."""
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    console = _build_console(sys.stderr)
    columns = (DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield lambda size: progress.advance(task, size)
