"""What each kind of spawner says of the sessions that it runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from .domain.instance import Instance
from .domain.inventory import Inventory, Orphan
from .domain.session import SessionSpec
from .failures import LaunchFailed
from .runtime.contents import Look


class Runner:
    """How one comes up and goes down there, and what is known of it meanwhile."""

    async def bring_up(self, spec: SessionSpec, instance: Instance) -> str:
        """Let it run until it answers, also a start that was under way; return its URL. Raises LaunchFailed."""
        raise NotImplementedError

    async def take_down(self, instance: Instance, *, now: bool = False) -> None:
        """End what runs of it, at whatever step; the volume stays."""
        raise NotImplementedError

    async def look(self, instance: Instance) -> int | None:
        """None while it runs, its exit status (0 if unknown) when it does not."""
        raise NotImplementedError

    async def end_of_log(self, instance: Instance) -> str:
        """The end of what it printed, redacted."""
        raise NotImplementedError

    def see_off(self, instance: Instance) -> None:
        """It has ended by itself: the hub does not stop it, so what is left of it ends here."""

    async def discard(self, instance: Instance) -> None:
        """Delete its volume."""
        raise NotImplementedError

    async def too_large(self, instance: Instance, disk: str) -> str | None:
        """The size of its volume in words if it is larger than *disk*; None also where nobody knows."""
        return None

    async def contents(self, instance: Instance) -> Look:
        """What is in its volume, as far as that can be said within seconds."""
        return Look()

    def files(self, instance: Instance) -> AsyncGenerator[bytes, None]:
        """All that is in its volume while it rests, as tar.zst in pieces.

        Raises Unavailable before the first piece, CutOff after it.
        """
        raise NotImplementedError

    def failure(self, instance: Instance, exit_code: int, log: str) -> LaunchFailed:
        """Why it ended with *exit_code*."""
        raise NotImplementedError

    def refined(self, failure: LaunchFailed, log: str) -> LaunchFailed:
        """The failure again, now that the end of the log is known."""
        return failure

    async def inventory(self) -> Inventory:
        """All that is there of everybody's sessions, whoever this spawner is for. Raises nothing."""
        raise NotImplementedError

    async def nodes(self) -> Mapping[str, str]:
        """Return the nodes of running sessions, by the id of the run; empty where there are no nodes.

        Raises Unavailable: they cannot be told now.
        """
        return {}

    async def remove(self, orphan: Orphan) -> None:
        """Remove that very thing, which no record names. Raises Unavailable."""
        raise NotImplementedError

    async def processors(self) -> Mapping[tuple[str, str], float]:
        """Cores that everybody's sessions use now, by user and session, as far as that is known.

        Raises Unavailable: nobody can tell.
        """
        raise NotImplementedError

    async def recall(self, instance: Instance) -> None:
        """After a restart of the hub: remember the token, so that stopping revokes it."""
