"""Resource requirements of sessions, and the resource classes that admins offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

from .access import Person
from .configuration_fields import FieldKind, configuration_field, find_field_problems, list_configuration_fields
from .errors import InvalidInputError
from .quantities import format_cpu_quantity, format_size_quantity, parse_quantity

# The widest range that makes sense anywhere; an admin's classes narrow it further.
RESOURCE_RANGES = {
    "cpu": (Decimal("0.01"), Decimal(1024), "0.01 (10m) and 1024 CPU"),
    "memory": (Decimal(16 * 1024**2), Decimal(64 * 1024**4), "16Mi and 64Ti"),
    "disk": (Decimal(16 * 1024**2), Decimal(1024**5), "16Mi and 1Pi"),
}
MAX_GPU_COUNT = 64


@dataclass(frozen=True, kw_only=True)
class ResourceRequirements:
    """The minimum that a session needs: Kubernetes quantities as typed, `gpu` as a number."""

    cpu: str = configuration_field(
        "500m", FieldKind.QUANTITY, label="CPU", hint="like 0.5 or 500m",
        limits=RESOURCE_RANGES["cpu"], example="500m or 2",
    )  # fmt: skip
    memory: str = configuration_field(
        "1Gi", FieldKind.QUANTITY, label="Memory", hint="like 512Mi or 2Gi", limits=RESOURCE_RANGES["memory"]
    )
    gpu: int = configuration_field(
        0, FieldKind.NUMBER, label="GPU", hint="whole ones", subject="GPUs are", maximum=MAX_GPU_COUNT
    )
    disk: str = configuration_field(
        "1Gi", FieldKind.QUANTITY, label="Disk", hint="like 10Gi", limits=RESOURCE_RANGES["disk"]
    )

    def get_amounts(self) -> Mapping[str, Decimal]:
        """Return cores, bytes of memory, GPU devices and bytes of disk by field."""
        return _parse_resource_amounts(self.cpu, self.memory, self.gpu, self.disk)

    @property
    def summary(self) -> str:
        return _format_requirements(self)


NEEDS_FIELDS = list_configuration_fields(ResourceRequirements)


@dataclass(frozen=True, kw_only=True)
class ResourceClass:
    """A size that admins offer; `users` and `groups` say who may use it, all users if both are None.

    On a cluster `gpu` counts devices of `gpu_resource`, and `node_selector` and `tolerations` (fields named as
    in Kubernetes) select its nodes. After `idle_pause` seconds without activity a session is paused; None uses
    the hub's setting, 0 never pauses. `ephemeral_storage` limits writes to the node's disk outside of the
    working directory and the storages; empty or 0 is no limit.
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
    expire_paused_days: int | None = None  # 0: never; None: the hub's setting

    def get_amounts(self) -> Mapping[str, Decimal]:
        return _parse_resource_amounts(self.cpu, self.memory, self.gpu, self.disk)

    def is_usable_by(self, person: Person) -> bool:
        if self.users is None and self.groups is None:
            return True
        return person.name in (self.users or ()) or bool(person.groups & (self.groups or frozenset()))

    def meets_requirements(self, needs: ResourceRequirements) -> bool:
        offer = self.get_amounts()
        return all(offer[key] >= amount for key, amount in needs.get_amounts().items())

    @cached_property
    def size_label(self) -> str:
        """`2 CPU, 8 GiB`, followed by the GPUs if there are any."""
        gpu = f", {self.gpu} GPU" if self.gpu else ""
        return f"{format_cpu_quantity(self.cpu)} CPU, {format_size_quantity(self.memory)}{gpu}"


def check_resource_requirements(needs: ResourceRequirements) -> ResourceRequirements:
    """Return the same requirements, if each is a quantity within `RESOURCE_RANGES`.

    Raises:
        InvalidInputError: with a sentence that names the limits at each field that is wrong.
    """
    wrong = find_field_problems(NEEDS_FIELDS, needs)
    if wrong:
        raise InvalidInputError("These resources are not possible.", fields=wrong)
    return needs


def check_ephemeral_storage(size: str) -> str:
    """Return *size*, empty if there is no limit.

    Raises:
        InvalidInputError: at field `ephemeral_storage`, unless *size* is a quantity in the range of a disk, or 0.
    """
    try:
        amount = parse_quantity(size or "0")
    except ValueError:
        amount = Decimal(-1)
    low, high, words = RESOURCE_RANGES["disk"]
    if amount and not low <= amount <= high:
        sentence = f"Please give a quantity such as 10Gi between {words}, or 0 for no limit."
        raise InvalidInputError(sentence, fields={"ephemeral_storage": sentence})
    return size if amount else ""


@lru_cache(maxsize=1024)  # a page of twenty sessions parses the same few values a hundred times
def _parse_resource_amounts(cpu: str, memory: str, gpu: int, disk: str) -> Mapping[str, Decimal]:
    parse = parse_quantity
    return MappingProxyType({"cpu": parse(cpu), "memory": parse(memory), "gpu": Decimal(gpu), "disk": parse(disk)})


def sort_resource_classes(classes: Iterable[ResourceClass]) -> list[ResourceClass]:
    """Sort by size, smallest first: GPUs weigh most, then memory, then CPU, then disk."""
    return sorted(classes, key=_get_class_sort_key)


def _get_class_sort_key(offer: ResourceClass) -> tuple[Decimal, ...]:
    numbers = offer.get_amounts()
    return numbers["gpu"], numbers["memory"], numbers["cpu"], numbers["disk"]


def list_fitting_classes(
    classes: Iterable[ResourceClass], person: Person, needs: ResourceRequirements
) -> list[ResourceClass]:
    """Return the classes that *person* may use and that meet *needs*, smallest first."""
    return sort_resource_classes(c for c in classes if c.is_usable_by(person) and c.meets_requirements(needs))


def find_unmet_requirements(classes: Sequence[ResourceClass], needs: ResourceRequirements) -> dict[str, str]:
    """Return the requirements that no class meets, with what the largest class has; empty if a class fits.

    When each requirement is met by some class but no class meets all, the sentence is at `memory`, which is
    decisive most often.
    """
    if any(c.meets_requirements(needs) for c in classes):
        return {}
    if not classes:
        return {"cpu": "There is no resource class that you may use; ask an admin."}
    wrong = {}
    for key, amount in needs.get_amounts().items():
        largest = max(classes, key=lambda c: c.get_amounts()[key])
        if largest.get_amounts()[key] < amount:
            needed, offered = _format_amount(key, getattr(needs, key)), _format_amount(key, getattr(largest, key))
            wrong[key] = f"No class has {needed}; the largest, {largest.name}, has {offered}."
    return wrong or {"memory": "No single class has all of this together; please lower one requirement."}


def build_no_fitting_class_message(needs: ResourceRequirements) -> str:
    """Return the message for a person none of whose classes meets *needs*."""

    return f"None of your classes has {_format_requirements(needs)}; ask an admin."


def _format_amount(key: str, value: str | int) -> str:
    if key == "gpu":
        return f"{value} GPU"
    return f"{format_cpu_quantity(str(value))} CPU" if key == "cpu" else f"{format_size_quantity(str(value))} {key}"


@lru_cache(maxsize=1024)
def _format_requirements(needs: ResourceRequirements) -> str:
    keys = ["cpu", "memory", *(["gpu"] if needs.gpu else []), "disk"]
    return ", ".join(_format_amount(key, getattr(needs, key)) for key in keys)
