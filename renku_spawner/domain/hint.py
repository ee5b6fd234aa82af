"""One finding about an image, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """From what cannot run to what is good to know."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"
    INFO = "info"


@dataclass(frozen=True, kw_only=True)
class Hint:
    """One finding: `title` fits a badge, `text` says what it means and what helps, and
    `field` names the form's field beside which it stands (`image`, `port`, `uid`, …)."""

    code: str
    severity: Severity
    title: str
    text: str
    field: str = "image"
