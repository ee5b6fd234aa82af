"""Commands for users: projects, sessions, logs, files, and sessions as code."""

from __future__ import annotations

import os
import sys
import tempfile
import webbrowser
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from ..domain.downloads import ARCHIVE_FORMATS, ARCHIVE_MAGIC_BYTES, build_download_file_name, detect_archive_format
from ..domain.errors import RenkuError
from ..domain.ids import is_valid_id
from ..domain.quantities import format_size
from ..domain.text import fold_title
from .login import connect_from_session, connect_to_hub
from .output import (
    FILE_NAME,
    CommandError,
    ExitStatus,
    escape_for_terminal,
    format_local_time,
    format_log_line,
    json_option,
    print_items,
    print_json,
    print_table,
    require_interactive_terminal,
    require_typed_confirmation,
    show_byte_count,
    show_launch_progress,
)

if TYPE_CHECKING:
    from ..client import Client
    from ..web.instances.schemas import ContentsAnswer, InstanceAnswer, MyInstanceAnswer, WorkAnswer
    from ..web.sessions.schemas import (
        DifferenceAnswer,
        FoundSessionAnswer,
        PlanAnswer,
        ProjectEntryAnswer,
        SessionAnswer,
        StepAnswer,
    )


_SESSION_HELP = "its id, or project/path:title"
_session_argument = click.argument("session", help=_SESSION_HELP)


@dataclass(frozen=True, kw_only=True)
class SessionMatch:
    """A session; `project` is its project's id or path, empty if the user may no longer see the project."""

    id: str
    project: str
    title: str
    instance: InstanceAnswer


def find_session_by_argument(hub: Client, argument: str) -> SessionMatch:
    """Find a session in any project that the user may see. Raises CommandError, ClientError."""
    if is_valid_id(argument):
        found = hub.session_by_id(argument)
        return _to_session_match(found.project, found)
    path, colon, title = argument.partition(":")
    if not colon:
        return _find_default_session(hub, path)
    return _select_match([_to_session_match(path, each) for each in hub.sessions(path)], title, argument)


def find_own_session(hub: Client, argument: str) -> SessionMatch:
    """Find one of the user's own instances, also in a project that is no longer visible.

    Raises:
        CommandError, ClientError: there is none, or several fit.
    """
    found = [
        (
            each.project_path,
            SessionMatch(id=each.session, project=each.project or "", title=each.title, instance=each.instance),
        )
        for each in hub.mine()
    ]
    if is_valid_id(argument) and (by_id := [each for _, each in found if each.id == argument]):
        return by_id[0]
    path, colon, title = argument.partition(":")
    if colon:
        return _select_match([each for of, each in found if path in (of, each.project)], title, argument)
    return _select_match([each for _, each in found], path, argument)


def _find_default_session(hub: Client, path: str) -> SessionMatch:
    if "/" not in path:
        raise CommandError(
            f"Name the session as project/path:title or by its id: {path} alone is not enough.", ExitStatus.USAGE
        )
    project = hub.project(path)
    if project.default_session is None:
        raise CommandError(f"{path} has no sessions yet.", ExitStatus.NOT_FOUND)
    return _to_session_match(project.id, hub.session(project.id, project.default_session))


def _to_session_match(project: str, each: SessionAnswer) -> SessionMatch:
    return SessionMatch(id=each.id, project=project, title=each.title, instance=each.instance)


