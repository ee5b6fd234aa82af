"""How many cores the instances of this machine use, from one look to the next."""

from collections.abc import Collection
from pathlib import Path
from time import monotonic

from . import process

LEAST = 10.0  # seconds between two looks; below, the start of one program says more than all the rest


class Meter:
    """What was used up to the last look; *least* seconds later the next one tells."""

    def __init__(self, least: float = LEAST) -> None:
        self._least = least
        self._before: dict[Path, tuple[float, float]] = {}

    def cores(self, instances: Collection[Path]) -> dict[Path, float]:
        """Return how many cores each has used since its last look; those that are too new are left out."""
        spent, now, found = process.spent(instances), monotonic(), {}
        kept = {instance: self._before.get(instance, (now, spent[instance])) for instance in instances}
        for instance, (since, before) in kept.items():
            if now - since >= self._least:
                found[instance] = max(0.0, spent[instance] - before) / (now - since)
                kept[instance] = (now, spent[instance])
        self._before = kept
        return found
