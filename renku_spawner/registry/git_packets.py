"""Git's smart HTTP protocol: what requests and answers are made of.

https://git-scm.com/docs/http-protocol (smart clients) and https://git-scm.com/docs/protocol-v2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from yarl import URL

from .errors import Unreachable
from .wire import Answer, Wire

KIND = "application/x-git-upload-pack-{}"
VERSION = {"Git-Protocol": "version=2"}
_SIZE = re.compile(rb"[0-9a-fA-F]{4}")
_HIDDEN = (401, 403, 404, 410)


class NoRepository(Exception):
    """Nobody without a login can read a repository there; the message is a sentence."""


async def advertised(wire: Wire, url: URL, limit: int) -> tuple[URL, list[bytes]]:
    """Where the repository is in the end, and the lines of what it says of itself. Raises NoRepository, Unreachable."""
    asked = (url / "info" / "refs").with_query(service="git-upload-pack")
    answer = await wire.ask("GET", asked, headers=VERSION, limit=limit)
    return answer.url.with_query(None).parent.parent, list(lines(_checked(answer, "advertisement")))


async def commanded(wire: Wire, url: URL, command: str, arguments: Iterable[str], limit: int) -> bytes:
    """What a server that knows version 2 answers. Raises NoRepository, NotAllowed, Unreachable."""
    asked = [f"command={command}\n", None, *(f"{each}\n" for each in arguments)]
    body = "".join("0001" if line is None else f"{len(line) + 4:04x}{line}" for line in asked) + "0000"
    headers = {**VERSION, "Content-Type": KIND.format("request")}
    answer = await wire.ask("POST", url / "git-upload-pack", headers=headers, limit=limit, body=body.encode("ascii"))
    return _checked(answer, "result")


def _checked(answer: Answer, kind: str) -> bytes:
    """The body of an answer of that kind. Raises NoRepository, Unreachable."""
    if answer.status in _HIDDEN:
        raise NoRepository("There is no such repository, or one needs a login to read it.")
    if answer.status != 200:
        raise Unreachable(f"answers with an error ({answer.status})")
    if answer.headers.get("Content-Type", "").partition(";")[0].strip() != KIND.format(kind):
        raise NoRepository("This is not the address of a git repository.")
    return answer.body


def packets(body: bytes) -> Iterator[bytes]:
    """The packets of an answer, empty where one only parts others. Raises Unreachable."""
    place = 0
    while place < len(body):
        head = body[place : place + 4]
        size = int(head, 16) if _SIZE.fullmatch(head) else len(body) + 1
        if place + size > len(body):
            raise Unreachable("sent an answer that is not git's")
        yield body[place + 4 : place + size]
        place += max(size, 4)


def lines(body: bytes) -> Iterator[bytes]:
    """The lines of a text in packets, without what follows a zero byte. Raises Unreachable."""
    for packet in packets(body):
        if packet:
            yield packet.partition(b"\0")[0].rstrip(b"\n")
