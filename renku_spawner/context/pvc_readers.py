"""Keep the helper pods that read PVCs for this hub: inspections and downloads."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol


class PVCReader(Protocol):
    task: asyncio.Task[None]  # creates and deletes the pod


@dataclass(frozen=True, kw_only=True)
class PVCReaders:
    """The readers by the name of the PVC; `spawners.kubernetes.pvc_reader` adds and removes them."""

    inspections: dict[str, Any] = field(default_factory=dict)
    downloads: dict[str, Any] = field(default_factory=dict)

    @property
    def by_purpose(self) -> dict[str, dict[str, PVCReader]]:
        """The readers by the purpose that labels their pods."""
        return {"look": self.inspections, "download": self.downloads}

    def list_tasks(self) -> list[asyncio.Task[None]]:
        """List the tasks of readers whose pods are not deleted yet."""
        readers = [reader for by_claim in self.by_purpose.values() for reader in by_claim.values()]
        return [reader.task for reader in readers if not reader.task.done()]

    async def close(self) -> None:
        """Cancel all tasks. Their pods end by themselves, or the next hub deletes them."""
        tasks = self.list_tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
