"""Parse and format Kubernetes quantities."""

from __future__ import annotations

import re
from decimal import Context, Decimal

MAX_QUANTITY_LENGTH = 64
_QUANTITY_PATTERN = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?P<suffix>Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?0*[0-9]{1,2})?"
)
_EXACT_CONTEXT = Context(prec=200)  # more digits than MAX_QUANTITY_LENGTH characters and a suffix can make
_BINARY_FACTORS = {
    suffix: Decimal(1024) ** power for power, suffix in enumerate(["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"], 1)
}
_DECIMAL_FACTORS = {
    suffix: Decimal(10) ** power
    for suffix, power in {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}.items()
}
_SUFFIX_FACTORS = _BINARY_FACTORS | _DECIMAL_FACTORS


def parse_quantity(text: str) -> Decimal:
    """Return the number that a quantity stands for (cores, bytes).

    Raises:
        ValueError: *text* is not a quantity.
    """
    match = _QUANTITY_PATTERN.fullmatch(text) if len(text) <= MAX_QUANTITY_LENGTH else None
    if match is None:
        raise ValueError("not a quantity")
    number, suffix = Decimal(match["number"]), match["suffix"]
    if suffix is None:
        return number
    if suffix in _SUFFIX_FACTORS:
        return _EXACT_CONTEXT.multiply(number, _SUFFIX_FACTORS[suffix])
    return number.scaleb(int(suffix[1:]), _EXACT_CONTEXT)


def format_cpu_quantity(text: str) -> str:
    """Format CPU cores: `0.5`, `2`."""
    return f"{parse_quantity(text).normalize(_EXACT_CONTEXT):f}"


def format_size_quantity(text: str) -> str:
    """Format bytes with a binary unit: `512 MiB`, `2 GiB`, `1.5 TiB`."""
    return format_size(int(parse_quantity(text)))


def format_size(count: int) -> str:
    """Format *count* bytes with a binary unit and at most one decimal."""
    value, unit = Decimal(count), "B"
    for following in ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"):
        if _round_to_tenth(value) < 1024:
            break
        value, unit = _EXACT_CONTEXT.divide(value, Decimal(1024)), following
    return f"{_round_to_tenth(value).normalize(_EXACT_CONTEXT):f} {unit}"


def _round_to_tenth(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.1"), context=_EXACT_CONTEXT)
