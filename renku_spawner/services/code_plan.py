"""A document of a project's sessions: what it would change, and the change in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..domain.access import Action, Person
from ..domain.as_code import Described, Document
from ..domain.errors import Conflict, Forbidden, Invalid
from ..domain.project import Project
from ..domain.session import Session
from ..domain.storage import Storage
from ..domain.text import folded
from ..store.database import Clash, Lost, Transaction
from . import beside, code_changed, code_new, code_storage
from .code_export import list_sessions
from .code_step import Asked, Kind, Step
from .parts import Parts, read, write_in_thread

_AT_ONCE = 4  # steps that are looked at, of one document: registries are asked
_ORDER = (Kind.CHANGE, Kind.REMOVE, Kind.ADD)  # a title, and a place below the limit, become free before they are taken
_CONFIGURATION = frozenset(("cpu", "memory", "gpu", "disk", "repositories", "storages", "variables"))
_RUN = frozenset(("default_url", "port", "command", "working_directory", "uid", "gid", "image_user"))
_PLACES = {
    "environment": "environment", "image": "environment.image", "repository": "environment.repository",
    "branch": "environment.repository.branch", "name": "environment.name", "revision": "environment.digest",
}  # fmt: skip
_FASTER = "Somebody else changed the project in the meantime; look at it again."
_TWICE = "Another session of this document means the one that was called so."


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What becomes of each session; `forbidden` is why the person may do nothing of it, in a sentence."""

    project: Project
    steps: tuple[Step, ...]
    forbidden: str | None = None

    @property
    def refused(self) -> dict[str, str]:
        """Why parts of it cannot be, by path: then none of it is done."""
        return {path: sentence for step in self.steps for path, sentence in step.refused.items()}

    @property
    def changes(self) -> bool:
        return any(step.kind in _ORDER for step in self.steps)


async def plan(
    parts: Parts,
    person: Person,
    ref: str,
    document: Document,
    *,
    prune: bool = False,
    count: Callable[[], None] = lambda: None,
) -> Plan:
    """What *document* would change, for whoever may see the project; nothing is written.

    *count* is called before a registry is asked about an image. Sessions that it does not name stay, with *prune* they
    go unless somebody else has data in them.

    Raises:
        NotFound, Unavailable; what *count* raises.
    """
    project, forbidden = await _permitted(parts, person, ref)
    present = await list_sessions(parts, project)
    kept, asked = await read(parts, lambda tx: _known(tx, parts, person, project, present))
    named_too = {each.directory for each in document.storages}
    asked = replace(asked, may=forbidden is None, count=count, storages=frozenset({*kept, *named_too}))
    places = list(enumerate(document.storages))
    data = await _gathered(
        code_storage.step(asked, f"storages.{n}", each, kept.get(each.directory)) for n, each in places
    )
    found, twice = matched(document, present)
    numbered = list(enumerate(document.sessions))
    steps = await _gathered(_step(asked, f"sessions.{n}", each, found[n]) for n, each in numbered)
    named = {each.id for each in found if each}
    rest = await _gathered(code_changed.left(asked, each, prune=prune) for each in present if each.id not in named)
    steps = [replace(each, refused={each.path: _TWICE}) if n in twice else each for n, each in enumerate(steps)]
    return Plan(project=project, steps=tuple(_limited(parts, present, [*data, *steps, *rest])), forbidden=forbidden)


async def apply(
    parts: Parts,
    person: Person,
    ref: str,
    document: Document,
    *,
    prune: bool = False,
    count: Callable[[], None] = lambda: None,
    before: Callable[[Plan], Awaitable[None]] | None = None,
) -> Plan:
    """Do what `plan` says, all of it or nothing; *before* may still refuse. A second time it changes nothing.

    Raises:
        NotFound, Forbidden, Unavailable.
        Invalid: with a sentence at each path of the document that cannot be.
        Conflict: `changed`, when somebody else was faster; `title_taken`.
    """
    await parts.source.get(person, ref, Action.WRITE)
    planned = await plan(parts, person, ref, document, prune=prune, count=count)
    if planned.forbidden:
        raise Forbidden(planned.forbidden)
    if planned.refused:
        raise Invalid("Nothing was changed: not all of this can be.", fields=planned.refused)
    if before is not None:
        await before(planned)
    if not planned.changes:
        return planned
    return await write_in_thread(parts, lambda tx: _done(tx, planned))


