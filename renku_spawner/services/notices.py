"""What a start that is under way is told beside its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..domain.instance import Instance
from . import changes
from .parts import Parts


async def tell(parts: Parts, instance: Instance, notice: Mapping[str, str]) -> None:
    """Add a notice to this very run, unless it has one of that code."""

    def change(old: Instance) -> Instance:
        told = any(each["code"] == notice["code"] for each in old.notices)
        return old if told else replace(old, notices=(*old.notices, notice))

    await changes.step(parts, instance, change)


async def take_back(parts: Parts, instance: Instance, code: str) -> None:
    """It does not hold any more."""

    def change(old: Instance) -> Instance:
        kept = tuple(each for each in old.notices if each["code"] != code)
        return old if kept == old.notices else replace(old, notices=kept)

    await changes.step(parts, instance, change)
