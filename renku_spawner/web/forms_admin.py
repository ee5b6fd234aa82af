"""What an operator asks for, in addresses and forms."""

from __future__ import annotations

from typing import Any, Literal

from ..domain.errors import Invalid
from ..domain.instance import Status
from ..domain.inventory import Kind
from ..domain.operating import InstanceFilter
from .bodies import Body, Id, Text, Word

# What is typed before orphans of a kind are removed.
WORDS = {
    Kind.POD: "pods", Kind.CLAIM: "claims", Kind.FOLDER: "folders", Kind.STORAGE: "storages", Kind.RUN: "runs",
    Kind.RECORD: "records",
}  # fmt: skip
ALL = "all"  # what is typed before everything is paused
STATUSES = [status for status in Status if status is not Status.INACTIVE]


def instance_filter(handler: Any) -> InstanceFilter:
    """The filter that the parameters of an address say. Raises Invalid for a status that there is not."""
    said = handler.search("status")
    if said and said not in STATUSES:
        raise Invalid("There is no such status.", fields={"status": f"One of {', '.join(STATUSES)}, please."})
    words = {name: handler.search(name) for name in ("owner", "project", "reason")}
    return InstanceFilter(status=Status(said) if said else None, **words)


class PauseBody(Body):
    """Whose instance, and of which session."""

    username: Word
    session: Id


class PauseForm(PauseBody):
    back: Text = ""


class PauseAllBody(Body):
    """All sessions of one node, or all of the hub; a dry run counts them."""

    node: Word | None = None
    all: bool = False
    dry_run: bool = False

    def check(self) -> str | None:
        """Return the node, None for all. Raises Invalid unless exactly one of both is named."""
        if bool(self.node) == self.all:
            raise _wrong("node", "Name a node, or set all to true.")
        return self.node


class PauseAllForm(Body):
    """An empty *node* is all of the hub; *confirm* repeats what is typed."""

    node: Text = ""
    confirm: Text = ""

    def check(self) -> str | None:
        """Return the node, None for all. Raises Invalid, if it was not confirmed by its name."""
        word = self.node or ALL
        if self.confirm.strip() != word:
            raise _wrong(f"confirm-{word}", f"Type {word}, please.")
        return self.node or None


class OrphansBody(Body):
    """Orphans to remove, by name as they are listed: at most 200 at a time."""

    kind: Literal["pod", "claim", "folder", "storage", "run", "record"]
    names: list[Word]

    def named(self) -> list[str]:
        """Raises Invalid without any."""
        if not 1 <= len(self.names) <= 200:
            raise Invalid("Nothing, or too much, is chosen.", fields={"names": "1 to 200 names, please."})
        return self.names


class OrphansForm(Body):
    kind: Literal["pod", "claim", "folder", "storage", "run", "record"]
    names: list[Word]
    confirm: Text = ""

    def check(self) -> list[str]:
        """What is ticked. Raises Invalid, if that is nothing or was not confirmed by its word."""
        kind, word = self.kind, WORDS[Kind(self.kind)]
        if not self.names:
            raise _wrong(f"names-{kind}", f"Tick the {word} to remove.")
        if self.confirm.strip().lower() != word:
            raise _wrong(f"confirm-{kind}", f"Type the word {word}, please.")
        return self.names


def _wrong(field: str, said: str) -> Invalid:
    return Invalid(said, fields={field: said})
