"""Asks registries: does an image exist, what is it, what is in it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from ssl import SSLContext
from typing import TypeVar

from .. import metrics
from ..domain.facts import ImageFacts
from ..domain.image import Image
from ..remote.breaker import Breaker
from ..remote.cache import Cache, Flights
from .errors import Denied, NoPlatform, NotAllowed, NotFound, RegistryError, Unreachable
from .guard import Guard
from .login import Login, Place, place
from .manifest import Unreadable
from .reader import Found, Reader
from .wire import TOTAL_SECONDS, Wire

POSITIVE_SECONDS = 300.0
NEGATIVE_SECONDS = 30.0
_REMEMBERED = 1000  # answers of each kind
_MEANINGS: dict[type[BaseException], str] = {
    NotFound: "refused", Denied: "refused", NoPlatform: "refused", NotAllowed: "refused", Unreachable: "no_answer",
}  # fmt: skip
Value = TypeVar("Value")
_Ask = Callable[[Place, str], Awaitable[Found]]


class Client:
    """What registries say, asked through *guard* and remembered in this process.

    *platforms* are those of the cluster, the preferred first (`linux/amd64`).
    *credentials* (user and password per host, Docker Hub's as `docker.io`) are used for
    trusted images only and sent to that host only. *ssl* replaces the system's trust.
    Every method gives up after 10 seconds, and leaves a host alone for 15 seconds that
    has failed five times in a row.
    """

    def __init__(
        self,
        guard: Guard,
        platforms: tuple[str, ...],
        *,
        credentials: Mapping[str, tuple[str, str]] | None = None,
        ssl: SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._guard = guard
        self._wire = Wire(guard, ssl=ssl)
        self._flights = Flights()
        login = Login(self._wire, guard, credentials or {}, self._flights, clock)
        self._reader = Reader(login, platforms, clock)
        self._breaker = Breaker(clock)
        self._heads: Cache[Found | RegistryError] = Cache(_REMEMBERED, clock, name="image")
        self._facts: Cache[ImageFacts | NoPlatform] = Cache(_REMEMBERED, clock, name="facts")
        self._asked: Cache[bool] = Cache(_REMEMBERED, clock)  # repositories of which something is known
        self._trusted: set[str] = set()  # hosts that an admin has named, so that there are few

    async def close(self) -> None:
        """End what is under way; nothing can be asked afterwards."""
        await self._flights.close()
        await self._wire.close()
        self._guard.close()

    def silent(self) -> dict[str, float | None]:
        """For how many seconds each host of trusted images has not answered, None while it does.

        Whether a host answers that anybody may have named says nothing about this hub.
        """
        return {host: self._breaker.silent(host) for host in sorted(self._trusted)}

    async def head(self, image: Image, *, trusted: bool = False) -> Found:
        """Whether the image's digest, or else its tag, exists: answers are at most 5 minutes
        old, refusals 30 seconds. No manifest is fetched where the registry names the digest.

        Raises:
            NotFound, Denied: definitive answers.
            NotAllowed: we may not ask there; no connection was made.
            Unreachable: no definitive answer.
        """
        return await self._found(image, self._reader.look, trusted=trusted)

    async def inspect(self, image: Image, *, trusted: bool = False) -> ImageFacts:
        """What the image is, on the first of our platforms that it has; verified by digest.

        Raises:
            NoPlatform: it is for other platforms, or no container image at all.
            NotFound, Denied, NotAllowed, Unreachable: as `head`.
        """
        at = place(image, trusted=trusted)
        async with _in_time():
            found = await self._found(image, self._first(at, image.digest), trusted=trusted)
            known = self._facts.get((trusted, found.digest))
            if known is None:
                known = await self._flights.run(("facts", at, found), lambda: self._read(at, found))
        if isinstance(known, NoPlatform):
            raise NoPlatform(known.platforms)
        return known

    async def sbom(self, image: Image, digest: str, *, trusted: bool = False) -> bytes | None:
        """The statement (in-toto) with the SPDX document that BuildKit has attached to the index *digest* for our
        platform, verified by digest and at most 8 MiB; None where there is none.

        Raises:
            NoPlatform, NotFound, Denied, NotAllowed, Unreachable: as `inspect`.
        """
        at = place(image, trusted=trusted)
        key = ("sbom", at, digest)
        return await self._flights.run(key, lambda: self._tried(at, lambda: self._reader.packages(at, digest)))

    async def _found(self, image: Image, ask: _Ask, *, trusted: bool) -> Found:
        """What the image's reference points to, remembered or as *ask* has it."""
        at, reference = place(image, trusted=trusted), image.digest or image.tag or "latest"
        key = ("head", at, reference)
        known = self._heads.get(key)
        if known is None:
            known = await self._flights.run(key, lambda: self._look(at, reference, ask))
        if isinstance(known, RegistryError):
            raise type(known)(known.detail)
        return known

    def _first(self, at: Place, digest: str | None) -> _Ask:
        """How to begin for who wants the details: what is surely new is fetched at once, of what
        may be known already its digest is asked for first, which counts as no download (B10)."""
        new = self._facts.get((at.trusted, digest)) is None if digest else self._asked.get(at) is None
        return self._reader.open if new else self._reader.look

    async def _look(self, at: Place, reference: str, ask: _Ask) -> Found | RegistryError:
        try:
            found = await self._tried(at, lambda: ask(at, reference))
        except (NotFound, Denied) as refusal:
            self._heads.put(("head", at, reference), refusal, seconds=NEGATIVE_SECONDS)
            return refusal
        self._asked.put(at, value=True)
        for each in (reference, found.digest):
            self._heads.put(("head", at, each), found, seconds=POSITIVE_SECONDS)
        return found

    async def _read(self, at: Place, found: Found) -> ImageFacts | NoPlatform:
        try:
            known: ImageFacts | NoPlatform = await self._tried(at, lambda: self._reader.facts(at, found))
        except NoPlatform as refusal:
            known = refusal
        self._facts.put((at.trusted, found.digest), known)
        return known

    async def _tried(self, at: Place, work: Callable[[], Awaitable[Value]]) -> Value:
        """Only what is no answer at all counts against a host; whatever it says, it works."""
        if at.trusted:
            self._trusted.add(at.host)
        if not self._breaker.lets_through(at.host):
            metrics.skipped("registry")
            raise Unreachable("did not answer lately; it is asked again in a few seconds")
        try:
            with metrics.Asking("registry", _MEANINGS):
                async with _in_time():
                    value = await work()
        except Unreachable:
            self._breaker.failed(at.host)
            raise
        except Unreadable as problem:
            raise Unreachable(str(problem)) from None
        except (NotFound, Denied, NoPlatform):
            self._breaker.worked(at.host)
            raise
        self._breaker.worked(at.host)
        return value


@contextlib.asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            yield
    except TimeoutError:
        raise Unreachable(f"did not answer within {TOTAL_SECONDS:.0f} seconds") from None
