"""`renku-spawner export | apply`: a project's sessions as a file that is kept in git."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import cli_base, cli_reach
from .as_code.reading import SIZE_LIMIT, read
from .cli_base import Ended, Exit
from .cli_show import as_json, safe
from .client.models import DifferenceAnswer, PlanAnswer, StepAnswer
from .domain.errors import RenkuError

_SIGNS = {"add": "+", "change": "~", "remove": "-"}
_COUNTED = {"add": "added", "change": "changed", "remove": "removed"}


def add(commands: Any) -> None:
    """The commands' places on the command line."""
    export = cli_base.add(commands, "export", _export, "print the sessions of a project as YAML, to be kept in git")
    export.add_argument("project", metavar="PROJECT", help="its path or id, such as ada/climate")
    export.add_argument("--json", action="store_true", help="as JSON")
    apply = cli_base.add(commands, "apply", _apply, "make a project's sessions what a file says, and show what changes")
    apply.add_argument("project", nargs="?", metavar="PROJECT", help="if left out, the one that the file names")
    apply.add_argument("-f", "--file", required=True, help="the file, as export prints it (- is stdin)")
    apply.add_argument("--dry-run", action="store_true", help="only show what would change")
    apply.add_argument("--exit-code", action="store_true", help="with --dry-run: exit with 8 if something would change")
    apply.add_argument(
        "--prune", action="store_true", help="remove the other sessions, too, unless other people have data in them"
    )
    apply.add_argument("--json", action="store_true", help="what changes as the API gives it")


def _export(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed) as hub:
        if parsed.json:
            as_json(hub.export_document(parsed.project))
        else:
            sys.stdout.write(hub.export(parsed.project))


def _apply(parsed: argparse.Namespace) -> None:
    """Raises Ended: also where nothing went wrong, and a script wants to know what would change."""
    text = _text(parsed.file)
    project = parsed.project or _named(text)
    with cli_reach.connected(parsed) as hub:
        done = hub.apply(project, text, dry_run=parsed.dry_run, prune=parsed.prune)
    if parsed.json:
        as_json(done)
    else:
        print("\n".join(_shown(done)))
    if done.forbidden or done.refused:
        raise Ended(done.forbidden or "This cannot be applied.", Exit.REFUSED)
    if parsed.exit_code and parsed.dry_run and done.changes:
        raise Ended("", Exit.CHANGES)


def _text(file: str) -> str:
    """Raises OSError, ValueError."""
    found = sys.stdin.read(SIZE_LIMIT + 1) if file == "-" else Path(file).read_text(encoding="utf-8")
    if len(found.encode()) > SIZE_LIMIT:
        raise ValueError(f"The file is larger than {SIZE_LIMIT // 1024} kB.")
    return found


def _named(text: str) -> str:
    """The project that the file itself names. Raises Ended."""
    try:
        value = read(text.encode()).value
    except RenkuError as problem:
        raise Ended(problem.message) from None
    named = value.get("project") if isinstance(value, dict) else None
    if not isinstance(named, str) or not named:
        raise Ended("The file names no project; please name one.", Exit.USAGE)
    return named


def _shown(plan: PlanAnswer) -> Iterator[str]:
    """What changes, as a difference."""
    for step in plan.items:
        if step.action in _SIGNS:
            yield f"{_SIGNS[step.action]} {'storage ' if step.of == 'storage' else ''}{safe(step.title)}"
            yield from (f"    {_difference(each)}" for each in step.differences)
        yield from _notes(step)
    yield from (f"! {safe(path)}: {safe(said)}" for path, said in plan.refused.items())
    yield _summary(plan)


def _notes(step: StepAnswer) -> Iterator[str]:
    titled = step.action in _SIGNS
    yield from (f"    ({safe(note)})" if titled else f"  {safe(step.title)}: {safe(note)}" for note in step.notes)


def _difference(each: DifferenceAnswer) -> str:
    old, new = safe(each.old), safe(each.new)
    if not old:
        return f"{safe(each.field)}: {new}"
    return f"{safe(each.field)}: {old} -> {new}" if new else f"{safe(each.field)}: {old} goes"


def _summary(plan: PlanAnswer) -> str:
    if not plan.changes:
        return "Nothing changes."
    counts = [(sum(step.action == action for step in plan.items), word) for action, word in _COUNTED.items()]
    said = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f"{'Done' if plan.applied else 'Would be done'}: {said}."