def _select_match(found: Sequence[SessionMatch], title: str, argument: str) -> SessionMatch:
    """Return the session with that title or id, otherwise the only one whose title begins with *title*."""
    wanted = fold_title(title)
    exact = [each for each in found if fold_title(each.title) == wanted or each.id == title]
    fitting = exact or [each for each in found if wanted and fold_title(each.title).startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise CommandError(f"There is no session {argument}.{_format_session_choices(found)}", ExitStatus.NOT_FOUND)
    raise CommandError(f"{argument} fits several sessions.{_format_session_choices(fitting)}", ExitStatus.USAGE)


def _format_session_choices(found: Iterable[SessionMatch]) -> str:
    names = [f"{each.title} ({each.id})" for each in found]
    return f" Available: {', '.join(names[:10])}{', …' if len(names) > 10 else ''}." if names else ""


@click.command("projects")
@click.option("--search", default="", metavar="WORDS", help="only projects that contain these words")
@json_option()
def list_projects(search: str, as_json: bool) -> None:
    """List the projects that you may see."""
    with connect_to_hub() as hub:
        projects = list(hub.projects(search))
    rows = map(_to_project_row, projects)
    print_items(projects, rows, as_json=as_json, empty="There are no projects that you may see.")


def _to_project_row(each: ProjectEntryAnswer) -> dict[str, Any]:
    status = each.instance.status if each.default_session else ""
    return {"path": each.path, "title": each.title, "role": each.role, "sessions": each.sessions, "default": status}


@click.command("search")
@click.argument("words", required=False, default="")
@click.option("--package", default="", metavar="PACKAGE", help="only images that have it: xarray, xarray>=2025, R 4.5")
@json_option()
def search_sessions(words: str, package: str, as_json: bool) -> None:
    """Search the sessions of all projects that you may see, one for each image."""
    with connect_to_hub() as hub:
        found = list(hub.search_sessions(words, package))
    print_items(found, map(_to_found_row, found), as_json=as_json, empty="No session matches.")


def _to_found_row(each: FoundSessionAnswer) -> dict[str, Any]:
    return {
        "id": each.session,
        "session": f"{each.project_path}:{each.title}",
        "image": each.environment.image,
        "package": each.package or "",
        "projects": each.uses,
    }


@click.command("sessions")
@click.argument("project", required=False, help="its path or id, such as ada/climate")
@json_option()
def list_sessions(project: str | None, as_json: bool) -> None:
    """List your sessions in all projects, or the sessions of one project."""
    with connect_to_hub() as hub:
        if project:
            sessions = list(hub.sessions(project))
            rows = map(_to_session_row, sessions)
            print_items(sessions, rows, as_json=as_json, empty="This project has no sessions yet.")
        else:
            mine = list(hub.mine())
            rows = map(_to_own_instance_row, mine)
            print_items(mine, rows, as_json=as_json, empty="You have no sessions that run or have files.")


def _to_session_row(each: SessionAnswer) -> dict[str, Any]:
    named = f"{each.title} (default)" if each.is_default else each.title
    environment = each.environment
    return {"id": each.id, "title": named, "environment": environment.name, "status": each.instance.status}


def _to_own_instance_row(each: MyInstanceAnswer) -> dict[str, Any]:
    instance = each.instance
    return {
        "id": each.session,
        "session": f"{each.project_path}:{each.title}" if each.project_path else each.title,
        "status": instance.status,
        "since": instance.paused_at if instance.status == "paused" else instance.started_at,
        "class": instance.resource_class,
        "size": None if instance.disk_used is None else format_size(instance.disk_used),
        "next": _format_next_event(instance),
        "why": instance.message,
    }


def _format_next_event(instance: InstanceAnswer) -> str:
    """Return the next automatic event and its time; empty if there is none."""
    if instance.queue_position is not None:
        return f"starts, position {instance.queue_position} in the queue"
    if instance.trashed_until:
        return f"in the trash until {format_local_time(instance.trashed_until)}"
    if instance.deleted_on:
        return f"deleted {format_local_time(instance.deleted_on)}"
    return f"pauses {format_local_time(instance.pauses_at)}" if instance.pauses_at else ""


@click.command("me")
@json_option()
def show_current_session(as_json: bool) -> None:
    """Inside a session: show which one it is and when it pauses."""
    with connect_from_session() as hub:  # only by the session's own token can the hub identify it
        session = hub.me()
    if as_json:
        print_json(session)
        return
    name = f"{session.project_path}:{session.title}" if session.project_path else session.title
    awake = f"until {format_local_time(session.awake_until)}" if session.awake_until else None
    pauses = format_local_time(session.pauses_at) if session.pauses_at else None
    print_table([{"id": session.session, "session": name, "pauses": pauses, "kept awake": awake}])


_SECONDS_BY_UNIT = {"m": 60, "h": 3600, "d": 86_400}
_PAUSABLE_SESSION_STATUSES = ("running", "launching")


@click.command("start")
@click.argument("session", help=f"{_SESSION_HELP}, or a project's path for its default session")
@click.option("--class", "resource_class", metavar="NAME", help="resource class; by default the smallest that fits")
@click.option("--without-storage", multiple=True, metavar="DIRECTORY", help="start without this storage")
@click.option("--wait/--no-wait", default=True, help="wait until it runs; the default")
@click.option("--open", "in_browser", is_flag=True, help="open it in a browser as soon as it runs")
@json_option()
def start_session(
    session: str,
    resource_class: str | None,
    without_storage: Sequence[str],
    wait: bool,
    in_browser: bool,
    as_json: bool,
) -> None:
    """Start or resume your session."""
    with connect_to_hub() as hub:
        found = find_session_by_argument(hub, session)
        now = hub.start(found.project, found.id, resource_class=resource_class, without_storages=without_storage)
        if wait or in_browser:
            now = _wait_until_running(hub, found)
        if as_json:
            print_json(now)
        elif now.status == "running":
            for notice in now.notices:
                print(f"{escape_for_terminal(notice.title)}: {escape_for_terminal(notice.text)}", file=sys.stderr)
            _show_address(hub, now, in_browser=in_browser)
        else:
            print(
                f"{escape_for_terminal(found.title)} is starting. See its status: renku-spawner sessions",
                file=sys.stderr,
            )


def _wait_until_running(hub: Client, found: SessionMatch) -> InstanceAnswer:
    """Wait until the session runs. Raises CommandError if its start fails or is cancelled."""
    with show_launch_progress(found.title) as show:
        for progress in hub.until_settled(found.project, found.id):
            show(progress)
    now = hub.session(found.project, found.id).instance
    if now.status == "running":
        return now
    reason = [now.message or f"{found.title} is {now.status}.", now.advice or ""]
    hint = f"See its log: renku-spawner logs {found.id}" if now.status == "failed" else ""
    raise CommandError(" ".join(part for part in (*reason, hint) if part), ExitStatus.SESSION_FAILED)


@click.command("pause")
@click.argument("session", nargs=-1, help=_SESSION_HELP)
@click.option("--all", "pause_all", is_flag=True, help="all that run or start")
def pause_sessions(session: Sequence[str], pause_all: bool) -> None:
    """Pause your sessions; the files in /work are kept."""
    if bool(session) == pause_all:
        raise CommandError("Name the sessions to pause, or all of them with --all.", ExitStatus.USAGE)
    with connect_to_hub() as hub:
        if pause_all:
            mine = [
                (each.session, each.title) for each in hub.mine() if each.instance.status in _PAUSABLE_SESSION_STATUSES
            ]
        else:
            mine = [(each.id, each.title) for each in [find_own_session(hub, argument) for argument in session]]
        for session_id, title in dict(mine).items():
            now = hub.pause(session_id)
            print(f"{escape_for_terminal(title)}: {now.status}")
    if not mine:
        print("You have no running sessions.", file=sys.stderr)


def _parse_duration_seconds(text: str) -> int:
    if not (text[:-1].isascii() and text[:-1].isdigit() and len(text) < 7 and text[-1] in _SECONDS_BY_UNIT):
        raise click.BadParameter("use a number with m, h or d, such as 90m, 3h or 1d")
    return int(text[:-1]) * _SECONDS_BY_UNIT[text[-1]]


@click.command("keep-awake")
@_session_argument
@click.option(
    "--for",
    "seconds",
    type=_parse_duration_seconds,
    metavar="TIME",
    help="such as 90m, 3h or 1d; by default an hour",
)
@click.option("--off", is_flag=True, help="stop keeping it awake")
def keep_session_awake(session: str, seconds: int | None, off: bool) -> None:
    """Keep your session from being paused while it is idle."""
    with connect_to_hub() as hub:
        found = find_own_session(hub, session)
        now = hub.keep_awake(found.id, 0 if off else seconds)
        until = f"is kept awake until {format_local_time(now.awake_until)}" if now.awake_until else "is not kept awake"
        print(f"{escape_for_terminal(found.title)} {until}.")


@click.command("logs")
@_session_argument
@click.option("-f", "--follow", is_flag=True, help="follow the log until Ctrl-C")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, 1000),
    default=200,
    metavar="N",
    help="print the last N lines; 200 by default",
)
def print_logs(session: str, follow: bool, lines: int) -> None:
    """Print the log of your session."""
    with connect_to_hub() as hub:
        session_id = find_own_session(hub, session).id
        for part in hub.follow_logs(session_id, lines) if follow else [hub.logs(session_id, lines)]:
            for line in part:
                print(format_log_line(line, sys.stdout))
            sys.stdout.flush()


