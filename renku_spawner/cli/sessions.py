"""Commands for users: projects, sessions, logs and files."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import webbrowser
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import urlsplit

from ..client import Client
from ..domain.downloads import build_download_file_name
from ..domain.quantities import format_size
from ..web.instances.schemas import ContentsAnswer, InstanceAnswer, MyInstanceAnswer, WorkAnswer
from ..web.sessions.schemas import ProjectEntryAnswer, SessionAnswer
from .base import CommandError, ExitStatus, add_command, require_interactive_terminal, require_typed_confirmation
from .login import connect_from_session, connect_to_hub
from .output import escape_for_terminal, format_local_time, format_log_line, print_items, print_json, print_table
from .progress import show_byte_count, show_launch_progress
from .session_lookup import SESSION_ARGUMENT_HELP, SessionMatch, find_own_session, find_session_by_argument

_DELETE_WARNING = "Everything in its /work will be deleted for good. Push or download what you need first."
_MAX_CONTENTS_POLLS, _CONTENTS_POLL_INTERVAL_SECONDS = 6, 2.0


def add_data_commands(commands: Any) -> None:
    """Add the commands `download`, `restore` and `delete-data`."""
    fetch = add_command(commands, "download", _download_files, "download the files of your paused session")
    fetch.add_argument("session", metavar="SESSION", help=SESSION_ARGUMENT_HELP)
    fetch.add_argument(
        "-o", "--output", metavar="FILE", help="a tar.zst, by default named after the session; - is stdout"
    )
    fetch.add_argument("--force", action="store_true", help="replace an existing file")
    back = add_command(commands, "restore", _restore_files, "restore the files of your session from the trash")
    back.add_argument("session", metavar="SESSION", help=SESSION_ARGUMENT_HELP)
    delete = add_command(commands, "delete-data", _delete_files, "delete the files of your session for good")
    delete.add_argument("session", metavar="SESSION", help=SESSION_ARGUMENT_HELP)
    delete.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _download_files(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed) as hub:
        found = find_own_session(hub, parsed.session)
        pieces = hub.download(found.id)
        if parsed.output == "-":
            _write_to_stdout(pieces)
            return
        file = Path(parsed.output or build_download_file_name(found.title))
        if file.exists() and not parsed.force:
            raise CommandError(f"{file} already exists; use --force to replace it.", ExitStatus.REFUSED)
        size = _write_archive(file, pieces)
        print(
            f"{escape_for_terminal(found.title)} is in {escape_for_terminal(str(file))} ({format_size(size)}).",
            file=sys.stderr,
        )


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
        with os.fdopen(handle, "wb") as out, show_byte_count() as counted:
            for piece in pieces:
                size += out.write(piece)
                counted(size)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return size


def _delete_files(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed) as hub:
        found = find_own_session(hub, parsed.session)
        if not parsed.yes:
            require_interactive_terminal()
            for line in _format_unsaved_work(_wait_for_contents(hub, found.id)):
                print(line, file=sys.stderr)
            require_typed_confirmation(escape_for_terminal(found.title), _DELETE_WARNING)
        if hub.delete_data(found.id):
            print(f"The files of {escape_for_terminal(found.title)} are deleted.")
        else:
            print(f"The files of {escape_for_terminal(found.title)} are being deleted; you need not wait.")


def _restore_files(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed) as hub:
        found = find_own_session(hub, parsed.session)
        print(f"{escape_for_terminal(found.title)}: {hub.restore(found.id).status}")


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


def add_list_commands(commands: Any) -> None:
    """Add the commands `projects`, `sessions` and `me`."""
    projects = add_command(commands, "projects", _list_projects, "list the projects that you may see")
    projects.add_argument("--search", default="", metavar="WORDS", help="only projects that contain these words")
    sessions = add_command(
        commands, "sessions", _list_sessions, "list your sessions in all projects, or the sessions of one project"
    )
    sessions.add_argument("project", nargs="?", metavar="PROJECT", help="its path or id, such as ada/climate")
    me = add_command(commands, "me", _show_current_session, "inside a session: show which one it is and when it pauses")
    for each in (projects, sessions, me):
        each.add_argument("--json", action="store_true", help="print the API's JSON")


def _list_projects(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed) as hub:
        projects = list(hub.projects(parsed.search))
    print_items(parsed, projects, map(_to_project_row, projects), empty="There are no projects that you may see.")


def _to_project_row(each: ProjectEntryAnswer) -> dict[str, Any]:
    status = each.instance.status if each.default_session else ""
    return {"path": each.path, "title": each.title, "role": each.role, "sessions": each.sessions, "default": status}


def _list_sessions(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed) as hub:
        if parsed.project:
            sessions = list(hub.sessions(parsed.project))
            print_items(parsed, sessions, map(_to_session_row, sessions), empty="This project has no sessions yet.")
        else:
            mine = list(hub.mine())
            print_items(
                parsed, mine, map(_to_own_instance_row, mine), empty="You have no sessions that run or have files."
            )


def _show_current_session(parsed: argparse.Namespace) -> None:
    """Print the session in which this runs. It always uses the session's token, by which the hub identifies it."""
    with connect_from_session(parsed) as hub:
        session = hub.me()
    if parsed.json:
        print_json(session)
        return
    name = f"{session.project_path}:{session.title}" if session.project_path else session.title
    awake = f"until {format_local_time(session.awake_until)}" if session.awake_until else None
    pauses = format_local_time(session.pauses_at) if session.pauses_at else None
    print_table([{"id": session.session, "session": name, "pauses": pauses, "kept awake": awake}])


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


