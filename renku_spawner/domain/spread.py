"""On which nodes of the cluster an image is, as the pre-puller has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .environment import Environment


class Amiss(Exception):
    """Images are not kept on the nodes, or nobody knows on which; the argument says why, for an admin."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Names of nodes: those that have the image, those that still download it or wait for their turn,
    and, with the reason in words, those where it does not come or nothing of it can be run."""

    here: tuple[str, ...] = ()
    coming: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def nodes(self) -> int:
        return len(self.here) + len(self.coming) + len(self.failed)

    @property
    def complete(self) -> bool:
        return 0 < self.nodes == len(self.here)


class Puller(Protocol):
    """Brings images to every node, each by the name of its container. Both raise Amiss."""

    async def keep(self, images: Mapping[str, str]) -> None:
        """From now on these, and none of those that it was told before."""

    async def spread(self, images: Mapping[str, str | None]) -> Mapping[str, Spread]:
        """Where they are; None is whatever image the container has."""


def container(environment: Environment) -> str:
    """The name of the container that brings its image; the chart's are those of the hub's configuration."""
    return f"added-{environment.id}" if environment.key is None else f"configured-{environment.key}"
