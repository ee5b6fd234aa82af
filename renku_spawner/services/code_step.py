"""What becomes of one session of a project by a document, and who asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..domain.access import Person
from ..domain.as_code import Difference
from ..domain.environment import Environment
from ..domain.errors import Invalid
from ..domain.instance import Instance
from ..domain.project import Project
from ..domain.session import Configuration, Session
from ..domain.storage import Storage
from ..store.database import Transaction
from .parts import Parts


class Kind(StrEnum):
    """What becomes of a session."""

    ADD = "add"
    CHANGE = "change"
    SAME = "same"
    REMOVE = "remove"
    LEAVE = "leave"


Work = Callable[[Transaction], Session | Storage]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What becomes of one session (or *storage*, whose title is its directory), at `path` of the document; without
    one, the document does not name it.

    `refused` are sentences why not, by path; `works` are done one after the other in the one transaction;
    `mine` is the person's own instance of a session that changes.
    """

    kind: Kind
    title: str
    path: str = ""
    session: Session | None = None
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    works: tuple[Work, ...] = ()
    mine: Instance | None = None
    storage: bool = False


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who asks, of which project, what admins offer, and in which directories the project has
    storages. One who may only look has no registry asked.

    `count` is called before one is, and refuses who asks too often.
    """

    parts: Parts
    person: Person
    project: Project
    offered: Sequence[Environment]
    heirs: Mapping[str, Environment]
    storages: frozenset[str]
    may: bool = True
    count: Callable[[], None] = lambda: None


def require_storages(asked: Asked, configuration: Configuration) -> None:
    """Raise Invalid, at `storages`, before the transaction does."""
    if configuration.storages and not set(configuration.storages) <= asked.storages:
        said = "The project has no storage in one of these directories."
        raise Invalid(said, fields={"storages": said})
