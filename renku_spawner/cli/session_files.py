"""`renku-spawner export | apply`: export a project's sessions to a file for git, and apply such a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..domain.errors import RenkuError
from ..domain.session_files import MAX_DOCUMENT_SIZE_BYTES, parse_yaml
from ..web.sessions.schemas import DifferenceAnswer, PlanAnswer, StepAnswer
from .base import CommandError, ExitStatus, add_command
from .login import connect_to_hub
from .output import escape_for_terminal, print_json

_ACTION_SIGNS = {"add": "+", "change": "~", "remove": "-"}
_ACTION_PARTICIPLES = {"add": "added", "change": "changed", "remove": "removed"}


def add_document_commands(commands: Any) -> None:
    """Add the commands `export` and `apply`."""
    export = add_command(
        commands, "export", _export_document, "print the sessions of a project as YAML, to keep in git"
    )
    export.add_argument("project", metavar="PROJECT", help="its path or id, such as ada/climate")
    export.add_argument("--json", action="store_true", help="print JSON")
    apply = add_command(
        commands, "apply", _apply_document, "change a project's sessions to match a file, and show the changes"
    )
    apply.add_argument("project", nargs="?", metavar="PROJECT", help="by default the one that the file names")
    apply.add_argument("-f", "--file", required=True, help="the file, in the format of export (- is stdin)")
    apply.add_argument("--dry-run", action="store_true", help="only show what would change")
    apply.add_argument("--exit-code", action="store_true", help="with --dry-run: exit with 8 if something would change")
    apply.add_argument(
        "--prune",
        action="store_true",
        help="remove sessions that are not in the file, unless other users have data in them",
    )
    apply.add_argument("--json", action="store_true", help="print the API's JSON")


def _export_document(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed) as hub:
        if parsed.json:
            print_json(hub.export_document(parsed.project))
        else:
            sys.stdout.write(hub.export(parsed.project))


def _apply_document(parsed: argparse.Namespace) -> None:
    """Apply the file, or show what would change.

    Raises:
        CommandError: the file cannot be applied; or, with `--exit-code`, there would be changes.
    """
    text = _read_document(parsed.file)
    project = parsed.project or _parse_project_name(text)
    with connect_to_hub(parsed) as hub:
        done = hub.apply(project, text, dry_run=parsed.dry_run, prune=parsed.prune)
    if parsed.json:
        print_json(done)
    else:
        print("\n".join(_format_plan(done)))
    if done.forbidden or done.refused:
        raise CommandError(done.forbidden or "This cannot be applied.", ExitStatus.REFUSED)
    if parsed.exit_code and parsed.dry_run and done.changes:
        raise CommandError("", ExitStatus.CHANGES)


def _read_document(file: str) -> str:
    """Read *file*, or stdin for `-`. Raises OSError, ValueError."""
    text = sys.stdin.read(MAX_DOCUMENT_SIZE_BYTES + 1) if file == "-" else Path(file).read_text(encoding="utf-8")
    if len(text.encode()) > MAX_DOCUMENT_SIZE_BYTES:
        raise ValueError(f"The file is larger than {MAX_DOCUMENT_SIZE_BYTES // 1024} kB.")
    return text


def _parse_project_name(text: str) -> str:
    """Return the project that the file names. Raises CommandError if it names none."""
    try:
        value = parse_yaml(text.encode()).value
    except RenkuError as problem:
        raise CommandError(problem.message) from None
    project = value.get("project") if isinstance(value, dict) else None
    if not isinstance(project, str) or not project:
        raise CommandError("The file names no project; please name one.", ExitStatus.USAGE)
    return project


def _format_plan(plan: PlanAnswer) -> Iterator[str]:
    """Yield the lines of *plan*, formatted like a diff."""
    for step in plan.items:
        if step.action in _ACTION_SIGNS:
            kind = "storage " if step.of == "storage" else ""
            yield f"{_ACTION_SIGNS[step.action]} {kind}{escape_for_terminal(step.title)}"
            yield from (f"    {_format_difference(each)}" for each in step.differences)
        yield from _format_step_notes(step)
    yield from (f"! {escape_for_terminal(path)}: {escape_for_terminal(said)}" for path, said in plan.refused.items())
    yield _format_plan_summary(plan)


def _format_step_notes(step: StepAnswer) -> Iterator[str]:
    titled = step.action in _ACTION_SIGNS
    yield from (
        f"    ({escape_for_terminal(note)})"
        if titled
        else f"  {escape_for_terminal(step.title)}: {escape_for_terminal(note)}"
        for note in step.notes
    )


def _format_difference(each: DifferenceAnswer) -> str:
    old, new = escape_for_terminal(each.old), escape_for_terminal(each.new)
    if not old:
        return f"{escape_for_terminal(each.field)}: {new}"
    return (
        f"{escape_for_terminal(each.field)}: {old} -> {new}"
        if new
        else f"{escape_for_terminal(each.field)}: {old} goes"
    )


def _format_plan_summary(plan: PlanAnswer) -> str:
    if not plan.changes:
        return "Nothing changes."
    counts = [(sum(step.action == action for step in plan.items), word) for action, word in _ACTION_PARTICIPLES.items()]
    summary = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f"{'Done' if plan.applied else 'Would be done'}: {summary}."
