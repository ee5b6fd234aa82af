"""How a start that ends badly is told to the hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from jupyterhub.spawner import SpawnException

from . import metrics
from .domain.errors import RenkuError, Unavailable
from .domain.instance import Instance, Observed
from .domain.reasons import REASONS, sentence


class SessionSpawnError(SpawnException):
    """A start that ends here, told to the person in words; never counted by the hub as a fault of its own.

    The hub's pages and its progress stream read the two attributes, not the exception's
    text. `refusal` is set when nothing was started at all.
    """

    def __init__(self, message: str, *, reason: str, refusal: RenkuError | None = None, status_code: int = 400) -> None:
        group = REASONS[reason].group if reason in REASONS else REASONS["start_error"].group
        super().__init__(message, reason=str(group), status_code=status_code)
        self.code, self.refusal = reason, refusal
        self.jupyterhub_message = message
        self.jupyterhub_html_message = None


class LaunchFailed(Exception):
    """A start came to an end by itself; `reason` is a code of the closed table, `values` fill its words.

    `failed_storages` are directories of those without which the next start might succeed.
    """

    failed_storages: tuple[str, ...] = ()

    def __init__(self, reason: str, **values: object) -> None:
        super().__init__(reason)
        self.reason, self.values = reason, values

    def because_of(self, storages: tuple[str, ...]) -> Self:
        """The same failure, for which these are the reason."""
        self.failed_storages = storages
        return self


class CutOff(Exception):
    """What has been sent of somebody's files is not all of them; the text says why, for the log."""


def unreadable(error: Exception, *, begun: bool) -> Exception:
    """What is raised when files cannot be read, or not any further."""
    why = "reading them failed."
    return (
        CutOff(str(error))
        if begun
        else Unavailable(sentence("download_failed", message=why), retry_after=60, code="download_failed")
    )


def too_late(instance: Instance | None, *, limit: int, image: str) -> LaunchFailed:
    """Any start is given up after *limit* seconds, told with the step at which it was."""
    if instance is not None and instance.observed is Observed.PULLING:
        return LaunchFailed("image_pull_timeout", image=image, limit=f"{limit} s")
    stage = (instance and instance.stage) or "Starting the server"
    return LaunchFailed("start_timeout", limit=f"{limit} s", stage=stage)


@contextmanager
def told_to_the_hub() -> Iterator[None]:
    """A refusal of ours within is counted, and raised as the hub's SessionSpawnError."""
    try:
        with metrics.refusals():
            yield
    except RenkuError as refusal:
        raise SessionSpawnError(refusal.message, reason=refusal.code, refusal=refusal) from None
