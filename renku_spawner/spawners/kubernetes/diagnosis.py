"""Derive a session's stage, notices and failure from its pod and events.

All functions are pure: they make no API calls and keep no state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ...domain.instances import ObservedState
from ...domain.quantities import format_size_quantity
from ...domain.reasons import format_reason, resolve_exit_reason
from ...domain.sessions import LaunchSpec
from .objects import (
    ContainerStatus,
    ContainerTermination,
    KubernetesObject,
    count_events,
    filter_events,
    find_condition,
    get_event_time,
    get_nested,
    list_container_statuses,
    list_objects,
    parse_api_time,
    shorten_message,
    to_text,
)
from .settings import NOTEBOOK_CONTAINER_NAME


@dataclass(frozen=True, kw_only=True)
class PodExpectations:
    """The hub's request for a pod, as far as rules and messages need it.

    `limit` is the formatted memory limit, `program` the command's program, `gpu` the GPU resource of the class.
    `ours` are the names of objects that the hub creates after the pod, `making` those of them that do not exist yet.
    `storages` are directories by the names of their PVCs and volumes. `hub_since` is when this hub began to
    answer, or now if it does not yet: programs that started earlier may have found no hub.
    """

    image: str
    limit: str = ""
    program: str = "jupyterhub-singleuser"
    gpu: str = "nvidia.com/gpu"
    container: str = NOTEBOOK_CONTAINER_NAME
    was_ready: bool = False
    ours: frozenset[str] = frozenset()
    making: frozenset[str] = frozenset()
    storages: Mapping[str, str] = field(default_factory=dict)
    now: datetime | None = None
    hub_since: datetime | None = None

    def find_storage_in_message(self, message: str) -> str | None:
        """Return the directory of the storage that a message mentions, or None."""
        return next((directory for name, directory in self.storages.items() if name in message), None)


def build_pod_expectations(spec: LaunchSpec, **more: object) -> PodExpectations:
    """Build the expectations for a session's pod; *more* are further fields of `PodExpectations`."""
    usual: dict[str, object] = {
        "image": spec.image,
        "limit": format_size_quantity(spec.resource_class.memory),
        "gpu": spec.resource_class.gpu_resource,
    }
    if spec.run.command:
        usual["program"] = spec.run.command[0]
    return PodExpectations(**{**usual, **more})  # type: ignore[arg-type]


NO_TOLERANCE_SECONDS = 0.0
CONFIRMATION_SECONDS = 3.0  # a permanent error must last this long, so that a passing one does not end the launch
RECOVERY_TOLERANCE_SECONDS = 600.0  # for autoscalers and slow disks
MAX_CONTAINER_EXITS = 3


@dataclass(frozen=True, kw_only=True)
class PodNotice:
    """A notice for the user that changes no status; `values` fill the message of `code`."""

    code: str
    values: Mapping[str, object] = field(default_factory=dict)

    def to_message(self) -> dict[str, str]:
        """Return the notice as it is stored and shown."""
        title, text = format_reason(self.code, **self.values)
        return {"code": self.code, "title": title, "text": text}


@dataclass(frozen=True, kw_only=True)
class PodFailure(PodNotice):
    """A problem of the pod, which is final once it has lasted `after` seconds.

    With `after` None it never becomes final by lasting. Until it is final, it is shown as what the launch waits for:
    for the first `quiet` seconds with the message of `progress`, because it usually resolves by itself.
    """

    after: float | None = NO_TOLERANCE_SECONDS
    progress: str = ""
    quiet: float = 0.0


@dataclass(frozen=True, kw_only=True)
class FailureAssessment:
    """A failure, its start (seconds of any monotonic clock), its duration in seconds, and whether it is final."""

    failure: PodFailure | None = None
    since: float = 0.0
    lasted: float = 0.0
    final: bool = False

    @property
    def notice(self) -> PodNotice | None:
        """The notice to show while the failure is not final."""
        if self.failure is None or not self.failure.progress or self.lasted >= self.failure.quiet:
            return self.failure
        return PodNotice(code=self.failure.progress, values=self.failure.values)


def assess_failure(failure: PodFailure | None, before: FailureAssessment, now: float) -> FailureAssessment:
    """Update the assessment; a failure with another code restarts its duration."""
    if failure is None:
        return FailureAssessment(since=now)
    same = before.failure is not None and before.failure.code == failure.code
    since = before.since if same else now
    lasted = now - since
    final = failure.after is not None and lasted >= failure.after
    return FailureAssessment(failure=failure, since=since, lasted=lasted, final=final)


SCHEDULER_SOURCE = "FailedScheduling"  # messages of the condition PodScheduled, which the event repeats
NOMINATED_NODE_SOURCE = (
    "NominatedNodeName"  # not an event, but a field of a pod that waits for the pods that it preempts to end
)
IMAGE_PULL_SOURCE = "ErrImagePull"
CONTAINER_CONFIG_SOURCE = "CreateContainerConfigError"
_OBJECT_CREATION_SECONDS, _HUB_OBJECT_CREATION_SECONDS = (
    10.0,
    30.0,
)  # time in which an object that the pod needs is created
_KUBELET_RETRY_SECONDS = 60.0  # the kubelet retries a mount after 0.5 s, 1 s, … up to 2 min
_SLOW_VOLUME_SECONDS = 120.0  # most provisioners and attachers need less
_NODE_JOIN_SECONDS = 120.0  # until the daemons of a new node run
_STORAGE_MOUNT_SECONDS = 60.0  # for a remote storage; the session can be started without it

