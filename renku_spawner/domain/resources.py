"""How much a session needs at least, and the sizes that admins offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

from . import quantity
from .access import Person
from .errors import Invalid

# The widest range that makes sense anywhere; an admin's classes narrow it further.
RANGE = {
    "cpu": (Decimal("0.01"), Decimal(1024), "0.01 (10m) and 1024 CPU"),
    "memory": (Decimal(16 * 1024**2), Decimal(64 * 1024**4), "16Mi and 64Ti"),
    "disk": (Decimal(16 * 1024**2), Decimal(1024**5), "16Mi and 1Pi"),
}
GPU_LIMIT = 64


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """The least that a session needs: Kubernetes quantities as typed, gpu as a number."""

    cpu: str = "500m"
    memory: str = "1Gi"
    gpu: int = 0
    disk: str = "1Gi"

    def numbers(self) -> Mapping[str, Decimal]:
        """Cores, bytes, devices and bytes."""
        return _numbers(self.cpu, self.memory, self.gpu, self.disk)

    @property
    def words(self) -> str:
        return _words(self)


@dataclass(frozen=True, kw_only=True)
class ResourceClass:
    """A size offered by admins; `users` and `groups` say who may use it, None is everybody.

    On a cluster `gpu` counts devices of `gpu_resource`, and `node_selector` and
    `tolerations` (fields named as in Kubernetes) say on which machines it runs. After
    `idle_pause` seconds without use it is paused; None is as everywhere, 0 never.
    `ephemeral_storage` is how much it may write to its node's own disk there, outside of its
    working directory and storages; empty or 0 is without a limit.
    """

    name: str
    cpu: str
    memory: str
    gpu: int = 0
    disk: str = "100Gi"
    ephemeral_storage: str = "10Gi"
    description: str = ""
    users: frozenset[str] | None = None
    groups: frozenset[str] | None = None
    gpu_resource: str = "nvidia.com/gpu"
    node_selector: Mapping[str, str] = field(default_factory=dict, hash=False)
    tolerations: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    idle_pause: int | None = None
    expire_paused_days: int | None = None  # 0: never; None: as everywhere

    def numbers(self) -> Mapping[str, Decimal]:
        return _numbers(self.cpu, self.memory, self.gpu, self.disk)

    def usable(self, person: Person) -> bool:
        if self.users is None and self.groups is None:
            return True
        return person.name in (self.users or ()) or bool(person.groups & (self.groups or frozenset()))

    def meets(self, needs: Requirements) -> bool:
        offer = self.numbers()
        return all(offer[key] >= amount for key, amount in needs.numbers().items())

    @cached_property
    def size(self) -> str:
        """`2 CPU, 8 GiB`, with GPUs where there are any."""
        gpu = f", {self.gpu} GPU" if self.gpu else ""
        return f"{quantity.cores(self.cpu)} CPU, {quantity.size(self.memory)}{gpu}"


def check(needs: Requirements) -> Requirements:
    """The same requirements, if each is a quantity within the widest range.

    Raises:
        Invalid: with a sentence that names the limits at each field that is wrong.
    """
    fields = {key: _problem(key, getattr(needs, key)) for key in RANGE}
    if needs.gpu not in range(GPU_LIMIT + 1):
        fields["gpu"] = f"GPUs are a whole number between 0 and {GPU_LIMIT}."
    wrong = {key: sentence for key, sentence in fields.items() if sentence}
    if wrong:
        raise Invalid("These resources are not possible.", fields=wrong)
    return needs


def check_ephemeral_storage(size: str) -> str:
    """Return *size*, empty if there is no limit. Raises Invalid unless it is a quantity that a session can live in."""
    try:
        amount = quantity.parse(size or "0")
    except ValueError:
        amount = Decimal(-1)
    low, high, words = RANGE["disk"]
    if amount and not low <= amount <= high:
        said = f"Please give a quantity such as 10Gi between {words}, or 0 for no limit."
        raise Invalid(said, fields={"ephemeral_storage": said})
    return size if amount else ""


def _problem(key: str, text: str) -> str | None:
    low, high, words = RANGE[key]
    sentence = f"Please give a quantity such as {'500m or 2' if key == 'cpu' else '512Mi or 2Gi'} between {words}."
    try:
        amount = quantity.parse(text)
    except ValueError:
        return sentence
    return None if low <= amount <= high else sentence


@lru_cache(maxsize=1024)  # a page of twenty sessions asks for the same few a hundred times
def _numbers(cpu: str, memory: str, gpu: int, disk: str) -> Mapping[str, Decimal]:
    parse = quantity.parse
    return MappingProxyType({"cpu": parse(cpu), "memory": parse(memory), "gpu": Decimal(gpu), "disk": parse(disk)})


def ordered(classes: Iterable[ResourceClass]) -> list[ResourceClass]:
    """Smallest first: GPUs weigh most, then memory, then CPU, then disk."""
    return sorted(classes, key=_weight)


def _weight(offer: ResourceClass) -> tuple[Decimal, ...]:
    numbers = offer.numbers()
    return numbers["gpu"], numbers["memory"], numbers["cpu"], numbers["disk"]


def fitting(classes: Iterable[ResourceClass], person: Person, needs: Requirements) -> list[ResourceClass]:
    """The classes that *person* may use and that meet *needs*, smallest first."""
    return ordered(c for c in classes if c.usable(person) and c.meets(needs))


def unmet(classes: Sequence[ResourceClass], needs: Requirements) -> dict[str, str]:
    """Which requirement no class meets, and what the largest class has; empty if one fits.

    When each requirement is met by some class but no class meets all, the sentence
    stands at `memory`, the one that most often decides.
    """
    if any(c.meets(needs) for c in classes):
        return {}
    if not classes:
        return {"cpu": "There is no resource class that you may use; ask an admin."}
    wrong = {}
    for key, amount in needs.numbers().items():
        largest = max(classes, key=lambda c: c.numbers()[key])
        if largest.numbers()[key] < amount:
            asked, offered = _amount(key, getattr(needs, key)), _amount(key, getattr(largest, key))
            wrong[key] = f"No class has {asked}; the largest, {largest.name}, has {offered}."
    return wrong or {"memory": "No single class has all of this together; please lower one requirement."}


def lacking(needs: Requirements) -> str:
    """Why somebody cannot start a session that needs this much (decision 4)."""
    return f"None of your classes has {_words(needs)}; ask an admin."


def _amount(key: str, value: str | int) -> str:
    if key == "gpu":
        return f"{value} GPU"
    return f"{quantity.cores(str(value))} CPU" if key == "cpu" else f"{quantity.size(str(value))} {key}"


@lru_cache(maxsize=1024)
def _words(needs: Requirements) -> str:
    keys = ["cpu", "memory", *(["gpu"] if needs.gpu else []), "disk"]
    return ", ".join(_amount(key, getattr(needs, key)) for key in keys)
