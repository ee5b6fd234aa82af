"""A figure beside its bar."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Line:
    """One figure beside its bar (None: it has none); `least` and `most` are of the rounds."""

    what: str
    value: float
    least: float
    most: float
    bar: float | None
    unit: str = "x"
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.bar is None:
            return ""
        if self.most <= self.bar:
            return "met"
        return "missed" if self.least > self.bar else "not safely met"

    def text(self) -> str:
        bar = "" if self.bar is None else f"≤ {self.bar:g} {self.unit}"
        span = "" if self.least == self.most else f"{self.least:.3g} to {self.most:.3g}"
        verdict = self.verdict if self.verdict in ("", "met") else f"**{self.verdict}**"
        return f"| {self.what} | {self.value:.3g} {self.unit} | {span} | {bar} | {verdict} | {self.note} |"


def spread(values: list[float], **more: Any) -> Line:
    return Line(value=median(values), least=min(values), most=max(values), **more)
