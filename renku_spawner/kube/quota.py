"""What a ResourceQuota says when it is full, in words: how much of what is used, and how much more is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..domain import quantity

# https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go
_EXCEEDED = re.compile(
    r"exceeded quota: (?P<name>\S+), requested: (?P<asked>\S+), used: (?P<used>\S+), limited: (?P<limit>\S+)"
)
_BYTES = ("memory", "storage")


def told(message: str) -> str:
    """`quota team, limits.memory: 62 of 64 GiB used, this session needs 4 GiB`; what reads otherwise stays as it is."""
    found = _EXCEEDED.search(message)
    if found is None:
        return message
    try:
        asked, used, limit = (_amounts(found[part]) for part in ("asked", "used", "limit"))
        said = [_said(what, used.get(what, "0"), limit[what], asked[what]) for what in asked]
    except (ValueError, KeyError):
        return message
    return f"quota {found['name']}, {'; '.join(said)}"


def _amounts(listed: str) -> Mapping[str, str]:
    pairs = [each.partition("=") for each in listed.split(",")]
    return {what: amount for what, _, amount in pairs}


def _said(what: str, used: str, limit: str, asked: str) -> str:
    amount = quantity.size if what.endswith(_BYTES) else quantity.cores
    before, most = amount(used), amount(limit)
    number, _, unit = before.partition(" ")
    if unit == most.partition(" ")[2] or number == "0":  # the unit is said once
        before = number
    return f"{what}: {before} of {most} used, this session needs {amount(asked)}"