@click.command("open")
@_session_argument
@click.option("--print", "print_only", is_flag=True, help="only print its address")
def open_session(session: str, print_only: bool) -> None:
    """Open your session in a browser."""
    with connect_to_hub() as hub:
        found = find_own_session(hub, session)
        if not found.instance.url:
            advice = f"Start it: renku-spawner start --open {found.id}"
            raise CommandError(f"{found.title} is {found.instance.status}. {advice}", ExitStatus.REFUSED)
        _show_address(hub, found.instance, in_browser=not print_only)


def _show_address(hub: Client, instance: InstanceAnswer, *, in_browser: bool) -> None:
    """Print the session's address; with *in_browser*, also open it in a browser if there is a display."""
    address = hub.address(instance.url or "")
    if urlsplit(address).scheme not in ("http", "https"):
        raise CommandError("The hub gave an address that is not http or https; it is not opened.", ExitStatus.FAILED)
    print(escape_for_terminal(address))
    screen = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if in_browser and not (screen and webbrowser.open(address)):
        print("There is no browser on this machine; open the address in yours.", file=sys.stderr)


_DELETE_WARNING = "Everything in its /work will be deleted for good. Push or download what you need first."
_MAX_CONTENTS_POLLS, _CONTENTS_POLL_INTERVAL_SECONDS = 6, 2.0


