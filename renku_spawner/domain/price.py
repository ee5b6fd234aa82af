"""What keeping data costs, where an admin says so."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1024**3


@dataclass(frozen=True, kw_only=True)
class Price:
    """`per_gib_month` in `currency`, which is shown as it is written."""

    per_gib_month: float
    currency: str

    def amount(self, size: int) -> float:
        """What so many bytes cost in a month."""
        return round(size / GIB * self.per_gib_month, 4)

    def of(self, size: int) -> str:
        """The same in words: `0.18 CHF a month`; below a hundredth `under 0.01 CHF a month`."""
        cost = size / GIB * self.per_gib_month
        said = "under 0.01" if 0 < cost < 0.005 else f"{cost:.2f}"
        return f"{said} {self.currency} a month"
