"""Kubernetes quantities: `500m`, `2Gi`; exact numbers, never floats.

Grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
without signs, since nothing here can be negative, at most 64 characters long and
with exponents below 100: no amount that anybody needs is longer or larger.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal

LIMIT = 64
_QUANTITY = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?P<suffix>Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?0*[0-9]{1,2})?"
)
_EXACT = Context(prec=200)  # more digits than LIMIT characters and a suffix can make
_BINARY = {suffix: Decimal(1024) ** power for power, suffix in enumerate(["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"], 1)}
_DECIMAL = {
    suffix: Decimal(10) ** power
    for suffix, power in {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}.items()
}
_FACTORS = _BINARY | _DECIMAL


def parse(text: str) -> Decimal:
    """The number that a quantity stands for (cores, bytes).

    Raises:
        ValueError: not a quantity.
    """
    match = _QUANTITY.fullmatch(text) if len(text) <= LIMIT else None
    if match is None:
        raise ValueError("not a quantity")
    number, suffix = Decimal(match["number"]), match["suffix"]
    if suffix is None:
        return number
    if suffix in _FACTORS:
        return _EXACT.multiply(number, _FACTORS[suffix])
    return number.scaleb(int(suffix[1:]), _EXACT)


def cores(text: str) -> str:
    """CPU in words: `0.5`, `2`."""
    return f"{parse(text).normalize(_EXACT):f}"


def size(text: str) -> str:
    """Bytes in words with a binary unit: `512 MiB`, `2 GiB`, `1.5 TiB`."""
    return size_of(int(parse(text)))


def size_of(count: int) -> str:
    """*count* bytes in words, with at most one decimal."""
    value, unit = Decimal(count), "B"
    for following in ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"):
        if _rounded(value) < 1024:
            break
        value, unit = _EXACT.divide(value, Decimal(1024)), following
    return f"{_rounded(value).normalize(_EXACT):f} {unit}"


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.1"), context=_EXACT)
