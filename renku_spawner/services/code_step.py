"""What becomes of one session of a project by a document, and who asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..domain.access import Person
from ..domain.as_code import Difference
from ..domain.environment import Environment
from ..domain.instance import Instance
from ..domain.project import Project
from ..domain.session import Session
from .parts import Parts
from .sessions import Work


class Kind(StrEnum):
    """What becomes of a session."""

    ADD = "add"
    CHANGE = "change"
    SAME = "same"
    REMOVE = "remove"
    LEAVE = "leave"


@dataclass(frozen=True, kw_only=True)
class Step:
    """What becomes of one session, at `path` of the document; without one, the document does not name it.

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


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who asks, of which project, and what admins offer. One who may only look has no registry asked.

    `count` is called before one is, and refuses who asks too often.
    """

    parts: Parts
    person: Person
    project: Project
    offered: Sequence[Environment]
    heirs: Mapping[str, Environment]
    may: bool = True
    count: Callable[[], None] = lambda: None