_SECONDS_BY_UNIT = {"m": 60, "h": 3600, "d": 86_400}
_PAUSABLE_SESSION_STATUSES = ("running", "launching")


def add_session_commands(commands: Any) -> None:
    """Add the commands `start`, `pause`, `keep-awake`, `logs` and `open`."""
    start = add_command(commands, "start", _start_session, "start or resume your session")
    start.add_argument(
        "session", metavar="SESSION", help=f"{SESSION_ARGUMENT_HELP}, or a project's path for its default session"
    )
    start.add_argument(
        "--class", dest="resource_class", metavar="NAME", help="resource class; by default the smallest that fits"
    )
    start.add_argument(
        "--without-storage", action="append", default=[], metavar="DIRECTORY", help="start without this storage"
    )
    start.add_argument(
        "--wait", action=argparse.BooleanOptionalAction, default=True, help="wait until it runs; the default"
    )
    start.add_argument("--open", action="store_true", help="open it in a browser as soon as it runs")
    start.add_argument("--json", action="store_true", help="print the API's JSON")
    pause = add_command(commands, "pause", _pause_sessions, "pause your sessions; the files in /work are kept")
    pause.add_argument("session", metavar="SESSION", nargs="*", help=SESSION_ARGUMENT_HELP)
    pause.add_argument("--all", action="store_true", help="all that run or start")
    awake = add_command(
        commands, "keep-awake", _keep_session_awake, "keep your session from being paused while it is idle"
    )
    awake.add_argument("session", metavar="SESSION", help=SESSION_ARGUMENT_HELP)
    awake.add_argument(
        "--for",
        dest="seconds",
        type=_parse_duration_seconds,
        metavar="TIME",
        help="such as 90m, 3h or 1d; by default an hour",
    )
    awake.add_argument("--off", dest="seconds", action="store_const", const=0, help="stop keeping it awake")
    logs = add_command(commands, "logs", _print_logs, "print the log of your session")
    logs.add_argument("session", metavar="SESSION", help=SESSION_ARGUMENT_HELP)
    logs.add_argument("-f", "--follow", action="store_true", help="follow the log until Ctrl-C")
    logs.add_argument(
        "-n", "--lines", type=_parse_line_count, default=200, metavar="N", help="print the last N lines; 200 by default"
    )
    show = add_command(commands, "open", _open_session, "open your session in a browser")
    show.add_argument("session", metavar="SESSION", help=SESSION_ARGUMENT_HELP)
    show.add_argument("--print", action="store_true", help="only print its address")


def _parse_duration_seconds(text: str) -> int:
    if not (text[:-1].isascii() and text[:-1].isdigit() and len(text) < 7 and text[-1] in _SECONDS_BY_UNIT):
        raise argparse.ArgumentTypeError("use a number with m, h or d, such as 90m, 3h or 1d")
    return int(text[:-1]) * _SECONDS_BY_UNIT[text[-1]]


