"""`renku-spawner start | pause | keep-awake | logs | open`: one's own sessions."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from . import cli_base, cli_find, cli_progress, cli_reach
from .cli_base import Ended, Exit
from .cli_find import NAMED, Found
from .cli_show import as_json, log_line, moment, safe
from .client import Client
from .client.models import InstanceAnswer

_UNITS = {"m": 60, "h": 3600, "d": 86_400}  # seconds
_PAUSABLE = ("running", "launching")


def add(commands: Any) -> None:
    """The commands' places on the command line."""
    start = cli_base.add(commands, "start", _start, "start or resume your session")
    start.add_argument("session", metavar="SESSION", help=f"{NAMED}, or a project's path for its default session")
    start.add_argument("--class", dest="resource_class", metavar="NAME", help="resource class; the smallest that fits")
    start.add_argument(
        "--without-storage", action="append", default=[], metavar="DIRECTORY", help="leave a storage out of this start"
    )
    start.add_argument(
        "--wait", action=argparse.BooleanOptionalAction, default=True, help="until it runs, which is the usual"
    )
    start.add_argument("--open", action="store_true", help="show it in a browser as soon as it runs")
    start.add_argument("--json", action="store_true", help="print your instance as the API gives it")
    pause = cli_base.add(commands, "pause", _pause, "pause your sessions; the files in /work stay")
    pause.add_argument("session", metavar="SESSION", nargs="*", help=NAMED)
    pause.add_argument("--all", action="store_true", help="all that run or start")
    awake = cli_base.add(commands, "keep-awake", _keep_awake, "do not let your session be paused when nobody uses it")
    awake.add_argument("session", metavar="SESSION", help=NAMED)
    awake.add_argument("--for", dest="seconds", type=_seconds, metavar="TIME", help="such as 90m, 3h or 1d; an hour")
    awake.add_argument("--off", dest="seconds", action="store_const", const=0, help="no longer")
    logs = cli_base.add(commands, "logs", _logs, "what your session prints")
    logs.add_argument("session", metavar="SESSION", help=NAMED)
    logs.add_argument("-f", "--follow", action="store_true", help="and what it will print, until Ctrl-C")
    logs.add_argument("-n", "--lines", type=_lines, default=200, metavar="N", help="the last N lines, 200 if left out")
    show = cli_base.add(commands, "open", _open, "show your session in a browser")
    show.add_argument("session", metavar="SESSION", help=NAMED)
    show.add_argument("--print", action="store_true", help="print its address only")


def _seconds(text: str) -> int:
    if not (text[:-1].isascii() and text[:-1].isdigit() and len(text) < 7 and text[-1] in _UNITS):
        raise argparse.ArgumentTypeError("a number with m, h or d, please: 90m, 3h, 1d")
    return int(text[:-1]) * _UNITS[text[-1]]


def _lines(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise argparse.ArgumentTypeError("1 to 1000, please")
    return int(text)


# ---- start --------------------------------------------------------------------------------------


def _start(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed) as hub:
        found = cli_find.session(hub, parsed.session)
        now = hub.start(
            found.project, found.id, resource_class=parsed.resource_class, without_storages=parsed.without_storage
        )
        if parsed.wait or parsed.open:
            now = _watched(hub, found)
        if parsed.json:
            as_json(now)
        elif now.status == "running":
            for notice in now.notices:
                print(f"{safe(notice.title)}: {safe(notice.text)}", file=sys.stderr)
            _tell(parsed.environ, hub, now, show=parsed.open)
        else:
            print(f"{safe(found.title)} is starting. See how it goes: renku-spawner sessions", file=sys.stderr)


def _watched(hub: Client, found: Found) -> InstanceAnswer:
    """Wait until it runs. Raises Ended: it will not."""
    with cli_progress.bar(found.title) as bar:
        for told in hub.until_settled(found.project, found.id):
            bar.tell(told)
    now = hub.session(found.project, found.id).instance
    if now.status == "running":
        return now
    said = [now.message or f"{found.title} is {now.status}.", now.advice or ""]
    hint = f"What it printed: renku-spawner logs {found.id}" if now.status == "failed" else ""
    raise Ended(" ".join(part for part in (*said, hint) if part), Exit.SESSION_FAILED)


# ---- pause, logs ------------------------------------------------------------------------


def _pause(parsed: argparse.Namespace) -> None:
    if bool(parsed.session) == parsed.all:
        raise Ended("Name the sessions to pause, or all of them with --all.", Exit.USAGE)
    with cli_reach.connected(parsed) as hub:
        if parsed.all:
            mine = [(each.session, each.title) for each in hub.mine() if each.instance.status in _PAUSABLE]
        else:
            mine = [(each.id, each.title) for each in [cli_find.mine(hub, said) for said in parsed.session]]
        for session, title in dict(mine).items():
            now = hub.pause(session)
            print(f"{safe(title)}: {now.status}")
    if not mine:
        print("Nothing of yours runs.", file=sys.stderr)


def _keep_awake(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed) as hub:
        found = cli_find.mine(hub, parsed.session)
        now = hub.keep_awake(found.id, parsed.seconds)
        until = f"is kept awake until {moment(now.awake_until)}" if now.awake_until else "is not kept awake"
        print(f"{safe(found.title)} {until}.")


def _logs(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed) as hub:
        session = cli_find.mine(hub, parsed.session).id
        parts = hub.follow_logs(session, parsed.lines) if parsed.follow else [hub.logs(session, parsed.lines)]
        for lines in parts:
            for line in lines:
                print(log_line(line, sys.stdout))
            sys.stdout.flush()


# ---- open ---------------------------------------------------------------------------------------


def _open(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed) as hub:
        found = cli_find.mine(hub, parsed.session)
        if not found.instance.url:
            advice = f"Start it: renku-spawner start --open {found.id}"
            raise Ended(f"{found.title} is {found.instance.status}. {advice}", Exit.REFUSED)
        _tell(parsed.environ, hub, found.instance, show=not parsed.print)


def _tell(environ: Mapping[str, str], hub: Client, instance: InstanceAnswer, *, show: bool) -> None:
    """Show it in a browser, where there is a screen for one; its address is printed in any case."""
    address = hub.address(instance.url or "")
    if urlsplit(address).scheme not in ("http", "https"):
        raise Ended("The hub gives an address that no browser should open.", Exit.FAILED)
    print(safe(address))
    screen = sys.platform == "darwin" or any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if show and not (screen and webbrowser.open(address)):
        print("There is no browser here; open this address in yours.", file=sys.stderr)
