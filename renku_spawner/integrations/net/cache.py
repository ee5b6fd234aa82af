"""A cache whose values expire."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from ...observability.metrics import record_cache_lookup

Value = TypeVar("Value")


class TTLCache(Generic[Value]):
    """A cache of at most *size* values, each with its own lifetime; the least recently used is evicted first.

    With a *name* from `metrics.CACHE_NAMES`, hits and misses are counted.
    """

    def __init__(self, size: int, clock: Callable[[], float], *, name: str = "") -> None:
        self._size, self._name = size, name
        self._clock = clock
        self._values: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> Value | None:
        value = self._get_unexpired(key)
        if self._name:
            record_cache_lookup(self._name, hit=value is not None)
        return value

    def _get_unexpired(self, key: Hashable) -> Value | None:
        until, value = self._values.get(key, (float("-inf"), None))
        if until <= self._clock():
            self._values.pop(key, None)
            return None
        self._values.move_to_end(key)
        return value

    def put(self, key: Hashable, value: Value, *, seconds: float = float("inf")) -> None:
        self._values[key] = (self._clock() + seconds, value)
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)

    def delete(self, key: Hashable) -> None:
        self._values.pop(key, None)
