"""Pods and claims of sessions as the cluster has them, for an operator.

What opens a remote (`storages`) has a claim and a Secret of one name. Secrets are not listed, which would need a right
that the hub has no other use for: its claim tells of both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..domain.inventory import Kind, Thing
from .keep import SESSION
from .objects import Raw, dig, text, when
from .settings import PREFIX
from .storages import STORAGE
from .vanish import RUN

HUB = f"{PREFIX}hub"
CLAIM = "work-"  # what the name of a claim has before its id


def selector(hub: str, label: str = SESSION) -> str:
    """Finds what belongs to sessions of this hub; one without a label has what no label of a hub is on."""
    return f"{label},{HUB}={hub}" if hub else f"{label},!{HUB}"


def pods(found: Iterable[Raw], hub: str) -> list[Thing]:
    """Those of sessions of this hub, as the watch has them."""
    ours = (pod for pod in found if _label(pod, SESSION) and _label(pod, HUB) == hub)
    return [_thing(Kind.POD, pod, _label(pod, RUN)) for pod in ours]


def claims(found: Iterable[Raw]) -> list[Thing]:
    return [_thing(Kind.CLAIM, claim, text(dig(claim, "metadata", "name")).removeprefix(CLAIM)) for claim in found]


def storages(found: Iterable[Raw]) -> list[Thing]:
    return [_thing(Kind.STORAGE, claim, _label(claim, RUN)) for claim in found]


def going_with(claim: str, uid: str, secret: Raw | None) -> dict[str, Any] | None:
    """The patch by which the *secret* of a storage goes with its *claim*; None where there is none of ours."""
    if secret is None or not _label(secret, STORAGE):
        return None
    owner = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": claim, "uid": uid}
    return {"metadata": {"uid": dig(secret, "metadata", "uid"), "ownerReferences": [owner]}}


def _thing(kind: Kind, raw: Raw, of: str) -> Thing:
    return Thing(
        kind=kind,
        name=text(dig(raw, "metadata", "name")),
        of=of,
        uid=text(dig(raw, "metadata", "uid")),
        username=_note(raw, "username"),
        session=_label(raw, SESSION),
        title=_note(raw, "title"),
        size=_size(raw),
        made_at=when(dig(raw, "metadata", "creationTimestamp")),
        leaving=bool(dig(raw, "metadata", "deletionTimestamp")),
    )


def _size(raw: Raw) -> str:
    """What a claim has, or asks for as long as it has nothing."""
    return text(dig(raw, "status", "capacity", "storage")) or text(dig(raw, "spec", "resources", "requests", "storage"))


def _label(raw: Raw, name: str) -> str:
    return text(dig(raw, "metadata", "labels", name))


def _note(raw: Raw, name: str) -> str:
    return text(dig(raw, "metadata", "annotations", f"{PREFIX}{name}"))
