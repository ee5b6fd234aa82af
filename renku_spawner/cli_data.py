"""`renku-spawner download | restore | delete-data`: the files of one's own session."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

from . import cli_base, cli_find, cli_progress, cli_reach
from .cli_base import Ended, Exit
from .cli_find import NAMED
from .cli_show import safe
from .client import Client
from .client.models import ContentsAnswer, WorkAnswer
from .domain.download import file_name
from .domain.quantity import size_of

_FOR_GOOD = "Everything in its /work is deleted for good. Push or download first what you need."
_LOOKS, _LOOK = 6, 2.0  # how often it is asked what is in the files, and the seconds between


def add(commands: Any) -> None:
    """The commands' places on the command line."""
    fetch = cli_base.add(commands, "download", _download, "fetch the files of your session, while it is paused")
    fetch.add_argument("session", metavar="SESSION", help=NAMED)
    fetch.add_argument(
        "-o", "--output", metavar="FILE", help="a tar.zst, called after the session if left out; - is stdout"
    )
    fetch.add_argument("--force", action="store_true", help="also in place of a file that is there")
    back = cli_base.add(commands, "restore", _restore, "take the files of your session out of the trash")
    back.add_argument("session", metavar="SESSION", help=NAMED)
    delete = cli_base.add(commands, "delete-data", _delete, "delete the files of your session for good")
    delete.add_argument("session", metavar="SESSION", help=NAMED)
    delete.add_argument("--yes", action="store_true", help="without asking for its title")


def _download(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed) as hub:
        found = cli_find.mine(hub, parsed.session)
        pieces = hub.download(found.id)
        if parsed.output == "-":
            _print(pieces)
            return
        file = Path(parsed.output or file_name(found.title))
        if file.exists() and not parsed.force:
            raise Ended(f"{file} is there already; with --force it is replaced.", Exit.REFUSED)
        size = _write(file, pieces)
        print(f"{safe(found.title)} is in {safe(str(file))} ({size_of(size)}).", file=sys.stderr)


def _print(pieces: Iterator[bytes]) -> None:
    if sys.stdout.isatty():
        raise Ended("A terminal is no place for an archive; name a file with -o.", Exit.USAGE)
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _write(file: Path, pieces: Iterator[bytes]) -> int:
    """Write it whole or not at all; return its bytes. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name[:60]}-", dir=file.parent)
    size = 0
    try:
        with os.fdopen(handle, "wb") as out, cli_progress.counter() as counted:
            for piece in pieces:
                size += out.write(piece)
                counted(size)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return size


def _delete(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed) as hub:
        found = cli_find.mine(hub, parsed.session)
        if not parsed.yes:
            cli_base.require_somebody()
            for line in _losses(_looked(hub, found.id)):
                print(line, file=sys.stderr)
            cli_base.confirm(safe(found.title), _FOR_GOOD)
        if hub.delete_data(found.id):
            print(f"The files of {safe(found.title)} are deleted.")
        else:
            print(f"The files of {safe(found.title)} are being deleted; that goes on by itself.")


def _restore(parsed: argparse.Namespace) -> None:
    with cli_reach.connected(parsed) as hub:
        found = cli_find.mine(hub, parsed.session)
        print(f"{safe(found.title)}: {hub.restore(found.id).status}")


def _looked(hub: Client, session: str) -> ContentsAnswer:
    """What is known of its files within some seconds."""
    found = hub.contents(session)
    for _ in range(_LOOKS):
        if not found.under_way:
            break
        sleep(_LOOK)
        found = hub.contents(session)
    return found


def _losses(found: ContentsAnswer) -> Iterator[str]:
    """What is nowhere else."""
    if not found.known:
        yield "What is in its files cannot be looked at now."
        return
    lines = [_loss(each) for each in found.repositories if each.lost]
    if found.more:
        lines.append(f"{found.more} more repositories: not looked at")
    if found.loose or not found.complete:
        lines.append(f"files outside of repositories: {found.loose}{'' if found.complete else ' or more'}")
    yield "This is nowhere else:" if lines else "Nothing was found in it that is nowhere else."
    yield from (f"  {line}" for line in lines)


def _loss(each: WorkAnswer) -> str:
    if each.changed is None:
        return f"{safe(each.directory)}: could not be read"
    return f"{safe(each.directory)}: {each.changed} files not committed, {each.unpushed} commits not pushed"
