"""What lies in the claim of a session that rests, handed over by a pod that can only read it.

The pod is made ready beside: whoever has waited too long and asks again finds it. It goes when all has been handed
over, when nobody comes, and when a start or a deletion needs the claim.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from secrets import token_urlsafe
from time import monotonic

from aiohttp import ClientConnectorError, ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar

from . import pod_contents, pod_errand
from .domain.errors import RenkuError, Unavailable
from .domain.names import new_id
from .domain.reasons import sentence
from .failures import CutOff
from .kube import download, helper
from .kube.calls import Calls, Denied
from .kube.objects import Raw, dig, text
from .pod_contents import Claim
from .runtime import packed
from .services import downloads

log = logging.getLogger("renku_spawner")

WAIT = 40.0  # seconds for which whoever asks is kept waiting: less than proxies in front of the hub usually do
PATIENCE = 180.0  # seconds for a pod that has to wait for room, its claim and its image
KEPT = 60.0  # seconds until somebody must have come back
_LISTENS = 15.0  # seconds from the start of its container until it answers
_IDLE = 120.0  # seconds in which nothing comes
_LOOK_AGAIN = 0.5  # seconds
_LIMITS = ClientTimeout(total=None, sock_connect=3, sock_read=_IDLE)


@dataclass(kw_only=True)
class _Flight:
    """A pod that is made ready, or hands over; *address* is where, if it is *settled* and nothing is *wrong*."""

    secret: str = field(default_factory=token_urlsafe)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = ""
    wrong: RenkuError | None = None
    task: asyncio.Task[None] = field(init=False)


_flights: dict[str, _Flight] = {}  # by claim


def under_way() -> list[asyncio.Task[None]]:
    """The pods that have not been taken away."""
    return [flight.task for flight in _flights.values()]


async def pieces(asked: Claim) -> AsyncGenerator[bytes, None]:
    """The archive.

    Raises:
        Unavailable: before the first piece: `download_waits`, `download_failed`, or what the cluster says.
        CutOff: after it.
    """
    flight = await _for(asked)
    try:
        async with asyncio.timeout(WAIT):
            await flight.settled.wait()
    except TimeoutError:
        raise Unavailable(sentence("download_waits"), code="download_waits", retry_after=10) from None
    if flight.wrong is not None:
        raise flight.wrong
    flight.taken.set()
    try:
        async with aclosing(_handed_over(flight)) as handed_over:  # its connection too ends with who takes it
            async for piece in handed_over:
                yield piece
    finally:
        flight.done.set()


async def _for(asked: Claim) -> _Flight:
    """The pod that is made ready for it, or a new one."""
    flight = _flights.get(asked.claim)
    if flight is not None and flight.taken.is_set():  # it hands over once
        await asyncio.wait({flight.task})
        flight = None
    limit = asked.parts.policy.downloads
    if flight is None and len(_flights) >= limit:
        raise downloads.busy(limit)
    return flight or _begun(asked)


async def _handed_over(flight: _Flight) -> AsyncGenerator[bytes, None]:
    begun = False
    try:
        async with _client() as client, await _asked(client, flight) as answer:
            answer.raise_for_status()
            async for piece in answer.content.iter_any():
                begun = True
                yield piece
    except (ClientError, TimeoutError, OSError) as error:
        if begun:
            raise CutOff(f"the pod that reads them is gone ({type(error).__name__})") from None
        raise _failed("the pod that reads them does not answer.") from None


def _client() -> ClientSession:
    return ClientSession(timeout=_LIMITS, cookie_jar=DummyCookieJar(), auto_decompress=False)


async def _asked(client: ClientSession, flight: _Flight) -> ClientResponse:
    """Its container runs, and listens in a moment."""
    end = monotonic() + _LISTENS
    while True:
        try:
            return await client.get(flight.address, headers={"Authorization": f"Bearer {flight.secret}"})
        except ClientConnectorError:
            if monotonic() > end:
                raise
        await asyncio.sleep(_LOOK_AGAIN)


# ---- the pod ---------------------------------------------------------------------------------------------


def _begun(asked: Claim) -> _Flight:
    flight = _flights[asked.claim] = _Flight()
    flight.task = asyncio.ensure_future(_fly(asked, flight))
    return flight


async def _fly(asked: Claim, flight: _Flight) -> None:
    try:
        await _see_through(asked, flight)
    except Denied as denied:
        said = denied.refusal
        flight.wrong = Unavailable(sentence(said.code, **said.values), code=said.code, retry_after=60)
    except RenkuError as wrong:
        flight.wrong = wrong
    except Exception:
        log.exception("What is in %s could not be handed over", asked.claim)
        flight.wrong = _failed("something went wrong.")
    finally:
        if not flight.address and flight.wrong is None:
            flight.wrong = _failed("somebody needs the disk.")
        flight.settled.set()
        if _flights.get(asked.claim) is flight:
            del _flights[asked.claim]


async def _see_through(asked: Claim, flight: _Flight) -> None:
    """Make the pod, and take it away when it is not needed any more."""
    at = await pod_contents.at_rest(asked)
    if at is None:
        raise _failed("the disk is in use, or gone.")
    digest = sha256(flight.secret.encode()).hexdigest()
    name = f"renku-download-{asked.instance.claim}-{new_id()}"
    wanted = download.pod(name, *at, asked.settings, program=partial(packed.command, "handing"), secret=digest)
    made = await asked.calls.create_pod(wanted, image=asked.settings.clone_image)
    try:
        flight.address = await _until_it_runs(asked.calls, name)
        flight.settled.set()
        await _until_handed_over(flight)
    finally:
        await pod_errand.put_away(asked.calls, name, made["metadata"]["uid"])


async def _until_it_runs(calls: Calls, name: str) -> str:
    """Its address, when its container runs. Raises Unavailable, Denied."""
    end = monotonic() + PATIENCE
    while True:
        found = await calls.pod(name)
        address = text(dig(found, "status", "podIP"))
        if text(dig(found, "status", "phase")) == "Running" and address:
            return f"http://{f'[{address}]' if ':' in address else address}:{download.PORT}/"
        if helper.ended(found) or monotonic() > end:
            raise _failed(_why(found))
        await asyncio.sleep(_LOOK_AGAIN)


async def _until_handed_over(flight: _Flight) -> None:
    try:
        async with asyncio.timeout(KEPT):
            await flight.taken.wait()
    except TimeoutError:
        return
    await flight.done.wait()


def _why(found: Raw | None) -> str:
    """What the cluster says of a pod that does not come up."""
    for condition in dig(found, "status", "conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no machine has room for it: {text(condition.get('message'))[:200]}"
    return "the pod that reads them did not start."


def _failed(why: str) -> Unavailable:
    return Unavailable(sentence("download_failed", message=why), code="download_failed", retry_after=60)


async def end(calls: Calls, claim: str, *, left: bool = False) -> None:
    """Have nothing hold the claim; with *left*, nothing of an earlier hub either.

    Raises:
        Denied: the cluster does not do it.
    """
    flight = _flights.pop(claim, None)
    if flight is not None:
        flight.task.cancel()
        await asyncio.wait({flight.task})
    if left or flight is not None:
        await pod_errand.remove(calls, await calls.pods(download.selector("", claim)))


async def sweep(calls: Calls, hub: str) -> None:
    """Remove what a hub that was killed has left, as soon as the cluster lets us."""
    await pod_errand.sweep(
        calls, download.selector(hub), lambda pod: dig(pod, "metadata", "labels", download.LABEL) in _flights
    )