def _done(tx: Transaction, planned: Plan) -> Plan:
    done: dict[int, Session] = {}
    working = [n for n, each in enumerate(planned.steps) if each.works]
    for number in sorted(working, key=lambda n: _place_of(planned.steps[n])):
        for work in planned.steps[number].works:
            try:
                made = work(tx)
            except (Clash, Lost):
                raise Conflict(_FASTER, code="changed") from None
            done |= {number: made} if isinstance(made, Session) else {}
    steps = [replace(each, session=done.get(n, each.session)) for n, each in enumerate(planned.steps)]
    return replace(planned, steps=tuple(steps))


def _place_of(step: Step) -> int:
    """Storages first: sessions choose among them."""
    return -1 if step.storage else _ORDER.index(step.kind)


async def _permitted(parts: Parts, person: Person, ref: str) -> tuple[Project, str | None]:
    """The project, and why the person may not change it."""
    try:
        return await parts.source.get(person, ref, Action.WRITE), None
    except Forbidden as refusal:
        return await parts.source.get(person, ref, Action.READ), refusal.message


def _known(
    tx: Transaction, parts: Parts, person: Person, project: Project, present: Sequence[Session]
) -> tuple[dict[str, Storage], Asked]:
    kept = {each.directory: each for each in tx.storages.of_project(project.id)}
    asked = Asked(
        parts=parts, person=person, project=project, offered=tx.environments.offered(),
        heirs=beside.successors(tx, present),
        storages=frozenset(kept),
    )  # fmt: skip
    return kept, asked


def matched(document: Document, present: Sequence[Session]) -> tuple[list[Session | None], set[int]]:
    """For each described session the one that is there: by its title, or else by what it was called before.

    Also the numbers of those that mean one that another one means.
    """
    by_title = {folded(each.title): each for each in present}
    found = [by_title.get(folded(each.title)) for each in document.sessions]
    taken, twice = {each.id for each in found if each}, set()
    for number, each in enumerate(document.sessions):
        former = by_title.get(folded(each.was)) if each.was and found[number] is None else None
        if former is not None and former.id in taken:
            twice.add(number)
        elif former is not None:
            found[number] = former
            taken.add(former.id)
    return found, twice


async def _step(asked: Asked, path: str, wanted: Described, present: Session | None) -> Step:
    """What *wanted* does; what is wrong with it is in the step."""
    made = Step(kind=Kind.ADD, title=wanted.title, path=path, session=present)
    try:
        if present is None:
            return await code_new.added(asked, made, wanted)
        return await code_changed.changed(asked, made, wanted, present)
    except (Invalid, Conflict) as problem:
        kind = Kind.CHANGE if present else Kind.ADD
        return replace(made, kind=kind, refused=_below(path, problem))


def _below(path: str, problem: Invalid | Conflict) -> dict[str, str]:
    """What a service says is wrong, at the paths of the document."""
    return {f"{path}.{_place(name)}": sentence for name, sentence in problem.fields.items()} or {path: problem.message}


def _place(name: str) -> str:
    if name.partition(".")[0] in _CONFIGURATION:
        return f"configuration.{name}"
    return f"environment.run.{name}" if name in _RUN else _PLACES.get(name, name)


async def _gathered(steps: Iterable[Coroutine[Any, Any, Step]]) -> list[Step]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(step: Coroutine[Any, Any, Step]) -> Step:
        async with gate:
            await asyncio.sleep(0)  # a step that asks nobody would not yield to the event loop
            return await step

    return list(await asyncio.gather(*map(one, steps)))


def _limited(parts: Parts, present: Sequence[Session], steps: Sequence[Step]) -> list[Step]:
    """The same steps; those that would add more than an admin allows are refused."""
    limit = parts.policy.sessions_per_project
    if limit is None:
        return list(steps)
    free = limit - len(present) + sum(step.kind is Kind.REMOVE for step in steps)
    added = [step.path for step in steps if step.kind is Kind.ADD and not step.storage]
    over = frozenset(added[max(free, 0) :])
    said = f"An admin allows {limit} sessions in a project."
    return [replace(step, refused={**step.refused, step.path: said}) if step.path in over else step for step in steps]
