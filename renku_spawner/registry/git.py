"""Asks a git server, as git itself does but without a login, for a repository and for the names in it.

The protocol: https://git-scm.com/docs/http-protocol (smart clients) and https://git-scm.com/docs/protocol-v2.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from ssl import SSLContext

from yarl import URL

from .errors import Unreachable
from .guard import Guard
from .wire import Answer, Wire

SECONDS = 5.0  # for one repository
_LIMIT = 16 * 1024**2  # bytes; servers that do not know version 2 send all names at once
_KIND = "application/x-git-upload-pack-{}"
_VERSION = {"Git-Protocol": "version=2"}
_SIZE = re.compile(rb"[0-9a-fA-F]{4}")
_HIDDEN = (401, 403, 404, 410)


class NoRepository(Exception):
    """Nobody without a login can read a repository there; the message is a sentence."""


class GitServers:
    """Git servers, where *guard* lets us connect to. *ssl* replaces the system's trust."""

    def __init__(self, guard: Guard, *, ssl: SSLContext | None = None) -> None:
        self._wire = Wire(guard, ssl=ssl)

    async def has(self, url: str, ref: str | None) -> bool:
        """Whether the repository at *url* has a branch or a tag *ref*, or is there at all for None.

        Raises:
            NoRepository: there is none that everybody may read.
            NotAllowed: we may not connect there.
            Unreachable: no answer within five seconds, or none that can be read.
        """
        try:
            async with asyncio.timeout(SECONDS):
                return await self._has(URL(url), ref)
        except TimeoutError:
            raise Unreachable("did not answer in time") from None

    async def close(self) -> None:
        await self._wire.close()

    async def _has(self, url: URL, ref: str | None) -> bool:
        asked = (url / "info" / "refs").with_query(service="git-upload-pack")
        answer = await self._wire.ask("GET", asked, headers=_VERSION, limit=_LIMIT)
        lines = list(_lines(_checked(answer, "advertisement")))
        if ref is None:
            return True
        if b"version 2" in lines:
            lines = await self._named(answer.url.with_query(None).parent.parent, ref)
        wanted = {f"refs/heads/{ref}".encode(), f"refs/tags/{ref}".encode()}
        return any(line.partition(b" ")[2] in wanted for line in lines)

    async def _named(self, url: URL, ref: str) -> list[bytes]:
        """The lines of the names that begin with *ref*."""
        asked = ["command=ls-refs\n", None, f"ref-prefix refs/heads/{ref}\n", f"ref-prefix refs/tags/{ref}\n"]
        body = "".join("0001" if line is None else f"{len(line) + 4:04x}{line}" for line in asked) + "0000"
        headers = {**_VERSION, "Content-Type": _KIND.format("request")}
        answer = await self._wire.ask(
            "POST", url / "git-upload-pack", headers=headers, limit=_LIMIT, body=body.encode("ascii")
        )
        return list(_lines(_checked(answer, "result")))


def _checked(answer: Answer, kind: str) -> bytes:
    """The body of an answer of that kind. Raises NoRepository, Unreachable."""
    if answer.status in _HIDDEN:
        raise NoRepository("There is no such repository, or one needs a login to read it.")
    if answer.status != 200:
        raise Unreachable(f"answers with an error ({answer.status})")
    if answer.headers.get("Content-Type", "").partition(";")[0].strip() != _KIND.format(kind):
        raise NoRepository("This is not the address of a git repository.")
    return answer.body


def _lines(body: bytes) -> Iterator[bytes]:
    """The lines of a text in git's packets, without what follows a zero byte. Raises Unreachable."""
    place = 0
    while place < len(body):
        head = body[place : place + 4]
        size = int(head, 16) if _SIZE.fullmatch(head) else len(body) + 1
        if place + size > len(body):
            raise Unreachable("sent an answer that is not git's")
        if size > 4:
            yield body[place + 4 : place + size].partition(b"\0")[0].rstrip(b"\n")
        place += max(size, 4)
