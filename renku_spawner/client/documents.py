"""The client's calls about a project's sessions as a document."""

from __future__ import annotations

from . import calls, models
from .base import Connected

YAML = "application/yaml"


class Documents(Connected):
    def export(self, project: str) -> str:
        """The sessions of a project as YAML, to be kept in git and applied again."""
        return self._wire.text(calls.EXPORT, YAML, project=project)

    def export_document(self, project: str) -> models.DocumentPart:
        """The same as a value."""
        return self._wire.ask(calls.EXPORT, project=project)

    def apply(
        self, project: str, document: models.DocumentPart | str, *, dry_run: bool = False, prune: bool = False
    ) -> models.PlanAnswer:
        """Make a project's sessions what *document* says, as YAML or as a value; a second time changes nothing.

        With *dry_run* only what would change is said; with *prune* sessions that it does not name are removed, unless
        other people have data in them. Raises Refused: with what is wrong by path of the document.
        """
        asked = {name: "true" for name, wanted in (("dry_run", dry_run), ("prune", prune)) if wanted}
        if isinstance(document, str):
            return self._wire.send(calls.APPLY, document.encode(), YAML, asked, project=project)
        return self._wire.ask(calls.APPLY, document, asked, project=project)
