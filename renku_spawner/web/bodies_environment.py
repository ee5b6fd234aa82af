"""What may stand in the body of a request about ready-made environments."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..domain.curation import ICONS, NewReadyMade, ReadyMadeChange, Seen, StateChange
from ..domain.environment import State
from .bodies import Body, Id, RunBody, Text, Version, Word

_ICON = Field(default="", description="Empty: that of its kind", examples=list(ICONS))


class EnvironmentBody(Body):
    """A new ready-made environment; its image is asked for with the hub's own credentials."""

    name: Text
    image: Text = Field(examples=["quay.io/jupyter/scipy-notebook:2026-11-02"])
    description: Text = ""
    keywords: list[Word] = []
    icon: Word = _ICON
    run: RunBody = RunBody()
    state: Literal["draft", "active"] = Field(default="draft", description="Only what is active is offered")

    def value(self) -> NewReadyMade:
        return NewReadyMade(
            name=self.name,
            image=self.image,
            run=self.run.value(),
            description=self.description,
            keywords=tuple(self.keywords),
            icon=self.icon,
            state=State(self.state),
        )


class EnvironmentChangeBody(Body):
    """What changes of an environment; what is absent stays. Another image or `run` makes a new revision."""

    version: Version
    name: Text | None = None
    description: Text | None = None
    keywords: list[Word] | None = None
    icon: Word | None = None
    image: Text | None = None
    run: RunBody | None = None
    renew: bool = Field(default=False, description="Take what the image's tag names now")

    def value(self) -> ReadyMadeChange:
        return ReadyMadeChange(
            version=self.version,
            name=self.name,
            description=self.description,
            keywords=None if self.keywords is None else tuple(self.keywords),
            icon=self.icon,
            image=self.image,
            run=self.run.value() if self.run else None,
            renew=self.renew,
        )


class ArchiveBody(Body):
    version: Version
    successor: Id | None = Field(default=None, description="Another active one, which editors of projects are offered")
    message: Text = Field(default="", description="Why, and what to do: everybody who sees its sessions reads it")

    def value(self) -> StateChange:
        return StateChange(version=self.version, state=State.ARCHIVED, successor=self.successor, message=self.message)


class StateBody(ArchiveBody):
    """A step in the life of an environment; an active one has neither successor nor message."""

    state: Literal["active", "deprecated", "archived"]

    def value(self) -> StateChange:
        return StateChange(
            version=self.version, state=State(self.state), successor=self.successor, message=self.message
        )


class RollBackBody(Body):
    version: Version
    revision: int = Field(ge=1, lt=2**31, description="The number of an earlier one, which a new one runs again")


class MoveBody(Body):
    to: Literal["up", "down"]


class SuccessorBody(Body):
    """What the editor has looked at; another one answers 409 `changed`."""

    version: Version
    environment: Id
    revision: int = Field(ge=1, lt=2**31)

    def value(self) -> Seen:
        return Seen(environment=self.environment, revision=self.revision, version=self.version)
