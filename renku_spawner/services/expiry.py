"""Paused data go after fair warning: one look at what is due, as often as the rounds are made.

Nothing happens while somebody could not act, and such time does not count: the time of the last
look at which all was well is kept, and what was announced moves by any longer gap since.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Protocol

from .. import metrics
from ..domain import expiry
from ..domain.errors import RenkuError
from ..domain.expiry import Step
from ..domain.instance import Desired, Instance
from ..domain.letter import Letter, Undelivered, Warned
from ..store.database import Transaction
from . import changes, records
from .parts import Parts, read, write

NAME, HUB = "expiry", "hub"  # of this round, and of who did what it does
NOTED_EVERY = timedelta(minutes=10)
MOST = 50  # instances of one look
_PAGE = 50  # some milliseconds of the loop
log = logging.getLogger("renku_spawner")


class Door(Protocol):
    """What the hub does for this."""

    page: str | None  # the address of *My sessions*

    def knows(self, username: str) -> bool:
        """Whether the hub has that user."""

    async def well(self) -> bool:
        """Whether people can log in, and what sessions run on answers."""

    async def delete(self, username: str, session_id: str) -> None:
        """Delete the data of one that shall be deleted. Raises RenkuError, and deletes nothing, if it is in use."""


class Expiring:
    """The looks of one process."""

    def __init__(self, parts: Parts, door: Door) -> None:
        self._parts, self._door = parts, door
        self._noted: datetime | None = None
        self._look: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin a look, unless one is under way: letters take longer than a round may."""
        if self._look is None or self._look.done():
            self._look = asyncio.ensure_future(self._logged())

    def end(self) -> None:
        """Look no more."""
        if self._look is not None:
            self._look.cancel()

    async def _logged(self) -> None:
        """Whatever goes wrong is tried again in the next round."""
        try:
            await self.once()
            metrics.done(NAME)
        except Exception:
            metrics.failed(NAME)
            log.exception("What expires could not be looked at")

    async def once(self) -> None:
        """Take each step that is due. Raises Unavailable when the database is busy."""
        now, rules = self._parts.now(), self._parts.policy.expiry
        if (self._noted is None or now - self._noted >= NOTED_EVERY) and not await self._note(now):
            return
        due = await read(self._parts, lambda tx: tx.expiry.due(now, MOST)) if rules.on else []
        if due and await self._door.well():
            await self._take(due, now)

    async def _note(self, now: datetime) -> bool:
        """That all is well now, after making up for the time in which it was not; False if it is not."""
        rules = self._parts.policy.expiry
        well, said = await read(self._parts, lambda tx: tx.expiry.round(NAME))
        if rules.on or said not in ("", rules.words):
            if not await self._door.well():
                return False
            if lost := expiry.lost(well, now):
                log.warning("Nobody could act for %s: announced deletions move by that", lost)
                await self._each(_announced, lambda old: expiry.later(old, lost))
            if said != rules.words:
                await self._each(_with_data, lambda old: expiry.dated(old, rules, now))
            await write(self._parts, lambda tx: tx.expiry.note(NAME, now, rules.words))
        self._noted = now
        return True

    async def _each(
        self, page: Callable[[str, Transaction], Sequence[tuple[str, Instance]]], to: Callable[[Instance], Instance]
    ) -> None:
        """Others come first: some at a time."""
        after = ""
        while found := await read(self._parts, partial(page, after)):
            changed = [(old, new) for _, old in found if (new := to(old)) is not old]
            await asyncio.sleep(0)
            if changed:
                await write(self._parts, partial(_put, changed))
            after = found[-1][0]
            await asyncio.sleep(0)

    async def _take(self, due: Sequence[Instance], now: datetime) -> None:
        steps: dict[Step | None, list[Instance]] = {}
        for instance in due:
            known = self._door.knows(instance.username)
            steps.setdefault(expiry.due(instance, now) if known else None, []).append(instance)
        for instance in steps.get(None, []):  # nobody could be told: an admin finds these among the orphans
            await self._change(instance, lambda old: expiry.spared(old, now))
        await self._warn(steps.get(Step.WARN, []))
        for instance in steps.get(Step.TRASH, []):
            await self._trash(instance, now)
        for instance in steps.get(Step.DELETE, []):
            await self._delete(instance, now)

    async def _warn(self, instances: Sequence[Instance]) -> None:
        """One letter for each person; what reaches nobody was no warning."""
        for username, group in groupby(sorted(instances, key=lambda i: i.username), key=lambda i: i.username):
            mine = list(group)
            told = await self._told(username, mine)
            for instance in mine:
                now = self._parts.now()
                await self._change(
                    instance,
                    lambda old: (expiry.warned if told else expiry.unheard)(old, now),  # noqa: B023
                )
                metrics.warned(told=told)

    async def _told(self, username: str, instances: Sequence[Instance]) -> bool:
        if not self._parts.post:
            return True  # by pages alone
        letter = await self._letter(username, instances)
        try:
            for post in self._parts.post:
                await post.send(letter)
        except Undelivered as problem:
            log.warning("%s could not be warned of the deletion of data: %s", username, problem)
            return False
        return True

    async def _letter(self, username: str, instances: Sequence[Instance]) -> Letter:
        sessions = await read(self._parts, lambda tx: tx.sessions.some({each.session for each in instances}))
        trash = timedelta(days=self._parts.policy.expiry.trash_days)
        warnings = []
        for each in instances:
            on = expiry.warned(each, self._parts.now()).deleted_on
            assert on is not None
            session = sessions.get(each.session)
            warnings.append(
                Warned(
                    id=f"{each.id}-{each.run}-{each.warned + 1}",
                    session=each.session,
                    title=session.title if session else each.session,
                    deleted_on=on,
                    trashed_until=on + trash,
                )
            )
        return Letter(username=username, warnings=tuple(warnings), page=self._door.page)

    async def _trash(self, instance: Instance, now: datetime) -> None:
        rules = self._parts.policy.expiry
        saved = await self._change(instance, lambda old: expiry.trashed(old, rules, now))
        if saved is not None and saved.trashed_until is not None:
            metrics.expired("trashed")
            await self._record(saved, "put data in the trash", f"until {saved.trashed_until:%Y-%m-%d %H:%M} UTC")

    async def _delete(self, instance: Instance, now: datetime) -> None:
        marked = await self._change(instance, lambda old: expiry.condemned(old, now))
        if marked is None or marked.desired is not Desired.DELETED:
            return
        try:
            await self._door.delete(marked.username, marked.session)
        except RenkuError as problem:
            log.warning("The data of %s of %s are not deleted yet: %s", marked.session, marked.username, problem)
            await self._change(marked, lambda old: expiry.spared(old, now))
            return
        metrics.expired("deleted")
        await self._record(marked, "deleted expired data", f"announced for {marked.deleted_on:%Y-%m-%d}")

    async def _change(self, instance: Instance, to: Callable[[Instance], Instance]) -> Instance | None:
        await asyncio.sleep(0)  # others come first
        return await changes.change(self._parts, instance.username, instance.session, to)

    async def _record(self, instance: Instance, action: str, detail: str) -> None:
        await records.record(
            self._parts, actor=HUB, username=instance.username, action=action, subject=instance.session, detail=detail
        )


def _announced(after: str, tx: Transaction) -> Sequence[tuple[str, Instance]]:
    return [(each.id, each) for each in tx.expiry.announced(after, _PAGE)]


def _with_data(after: str, tx: Transaction) -> Sequence[tuple[str, Instance]]:
    return [(each.claim or "", each) for each in tx.expiry.with_data(after, _PAGE)]


def _put(changed: Sequence[tuple[Instance, Instance]], tx: Transaction) -> None:
    tx.expiry.date(changed)
