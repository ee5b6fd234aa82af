"""Ready-made environments: what is on offer, and how the settings put them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..domain import image, text
from ..domain.access import Person
from ..domain.environment import Environment, NewEnvironment, NewRevision, Revision, RunConfiguration, State
from ..store.database import Transaction
from .parts import Parts, read, write

CONFIGURED = "the hub's configuration"


@dataclass(frozen=True, kw_only=True)
class Configured:
    """A ready-made environment as an admin writes it into the settings."""

    key: str
    name: str
    image: str
    description: str = ""
    keywords: tuple[str, ...] = ()
    icon: str = ""
    run: RunConfiguration = field(default_factory=RunConfiguration)


async def offered(
    parts: Parts, person: Person, *, keyword: str | None = None, search: str = ""
) -> tuple[list[Environment], list[str]]:
    """The ready-made environments that match, and all keywords there are."""
    return await read(parts, lambda tx: (tx.environments.offered(keyword, search), tx.environments.keywords()))


async def configure(parts: Parts, wanted: Sequence[Configured]) -> None:
    """Make the ready-made environments what the settings say; running it twice changes nothing.

    A changed image or way to run makes a new revision, which sessions do not take by
    themselves; what the settings no longer name is archived.

    Raises:
        Invalid: an image or text that cannot be.
    """
    new = [(_environment(position, each), _revision(each)) for position, each in enumerate(wanted)]

    def work(tx: Transaction) -> None:
        present = tx.environments.by_key()
        for environment, revision in new:
            _put(tx, present.get(environment.key or ""), environment, revision, parts)
        for key in present.keys() - {each.key for each in wanted}:
            if present[key].archived_at is None:  # also one that was archived before anybody noted when
                tx.environments.set_state(present[key].id, State.ARCHIVED, now=parts.now())

    await write(parts, work)


def _environment(position: int, each: Configured) -> NewEnvironment:
    return NewEnvironment(
        name=text.title(each.name, field="name"),
        description=text.description(each.description),
        keywords=text.keywords(each.keywords),
        icon=each.icon,
        position=position,
        key=each.key,
    )


def _revision(each: Configured) -> NewRevision:
    parsed = image.parse(each.image)
    return NewRevision(
        image=each.image, repository=parsed.repository, tag=parsed.tag, digest=parsed.digest, run=each.run
    )


def _put(
    tx: Transaction, present: Environment | None, environment: NewEnvironment, revision: NewRevision, parts: Parts
) -> None:
    if present is None:
        tx.environments.add(environment, revision, by=CONFIGURED, now=parts.now())
        return
    if _said(present) != _said(environment):
        tx.environments.describe(present.id, environment)
    if present.state is not State.ACTIVE:
        tx.environments.set_state(present.id, State.ACTIVE, now=parts.now())
    if _runs(present.revision) != _runs(revision):
        tx.environments.revise(present.id, revision, by=CONFIGURED, now=parts.now())


def _said(environment: NewEnvironment) -> tuple[object, ...]:
    return (
        environment.name, environment.description, environment.keywords, environment.icon, environment.position,
    )  # fmt: skip


def _runs(revision: NewRevision | Revision) -> tuple[object, ...]:
    """The image as written: what its tag was found to be is no change of the settings."""
    return revision.image, revision.run
