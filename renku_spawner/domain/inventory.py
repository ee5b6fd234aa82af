"""What there is of sessions beside our records: pods and claims of a cluster, folders of one machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from .instance import Instance, Status

GRACE = timedelta(minutes=10)  # what is younger may be on its way


class Kind(StrEnum):
    """What an orphan is: a pod, claim or folder that no record names, what opens a remote for a pod that is
    gone (`storage`), or a record of which nothing runs (`run`) or nothing is kept (`record`) any more."""

    POD = "pod"
    CLAIM = "claim"
    FOLDER = "folder"
    STORAGE = "storage"
    RUN = "run"
    RECORD = "record"


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A pod, a claim or a folder as it was found. `of` is the run of a pod or storage, or the id of a claim or
    folder, by which records name it; `size` is a quantity; `leaving`: it is being removed already."""

    kind: Kind
    name: str
    of: str
    uid: str = ""
    username: str = ""
    session: str = ""
    title: str = ""
    size: str = ""
    made_at: datetime | None = None
    leaving: bool = False

    @property
    def keeps_files(self) -> bool:
        return self.kind in (Kind.CLAIM, Kind.FOLDER)


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Everything that was found, of what sessions of this hub run on; `pods`: whether that has pods.

    `unknown` says why nobody can tell now: then nothing is an orphan. `warning` says why what was
    found may be somebody else's: then nothing of it is offered for clean-up.
    """

    things: tuple[Thing, ...] = ()
    pods: bool = True
    unknown: str | None = None
    warning: str | None = None


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """What has no counterpart; `hindrance` says why it is not offered for clean-up."""

    kind: Kind
    name: str
    uid: str = ""
    username: str = ""
    session: str = ""
    title: str = ""
    size: str = ""
    since: datetime | None = None
    hindrance: str | None = None


def of_thing(thing: Thing, beside: Instance | None, *, has_pod: bool, foreign: bool, now: datetime) -> Orphan:
    """An orphan that was found; *beside* is what is on record of its owner's in the same session, and *foreign*
    whether it may be somebody else's."""
    strange = "Another hub in this namespace may have made it." if foreign else None
    return Orphan(
        kind=thing.kind, name=thing.name, uid=thing.uid, username=thing.username, session=thing.session,
        title=thing.title, size=thing.size, since=thing.made_at,
        hindrance=strange or _in_use(thing, beside, has_pod=has_pod) or too_young(thing.made_at, now),
    )  # fmt: skip


def _in_use(thing: Thing, beside: Instance | None, *, has_pod: bool) -> str | None:
    if thing.leaving:
        return "It is being removed already."
    if not thing.keeps_files:
        return None
    if has_pod:
        return "A pod of its session is there, which may use it."
    if beside is not None and beside.status is Status.UNKNOWN:
        return "Nobody knows now whether its owner's session runs."
    return "Its owner's session is in use." if beside is not None and beside.active else None


def of_record(kind: Kind, instance: Instance, title: str, *, now: datetime) -> Orphan:
    """A record of which nothing is there."""
    since = (instance.stage_at or instance.requested_at) if kind is Kind.RUN else instance.paused_at
    unsure = "Nobody knows now whether it runs." if instance.status is Status.UNKNOWN else None
    used = "It is in use." if kind is Kind.RECORD and instance.active else None
    return Orphan(
        kind=kind, name=instance.id, username=instance.username, session=instance.session, title=title, since=since,
        hindrance=unsure or used or too_young(since, now),
    )  # fmt: skip


def too_young(since: datetime | None, now: datetime) -> str | None:
    if since is not None and now - since < GRACE:
        return f"Too young: it may be on its way. Offered {int(GRACE.total_seconds() // 60)} minutes after it was made."
    return None


def pairs(things: Iterable[Thing]) -> set[tuple[str, str]]:
    """Whose, and of which session."""
    return {(thing.username, thing.session) for thing in things if thing.username and thing.session}
