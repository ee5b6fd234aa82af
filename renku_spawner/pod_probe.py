"""Looks into the image of a session that runs, beside it: whatever comes of it, the session does not notice."""

from __future__ import annotations

import asyncio
import logging

from . import pod_errand
from .domain import probed
from .domain.session import SessionSpec
from .domain.software import Origin
from .kube import probe
from .kube.calls import Calls, Denied
from .kube.settings import PodSettings
from .services import software
from .services.parts import Parts

log = logging.getLogger("renku_spawner")

PATIENCE = 60.0  # seconds, for a machine that is busy
_under_way: set[str] = set()  # digests: one at a time, since every pod counts towards a quota


async def look_into(parts: Parts, calls: Calls, pod: str, spec: SessionSpec, settings: PodSettings) -> None:
    """Keep what is installed in the image that the session's *pod* runs, if nobody knows yet. Raises nothing."""
    if _under_way or not spec.digest:
        return
    _under_way.add(spec.digest)
    try:
        if await software.wanted(parts, spec.digest):
            await _keep(parts, spec.digest, await _report(calls, pod, spec, settings))
    except Denied as denied:
        log.info("What is installed in %s is not known yet: %s", spec.image, denied.refusal.code)
    except Exception:
        log.exception("What is installed in %s could not be found out", spec.image)
    finally:
        _under_way.discard(spec.digest)


async def _keep(parts: Parts, digest: str, report: str) -> None:
    found = await asyncio.to_thread(probed.read, report, origin=Origin.IMAGE, found_at=parts.now())
    if found is None:
        log.info("The image %s does not say what is installed in it", digest)
    elif found.packages or found.interpreters:
        await software.keep(parts, digest, found)


async def _report(calls: Calls, pod: str, spec: SessionSpec, settings: PodSettings) -> str:
    """What the probe printed; empty if it came to nothing. Raises Denied."""
    session = await calls.pod(pod)  # whole: the watch keeps nothing of where it may run
    if session is None:
        return ""
    errand = probe.pod(session, spec, settings)
    return await pod_errand.printed(calls, errand, patience=PATIENCE, lines=probe.LINES, limit=probed.LIMIT)
