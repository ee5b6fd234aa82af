"""Forms, request bodies and list filters of administration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ...domain.administration import InstanceFilter, OrphanKind
from ...domain.errors import InvalidInputError
from ...domain.ids import RecordId
from ...domain.instances import InstanceStatus
from ...domain.text import LongText, ShortText
from ..schemas import BaseBody

# The word that confirms the removal of orphans of a kind.
ORPHAN_CONFIRMATION_WORDS = {
    OrphanKind.POD: "pods",
    OrphanKind.CLAIM: "claims",
    OrphanKind.FOLDER: "folders",
    OrphanKind.STORAGE: "storages",
    OrphanKind.RUN: "runs",
    OrphanKind.RECORD: "records",
}
ALL_NODES_CONFIRMATION_WORD = "all"  # confirms that all sessions are paused
LISTED_INSTANCE_STATUSES = [status for status in InstanceStatus if status is not InstanceStatus.INACTIVE]


def parse_instance_filter(get_search_text: Callable[[str], str]) -> InstanceFilter:
    """Build the instance filter from the query parameters that *get_search_text* reads.

    Raises InvalidInputError for an unknown status.
    """
    requested_status = get_search_text("status")
    if requested_status and requested_status not in LISTED_INSTANCE_STATUSES:
        raise InvalidInputError(
            "There is no such status.", fields={"status": f"One of {', '.join(LISTED_INSTANCE_STATUSES)}, please."}
        )
    filters = {name: get_search_text(name) for name in ("owner", "project", "reason")}
    return InstanceFilter(status=InstanceStatus(requested_status) if requested_status else None, **filters)


class PauseBody(BaseBody):
    """An instance, by the user name of its owner and the id of its session."""

    username: ShortText
    session: RecordId


class AdminInstanceForm(PauseBody):
    back: LongText = ""


class PauseAllBody(BaseBody):
    """All sessions of one node, or of the hub; a dry run only counts them."""

    node: ShortText | None = None
    all: bool = False
    dry_run: bool = False

    def require_node_or_all(self) -> str | None:
        """Return the node, or None for all.

        Raises InvalidInputError unless exactly one of the two is given.
        """
        if bool(self.node) == self.all:
            raise _build_admin_field_error("node", "Name a node, or set all to true.")
        return self.node


class AdminPauseAllForm(BaseBody):
    """All sessions of *node*, or of the hub if *node* is empty.

    *confirm* repeats the name of the node, or `all`.
    """

    node: LongText = ""
    confirm: LongText = ""

    def require_confirmed_node(self) -> str | None:
        """Return the node, or None for all. Raises InvalidInputError if *confirm* does not match."""
        word = self.node or ALL_NODES_CONFIRMATION_WORD
        if self.confirm.strip() != word:
            raise _build_admin_field_error(f"confirm-{word}", f"Type {word}, please.")
        return self.node or None


class OrphansBody(BaseBody):
    """Orphans to remove, by their listed names; at most 200 at a time."""

    kind: Literal["pod", "claim", "folder", "storage", "run", "record"]
    names: list[ShortText]

    def require_names(self) -> list[str]:
        """Return the names. Raises InvalidInputError without any, or with more than 200."""
        if not 1 <= len(self.names) <= 200:
            raise InvalidInputError("Nothing, or too much, is chosen.", fields={"names": "1 to 200 names, please."})
        return self.names


class RemoveOrphansForm(BaseBody):
    kind: Literal["pod", "claim", "folder", "storage", "run", "record"]
    names: list[ShortText]
    confirm: LongText = ""

    def require_confirmed_names(self) -> list[str]:
        """Return the selected names.

        Raises InvalidInputError if none is selected, or if the kind was not typed to confirm.
        """
        kind, word = self.kind, ORPHAN_CONFIRMATION_WORDS[OrphanKind(self.kind)]
        if not self.names:
            raise _build_admin_field_error(f"names-{kind}", f"Tick the {word} to remove.")
        if self.confirm.strip().lower() != word:
            raise _build_admin_field_error(f"confirm-{kind}", f"Type the word {word}, please.")
        return self.names


def _build_admin_field_error(field: str, said: str) -> InvalidInputError:
    return InvalidInputError(said, fields={field: said})
