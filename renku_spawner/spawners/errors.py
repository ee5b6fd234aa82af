"""Exceptions that end a launch or a file download, and their translation to JupyterHub's `SpawnException`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from jupyterhub.spawner import SpawnException

from ..domain.errors import RenkuError
from ..domain.instances import Instance, ObservedState
from ..domain.reasons import REASONS_BY_CODE
from ..observability.metrics import count_launch_refusals


class SessionSpawnError(SpawnException):
    """A failed or refused start with a message for the user, which JupyterHub does not count as an internal error.

    JupyterHub's pages and its progress stream read `jupyterhub_message` and `jupyterhub_html_message`, not the
    exception's text. `code` is a code of `domain.reasons`. `refusal` is set if nothing was started.
    """

    def __init__(self, message: str, *, reason: str, refusal: RenkuError | None = None, status_code: int = 400) -> None:
        group = REASONS_BY_CODE[reason].group if reason in REASONS_BY_CODE else REASONS_BY_CODE["start_error"].group
        super().__init__(message, reason=str(group), status_code=status_code)
        self.code, self.refusal = reason, refusal
        self.jupyterhub_message = message
        self.jupyterhub_html_message = None


class LaunchFailed(Exception):
    """A launch that failed; `reason` is a code of `domain.reasons`, `values` fill its message.

    `failed_storages` are the directories of storages that caused the failure: the next start may succeed without them.
    """

    failed_storages: tuple[str, ...] = ()

    def __init__(self, reason: str, **values: object) -> None:
        super().__init__(reason)
        self.reason, self.values = reason, values

    def with_failed_storages(self, storages: tuple[str, ...]) -> Self:
        """Set the storages that caused this failure, and return it."""
        self.failed_storages = storages
        return self


class DownloadInterrupted(Exception):
    """A download that broke off after part of the files was sent; the text is the reason, for the log."""


def build_start_timeout_failure(instance: Instance | None, *, limit: int, image: str) -> LaunchFailed:
    """Return the failure of a launch that took longer than *limit* seconds; it names the stage that was reached."""
    if instance is not None and instance.observed is ObservedState.PULLING:
        return LaunchFailed("image_pull_timeout", image=image, limit=f"{limit} s")
    stage = (instance and instance.stage) or "Starting the server"
    return LaunchFailed("start_timeout", limit=f"{limit} s", stage=stage)


@contextmanager
def raise_refusals_as_spawn_errors() -> Iterator[None]:
    """Count any RenkuError raised in the block, and raise it as SessionSpawnError."""
    try:
        with count_launch_refusals():
            yield
    except RenkuError as refusal:
        raise SessionSpawnError(refusal.message, reason=refusal.code, refusal=refusal) from None
