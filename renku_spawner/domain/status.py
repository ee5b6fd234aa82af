"""What is wanted of an instance, what is seen of it, and what its owner is told."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    INACTIVE = "inactive"
    LAUNCHING = "launching"
    RUNNING = "running"
    PAUSED = "paused"
    FAILED = "failed"
    STOPPING = "stopping"
    UNKNOWN = "unknown"


class Desired(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    DELETED = "deleted"


class Observed(StrEnum):
    """What was last seen; the order of a start from `absent` to `ready`."""

    ABSENT = "absent"
    QUEUED = "queued"
    CREATING = "creating"
    SCHEDULING = "scheduling"
    PULLING = "pulling"
    PREPARING = "preparing"
    STARTING = "starting"
    WAITING = "waiting"
    READY = "ready"
    TERMINATING = "terminating"
    UNKNOWN = "unknown"


STAGES = {
    Observed.QUEUED: "Queued",
    Observed.CREATING: "Getting ready",
    Observed.SCHEDULING: "Finding room on the cluster",
    Observed.PULLING: "Downloading the image",
    Observed.PREPARING: "Preparing files",
    Observed.STARTING: "Starting the server",
    Observed.WAITING: "Waiting until it answers",
}
ACTIVE = frozenset({Status.LAUNCHING, Status.RUNNING, Status.STOPPING, Status.UNKNOWN})


def status_of(desired: Desired, observed: Observed, *, failed: bool, kept: bool) -> Status:
    """What is seen of an instance; *failed*: the last start has a reason, *kept*: there is a volume."""
    if observed is Observed.UNKNOWN:
        return Status.UNKNOWN
    if desired is Desired.RUNNING:
        return Status.RUNNING if observed is Observed.READY else Status.LAUNCHING
    if observed is not Observed.ABSENT:
        return Status.STOPPING
    if failed:
        return Status.FAILED
    return Status.PAUSED if kept else Status.INACTIVE
