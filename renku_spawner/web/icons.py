"""The pictures of environments, as names of FontAwesome's solid icons."""

from __future__ import annotations

from ..domain.environment import Environment, Kind

_OF_KIND = {Kind.DEFAULT: "fa-box-open", Kind.EXTERNAL: "fa-cube", Kind.REPOSITORY: "fa-code-branch"}
CHOICES = {
    "notebook": "fa-book-open", "code": "fa-code", "chart": "fa-chart-line", "map": "fa-map",
    "terminal": "fa-terminal", "globe": "fa-globe", "dna": "fa-dna", "gpu": "fa-microchip", "robot": "fa-robot",
    "book": "fa-book",
}  # fmt: skip


def icon(found: Environment) -> str:
    """The one that its admin chose, or else that of its kind."""
    return CHOICES.get(found.icon) or _OF_KIND[found.kind]
