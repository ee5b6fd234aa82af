"""What admins do with ready-made environments; who comes here has their scope. Each thing done goes on record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..domain import curation, names, text
from ..domain.access import Person
from ..domain.curation import NewReadyMade, ReadyMadeChange, StateChange
from ..domain.environment import Environment, NewEnvironment, NewRevision, Revision, State
from ..domain.errors import Conflict, Invalid, not_found
from ..domain.running import NewImage
from ..domain.verdict import Verdict
from ..store.database import Clash, Lost, Transaction
from . import images, replacement
from .parts import Parts, read, write

_CONFIGURED = "The hub's configuration says what this environment is; copy it to make one that can be edited here."


async def add(parts: Parts, person: Person, new: NewReadyMade) -> Environment:
    """A ready-made environment, behind those that are there; its image is asked for with the hub's own credentials.

    Raises:
        Invalid: with what is wrong at which field.
    """
    said = NewEnvironment(
        name=text.title(new.name, field="name"),
        description=text.description(new.description),
        keywords=text.keywords(new.keywords),
        icon=curation.icon(new.icon),
    )
    if new.state not in (State.DRAFT, State.ACTIVE):
        raise _wrong("state", "A new environment is a draft, or is offered at once.")
    _, revision = await images.chosen(parts, person, NewImage(image=new.image, run=new.run), trusted=True)

    def work(tx: Transaction) -> Environment:
        placed = replace(said, position=tx.environments.last_position())
        made = tx.environments.add(placed, revision, by=person.name, now=parts.now(), state=new.state)
        _note(tx, parts, person, "environment added", made, image=revision.image, state=str(new.state))
        return made

    made = await write(parts, work)
    parts.prepulling.changed()
    return made


async def change(parts: Parts, person: Person, id: str, change: ReadyMadeChange) -> Environment:
    """Edit it; another image or way to run it makes a new revision, which sessions do not take by themselves.

    Raises:
        NotFound, Invalid.
        Conflict: `configured`, or `changed` with the newer version in `details`.
    """
    present = await read(parts, lambda tx: _ours(tx, id, change.version))
    said = _said(present, change)
    revision = await _revised(parts, person, present.revision, change)

    def work(tx: Transaction) -> str:
        _ours(tx, id, change.version)
        if said != present:
            tx.environments.describe(id, said)
        made = tx.environments.revise(id, revision, by=person.name, now=parts.now()) if revision else None
        return f"revision {made.number}: {made.image}" if made else "its words"

    return await _changed(parts, person, id, change.version, "environment changed", work)


def _said(present: Environment, change: ReadyMadeChange) -> Environment:
    """The environment with its texts as they shall be. Raises Invalid."""
    return replace(
        present,
        name=present.name if change.name is None else text.title(change.name, field="name"),
        description=present.description if change.description is None else text.description(change.description),
        keywords=present.keywords if change.keywords is None else text.keywords(change.keywords),
        icon=present.icon if change.icon in (None, present.icon) else curation.icon(change.icon),
    )


async def _revised(parts: Parts, person: Person, present: Revision, change: ReadyMadeChange) -> NewRevision | None:
    """What it runs from now on; None if that stays. A tag is looked up again only to `renew` it, or for another image.

    Raises:
        Invalid: at `image`, what cannot be pulled or cannot run here, or a tag to renew of which nobody can say
            what it is now; at the fields of how it is run.
    """
    typed = (change.image or "").strip() or present.image
    run = replacement.run_of(present) if change.run is None else change.run
    kept = replacement.is_kept(present, typed)
    if replacement.runs_just_that(present, typed, run) and not change.renew:
        return None
    if kept and not change.renew:
        return replacement.otherwise(present, run)
    checked, made = await images.chosen(parts, person, NewImage(image=typed, run=run), trusted=True)
    if kept and checked.verdict is Verdict.UNVERIFIED:
        raise _wrong("image", "Its registry does not answer: what the tag names now is not known.")
    return None if kept and (made.digest, made.run) == (present.digest, present.run) else made


async def roll_back(parts: Parts, person: Person, id: str, number: int, version: int) -> Environment:
    """Offer an earlier revision again, as a new one: sessions on a later one hear of it, those that still run the
    same hear nothing.

    Raises:
        NotFound.
        Invalid: at `revision`, one that there is not, or the newest.
        Conflict: as `change`.
    """

    def work(tx: Transaction) -> str:
        present = _ours(tx, id, version)
        wanted = next((each for each in tx.environments.revisions(id) if each.number == number), None)
        if wanted is None:
            raise _wrong("revision", "This environment has no such revision.")
        if curation.is_the_same(wanted, present.revision):
            raise _wrong("revision", "This is what the newest revision runs.")
        if wanted.superseded_by(present.revision):
            raise _wrong("revision", "This is the newest revision's image from before its content was known.")
        made = tx.environments.revise(id, replacement.again(wanted), by=person.name, now=parts.now())
        return f"to revision {number}, as revision {made.number}"

    return await _changed(parts, person, id, version, "environment rolled back", work)


async def set_state(parts: Parts, person: Person, id: str, wanted: StateChange) -> Environment:
    """A step in its life: offer it, deprecate it (with a successor and a message), archive it, and back.

    Raises:
        NotFound.
        Invalid: at `state`, a step that there is not; at `successor`, what cannot be one; at `message`.
        Conflict: `configured`, `changed`.
    """
    offered = wanted.state is State.ACTIVE
    message = "" if offered else text.description(wanted.message, field="message")

    def work(tx: Transaction) -> str:
        present = _at(tx, id, wanted.version)
        if present.configured or (present.key is not None and wanted.state is not State.ARCHIVED):
            raise Conflict(_CONFIGURED, code="configured")
        if not present.state.leads_to(wanted.state):
            raise _wrong("state", f"What is {present.state} cannot become {wanted.state}.")
        successor = None if offered else _successor(tx, id, wanted.successor)
        tx.environments.set_state(id, wanted.state, successor, message, now=parts.now())
        return str(wanted.state)

    return await _changed(parts, person, id, wanted.version, f"environment {wanted.state}", work)


def _successor(tx: Transaction, id: str, wanted: str | None) -> str | None:
    """A successor is offered to everybody itself, so that none leads in a circle. Raises Invalid."""
    if wanted is None:
        return None
    heir = tx.environments.get(wanted) if names.is_id(wanted) else None
    if heir is None or not heir.ready_made or heir.id == id:
        raise _wrong("successor", "There is no such environment.")
    if heir.state is not State.ACTIVE:
        raise _wrong("successor", f"{heir.name} is {heir.state}: a successor is active.")
    return heir.id


async def move(parts: Parts, person: Person, id: str, *, up: bool) -> None:
    """Let it change places with the one before or after it. Raises NotFound, Conflict."""

    def work(tx: Transaction) -> None:
        present, order = _ours(tx, id), tx.environments.in_order()
        here = order.index(id) if id in order else -1
        there = here - 1 if up else here + 1
        if here < 0 or not 0 <= there < len(order):
            raise Conflict("It stands at the end already.", code="at_the_end")
        order[here], order[there] = order[there], order[here]
        tx.environments.put_in_order(order)
        _note(tx, parts, person, "environment moved", present, to="up" if up else "down")

    await write(parts, work)


async def _changed(
    parts: Parts, person: Person, id: str, version: int, action: str, work: Callable[[Transaction], str]
) -> Environment:
    """Do *work*, which says what it has done, unless somebody was faster."""

    def whole(tx: Transaction) -> Environment:
        detail = work(tx)
        tx.environments.touch(id, version)
        after = tx.environments.get(id)
        assert after is not None
        _note(tx, parts, person, action, after, what=detail)
        return after

    try:
        after = await write(parts, whole)
    except (Clash, Lost):
        raise _is_changed(await read(parts, lambda tx: of(tx, id))) from None
    parts.prepulling.changed()
    return after


def of(tx: Transaction, id: str) -> Environment:
    """The ready-made environment of that id, in any state. Raises NotFound."""
    found = tx.environments.get(id) if names.is_id(id) else None
    if found is None or not found.ready_made:
        raise not_found()
    return found


def _at(tx: Transaction, id: str, version: int) -> Environment:
    found = of(tx, id)
    if found.version != version:
        raise _is_changed(found)
    return found


def _ours(tx: Transaction, id: str, version: int | None = None) -> Environment:
    """One that was added in the browser, as it was seen."""
    found = of(tx, id) if version is None else _at(tx, id, version)
    if found.key is not None:
        raise Conflict(_CONFIGURED, code="configured")
    return found


def _is_changed(now: Environment) -> Conflict:
    said = "This environment was changed since you opened the page. Check it as it is now, then try again."
    return Conflict(said, code="changed", details={"version": now.version, "environment": now.id})


def _wrong(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, fields={field: sentence})


def _note(tx: Transaction, parts: Parts, person: Person, action: str, of: Environment, **detail: Any) -> None:
    detail = {"name": of.name, **detail}
    tx.audit.add(at=parts.now(), actor=person.name, username=None, action=action, subject=of.id, detail=detail)
