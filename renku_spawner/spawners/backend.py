"""Define the `SessionBackend` interface that each spawner implements.

Nothing specific to Kubernetes or to local processes belongs here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from ..domain.administration import BackendInventory, OrphanedResource
from ..domain.instances import Instance
from ..domain.sessions import LaunchSpec
from ..lifecycle.reconciler import Observation
from .errors import LaunchFailed
from .in_pod.contents import ContentsInspection


class SessionBackend:
    """Start, observe and stop sessions on one kind of infrastructure."""

    async def start_session(self, spec: LaunchSpec, instance: Instance) -> str:
        """Start the session, or resume its launch, and return its URL once it responds. Raises LaunchFailed."""
        raise NotImplementedError

    async def stop_session(self, instance: Instance, *, now: bool = False) -> None:
        """Stop the session at any stage; keep its volume."""
        raise NotImplementedError

    async def observe_session(self, instance: Instance) -> Observation:
        """Return what is known of the session's pod or process now; write nothing."""
        raise NotImplementedError

    async def read_log_tail(self, instance: Instance) -> str:
        """Return the end of the session's log, redacted."""
        raise NotImplementedError

    def clean_up_ended_session(self, instance: Instance) -> None:
        """Clean up after a session that ended by itself, which the hub does not stop."""

    async def delete_volume(self, instance: Instance) -> None:
        """Delete the session's volume."""
        raise NotImplementedError

    async def get_oversized_volume_size(self, instance: Instance, disk: str) -> str | None:
        """Return the formatted size of the volume if it is larger than *disk*, otherwise or if unknown None."""
        return None

    async def inspect_files(self, instance: Instance) -> ContentsInspection:
        """Return the contents of the volume, as far as they are known within seconds."""
        return ContentsInspection()

    def stream_files(self, instance: Instance) -> AsyncGenerator[bytes, None]:
        """Stream the files of a paused session as a compressed tar archive, with Zstandard or gzip.

        Raises UnavailableError before the first chunk, DownloadInterrupted after it.
        """
        raise NotImplementedError

    def explain_exit(self, instance: Instance, exit_code: int, log: str) -> LaunchFailed:
        """Return the reason why the session ended with *exit_code*."""
        raise NotImplementedError

    def refine_failure(self, failure: LaunchFailed, log: str) -> LaunchFailed:
        """Return the failure, made more specific by the end of the log."""
        return failure

    async def load_inventory(self) -> BackendInventory:
        """Return the resources of all users' sessions, not only those of this spawner's user. Raises nothing."""
        raise NotImplementedError

    async def get_run_nodes(self) -> Mapping[str, str]:
        """Return the nodes of running sessions by run id; empty for backends without nodes.

        Raises UnavailableError if the nodes cannot be read now.
        """
        return {}

    async def remove_resource(self, orphan: OrphanedResource) -> None:
        """Remove this orphaned resource. Raises UnavailableError."""
        raise NotImplementedError

    async def load_processor_usage(self) -> Mapping[tuple[str, str], float]:
        """Return the CPU cores that all users' sessions use now, by user name and session, as far as known.

        Raises UnavailableError if usage cannot be measured.
        """
        raise NotImplementedError

    async def restore_api_token(self, instance: Instance) -> None:
        """Restore the session's API token after a hub restart, so that stopping the session revokes it."""
