"""Asks a git server, as git itself does but without a login, for a repository and for the names in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ssl import SSLContext

from yarl import URL

from . import git_file, git_packets
from .errors import Unreachable
from .git_packets import NoRepository
from .guard import Guard
from .wire import Wire

__all__ = ["GitServers", "NoRepository"]
SECONDS = 5.0  # for one repository
_LIMIT = 16 * 1024**2  # bytes; servers that do not know version 2 send all names at once


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

    async def file(self, url: str, ref: str | None, path: Sequence[str], limit: int) -> bytes | None:
        """The file at *path* (its folders and its name), of at most *limit* bytes; None if there is none.

        Raises: as `has`; Unreachable also of a server that gives no single files.
        """
        try:
            async with asyncio.timeout(SECONDS):
                return await git_file.find(self._wire, URL(url), ref, path, limit)
        except TimeoutError:
            raise Unreachable("did not answer in time") from None

    async def close(self) -> None:
        await self._wire.close()

    async def _has(self, url: URL, ref: str | None) -> bool:
        where, lines = await git_packets.advertised(self._wire, url, _LIMIT)
        if ref is None:
            return True
        if b"version 2" in lines:
            asked = [f"ref-prefix refs/{kind}/{ref}" for kind in ("heads", "tags")]
            lines = list(git_packets.lines(await git_packets.commanded(self._wire, where, "ls-refs", asked, _LIMIT)))
        wanted = {f"refs/heads/{ref}".encode(), f"refs/tags/{ref}".encode()}
        return any(line.partition(b" ")[2] in wanted for line in lines)
