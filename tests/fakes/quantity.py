"""Quantities as Kubernetes reads, adds and writes them: 1.0 becomes "1", 0.05 "50m", "1024Mi" "1Gi"."""

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

FORMAT = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
DECIMAL = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "E": Decimal(10**18),
}  # fmt: skip


class BadQuantity(ValueError):
    """The text is no quantity; its message is the API server's."""


@dataclass(frozen=True)
class Quantity:
    value: Decimal
    binary: bool = False

    def __add__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.value + other.value, self.binary if self.value else other.binary)

    def __str__(self) -> str:
        if not self.value:
            return "0"
        units = BINARY if self.binary and self.value == int(self.value) and abs(self.value) >= 1024 else DECIMAL
        for unit in sorted(units, key=lambda name: units[name], reverse=True):
            number = self.value / Decimal(units[unit])
            if number == int(number):
                return f"{int(number)}{unit}"
        if units is BINARY:
            return str(int(self.value))
        return f"{int((self.value * 10**9).to_integral_value(ROUND_CEILING))}n"


def parse(given: str | float) -> Quantity:
    """Read a quantity; raises BadQuantity."""
    text = repr(given) if isinstance(given, float) else str(given)
    match = re.fullmatch(FORMAT[1:-1], text)
    if match is None:
        raise BadQuantity(f"quantities must match the regular expression '{FORMAT}'")
    number, unit = match.groups()
    if unit in BINARY:
        return Quantity(Decimal(number) * BINARY[unit], True)
    if unit in DECIMAL:
        return Quantity(Decimal(number) * DECIMAL[unit])
    if re.fullmatch("[eE][-+]?[0-9]+", unit):
        return Quantity(Decimal(number + unit))
    raise BadQuantity("unable to parse quantity's suffix")


def canonical(given: str | float) -> str:
    return str(parse(given))


def as_go(given: str | float) -> str:
    """Write a fraction as Go prints the struct, which some messages contain."""
    digits = parse(given).value.normalize().as_tuple()
    number = int("".join(map(str, digits.digits)))
    return (
        f"resource.Quantity{{i:resource.int64Amount{{value:{number}, scale:{digits.exponent}}}, "
        'd:resource.infDecAmount{Dec:(*inf.Dec)(nil)}, s:"", Format:"DecimalSI"}'
    )