@click.command("download")
@_session_argument
@click.option(
    "-o",
    "--output",
    type=FILE_NAME,
    metavar="FILE",
    help="a .tar.zst or .tar.gz, by default named after the session; - is stdout",
)
@click.option("--force", is_flag=True, help="replace an existing file")
def download_files(session: str, output: str | None, force: bool) -> None:
    """Download the files of your paused session."""
    with connect_to_hub() as hub:
        found = find_own_session(hub, session)
        pieces = hub.download(found.id)
        if output == "-":
            _write_to_stdout(pieces)
            return
        default_names = [build_download_file_name(found.title, archive) for archive in ARCHIVE_FORMATS]
        existing = [name for name in ([output] if output else default_names) if Path(name).exists()]
        if existing and not force:
            raise CommandError(f"{existing[0]} already exists; use --force to replace it.", ExitStatus.REFUSED)
        start = _read_start(pieces)
        file = Path(output or _build_archive_name(found.title, start))
        size = _write_archive(file, chain([start], pieces))
        print(
            f"{escape_for_terminal(found.title)} is in {escape_for_terminal(str(file))} ({format_size(size)}).",
            file=sys.stderr,
        )


def _read_start(pieces: Iterator[bytes]) -> bytes:
    """Read until the archive's format can be told; less if the archive ends."""
    start = b""
    while len(start) < ARCHIVE_MAGIC_BYTES and (piece := next(pieces, b"")):
        start += piece
    return start


def _build_archive_name(title: str, start: bytes) -> str:
    """Name the archive by its *start*, because what packs it decides on its compression."""
    archive = detect_archive_format(start)
    if archive is None:
        raise CommandError("The hub sent an archive of an unknown format; name a file with -o.", ExitStatus.FAILED)
    return build_download_file_name(title, archive)


def _write_to_stdout(pieces: Iterator[bytes]) -> None:
    if sys.stdout.isatty():
        raise CommandError("An archive cannot be shown on a terminal; name a file with -o.", ExitStatus.USAGE)
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _write_archive(file: Path, pieces: Iterator[bytes]) -> int:
    """Write *file* atomically; return its size in bytes. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name[:60]}-", dir=file.parent)
    size = 0
    try:
        with os.fdopen(handle, "wb") as out, show_byte_count() as count:
            for piece in pieces:
                size += out.write(piece)
                count(len(piece))
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return size


@click.command("restore")
@_session_argument
def restore_files(session: str) -> None:
    """Restore the files of your session from the trash."""
    with connect_to_hub() as hub:
        found = find_own_session(hub, session)
        print(f"{escape_for_terminal(found.title)}: {hub.restore(found.id).status}")


@click.command("delete-data")
@_session_argument
@click.option("--yes", is_flag=True, help="do not ask for confirmation")
def delete_files(session: str, yes: bool) -> None:
    """Delete the files of your session for good."""
    with connect_to_hub() as hub:
        found = find_own_session(hub, session)
        if not yes:
            require_interactive_terminal()
            for line in _format_unsaved_work(_wait_for_contents(hub, found.id)):
                print(line, file=sys.stderr)
            require_typed_confirmation(escape_for_terminal(found.title), _DELETE_WARNING)
        if hub.delete_data(found.id):
            print(f"The files of {escape_for_terminal(found.title)} are deleted.")
        else:
            print(f"The files of {escape_for_terminal(found.title)} are being deleted; you need not wait.")


def _wait_for_contents(hub: Client, session: str) -> ContentsAnswer:
    """Return the contents of the session's files; poll for some seconds while they are examined."""
    contents = hub.contents(session)
    for _ in range(_MAX_CONTENTS_POLLS):
        if not contents.under_way:
            break
        sleep(_CONTENTS_POLL_INTERVAL_SECONDS)
        contents = hub.contents(session)
    return contents


