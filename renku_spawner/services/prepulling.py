"""Keeps the images of ready-made environments on every node, and says on which they are."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable

from .. import metrics
from ..domain.environment import Environment
from ..domain.errors import Unavailable
from ..domain.spread import Amiss, Puller, container
from ..store.database import Transaction
from .parts import Parts, read
from .pins import image_of, reference
from .prepuller import Known

log = logging.getLogger("renku_spawner")
_AGAIN, _AGAIN_MAX = 5.0, 300.0  # seconds from one failure to the next try
_LOOK = 600.0  # seconds after which all is said again: somebody may have made the DaemonSet anew
_DEADLINE, _FRESH = 2.0, 5.0  # seconds that a page waits for the cluster, and for which its answer is good enough


async def forever(parts: Parts, puller: Puller) -> None:
    """Keep what is offered on the nodes: at once, after each change, and longer after each failure."""
    state, failures = parts.prepulling, 0
    while True:
        failures = 0 if await _kept(parts, puller) else failures + 1
        pause = min(_AGAIN_MAX, _AGAIN * 2 ** min(failures - 1, 10)) if failures else _LOOK
        await state.change(within=pause * random.uniform(0.5, 1))


async def _kept(parts: Parts, puller: Puller) -> bool:
    """Whether the nodes are told what they have to have; what is amiss is said once, and stays to be read."""
    try:
        await puller.keep(await read(parts, _added))
    except (Amiss, Unavailable) as problem:
        _note(parts, str(problem))
    except Exception:
        log.exception("The pre-puller could not be told which images it has to keep")
        parts.prepulling.problem = "Something unexpected happened; the hub's log says what."
    else:
        _note(parts, "")
    well = not parts.prepulling.problem
    (metrics.done if well else metrics.failed)("prepulling")
    return well


def _note(parts: Parts, problem: str) -> None:
    if problem and problem != parts.prepulling.problem:
        log.warning("Images of environments that were added in the browser are not kept on the nodes: %s", problem)
    parts.prepulling.problem = problem


def _added(tx: Transaction) -> dict[str, str]:
    """The images of what admins have added in the browser and offer; a draft is nothing that anybody can start."""
    return {container(each): _image(each) for each in tx.environments.offered() if each.key is None}


def _image(environment: Environment) -> str:
    return reference(image_of(environment.revision))


async def known(parts: Parts, environments: Iterable[Environment]) -> Known | None:
    """On which nodes those of them are that are offered; None where nothing is pulled beforehand."""
    puller, problem = parts.prepulling.puller, parts.prepulling.problem
    if puller is None:
        return None
    wanted = {each.id: (container(each), None if each.key else _image(each)) for each in environments if each.offered}
    key = (problem, frozenset(wanted.items()))
    found = parts.prepulling.known.get(key)
    if found is None:
        found = await _asked(puller, wanted, problem)
        parts.prepulling.known.put(key, found, seconds=_FRESH)
    return found


async def _asked(puller: Puller, wanted: dict[str, tuple[str, str | None]], problem: str) -> Known:
    try:
        async with asyncio.timeout(_DEADLINE):
            spread = await puller.spread(dict(wanted.values()))
    except TimeoutError:
        return Known(problem=problem or "The cluster has not said in time which nodes have which image.")
    except Amiss as amiss:
        return Known(problem=problem or str(amiss))
    return Known(spread={id: spread[name] for id, (name, _) in wanted.items()}, problem=problem)
