"""What becomes of a session's claim: made once, grown when asked, deleted with its data, never another's."""

from __future__ import annotations

from kubernetes_asyncio.client import V1PersistentVolumeClaim

from ..domain.session import SessionSpec
from . import claims
from .calls import Calls, Denied
from .objects import Raw, dig, text
from .refusal import Refusal
from .settings import PREFIX
from .verdict import Notice

SESSION = f"{PREFIX}session"


async def keep(calls: Calls, claim: V1PersistentVolumeClaim, spec: SessionSpec, *, expected: bool) -> Notice | None:
    """Have the claim there for the pod. The answer is what to tell if it could not become as large as asked.

    *expected*: it holds somebody's work, so that it is not made anew if it is gone.

    Raises:
        Denied: `volume_lost`, or what the cluster says.
    """
    if not expected and await _made(calls, claim):
        return None
    name = claim.metadata.name
    present = await calls.claim(name)
    if present is not None and _session(present) != spec.session:
        raise Denied(Refusal(code="in_the_way", values={"name": name}))
    if present is not None and not dig(present, "metadata", "deletionTimestamp"):
        return await _grow(calls, present, spec)
    if expected:
        raise Denied(Refusal(code="volume_lost"))
    await calls.create_claim(claim)
    return None


async def _made(calls: Calls, claim: V1PersistentVolumeClaim) -> bool:
    """Whether it is there now and was not before; a quota may refuse what need not be made at all."""
    try:
        return await calls.create_claim(claim)
    except Denied as denied:
        if denied.refusal.again or await calls.claim(claim.metadata.name) is None:
            raise
        return False


async def _grow(calls: Calls, present: Raw, spec: SessionSpec) -> Notice | None:
    """Whether a storage class lets claims grow is learnt from its refusal (decision 29)."""
    patch = claims.growth(present, spec)
    if patch is None:
        return None
    try:
        await calls.patch_claim(text(dig(present, "metadata", "name")), patch)
    except Denied as denied:
        return Notice(code="volume_resize", values={"message": denied.refusal.values.get("message", "")})
    return None


async def discard(calls: Calls, name: str, session: str) -> bool:
    """Delete the claim with exactly this instance's work in it (R38); false if it is another's."""
    present = await calls.claim(name)
    if present is None:
        return True
    if _session(present) != session:
        return False
    await calls.delete_claim(name, uid=text(dig(present, "metadata", "uid")))
    return True


def _session(claim: Raw) -> str | None:
    return text(dig(claim, "metadata", "labels", SESSION)) or None
