"""Kinds of fields of a session's configuration, from which bodies, answers, documents, forms and columns are built.

The fields themselves are in `domain.sessions` and `domain.resource_classes`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal
from enum import Enum
from typing import Any

from .quantities import parse_quantity


class FieldKind(Enum):
    """The type of a field. Each projection has one table that says what a kind is in it."""

    QUANTITY = "a Kubernetes quantity, as typed"
    NUMBER = "a whole number"
    DIRECTORIES = "directories of the project, None for all, also those added later"
    VARIABLES = "environment variables by name"


@dataclass(frozen=True, kw_only=True)
class ConfigurationField:
    """A field of a session's configuration, as all projections see it.

    - `label` names it on pages and in the differences that a document makes, `hint` stands beside it in the form.
    - `limits` of a quantity are the smallest and largest amount and both in words, `example` is a possible one.
    - `subject` begins a sentence about a wrong number, which is from 0 to `maximum`.
    - `description` says in API and document what the kind does not say.
    """

    name: str = ""
    kind: FieldKind
    default: Any = None
    label: str
    hint: str = ""
    limits: tuple[Decimal, Decimal, str] | None = None
    example: str = "512Mi or 2Gi"
    subject: str = ""
    maximum: int | None = None
    description: str | None = None

    def format_value(self, value: Any) -> str:
        """Format a quantity, a number or directories as differences and pages show it."""
        if self.kind is FieldKind.DIRECTORIES:
            return "all" if value is None else ", ".join(value) or "none"
        return str(value)

    def find_problem(self, value: Any) -> str | None:
        """Return a sentence about a quantity or a number that is out of its range."""
        if self.kind is FieldKind.NUMBER and self.maximum is not None and value not in range(self.maximum + 1):
            return f"{self.subject} a whole number between 0 and {self.maximum}."
        if self.kind is FieldKind.QUANTITY and self.limits is not None:
            low, high, words = self.limits
            try:
                possible = low <= parse_quantity(value) <= high
            except ValueError:
                possible = False
            return None if possible else f"Please give a quantity such as {self.example} between {words}."
        return None


def configuration_field(default: Any, kind: FieldKind, **described: Any) -> Any:
    """Return a field of a dataclass with the *described* attributes of a `ConfigurationField`."""
    metadata = {"configuration": ConfigurationField(kind=kind, **described)}
    if kind is FieldKind.VARIABLES:
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def list_configuration_fields(owner: Any) -> tuple[ConfigurationField, ...]:
    """Return the fields of the dataclass *owner* that were made with `configuration_field`, in its order."""
    return tuple(
        ConfigurationField(
            **{
                **vars(each.metadata["configuration"]),
                "name": each.name,
                "default": {} if each.default is MISSING else each.default,
            }
        )
        for each in fields(owner)
        if "configuration" in each.metadata
    )


def find_field_problems(described: Iterable[ConfigurationField], owner: object) -> dict[str, str]:
    """Return a sentence for each value of *owner* that is out of its range."""
    problems = {each.name: each.find_problem(getattr(owner, each.name)) for each in described}
    return {name: sentence for name, sentence in problems.items() if sentence}
