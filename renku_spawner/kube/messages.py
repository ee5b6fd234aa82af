"""The messages of schedulers, provisioners and kubelets about a pod that waits, and what each of them means.

Most of them are about something that heals by itself, so the first sighting of one is no failure. Everything that
decides about such a message looks it up here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .asked import Asked
from .objects import words
from .verdict import HEALS_OFTEN, SIGHTINGS_APART, Failure

SCHEDULER = "FailedScheduling"  # the message of the condition PodScheduled, which the event repeats
NOMINATED = "NominatedNodeName"  # no event: a pod that waits for the end of those that it displaces has this field
PULL = "ErrImagePull"
CONFIGURATION = "CreateContainerConfigError"
_MOMENT, _OURS_MADE_LATE = 10.0, 30.0  # seconds in which an object comes that is made beside the pod
_KUBELET_RETRIES = 60.0  # seconds; the kubelet tries a mount again after 0.5 s, 1 s, … up to 2 min
_SLOW_DISK = 120.0  # seconds in which most provisioners and attachers are done
_NODE_JOINS = 120.0  # seconds until the daemons of a node that has just joined run
_STORAGE = 60.0  # seconds that a storage far away may take; its session can be started without it

_NEW_NODE = (
    r"node\.kubernetes\.io/(not-ready|network-unavailable)"
    r"|node\.cloudprovider\.kubernetes\.io/uninitialized|node\.cilium\.io/agent-not-ready"
)
_GPU = r"Insufficient \S{0,100}gpu"
_ROOM = r"Insufficient (cpu|memory|ephemeral-storage|pods)|Too many pods"
_MISSING = r'(secret|configmap) "[^"]{0,300}" not found|references non-existent (secret|config) key'


@dataclass(frozen=True, kw_only=True)
class Message:
    """A row: a message of *source* (an event's or a waiting container's reason) that *pattern* is found in.

    `code` is the failure that it means if it lasts. A message that `heals` by itself is told in the words of
    `progress` for its first `waited` seconds, and as `code` only afterwards; without `progress` it is told as `code`
    at once, and may heal all the same. It is final after `final` seconds, None: never by lasting. `ours` limits a row
    to messages that name an object that the hub makes beside the pod. `example` is a whole message, for the tests.
    """

    source: str
    pattern: str
    code: str
    heals: bool
    progress: str = ""
    waited: float = 0.0
    final: float | None = HEALS_OFTEN
    ours: bool = False
    example: str = ""
    matches: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "matches", re.compile(self.pattern, re.IGNORECASE))


_NOT_READY = "untolerated taint {node.kubernetes.io/not-ready: }"
_FORBIDDEN = (
    'User "system:node:n1" cannot get resource "persistentvolumeclaims" in API group "" in the namespace "sessions": '
    "no relationship found between node 'n1' and this object"
)

# The first row that fits is taken.
TABLE = (
    # ---- the scheduler --------------------------------------------------------------------------------------
    Message(
        source=SCHEDULER,
        pattern=r'persistentvolumeclaim "[^"]{0,300}" not found|could not find v1\.PersistentVolumeClaim',
        code="volume_lost", heals=True, progress="disk_creating", waited=_MOMENT, final=_MOMENT,
        example='0/1 nodes are available: persistentvolumeclaim "work-x" not found.',
    ),
    Message(
        source=SCHEDULER,
        pattern=r'unbound immediate PersistentVolumeClaims|persistentvolumeclaim "[^"]{0,300}" is being',
        code="volume_pending", heals=True, progress="disk_creating", waited=_SLOW_DISK,
        example="0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
    ),
    Message(
        source=SCHEDULER, pattern=r"binding volumes: .{0,100}(timed out|deadline exceeded)",
        code="volume_pending", heals=True, progress="disk_creating", waited=_SLOW_DISK,
        example='running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded',
    ),
    Message(
        source=SCHEDULER, pattern=r"binding volumes: ", code="volume_pending", heals=True,
        example='running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "work-x"',
    ),
    Message(
        source=SCHEDULER, pattern=rf"(?s)\A(?=.*({_NEW_NODE}))(?=.*{_GPU})",
        code="unschedulable_gpu", heals=True, progress="node_joining", waited=_NODE_JOINS,
        example=f"0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had {_NOT_READY}.",
    ),
    Message(
        source=SCHEDULER, pattern=rf"(?s)\A(?=.*({_NEW_NODE}))(?=.*({_ROOM}))",
        code="unschedulable_resources", heals=True, progress="node_joining", waited=_NODE_JOINS,
        example=f"0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had {_NOT_READY}.",
    ),
    Message(
        source=SCHEDULER, pattern=_NEW_NODE,
        code="unschedulable_other", heals=True, progress="node_joining", waited=_NODE_JOINS,
        example=f"0/1 nodes are available: 1 node(s) had {_NOT_READY}.",
    ),
    Message(
        source=SCHEDULER, pattern=_GPU, code="unschedulable_gpu", heals=True,
        example="0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available.",
    ),
    Message(
        source=SCHEDULER, pattern=_ROOM, code="unschedulable_resources", heals=True,
        example="0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No victims.",
    ),
    Message(
        source=SCHEDULER, pattern="", code="unschedulable_other", heals=True,
        example="0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    ),
    # Of a pod that the scheduler has found no place for yet, these say that one is on its way.
    Message(
        source=NOMINATED, pattern="", code="unschedulable_resources", heals=True, progress="making_room",
        waited=_SLOW_DISK, example="n1",
    ),
    Message(
        source="TriggeredScaleUp", pattern="", code="unschedulable_resources", heals=True, progress="scaling_up",
        waited=HEALS_OFTEN, example="pod triggered scale-up: [{pool-1 1->2 (max: 4)}]",
    ),
    # ---- provisioners ---------------------------------------------------------------------------------------
    Message(
        source="ProvisioningFailed",
        pattern=r"deadline ?exceeded|code = (Aborted|Unavailable)|operation .{0,300}exists",
        code="volume_pending", heals=True, progress="disk_creating", waited=_SLOW_DISK,
        example='failed to provision volume with StorageClass "x": rpc error: code = DeadlineExceeded desc = late',
    ),
    Message(
        source="ProvisioningFailed", pattern="", code="volume_pending", heals=True,
        example='storageclass.storage.k8s.io "x" not found',
    ),
    Message(
        source="FailedBinding", pattern="", code="volume_pending", heals=True,
        example="no persistent volumes available for this claim and no storage class is set",
    ),
    # ---- kubelets: volumes ----------------------------------------------------------------------------------
    Message(
        source="FailedMount", pattern=r"no relationship found between node",  # the node authoriser's graph lags behind
        code="volume_mount", heals=True, progress="disk_mounting", waited=_KUBELET_RETRIES,
        example=f'MountVolume.SetUp failed: persistentvolumeclaims "work-x" is forbidden: {_FORBIDDEN}',
    ),
    Message(
        source="FailedMount", pattern=r"failed to sync (secret|configmap) cache|object \S{1,300} not registered",
        code="config_error", heals=True, progress="setting_up", waited=_KUBELET_RETRIES,
        example='MountVolume.SetUp failed for volume "x" : failed to sync secret cache: timed out waiting for the '
        "condition",
    ),
    Message(
        source="FailedMount", pattern=_MISSING, ours=True,
        code="config_error", heals=True, progress="setting_up", waited=_OURS_MADE_LATE, final=_OURS_MADE_LATE,
        example='MountVolume.SetUp failed for volume "x" : secret "renku-x" not found',
    ),
    Message(
        source="FailedMount", pattern=_MISSING, code="config_error", heals=True, final=_MOMENT,
        example='MountVolume.SetUp failed for volume "x" : configmap "of-an-admin" not found',
    ),
    Message(
        source="FailedMount", pattern=r"timed out waiting for the condition|context deadline exceeded|code = Aborted"
        r"|operation with the given Volume ID .{0,300} already exists|not found in the list of registered CSI drivers"
        r"|has not been added to the list of VolumesInUse|volume is not attached|being deleted",
        code="volume_mount", heals=True, progress="disk_mounting", waited=_SLOW_DISK,
        example="Unable to attach or mount volumes: unmounted volumes=[work]: timed out waiting for the condition",
    ),
    Message(
        source="FailedMount", pattern="", code="volume_mount", heals=True,
        example='MountVolume.SetUp failed for volume "x" : mount failed: exit status 32',
    ),
    Message(
        source="FailedAttachVolume", pattern="", code="volume_attach", heals=True, progress="disk_attaching",
        waited=_SLOW_DISK,
        example='Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node',
    ),
    # ---- kubelets: the rest ---------------------------------------------------------------------------------
    Message(
        source="FailedCreatePodSandBox", pattern="", code="sandbox_failed", heals=True, progress="setting_up",
        waited=_KUBELET_RETRIES,
        example='Failed to create pod sandbox: plugin type="cilium-cni" failed (add): unable to connect to agent',
    ),
    Message(
        source=CONFIGURATION, pattern=r"run as root|non-root|runAsNonRoot|runAsUser", code="image_root", heals=False,
        final=SIGHTINGS_APART, example="container has runAsNonRoot and image will run as root",
    ),
    Message(
        source=CONFIGURATION, pattern=r"failed to sync (secret|configmap) cache",
        code="config_error", heals=True, progress="setting_up", waited=_KUBELET_RETRIES,
        example="failed to sync configmap cache: timed out waiting for the condition",
    ),
    Message(
        source=CONFIGURATION, pattern="", ours=True,
        code="config_error", heals=True, progress="setting_up", waited=_OURS_MADE_LATE, final=_OURS_MADE_LATE,
        example='secret "renku-x" not found',
    ),
    Message(
        source=CONFIGURATION, pattern="", code="config_error", heals=True, final=SIGHTINGS_APART,
        example="couldn't find key TOKEN in Secret sessions/of-an-admin",
    ),
    # ---- images: the second failed download is final (see `pulls`); the message for another platform says "not found"
    Message(
        source=PULL, pattern=r"no match(ing manifest)? for (platform|\w+/\w+)|exec format error",
        code="image_platform_mismatch", heals=False, final=None,
        example="no match for platform in manifest: not found",
    ),
    Message(
        source=PULL, pattern=r"access denied|authorization failed|authentication required|\b40[13]\b|no basic auth",
        code="image_denied", heals=False, final=None, example="unexpected status: 401 Unauthorized",
    ),
    Message(
        source=PULL, pattern=r"i/o timeout|no such host|connection refused|connection reset|DeadlineExceeded|TLS hand",
        code="registry_unreachable", heals=True, progress="pull_again", waited=_KUBELET_RETRIES, final=None,
        example='failed to do request: Head "https://quay.io/v2/x": dial tcp 10.0.0.1:443: i/o timeout',
    ),
    Message(
        source=PULL, pattern=r"not found|NotFound|MANIFEST_UNKNOWN|NAME_UNKNOWN|\b404\b",
        code="image_not_found", heals=False, final=None, example="quay.io/ada/image:1: not found",
    ),
    Message(
        source=PULL, pattern="", code="image_pull_failed", heals=True, progress="pull_again",
        waited=_KUBELET_RETRIES, final=None, example="httpReadSeeker: failed open: unexpected EOF",
    ),
)  # fmt: skip


def find(source: str, message: str, asked: Asked | None = None) -> Message | None:
    """Return the row of a message; the classes' own name of a GPU counts as one."""
    named = message.replace(f"Insufficient {asked.gpu}", "Insufficient gpu") if asked else message
    ours = asked is not None and any(name in message for name in asked.ours)
    return next(
        (row for row in TABLE if row.source == source and (ours or not row.ours) and row.matches.search(named)), None
    )


def explain(
    source: str, message: str, asked: Asked, *, about: str = "", values: Mapping[str, object] | None = None
) -> Failure | None:
    """Return what a message means, with the time that it has to heal; None while the object that it misses is made.

    *about* is the object that the message is about, if it does not name it: a message about one of the session's
    storages is that storage's failure, since the session can be started without it.
    """
    row = find(source, message, asked)
    if row is None or (row.code == "config_error" and any(name in message for name in asked.making)):
        return None
    storage = asked.storage_in(about or message) if _is_about_volumes(row) else None
    if storage is not None:
        final = 3 * _MOMENT if row.code == "volume_lost" else _STORAGE
        return Failure(
            code="data_mount_failed", values={"storages": storage, "message": words(message)}, after=final,
            progress="storage_mounting" if row.progress else "", quiet=min(row.waited, final),
        )  # fmt: skip
    told = {"message": words(message, source)} if values is None else values
    return Failure(code=row.code, values=told, after=row.final, progress=row.progress, quiet=row.waited)


def _is_about_volumes(row: Message) -> bool:
    return row.source in ("FailedMount", "FailedAttachVolume", "ProvisioningFailed", "FailedBinding") or (
        row.code == "volume_lost"
    )
