"""What a document means for a session that is there: described in it, or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..domain.as_code import Described, Difference, Source
from ..domain.environment import Revision
from ..domain.project import Project
from ..domain.session import Configuration, Session, SessionChange
from ..domain.variables import look_secret
from ..store.database import Lost, Transaction
from . import code_means, removal, revisions, sessions
from .code_means import Meant, There
from .code_step import Asked, Kind, Step, require_storages
from .parts import read
from .sessions import Work

_DATA = "Other people have data in it, so it stays; remove it on its page if it must go."


async def changed(asked: Asked, made: Step, wanted: Described, session: Session) -> Step:
    environment = await _meant(asked, session, wanted.environment)
    configuration = wanted.over(session.configuration)
    other = configuration != session.configuration
    if other:
        require_storages(asked, configuration)
    change = SessionChange(
        version=session.version,
        title=_unless_same(wanted.title, session.title),
        description=_unless_same(wanted.description, session.description),
        configuration=sessions.checked(asked.parts.policy, asked.project, configuration) if other else None,
        image=environment.image,
    )
    default = wanted.default and asked.project.default_session != session.id
    differences = (
        *_texts(session, change),
        *_configurations(session, configuration),
        *environment.differences,
        *([Difference(field="default", old="", new="yes")] if default else []),
    )
    kind = Kind.CHANGE if differences or environment.refused else Kind.SAME
    made = replace(made, kind=kind, differences=differences, notes=environment.notes)
    if environment.refused:
        at = {f"{made.path}.environment.{key}": sentence for key, sentence in environment.refused}
        return replace(made, refused=at)
    if other:
        made = replace(made, notes=(*made.notes, *sessions.warnings(asked.parts.policy, configuration)))
    if not differences or not asked.may:
        return made
    mine = await read(asked.parts, lambda tx: tx.instances.get(session.id, asked.person.name))
    return replace(made, works=await _works(asked, session, change, environment, default=default), mine=mine)


def _unless_same(wanted: str | None, present: str) -> str | None:
    return None if wanted == present else wanted


async def _meant(asked: Asked, session: Session, source: Source) -> Meant:
    """What is the same needs no history."""
    there = There(project=asked.project, session=session, successor=asked.heirs.get(session.id))
    found = code_means.meant(there, source)
    if found == replace(found, differences=(), refused=(), image=None, revision=None):
        return found
    history = await read(asked.parts, lambda tx: tx.environments.revisions(session.environment.id))
    return code_means.meant(replace(there, history=history), source)


async def _works(
    asked: Asked, session: Session, change: SessionChange, environment: Meant, *, default: bool
) -> tuple[Work, ...]:
    parts, person, project = asked.parts, asked.person, asked.project
    works: list[Work] = [_unchanged(project, session)]
    if change != SessionChange(version=session.version):
        if change.image is not None and change.image.image:
            asked.count()
        works.append(await sessions.changing(parts, person, project, session.id, change))
    if environment.heir is not None:
        works.append(_succeeded(project, session, environment.heir.revision))
    elif environment.revision is not None:
        works.append(await revisions.choosing(parts, person, project, session, environment.revision.number))
    if default:
        works.append(removal.defaulting(project, session.id))
    return tuple(works)


def _unchanged(project: Project, session: Session) -> Work:
    """Somebody else was faster: what was planned was planned for another version."""

    def work(tx: Transaction) -> Session:
        present = sessions.of(tx, project, session.id)
        if present.version != session.version:
            raise sessions.changed(present)
        return present

    return work


def _succeeded(project: Project, session: Session, revision: Revision) -> Work:
    def work(tx: Transaction) -> Session:
        present = sessions.of(tx, project, session.id)
        try:
            return tx.sessions.pin(present, revision)
        except Lost:
            raise sessions.changed(present) from None

    return work


def _texts(session: Session, change: SessionChange) -> list[Difference]:
    found = []
    if change.title is not None:
        found.append(Difference(field="title", old=session.title, new=change.title))
    if change.description is not None:
        found.append(Difference(field="description", old=session.description, new=change.description))
    return found


def _configurations(session: Session, wanted: Configuration) -> list[Difference]:
    old, new = _flat(session.configuration), _flat(wanted)
    found = [Difference(field=name, old=old[name], new=new[name]) for name in old if old[name] != new[name]]
    return found + _variables(session.configuration.variables, wanted.variables)


def _flat(configuration: Configuration) -> dict[str, str]:
    needs = configuration.needs
    return {
        "cpu": needs.cpu, "memory": needs.memory, "gpu": str(needs.gpu), "disk": needs.disk,
        "repositories": _chosen(configuration.repositories), "storages": _chosen(configuration.storages),
    }  # fmt: skip


def _chosen(directories: tuple[str, ...] | None) -> str:
    return "all" if directories is None else ", ".join(directories) or "none"


def _variables(old: Mapping[str, str], new: Mapping[str, str]) -> list[Difference]:
    """Values that look secret are not repeated."""
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [Difference(field=f"variables.{name}", old=_shown(name, old), new=_shown(name, new)) for name in names]


def _shown(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        return ""
    return "•••" if look_secret({name: ""}) else values[name] or "(empty)"


async def left(asked: Asked, session: Session, *, prune: bool) -> Step:
    """It stays, unless all that is not described shall go and nobody else has data in it (decision 5)."""
    made = Step(kind=Kind.LEAVE, title=session.title, session=session)
    if not prune:
        return made
    others = await read(asked.parts, lambda tx: tx.instances.others_have_data(session.id, asked.person.name))
    if others:
        return replace(made, notes=(_DATA,))
    works = (_unchanged(asked.project, session), removal.removing(asked.parts, asked.project, session.id))
    return replace(made, kind=Kind.REMOVE, works=works if asked.may else ())