_NEW_NODE_TAINT_PATTERN = (
    r"node\.kubernetes\.io/(not-ready|network-unavailable)"
    r"|node\.cloudprovider\.kubernetes\.io/uninitialized|node\.cilium\.io/agent-not-ready"
)
_INSUFFICIENT_GPU_PATTERN = r"Insufficient \S{0,100}gpu"
_INSUFFICIENT_RESOURCES_PATTERN = r"Insufficient (cpu|memory|ephemeral-storage|pods)|Too many pods"
_MISSING_OBJECT_PATTERN = r'(secret|configmap) "[^"]{0,300}" not found|references non-existent (secret|config) key'


@dataclass(frozen=True, kw_only=True)
class ClusterMessageRule:
    """A rule for messages of *source* (the reason of an event or a waiting container) that contain *pattern*.

    `code` is the failure that the message means if it lasts. A problem that `heals` by itself is shown with the message
    of `progress` for its first `waited` seconds, and as `code` afterwards; without `progress` it is shown as `code` at
    once, but may still heal. It is final after `final` seconds; with None it never becomes final by lasting. `ours`
    limits a rule to messages that name an object that the hub creates with the pod. `example` is a complete message,
    for the tests.
    """

    source: str
    pattern: str
    code: str
    heals: bool
    progress: str = ""
    waited: float = 0.0
    final: float | None = RECOVERY_TOLERANCE_SECONDS
    ours: bool = False
    example: str = ""
    matches: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "matches", re.compile(self.pattern, re.IGNORECASE))


_NOT_READY_TAINT_EXAMPLE = "untolerated taint {node.kubernetes.io/not-ready: }"
_FORBIDDEN_PVC_EXAMPLE = (
    'User "system:node:n1" cannot get resource "persistentvolumeclaims" in API group "" in the namespace "sessions": '
    "no relationship found between node 'n1' and this object"
)

