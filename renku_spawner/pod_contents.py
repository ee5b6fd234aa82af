"""What lies in the claim of a session, told by a pod of a few seconds that can only read it.

There is one look at a claim at a time. It goes on when nobody waits for it any more, so that
whoever asks again has what it found; and it ends when a start or a deletion needs the claim.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from time import monotonic

from . import pod_errand
from .domain.environment import RunConfiguration
from .domain.instance import Desired, Instance
from .domain.names import new_id
from .kube import helper, look
from .kube.calls import Calls, Denied
from .kube.helper import Place
from .kube.objects import Raw, dig
from .kube.settings import PodSettings
from .runtime import contents
from .runtime.contents import Contents, Look
from .services import revisions, runs
from .services.parts import Parts

log = logging.getLogger("renku_spawner")

WAIT = 3.0  # seconds for which whoever asks is kept waiting
PATIENCE = 150.0  # seconds for a pod that has to wait for room, its claim and its image
KEPT, KEPT_AT_REST = 20.0, 300.0  # seconds; in a claim that nobody uses nothing changes
MOST = 8  # looks at a time: every pod counts towards a quota


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is looked at: the *claim* of an instance, whose *pod* may run; *place* is for a look while it does not."""

    parts: Parts
    calls: Calls
    instance: Instance
    claim: str
    pod: str
    place: Place
    settings: PodSettings


@dataclass(kw_only=True)
class _Flight:
    """A look that is under way, or what it found: good *until* then, and for that *generation* of the instance."""

    generation: int
    task: asyncio.Task[None] = field(init=False)
    found: Contents | None = None
    until: float = 0.0

    def good(self, instance: Instance) -> bool:
        return not self.task.done() or (self.generation == instance.generation and monotonic() < self.until)


_flights: dict[str, _Flight] = {}  # by claim


def under_way() -> list[asyncio.Task[None]]:
    """The looks that have not ended."""
    return [flight.task for flight in _flights.values() if not flight.task.done()]


async def see(asked: Claim) -> Look:
    """What is in it, if that is known in a moment. Raises nothing."""
    for name in [name for name, one in _flights.items() if one.task.done() and one.until < monotonic()]:
        del _flights[name]
    flight = _flights.get(asked.claim)
    if flight is None or not flight.good(asked.instance):
        if len(under_way()) >= MOST:
            return Look(under_way=True)  # others are before it
        flight = _flights[asked.claim] = _begun(asked)
    await asyncio.wait({flight.task}, timeout=WAIT)
    return Look(contents=flight.found, under_way=not flight.task.done())


def _begun(asked: Claim) -> _Flight:
    flight = _Flight(generation=asked.instance.generation)
    flight.task = asyncio.ensure_future(_fly(asked, flight))
    return flight


async def _fly(asked: Claim, flight: _Flight) -> None:
    try:
        flight.found = await _find(asked)
    except Denied as denied:
        log.info("What is in %s cannot be looked at: %s", asked.claim, denied.refusal.code)
    except Exception:
        log.exception("What is in %s could not be looked at", asked.claim)
    at_rest = flight.found is not None and not asked.instance.active
    flight.until = monotonic() + (KEPT_AT_REST if at_rest else KEPT)


async def _find(asked: Claim) -> Contents | None:
    """Where a session is about to start, nothing else takes its claim to another machine. Raises Denied."""
    claim, session = await asked.calls.claim(asked.claim), await asked.calls.pod(asked.pod)
    now = await _recorded(asked)
    runs_now = not helper.ended(session)
    if claim is None or now is None or not look.readable(claim, now.session) or (now.active and not runs_now):
        return None
    at = await _reach(asked, now, claim, session)
    if runs_now and not at[2].node:  # it has no place yet, and its claim none either
        return None
    pod = look.pod(f"renku-look-{now.claim}-{new_id()}", *at, asked.settings)
    said = await pod_errand.printed(asked.calls, pod, patience=PATIENCE, lines=1, limit=look.LOG_BYTES)
    return await asyncio.to_thread(contents.read, said)


async def at_rest(asked: Claim) -> tuple[Raw, RunConfiguration, Place] | None:
    """The claim, and how and where a pod reads it; None unless its session rests. Raises Denied."""
    claim, session = await asked.calls.claim(asked.claim), await asked.calls.pod(asked.pod)
    now = await _recorded(asked)
    if claim is None or now is None or not look.readable(claim, now.session) or now.active:
        return None
    return await _reach(asked, now, claim, session)


async def _recorded(asked: Claim) -> Instance | None:
    """As it is now, if it still is that of the claim."""
    now = await runs.recorded(asked.parts, asked.instance.username, asked.instance.session)
    gone = now is None or now.desired is Desired.DELETED or now.claim != asked.instance.claim
    return None if gone else now


async def _reach(asked: Claim, now: Instance, claim: Raw, session: Raw | None) -> tuple[Raw, RunConfiguration, Place]:
    """As whom and where a pod reads the claim: beside its session's pod, as long as there is one."""
    run, place = await revisions.run_of(asked.parts, now), asked.place
    if session is not None and not helper.ended(session):
        run, place = look.as_in(session, run), replace(helper.beside(session), pull_secrets=place.pull_secrets)
    return claim, run, place


async def end(calls: Calls, claim: str, *, left: bool = False) -> None:
    """Have nothing hold the claim: neither a look that is under way, nor, with *left*, one of an earlier hub.

    Raises:
        Denied: the cluster does not do it.
    """
    flight = _flights.pop(claim, None)
    if flight is not None and not flight.task.done():
        flight.task.cancel()
        await asyncio.wait({flight.task})
        left = True
    if left:
        await pod_errand.remove(calls, await calls.pods(look.selector("", claim)))


async def sweep(calls: Calls, hub: str) -> None:
    """Remove what a hub that was killed has left, as soon as the cluster lets us."""
    await pod_errand.sweep(
        calls, look.selector(hub), lambda pod: dig(pod, "metadata", "labels", look.LABEL) in _flights
    )