def _format_unsaved_work(found: ContentsAnswer) -> Iterator[str]:
    """Yield lines about files that exist only in this session."""
    if not found.known:
        yield "Its files cannot be examined now."
        return
    lines = [_format_unsaved_repository(each) for each in found.repositories if each.lost]
    if found.more:
        lines.append(f"{found.more} more repositories: not examined")
    if found.loose or not found.complete:
        lines.append(f"files outside of repositories: {found.loose}{'' if found.complete else ' or more'}")
    yield "This exists only in the session:" if lines else "Nothing was found that exists only in the session."
    yield from (f"  {line}" for line in lines)


def _format_unsaved_repository(each: WorkAnswer) -> str:
    if each.changed is None:
        return f"{escape_for_terminal(each.directory)}: could not be read"
    return (
        f"{escape_for_terminal(each.directory)}: {each.changed} files not committed, {each.unpushed} commits not pushed"
    )


_ACTION_SIGNS = {"add": "+", "change": "~", "remove": "-"}
_ACTION_PARTICIPLES = {"add": "added", "change": "changed", "remove": "removed"}


@click.command("export")
@click.argument("project", help="its path or id, such as ada/climate")
@json_option("print JSON")
def export_sessions(project: str, as_json: bool) -> None:
    """Print the sessions of a project as YAML, to keep in git."""
    with connect_to_hub() as hub:
        if as_json:
            print_json(hub.export_document(project))
        else:
            sys.stdout.write(hub.export(project))


@click.command("apply")
@click.argument("project", required=False, help="by default the one that the file names")
@click.option(
    "-f", "--file", required=True, type=FILE_NAME, metavar="FILE", help="the file, in the format of export (- is stdin)"
)
@click.option("--dry-run", is_flag=True, help="only show what would change")
@click.option("--exit-code", is_flag=True, help="with --dry-run: exit with 8 if something would change")
@click.option(
    "--prune", is_flag=True, help="remove sessions that are not in the file, unless other users have data in them"
)
@json_option()
def apply_session_file(
    project: str | None, file: str, dry_run: bool, exit_code: bool, prune: bool, as_json: bool
) -> None:
    """Change a project's sessions to match a file, and show the changes."""
    text = _read_session_file(file)
    with connect_to_hub() as hub:
        done = hub.apply(project or _parse_project_name(text), text, dry_run=dry_run, prune=prune)
    if as_json:
        print_json(done)
    else:
        print("\n".join(_format_plan(done)))
    if done.forbidden or done.refused:
        raise CommandError(done.forbidden or "This cannot be applied.", ExitStatus.REFUSED)
    if exit_code and dry_run and done.changes:
        raise CommandError("", ExitStatus.CHANGES)


def _read_session_file(file: str) -> str:
    """Read *file*, or stdin for `-`. Raises OSError, ValueError."""
    from ..domain.session_files import MAX_DOCUMENT_SIZE_BYTES

    text = sys.stdin.read(MAX_DOCUMENT_SIZE_BYTES + 1) if file == "-" else Path(file).read_text(encoding="utf-8")
    if len(text.encode()) > MAX_DOCUMENT_SIZE_BYTES:
        raise ValueError(f"The file is larger than {MAX_DOCUMENT_SIZE_BYTES // 1024} kB.")
    return text


def _parse_project_name(text: str) -> str:
    """Return the project that the file names. Raises CommandError if it names none."""
    from ..domain.session_files import parse_yaml

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
    yield from (
        f"! {escape_for_terminal(path)}: {escape_for_terminal(reason)}" for path, reason in plan.refused.items()
    )
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


COMMANDS = (
    list_projects,
    search_sessions,
    list_sessions,
    show_current_session,
    start_session,
    pause_sessions,
    keep_session_awake,
    print_logs,
    open_session,
    download_files,
    restore_files,
    delete_files,
    export_sessions,
    apply_session_file,
)
