"""What a page shows beside its sessions, in as few statements whatever their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..domain.environment import Environment, Kind, State
from ..domain.instance import Instance, Status
from ..domain.session import Session
from ..domain.sighting import Update, update
from ..store.database import Transaction
from .build_news import key_of
from .parts import Parts
from .pins import tag_of

_STEPS = 10  # of successors that were retired, too


@dataclass(frozen=True, kw_only=True)
class Other:
    """One's own instance of another session, which takes the only place for its environment."""

    instance: Instance
    title: str


def updates(tx: Transaction, sessions: Sequence[Session]) -> dict[str, Update]:
    """The newer images that wait, by session, but those that an editor has dismissed; one statement for each
    kind of image that is not ready-made."""
    own = [s.environment.revision for s in sessions if s.environment.kind is Kind.EXTERNAL]
    seen = tx.images.some(tag.canonical for revision in own if (tag := tag_of(revision)))
    built = tx.builds.some(key_of(s.environment.revision) for s in sessions if s.environment.revision.built)
    found = {
        s.id: update(
            s.revision,
            s.environment,
            seen.get(s.environment.revision.canonical),
            built.get(key_of(s.environment.revision)),
        )
        for s in sessions
    }
    dismissed = {s.id: s.dismissed for s in sessions}
    return {id: each for id, each in found.items() if each and each.digest != (dismissed[id] or "")}


def usual(tx: Transaction, mine: Mapping[str, Instance]) -> dict[str, float]:
    """The usual seconds of the starts that are under way, by session."""
    starts = {id: each.revision for id, each in mine.items() if each.status is Status.LAUNCHING and each.revision}
    found = tx.launches.usual_of(starts.values()) if starts else {}
    return {id: found[revision] for id, revision in starts.items() if revision in found}


def other(found: Mapping[str, Other], session: Session) -> Other | None:
    there = found.get(_slot(session))
    return there if there and there.instance.session != session.id else None


def _slot(session: Session) -> str:
    return f"{session.project}/{session.environment.id}"


def others(
    tx: Transaction, parts: Parts, mine: Mapping[str, Instance], sessions: Sequence[Session]
) -> dict[str, Other]:
    """What the person runs of the same environments in this project, by slot."""
    if not parts.policy.one_active_per_environment:
        return {}
    slots = {_slot(session) for session in sessions}
    titles = {session.id: session.title for session in sessions}
    found = [instance for instance in mine.values() if instance.slot in slots]
    for instance in found:
        if instance.session not in titles:
            away = tx.sessions.get(instance.session, deleted=True)
            titles[instance.session] = away.title if away else instance.session
    return {instance.slot or "": Other(instance=instance, title=titles[instance.session]) for instance in found}


def successors(tx: Transaction, sessions: Sequence[Session]) -> dict[str, Environment]:
    """What is offered in place of environments that are on their way out, by session."""
    out = (State.DEPRECATED, State.ARCHIVED)
    wanted = {s.id: s.environment.successor for s in sessions if s.environment.successor and s.environment.state in out}
    heirs = heirs_of(tx, [id for id in wanted.values() if id])
    return {session: heirs[id] for session, id in wanted.items() if id in heirs}


def heirs_of(tx: Transaction, ids: Sequence[str]) -> dict[str, Environment]:
    """For each of these successors the first that is active, itself or one that comes after it."""
    known: dict[str, Environment] = {}
    missing = set(ids)
    for _ in range(_STEPS):
        if not missing:
            break
        known |= tx.environments.some(missing)
        retired = [each for each in known.values() if each.state is not State.ACTIVE]
        missing = {each.successor for each in retired if each.successor} - known.keys()
    return {id: heir for id in ids if (heir := _heir(known, id))}


def _heir(known: Mapping[str, Environment], id: str | None) -> Environment | None:
    for _ in range(_STEPS):
        found = known.get(id or "")
        if found is None or found.state is State.ACTIVE:
            return found
        id = found.successor
    return None