# The first matching rule applies.
CLUSTER_MESSAGE_RULES = (
    # Scheduler
    ClusterMessageRule(
        source=SCHEDULER_SOURCE,
        pattern=r'persistentvolumeclaim "[^"]{0,300}" not found|could not find v1\.PersistentVolumeClaim',
        code="volume_lost",
        heals=True,
        progress="disk_creating",
        waited=_OBJECT_CREATION_SECONDS,
        final=_OBJECT_CREATION_SECONDS,
        example='0/1 nodes are available: persistentvolumeclaim "work-x" not found.',
    ),
    ClusterMessageRule(
        source=SCHEDULER_SOURCE,
        pattern=r'unbound immediate PersistentVolumeClaims|persistentvolumeclaim "[^"]{0,300}" is being',
        code="volume_pending",
        heals=True,
        progress="disk_creating",
        waited=_SLOW_VOLUME_SECONDS,
        example="0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
    ),
    ClusterMessageRule(
        source=SCHEDULER_SOURCE,
        pattern=r"binding volumes: .{0,100}(timed out|deadline exceeded)",
        code="volume_pending",
        heals=True,
        progress="disk_creating",
        waited=_SLOW_VOLUME_SECONDS,
        example='running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded',
    ),
    ClusterMessageRule(
        source=SCHEDULER_SOURCE,
        pattern=r"binding volumes: ",
        code="volume_pending",
        heals=True,
        example='running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "work-x"',
    ),
    ClusterMessageRule(
        source=SCHEDULER_SOURCE,
        pattern=rf"(?s)\A(?=.*({_NEW_NODE_TAINT_PATTERN}))(?=.*{_INSUFFICIENT_GPU_PATTERN})",
        code="unschedulable_gpu",
        heals=True,
        progress="node_joining",
        waited=_NODE_JOIN_SECONDS,
        example=f"0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had {_NOT_READY_TAINT_EXAMPLE}.",
    ),
    ClusterMessageRule(
        source=SCHEDULER_SOURCE,
        pattern=rf"(?s)\A(?=.*({_NEW_NODE_TAINT_PATTERN}))(?=.*({_INSUFFICIENT_RESOURCES_PATTERN}))",
        code="unschedulable_resources",
        heals=True,
        progress="node_joining",
        waited=_NODE_JOIN_SECONDS,
        example=f"0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had {_NOT_READY_TAINT_EXAMPLE}.",
    ),
    ClusterMessageRule(
        source=SCHEDULER_SOURCE,
        pattern=_NEW_NODE_TAINT_PATTERN,
        code="unschedulable_other",
        heals=True,
        progress="node_joining",
        waited=_NODE_JOIN_SECONDS,
        example=f"0/1 nodes are available: 1 node(s) had {_NOT_READY_TAINT_EXAMPLE}.",
    ),
    ClusterMessageRule(
        source=SCHEDULER_SOURCE,
        pattern=_INSUFFICIENT_GPU_PATTERN,
        code="unschedulable_gpu",
        heals=True,
        example="0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available.",
    ),
    ClusterMessageRule(
        source=SCHEDULER_SOURCE,
        pattern=_INSUFFICIENT_RESOURCES_PATTERN,
        code="unschedulable_resources",
        heals=True,
        example="0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No victims.",
    ),
    ClusterMessageRule(
        source=SCHEDULER_SOURCE,
        pattern="",
        code="unschedulable_other",
        heals=True,
        example="0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    ),
    # For a pod that is not scheduled yet, the next two mean that capacity is on its way.
    ClusterMessageRule(
        source=NOMINATED_NODE_SOURCE,
        pattern="",
        code="unschedulable_resources",
        heals=True,
        progress="making_room",
        waited=_SLOW_VOLUME_SECONDS,
        example="n1",
    ),
    ClusterMessageRule(
        source="TriggeredScaleUp",
        pattern="",
        code="unschedulable_resources",
        heals=True,
        progress="scaling_up",
        waited=RECOVERY_TOLERANCE_SECONDS,
        example="pod triggered scale-up: [{pool-1 1->2 (max: 4)}]",
    ),
    # Volume provisioners
    ClusterMessageRule(
        source="ProvisioningFailed",
        pattern=r"deadline ?exceeded|code = (Aborted|Unavailable)|operation .{0,300}exists",
        code="volume_pending",
        heals=True,
        progress="disk_creating",
        waited=_SLOW_VOLUME_SECONDS,
        example='failed to provision volume with StorageClass "x": rpc error: code = DeadlineExceeded desc = late',
    ),
    ClusterMessageRule(
        source="ProvisioningFailed",
        pattern="",
        code="volume_pending",
        heals=True,
        example='storageclass.storage.k8s.io "x" not found',
    ),
    ClusterMessageRule(
        source="FailedBinding",
        pattern="",
        code="volume_pending",
        heals=True,
        example="no persistent volumes available for this claim and no storage class is set",
    ),
    # Kubelet: volumes
    ClusterMessageRule(
        source="FailedMount",
        pattern=r"no relationship found between node",  # the node authoriser's graph lags behind
        code="volume_mount",
        heals=True,
        progress="disk_mounting",
        waited=_KUBELET_RETRY_SECONDS,
        example=f'MountVolume.SetUp failed: persistentvolumeclaims "work-x" is forbidden: {_FORBIDDEN_PVC_EXAMPLE}',
    ),
    ClusterMessageRule(
        source="FailedMount",
        pattern=r"failed to sync (secret|configmap) cache|object \S{1,300} not registered",
        code="config_error",
        heals=True,
        progress="setting_up",
        waited=_KUBELET_RETRY_SECONDS,
        example='MountVolume.SetUp failed for volume "x" : failed to sync secret cache: timed out waiting for the '
        "condition",
    ),
    ClusterMessageRule(
        source="FailedMount",
        pattern=_MISSING_OBJECT_PATTERN,
        ours=True,
        code="config_error",
        heals=True,
        progress="setting_up",
        waited=_HUB_OBJECT_CREATION_SECONDS,
        final=_HUB_OBJECT_CREATION_SECONDS,
        example='MountVolume.SetUp failed for volume "x" : secret "renku-x" not found',
    ),
    ClusterMessageRule(
        source="FailedMount",
        pattern=_MISSING_OBJECT_PATTERN,
        code="config_error",
        heals=True,
        final=_OBJECT_CREATION_SECONDS,
        example='MountVolume.SetUp failed for volume "x" : configmap "of-an-admin" not found',
    ),
    ClusterMessageRule(
        source="FailedMount",
        pattern=r"timed out waiting for the condition|context deadline exceeded|code = Aborted"
        r"|operation with the given Volume ID .{0,300} already exists|not found in the list of registered CSI drivers"
        r"|has not been added to the list of VolumesInUse|volume is not attached|being deleted",
        code="volume_mount",
        heals=True,
        progress="disk_mounting",
        waited=_SLOW_VOLUME_SECONDS,
        example="Unable to attach or mount volumes: unmounted volumes=[work]: timed out waiting for the condition",
    ),
    ClusterMessageRule(
        source="FailedMount",
        pattern="",
        code="volume_mount",
        heals=True,
        example='MountVolume.SetUp failed for volume "x" : mount failed: exit status 32',
    ),
    ClusterMessageRule(
        source="FailedAttachVolume",
        pattern="",
        code="volume_attach",
        heals=True,
        progress="disk_attaching",
        waited=_SLOW_VOLUME_SECONDS,
        example='Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node',
    ),
    # Kubelet: sandbox and container configuration
    ClusterMessageRule(
        source="FailedCreatePodSandBox",
        pattern="",
        code="sandbox_failed",
        heals=True,
        progress="setting_up",
        waited=_KUBELET_RETRY_SECONDS,
        example='Failed to create pod sandbox: plugin type="cilium-cni" failed (add): unable to connect to agent',
    ),
    ClusterMessageRule(
        source=CONTAINER_CONFIG_SOURCE,
        pattern=r"run as root|non-root|runAsNonRoot|runAsUser",
        code="image_root",
        heals=False,
        final=CONFIRMATION_SECONDS,
        example="container has runAsNonRoot and image will run as root",
    ),
    ClusterMessageRule(
        source=CONTAINER_CONFIG_SOURCE,
        pattern=r"failed to sync (secret|configmap) cache",
        code="config_error",
        heals=True,
        progress="setting_up",
        waited=_KUBELET_RETRY_SECONDS,
        example="failed to sync configmap cache: timed out waiting for the condition",
    ),
    ClusterMessageRule(
        source=CONTAINER_CONFIG_SOURCE,
        pattern="",
        ours=True,
        code="config_error",
        heals=True,
        progress="setting_up",
        waited=_HUB_OBJECT_CREATION_SECONDS,
        final=_HUB_OBJECT_CREATION_SECONDS,
        example='secret "renku-x" not found',
    ),
    ClusterMessageRule(
        source=CONTAINER_CONFIG_SOURCE,
        pattern="",
        code="config_error",
        heals=True,
        final=CONFIRMATION_SECONDS,
        example="couldn't find key TOKEN in Secret sessions/of-an-admin",
    ),
    # Images: the second failed pull is final (see `_get_pull_tolerance_seconds`). The platform rule comes first,
    # because its messages also contain "not found".
    ClusterMessageRule(
        source=IMAGE_PULL_SOURCE,
        pattern=r"no match(ing manifest)? for (platform|\w+/\w+)|exec format error",
        code="image_platform_mismatch",
        heals=False,
        final=None,
        example="no match for platform in manifest: not found",
    ),
    ClusterMessageRule(
        source=IMAGE_PULL_SOURCE,
        pattern=r"access denied|authorization failed|authentication required|\b40[13]\b|no basic auth",
        code="image_denied",
        heals=False,
        final=None,
        example="unexpected status: 401 Unauthorized",
    ),
    ClusterMessageRule(
        source=IMAGE_PULL_SOURCE,
        pattern=r"i/o timeout|no such host|connection refused|connection reset|DeadlineExceeded|TLS hand",
        code="registry_unreachable",
        heals=True,
        progress="pull_again",
        waited=_KUBELET_RETRY_SECONDS,
        final=None,
        example='failed to do request: Head "https://quay.io/v2/x": dial tcp 10.0.0.1:443: i/o timeout',
    ),
    ClusterMessageRule(
        source=IMAGE_PULL_SOURCE,
        pattern=r"not found|NotFound|MANIFEST_UNKNOWN|NAME_UNKNOWN|\b404\b",
        code="image_not_found",
        heals=False,
        final=None,
        example="quay.io/ada/image:1: not found",
    ),
    ClusterMessageRule(
        source=IMAGE_PULL_SOURCE,
        pattern="",
        code="image_pull_failed",
        heals=True,
        progress="pull_again",
        waited=_KUBELET_RETRY_SECONDS,
        final=None,
        example="httpReadSeeker: failed open: unexpected EOF",
    ),
)


def find_message_rule(source: str, message: str, asked: PodExpectations | None = None) -> ClusterMessageRule | None:
    """Return the first rule that matches a message; the class's GPU resource counts as a GPU whatever its name."""
    normalised = message.replace(f"Insufficient {asked.gpu}", "Insufficient gpu") if asked else message
    ours = asked is not None and any(name in message for name in asked.ours)
    return next(
        (
            rule
            for rule in CLUSTER_MESSAGE_RULES
            if rule.source == source and (ours or not rule.ours) and rule.matches.search(normalised)
        ),
        None,
    )


def explain_cluster_message(
    source: str, message: str, asked: PodExpectations, *, about: str = "", values: Mapping[str, object] | None = None
) -> PodFailure | None:
    """Return the failure that a message means; None while the hub still creates the object that is missing.

    *about* is the object that the message concerns, if the message does not name it. A message about one of the
    session's storages becomes that storage's failure, because the session can be started without it.
    """
    rule = find_message_rule(source, message, asked)
    if rule is None or (rule.code == "config_error" and any(name in message for name in asked.making)):
        return None
    storage = asked.find_storage_in_message(about or message) if _is_volume_rule(rule) else None
    if storage is not None:
        final = 3 * _OBJECT_CREATION_SECONDS if rule.code == "volume_lost" else _STORAGE_MOUNT_SECONDS
        return PodFailure(
            code="data_mount_failed", values={"storages": storage, "message": shorten_message(message)}, after=final,
            progress="storage_mounting" if rule.progress else "", quiet=min(rule.waited, final),
        )  # fmt: skip
    message_values = {"message": shorten_message(message, source)} if values is None else values
    return PodFailure(
        code=rule.code, values=message_values, after=rule.final, progress=rule.progress, quiet=rule.waited
    )


def _is_volume_rule(row: ClusterMessageRule) -> bool:
    return row.source in ("FailedMount", "FailedAttachVolume", "ProvisioningFailed", "FailedBinding") or (
        row.code == "volume_lost"
    )


_NORMAL_WAITING_REASONS = {"", "ContainerCreating", "PodInitializing"}
_COMMAND_NOT_FOUND_PATTERN = re.compile(
    r"no such file or directory|executable file not found|not found in \$PATH", re.IGNORECASE
)
_SINGLEUSER_COMMANDS = {"jupyterhub-singleuser", "jupyter-labhub", "jupyterhub-singleuser.exe"}
_PERMANENT_FAILURE_CODES = {"command_not_found", "command_not_executable", "no_jupyter", "image_platform_mismatch"}
_HUB_OUTAGE_FAILURE_CODES = {"crash_exit", "hub_unreachable"}
_START_FAILURE_REASONS = {"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"}


def find_crash_failure(
    container: ContainerStatus, asked: PodExpectations, *, policy: str = "OnFailure"
) -> PodFailure | None:
    """Return why the container does not run, or None; *policy* is the pod's restart policy."""
    if container.running:
        return None
    if container.waiting == CONTAINER_CONFIG_SOURCE:
        return _find_configuration_failure(container.message, asked)
    if container.waiting == "CrashLoopBackOff" or container.ended:
        return _find_exit_failure(container, asked, policy)
    if container.waiting in _START_FAILURE_REASONS:
        return _apply_restart_limit(container, _explain_start_error(container.message, asked), asked)
    if container.waiting in _NORMAL_WAITING_REASONS:
        return None
    return PodFailure(
        code="create_error",
        values={"message": shorten_message(container.message, container.waiting)},
        after=RECOVERY_TOLERANCE_SECONDS,
    )


def _find_configuration_failure(message: str, asked: PodExpectations) -> PodFailure | None:
    """Explain a configuration error, which resolves when the missing object is created."""
    values = {"message": shorten_message(message, CONTAINER_CONFIG_SOURCE), "image": asked.image}
    return explain_cluster_message(CONTAINER_CONFIG_SOURCE, message, asked, values=values)


def _find_exit_failure(container: ContainerStatus, asked: PodExpectations, policy: str) -> PodFailure | None:
    end = container.end
    if end is None:
        return PodFailure(
            code="create_error",
            values={"message": shorten_message(container.message, container.waiting)},
            after=RECOVERY_TOLERANCE_SECONDS,
        )
    failure = explain_termination(end, asked)
    is_not_restarted = policy == "Never" or (policy == "OnFailure" and end.exit_code == 0)
    return (
        replace(failure, after=NO_TOLERANCE_SECONDS)
        if is_not_restarted and container.ended
        else _apply_restart_limit(container, failure, asked)
    )


def _apply_restart_limit(container: ContainerStatus, found: PodFailure, asked: PodExpectations) -> PodFailure:
    """Make a failure final at once if no restart can help, otherwise at the third exit.

    For a session that has been ready, only a crash loop is final, because it may run for weeks and be restarted in
    place now and then. An exit while no hub was running proves nothing: the kubelet's next restart decides, which
    comes within five minutes.
    """
    if found.code in _HUB_OUTAGE_FAILURE_CODES and _has_started_without_hub(container, asked):
        return replace(found, after=None)
    if asked.was_ready:
        looping = container.waiting == "CrashLoopBackOff" and container.ends >= MAX_CONTAINER_EXITS
        return replace(found, after=NO_TOLERANCE_SECONDS if looping else None)
    final = found.code in _PERMANENT_FAILURE_CODES or container.ends >= MAX_CONTAINER_EXITS
    return replace(found, after=NO_TOLERANCE_SECONDS if final else None)


def _has_started_without_hub(container: ContainerStatus, asked: PodExpectations) -> bool:
    """Return True if the last attempt started before this hub; `jupyterhub-singleuser` exits after 48 s without one."""
    end, since = container.end, asked.hub_since
    return end is not None and end.started is not None and since is not None and end.started < since


def explain_termination(end: ContainerTermination, asked: PodExpectations) -> PodFailure:
    """Return why a container ended, from its status; `refine_failure_with_log` adds what the log says."""
    if end.reason in _START_FAILURE_REASONS:
        return _explain_start_error(end.message, asked)
    values = _build_exit_values(end, asked)
    if end.reason == "OOMKilled":
        return PodFailure(code="crash_oom", values=values)
    if end.reason == "ContainerStatusUnknown":
        return PodFailure(code="lost", values=values)
    return PodFailure(code=_get_exit_failure_code(end.exit_code, end.message, asked), values=values)


def refine_failure_with_log(found: PodFailure, log: str, asked: PodExpectations) -> PodFailure:
    """Return the failure *found*, made more specific by the end of the program's log."""
    exit_code = found.values.get("exit_code")
    if found.code not in ("crash_exit", "crash_killed") or not isinstance(exit_code, int):
        return found
    return replace(found, code=_get_exit_failure_code(exit_code, log, asked))


def _get_exit_failure_code(exit_code: int, log: str, asked: PodExpectations) -> str:
    if "exec format error" in log.lower():
        return "image_platform_mismatch"
    code = resolve_exit_reason(exit_code, log, was_ready=asked.was_ready)
    return _get_missing_command_code(asked) if code == "command_not_found" else code


def _get_missing_command_code(asked: PodExpectations) -> str:
    return "no_jupyter" if asked.program.rpartition("/")[2] in _SINGLEUSER_COMMANDS else "command_not_found"


def _explain_start_error(message: str, asked: PodExpectations) -> PodFailure:
    """Explain a message of the container runtime; runc quotes the program that it could not start."""
    named = re.search(r'exec: "([^"]+)"', message)
    about = replace(asked, program=named[1]) if named else asked
    values = {
        "message": shorten_message(message, "no reason given"),
        "program": shorten_message(about.program),
        "image": asked.image,
    }
    if "exec format error" in message:
        return PodFailure(code="image_platform_mismatch", values=values)
    if _COMMAND_NOT_FOUND_PATTERN.search(message):
        return PodFailure(code=_get_missing_command_code(about), values=values)
    code = "command_not_executable" if "permission denied" in message.lower() else "create_error"
    return PodFailure(code=code, values=values)


def _build_exit_values(end: ContainerTermination, asked: PodExpectations) -> Mapping[str, object]:
    return {
        "exit_code": end.exit_code,
        "limit": asked.limit or "…",
        "program": shorten_message(asked.program),
        "image": asked.image,
        "message": shorten_message(end.message, end.reason),
    }


_FAILURE_CODES_BY_POD_REASON = {
    "DeadlineExceeded": "deadline_exceeded",
    "Preempting": "preempted",
    "Preempted": "preempted",
    "NodeLost": "node_lost",
    "NodeShutdown": "node_shutdown",
    "Shutdown": "node_shutdown",
    "Terminated": "node_shutdown",
    "OutOfcpu": "unschedulable_resources",
    "OutOfmemory": "unschedulable_resources",
    "OutOfpods": "unschedulable_resources",
    "NodeAffinity": "unschedulable_other",
    "UnexpectedAdmissionError": "unschedulable_other",
}
_FAILURE_CODES_BY_DISRUPTION = {
    "PreemptionByScheduler": "preempted",
    "DeletionByTaintManager": "node_lost",
    "DeletionByPodGC": "node_lost",
    "EvictionByEvictionAPI": "node_drained",
    "TerminationByKubelet": "node_shutdown",
}
_FAILURE_CODES_BY_EVENT = {
    "Preempted": "preempted",
    "TaintManagerEviction": "node_lost",
    "Evicted": "evicted",
    "NodeShutdown": "node_shutdown",
}
# Phrases of the kubelet for a container that exceeded its ephemeral storage.
_EPHEMERAL_STORAGE_PHRASES = (
    "ephemeral local storage usage exceeds",
    "Usage of EmptyDir volume",
    "exceeded its local ephemeral storage limit",
)
_EPHEMERAL_STORAGE_LIMIT_PATTERN = re.compile(r'(?:limit "|limit of containers )([0-9]+(?:[kKMGTP]i?)?)')


def find_pod_end_failure(pod: KubernetesObject) -> PodFailure | None:
    """Return why the pod as a whole ends, regardless of its containers; None if it does not."""
    reason, message = to_text(get_nested(pod, "status", "reason")), get_nested(pod, "status", "message")
    if reason == "Evicted":
        return _explain_eviction(to_text(message))
    if reason in _FAILURE_CODES_BY_POD_REASON:
        return PodFailure(
            code=_FAILURE_CODES_BY_POD_REASON[reason], values={"message": shorten_message(message, reason)}
        )
    disruption = find_condition(pod, "DisruptionTarget")
    disruption_reason = to_text(disruption.get("reason"))
    if disruption.get("status") == "True" and disruption_reason in _FAILURE_CODES_BY_DISRUPTION:
        return PodFailure(
            code=_FAILURE_CODES_BY_DISRUPTION[disruption_reason],
            values={"message": shorten_message(disruption.get("message"), disruption_reason)},
        )
    if get_nested(pod, "status", "phase") == "Unknown":
        return PodFailure(code="node_lost")
    return PodFailure(code="pod_removed") if get_nested(pod, "metadata", "deletionTimestamp") else None


def _explain_eviction(message: str) -> PodFailure:
    if not any(saying in message for saying in _EPHEMERAL_STORAGE_PHRASES):
        return PodFailure(code="evicted", values={"message": shorten_message(message, "Evicted")})
    limit = _EPHEMERAL_STORAGE_LIMIT_PATTERN.search(message)
    return PodFailure(
        code="ephemeral_storage_full", values={"limit": format_size_quantity(limit[1]) if limit else "its share"}
    )


def explain_missing_pod(events: Sequence[KubernetesObject], last: KubernetesObject | None = None) -> PodFailure:
    """Return why a pod is gone, from its *last* state or from its events, which outlive it for an hour."""
    failure = find_pod_end_failure(last) if last is not None else None
    if failure is not None and failure.code != "pod_removed":
        return failure
    for reason, code in _FAILURE_CODES_BY_EVENT.items():
        for event in filter_events(events, reason):
            if code == "evicted":
                return _explain_eviction(to_text(event.get("message")))
            return PodFailure(code=code, values={"message": shorten_message(event.get("message"), reason)})
    return PodFailure(code="pod_removed")


def find_unexplained_end(pod: KubernetesObject) -> PodFailure | None:
    """Return a failure with the cluster's own message for a pod that ended for an unknown reason."""
    phase = to_text(get_nested(pod, "status", "phase"))
    if phase not in ("Failed", "Succeeded"):
        return None
    message = shorten_message(get_nested(pod, "status", "message")) or shorten_message(
        get_nested(pod, "status", "reason"), phase
    )
    return PodFailure(code="create_error", values={"message": message})


RETRIED_PULL_REASONS = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"}
FAILURE_CODES_BY_PULL_REASON = {
    "InvalidImageName": "image_invalid",
    "ErrImageNeverPull": "image_never_pull",
    "SignatureValidationFailed": "image_rejected",
    "ImageInspectError": "image_rejected",
}
_MAX_PULL_FAILURES = 2
_PULL_TOLERANCE_WITHOUT_EVENTS_SECONDS = 60.0  # without events, attempts cannot be counted; the second is after 10 s


def find_pull_failure(
    container: ContainerStatus, events: Sequence[KubernetesObject], asked: PodExpectations
) -> PodFailure | None:
    """Return why the container's image cannot be pulled; None if the image is not the problem."""
    if container.waiting in FAILURE_CODES_BY_PULL_REASON:
        values = {"image": asked.image, "message": shorten_message(container.message, container.waiting)}
        return PodFailure(code=FAILURE_CODES_BY_PULL_REASON[container.waiting], values=values)
    if container.waiting not in RETRIED_PULL_REASONS:
        return None
    values = {"image": asked.image, "message": shorten_message(container.message, container.waiting)}
    failure = explain_cluster_message(IMAGE_PULL_SOURCE, container.message, asked, values=values)
    after = _get_pull_tolerance_seconds(container, events)
    if failure is None or after == NO_TOLERANCE_SECONDS:
        return failure and replace(failure, after=NO_TOLERANCE_SECONDS, progress="", quiet=0.0)
    return replace(failure, after=after)


def get_pull_failure_code(message: str) -> str:
    """Return the reason code of a failed pull."""
    row = find_message_rule(IMAGE_PULL_SOURCE, message)
    return row.code if row else "image_pull_failed"


def _get_pull_tolerance_seconds(container: ContainerStatus, events: Sequence[KubernetesObject]) -> float | None:
    """Return the tolerance for a failed pull: the kubelet retries, but the second failure is final."""
    if count_events(events, "Failed", container=container.name, begins="Failed to pull image") >= _MAX_PULL_FAILURES:
        return NO_TOLERANCE_SECONDS
    return None if events else _PULL_TOLERANCE_WITHOUT_EVENTS_SECONDS


def is_pull_in_progress(container: str, events: Sequence[KubernetesObject]) -> bool:
    """Return True while the container's image is being pulled: more pulls have started than ended."""
    started = count_events(events, "Pulling", container=container)
    pulled = count_events(events, "Pulled", container=container, begins="Successfully pulled")
    return started > pulled + count_events(events, "Failed", container=container, begins="Failed to pull image")


_EVENT_REASONS_AFTER_MOUNT = (
    "Pulling",
    "Pulled",
    "Created",
    "Started",
)  # the kubelet does these after all volumes are mounted


def find_scheduling_failure(
    pod: KubernetesObject, events: Sequence[KubernetesObject], asked: PodExpectations
) -> PodFailure | None:
    """Return why the scheduler finds no node; None if it found one or has not tried yet.

    For a pending PVC, the events of the PVC are more specific.
    """
    scheduled = find_condition(pod, "PodScheduled")
    message = to_text(scheduled.get("message"))
    if scheduled.get("status") != "False" or not message:
        return None
    failure = explain_cluster_message(SCHEDULER_SOURCE, message, asked)
    if failure is not None and failure.code == "volume_pending":
        return _find_pvc_failure(events, asked) or failure
    capacity_rule = _find_capacity_rule(pod, events) if failure is not None and not failure.progress else None
    if failure is None or capacity_rule is None:
        return failure
    return replace(failure, progress=capacity_rule.progress, quiet=capacity_rule.waited)


def _find_capacity_rule(pod: KubernetesObject, events: Sequence[KubernetesObject]) -> ClusterMessageRule | None:
    """Return the rule for capacity that is being added or freed for an unschedulable pod."""
    if is_cluster_scaling_up(events):
        return find_message_rule("TriggeredScaleUp", "")
    nominated = to_text(get_nested(pod, "status", "nominatedNodeName"))
    return find_message_rule(NOMINATED_NODE_SOURCE, nominated) if nominated else None


def is_cluster_scaling_up(events: Sequence[KubernetesObject]) -> bool:
    """Return True if the cluster autoscaler is adding a node for the pod; its latest event counts."""
    scaling_events = [*filter_events(events, "TriggeredScaleUp"), *filter_events(events, "NotTriggerScaleUp")]
    scaling_events.sort(key=lambda event: time.timestamp() if (time := get_event_time(event)) else 0.0)
    return bool(scaling_events) and scaling_events[-1].get("reason") == "TriggeredScaleUp"


def find_volume_failure(events: Sequence[KubernetesObject], asked: PodExpectations) -> PodFailure | None:
    """Return why a volume or the pod's sandbox is not ready, from events of the pod and its PVC.

    Mount events are ignored once a pull or container event exists: they outlive the problem that they report.
    """
    if pvc_failure := _find_pvc_failure(events, asked):
        return pvc_failure
    if any(filter_events(events, reason) for reason in _EVENT_REASONS_AFTER_MOUNT):
        return None
    for reason in ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"):
        for event in filter_events(events, reason):
            return explain_cluster_message(reason, to_text(event.get("message")), asked)
    return None


def find_volume_resize_notice(events: Sequence[KubernetesObject]) -> PodNotice | None:
    """Return a notice if a volume could not be resized; it keeps its old size."""
    for reason in ("VolumeResizeFailed", "FileSystemResizeFailed"):
        for event in filter_events(events, reason):
            return PodNotice(code="volume_resize", values={"message": shorten_message(event.get("message"))})
    return None


def _find_pvc_failure(events: Sequence[KubernetesObject], asked: PodExpectations) -> PodFailure | None:
    """Return why a PVC has no volume, with the provisioner's message."""
    provisioned = {
        to_text(get_nested(event, "involvedObject", "name")) for event in filter_events(events, "ProvisioningSucceeded")
    }
    for reason in ("ProvisioningFailed", "FailedBinding"):
        for event in filter_events(events, reason):
            claim = to_text(get_nested(event, "involvedObject", "name"))
            if not claim or claim not in provisioned:
                return explain_cluster_message(reason, to_text(event.get("message")), asked, about=claim)
    return None


_STUCK_TERMINATION_DELAY = timedelta(seconds=30)  # after the pod's grace period, before the notice is shown


@dataclass(frozen=True, kw_only=True)
class PodStatus:
    """A pod's status, reduced to what its owner sees.

    `stage` is never READY, which only the HTTP probe can tell. `running` means that the container is ready at
    `address`. `restarts` counts restarts in place.
    """

    stage: ObservedState
    running: bool = False
    address: str | None = None
    restarts: int = 0
    notices: tuple[PodNotice, ...] = ()
    failure: PodFailure | None = None


def read_pod_status(
    pod: KubernetesObject | None,
    events: Sequence[KubernetesObject],
    asked: PodExpectations,
    *,
    last: KubernetesObject | None = None,
) -> PodStatus:
    """Return the status of *pod*; None is a pod that is gone and was *last* seen in that state.

    *events* are those of the pod and of its PVC, in any order. A deleted pod counts as a failure even if the hub
    deleted it; the caller must know that.
    """
    if pod is None:
        return PodStatus(stage=ObservedState.ABSENT, failure=explain_missing_pod(events, last))
    events = list_objects(list(events))
    main = next((c for c in list_container_statuses(pod, "containerStatuses") if c.name == asked.container), None)
    before = list_container_statuses(pod, "initContainerStatuses")
    has_ended = find_pod_end_failure(pod) is not None  # container statuses may be outdated then
    address = to_text(get_nested(pod, "status", "podIP")) or None
    return PodStatus(
        stage=_get_pod_stage(pod, main, before, events),
        running=main is not None and main.running and main.ready and address is not None and not has_ended,
        address=address,
        restarts=main.restarts if main else 0,
        notices=tuple(_list_pod_notices(pod, main, before, events, asked)),
        failure=_find_pod_failure(pod, main, before, events, asked),
    )


def _is_pod_finished(pod: KubernetesObject) -> bool:
    """Return True if none of its containers is started again, whatever the restart policy.

    See https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase.
    """
    return get_nested(pod, "status", "phase") in ("Succeeded", "Failed")


# Stage


def _get_pod_stage(
    pod: KubernetesObject,
    main: ContainerStatus | None,
    before: Sequence[ContainerStatus],
    events: Sequence[KubernetesObject],
) -> ObservedState:
    if get_nested(pod, "metadata", "deletionTimestamp"):
        return ObservedState.TERMINATING
    if _is_pod_finished(pod):
        return ObservedState.ABSENT
    if main is None:
        placed = get_nested(pod, "spec", "nodeName") or find_condition(pod, "PodScheduled").get("status") == "True"
        return ObservedState.PREPARING if placed else ObservedState.SCHEDULING
    return _get_container_stage(main, before, events)


def _get_container_stage(
    main: ContainerStatus, before: Sequence[ContainerStatus], events: Sequence[KubernetesObject]
) -> ObservedState:
    if main.running:
        return ObservedState.WAITING
    current = next((c for c in before if not (c.ended and c.end and c.end.exit_code == 0)), None)
    if _is_pulling_image(current or main, events):
        return ObservedState.PULLING
    if current or (main.waiting == "ContainerCreating" and not filter_events(events, "Pulled", container=main.name)):
        return ObservedState.PREPARING
    return ObservedState.STARTING


def _is_pulling_image(container: ContainerStatus, events: Sequence[KubernetesObject]) -> bool:
    if container.running or container.ends:
        return False
    return container.waiting in RETRIED_PULL_REASONS or is_pull_in_progress(container.name, events)


# Failures


def _find_pod_failure(
    pod: KubernetesObject,
    main: ContainerStatus | None,
    before: Sequence[ContainerStatus],
    events: Sequence[KubernetesObject],
    asked: PodExpectations,
) -> PodFailure | None:
    """Return the failure that explains the others: the end of the pod first, then in the order of a launch."""
    return (
        find_pod_end_failure(pod)
        or find_scheduling_failure(pod, events, asked)
        or _find_init_container_failure(pod, before, events, asked)
        or (_find_container_failure(main, pod, events, asked) if main else None)
        or (None if _has_any_container_started(main, before) else find_volume_failure(events, asked))
        or find_unexplained_end(pod)
    )


def _find_container_failure(
    container: ContainerStatus, pod: KubernetesObject, events: Sequence[KubernetesObject], asked: PodExpectations
) -> PodFailure | None:
    policy = "Never" if _is_pod_finished(pod) else to_text(get_nested(pod, "spec", "restartPolicy")) or "OnFailure"
    return find_pull_failure(container, events, asked) or find_crash_failure(container, asked, policy=policy)


def _find_init_container_failure(
    pod: KubernetesObject, before: Sequence[ContainerStatus], events: Sequence[KubernetesObject], asked: PodExpectations
) -> PodFailure | None:
    """Return the failure of an init container, which is the hub's or an admin's: the user's image is not at fault."""
    for container in before:
        succeeded = container.ended and container.end is not None and container.end.exit_code == 0
        failure = None if succeeded else _find_container_failure(container, pod, events, asked)
        if failure is not None and failure.code == "config_error":
            return failure
        if failure is not None:
            message = failure.values.get("message") or container.waiting or failure.code
            return PodFailure(
                code="setup_broken", values={"container": container.name, "message": message}, after=failure.after,
                progress="setting_up" if failure.progress else "", quiet=failure.quiet,
            )  # fmt: skip
    return None


def _has_any_container_started(main: ContainerStatus | None, before: Sequence[ContainerStatus]) -> bool:
    """Return True if any container has run, which requires that all volumes are mounted."""
    return any(c.running or c.ends for c in [*before, *([main] if main else [])])


# Notices


def _list_pod_notices(
    pod: KubernetesObject,
    main: ContainerStatus | None,
    before: Sequence[ContainerStatus],
    events: Sequence[KubernetesObject],
    asked: PodExpectations,
) -> list[PodNotice]:
    stage = _get_pod_stage(pod, main, before, events)
    notices = []
    if stage is ObservedState.TERMINATING and _is_stuck_terminating(pod, asked):
        notices.append(PodNotice(code="stuck_terminating"))
    if stage is ObservedState.SCHEDULING and is_cluster_scaling_up(events):
        notices.append(PodNotice(code="scaling_up"))
    if stage is ObservedState.PULLING:
        notices += _list_pull_notices(main, events, asked)
    if asked.was_ready and main is not None and main.waiting == "CrashLoopBackOff" and main.end is not None:
        notices.append(PodNotice(code="restarts_soon", values={"exit_code": main.end.exit_code}))
    if stage is ObservedState.WAITING and main is not None:
        notices += [*_list_restart_notices(main, asked), *_list_node_notices(pod, main)]
    if resize_notice := find_volume_resize_notice(events):
        notices.append(resize_notice)
    return notices


def _is_stuck_terminating(pod: KubernetesObject, asked: PodExpectations) -> bool:
    until = parse_api_time(get_nested(pod, "metadata", "deletionTimestamp"))
    return until is not None and asked.now is not None and asked.now > until + _STUCK_TERMINATION_DELAY


def _list_pull_notices(
    main: ContainerStatus | None, events: Sequence[KubernetesObject], asked: PodExpectations
) -> list[PodNotice]:
    """Return the notice of a running pull of the session's image, with its start; nothing after a failed attempt."""
    if main is None or main.waiting in RETRIED_PULL_REASONS or not is_pull_in_progress(main.name, events):
        return []
    started = [get_event_time(event) for event in filter_events(events, "Pulling", container=main.name)]
    return [PodNotice(code="pulling", values={"image": asked.image, "since": next(iter(started), None)})]


def _list_restart_notices(main: ContainerStatus, asked: PodExpectations) -> list[PodNotice]:
    """Return the notice that a running container was restarted in place."""
    if not main.restarts or main.end is None:
        return []
    oom = main.end.reason == "OOMKilled"
    values = {"limit": asked.limit or "…", "exit_code": main.end.exit_code}
    return [PodNotice(code="restarted_oom" if oom else "restarted_crash", values=values)]


def _list_node_notices(pod: KubernetesObject, main: ContainerStatus) -> list[PodNotice]:
    """Return the notice of an unresponsive node.

    The pod then keeps its last status, but its Ready condition is False without a reason.
    """
    ready = find_condition(pod, "Ready")
    is_unresponsive = main.ready and ready.get("status") == "False" and not ready.get("reason")
    return [PodNotice(code="node_silent")] if is_unresponsive else []