def _parse_line_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise argparse.ArgumentTypeError("use a number from 1 to 1000")
    return int(text)


def _start_session(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed) as hub:
        found = find_session_by_argument(hub, parsed.session)
        now = hub.start(
            found.project, found.id, resource_class=parsed.resource_class, without_storages=parsed.without_storage
        )
        if parsed.wait or parsed.open:
            now = _wait_until_running(hub, found)
        if parsed.json:
            print_json(now)
        elif now.status == "running":
            for notice in now.notices:
                print(f"{escape_for_terminal(notice.title)}: {escape_for_terminal(notice.text)}", file=sys.stderr)
            _show_address(parsed.environ, hub, now, show=parsed.open)
        else:
            print(
                f"{escape_for_terminal(found.title)} is starting. See its status: renku-spawner sessions",
                file=sys.stderr,
            )


def _wait_until_running(hub: Client, found: SessionMatch) -> InstanceAnswer:
    """Wait until the session runs. Raises CommandError if its start fails or is cancelled."""
    with show_launch_progress(found.title) as bar:
        for progress in hub.until_settled(found.project, found.id):
            bar.update(progress)
    now = hub.session(found.project, found.id).instance
    if now.status == "running":
        return now
    reason = [now.message or f"{found.title} is {now.status}.", now.advice or ""]
    hint = f"See its log: renku-spawner logs {found.id}" if now.status == "failed" else ""
    raise CommandError(" ".join(part for part in (*reason, hint) if part), ExitStatus.SESSION_FAILED)


def _pause_sessions(parsed: argparse.Namespace) -> None:
    if bool(parsed.session) == parsed.all:
        raise CommandError("Name the sessions to pause, or all of them with --all.", ExitStatus.USAGE)
    with connect_to_hub(parsed) as hub:
        if parsed.all:
            mine = [
                (each.session, each.title) for each in hub.mine() if each.instance.status in _PAUSABLE_SESSION_STATUSES
            ]
        else:
            mine = [(each.id, each.title) for each in [find_own_session(hub, said) for said in parsed.session]]
        for session, title in dict(mine).items():
            now = hub.pause(session)
            print(f"{escape_for_terminal(title)}: {now.status}")
    if not mine:
        print("You have no running sessions.", file=sys.stderr)


def _keep_session_awake(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed) as hub:
        found = find_own_session(hub, parsed.session)
        now = hub.keep_awake(found.id, parsed.seconds)
        until = f"is kept awake until {format_local_time(now.awake_until)}" if now.awake_until else "is not kept awake"
        print(f"{escape_for_terminal(found.title)} {until}.")


def _print_logs(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed) as hub:
        session = find_own_session(hub, parsed.session).id
        parts = hub.follow_logs(session, parsed.lines) if parsed.follow else [hub.logs(session, parsed.lines)]
        for lines in parts:
            for line in lines:
                print(format_log_line(line, sys.stdout))
            sys.stdout.flush()


def _open_session(parsed: argparse.Namespace) -> None:
    with connect_to_hub(parsed) as hub:
        found = find_own_session(hub, parsed.session)
        if not found.instance.url:
            advice = f"Start it: renku-spawner start --open {found.id}"
            raise CommandError(f"{found.title} is {found.instance.status}. {advice}", ExitStatus.REFUSED)
        _show_address(parsed.environ, hub, found.instance, show=not parsed.print)


def _show_address(environ: Mapping[str, str], hub: Client, instance: InstanceAnswer, *, show: bool) -> None:
    """Print the session's address; with *show*, also open it in a browser if there is a display."""
    address = hub.address(instance.url or "")
    if urlsplit(address).scheme not in ("http", "https"):
        raise CommandError("The hub gave an address that is not http or https; it is not opened.", ExitStatus.FAILED)
    print(escape_for_terminal(address))
    screen = sys.platform == "darwin" or any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if show and not (screen and webbrowser.open(address)):
        print("There is no browser on this machine; open the address in yours.", file=sys.stderr)
