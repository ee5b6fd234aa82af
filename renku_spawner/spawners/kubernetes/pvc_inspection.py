"""Inspect the files in a session's PVC with a helper pod that mounts the PVC read-only.

The pod runs the clone image with the session's user and group, because the kubelet would change the group of a volume
that is mounted with another one. While the session runs, the pod is placed on the same node, where the volume is
attached.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from time import monotonic

from kubernetes_asyncio.client import (
    V1Container,
    V1ObjectMeta,
    V1PersistentVolumeClaimVolumeSource,
    V1Pod,
    V1Volume,
    V1VolumeMount,
)

from ...context.app_context import AppContext
from ...domain.environments import RunConfiguration
from ...domain.ids import create_id
from ...domain.instances import DesiredState, Instance
from ...lifecycle.runs import load_instance
from ...usecases.sessions import get_last_launch_run
from ..in_pod.contents import Contents, Look, read
from .api import KubernetesAPI, KubernetesAPIError
from .environment import escape_kubelet_expansion
from .helper_pods import (
    PodPlacement,
    build_helper_pod,
    build_owner_reference,
    delete_helper_pods,
    delete_stale_helper_pods,
    has_pod_ended,
    read_pod_placement,
    run_helper_pod,
)
from .objects import KubernetesObject, get_nested, to_text
from .security import build_container_security_context, build_helper_resources, build_pod_security_context
from .settings import RENKU_LABEL_PREFIX, WORK_MOUNT_PATH, PodSettings

INSPECTION_CONTAINER_NAME = "look"
INSPECTION_LABEL = f"{RENKU_LABEL_PREFIX}look"
INSPECTION_MAX_LOG_BYTES = 256 * 1024
INSPECTION_DEADLINE_SECONDS = 120  # includes attaching the volume and pulling the image
_INSPECTION_VOLUME_NAME = "renku-work"
_INSPECTION_MODULES = ("walk", "git_view", "unsaved", "contents")  # each imports only from earlier ones


@cache
def build_inspection_command() -> tuple[str, ...]:
    """Return the command, which is the same for every PVC: it inspects the mount path."""
    folder = files(__package__.partition(".")[0]) / "spawners" / "in_pod"
    texts = {
        name: escape_kubelet_expansion((folder / f"{name}.py").read_text(encoding="utf-8"))
        for name in ("alone", *_INSPECTION_MODULES)
    }
    modules = [word for name in _INSPECTION_MODULES for word in (name, texts[name])]
    return ("python3", "-I", "-c", texts["alone"], WORK_MOUNT_PATH, *modules)


def build_inspection_labels(settings: PodSettings, claim: str) -> dict[str, str]:
    hub = {f"{RENKU_LABEL_PREFIX}hub": settings.hub} if settings.hub else {}
    return {**hub, INSPECTION_LABEL: claim}


def build_inspection_selector(hub: str, claim: str = "") -> str:
    """Return the label selector for this hub's inspection pods of a PVC *claim*, or of any PVC."""
    return (
        f"{INSPECTION_LABEL}={claim}"
        if claim
        else f"{INSPECTION_LABEL},{RENKU_LABEL_PREFIX}hub={hub}"
        if hub
        else f"{INSPECTION_LABEL},!{RENKU_LABEL_PREFIX}hub"
    )


def is_pvc_readable(claim: KubernetesObject, session: str) -> bool:
    """Return True if the PVC belongs to *session* and is bound; one that was never bound has no files."""
    ours = get_nested(claim, "metadata", "labels", f"{RENKU_LABEL_PREFIX}session") == session
    leaving, phase = get_nested(claim, "metadata", "deletionTimestamp"), get_nested(claim, "status", "phase")
    return ours and not leaving and phase == "Bound"


def apply_pod_user(session: KubernetesObject, run: RunConfiguration) -> RunConfiguration:
    """Return *run* with the user and group of the session's pod, which a hook or an admin may have changed."""
    context = get_nested(session, "spec", "securityContext")
    uid, gid = get_nested(context, "runAsUser"), get_nested(context, "fsGroup")
    return replace(run, uid=uid if isinstance(uid, int) else run.uid, gid=gid if isinstance(gid, int) else run.gid)


def build_inspection_pod(
    name: str, claim: KubernetesObject, run: RunConfiguration, place: PodPlacement, settings: PodSettings
) -> V1Pod:
    """Build a pod that inspects the files in the PVC *claim*."""
    pvc_name = to_text(get_nested(claim, "metadata", "name"))
    metadata = V1ObjectMeta(
        name=name,
        labels=build_inspection_labels(settings, pvc_name),
        owner_references=[build_owner_reference("PersistentVolumeClaim", claim)],
    )
    work = V1PersistentVolumeClaimVolumeSource(claim_name=pvc_name)
    return build_helper_pod(
        metadata,
        _build_inspection_container(run, settings),
        place,
        context=build_pod_security_context(run, settings),
        seconds=INSPECTION_DEADLINE_SECONDS,
        volumes=[V1Volume(name=_INSPECTION_VOLUME_NAME, persistent_volume_claim=work)],
    )


def _build_inspection_container(run: RunConfiguration, settings: PodSettings) -> V1Container:
    return V1Container(
        name=INSPECTION_CONTAINER_NAME,
        image=settings.clone_image,
        image_pull_policy="IfNotPresent",
        command=list(build_inspection_command()),
        working_dir="/",
        resources=build_helper_resources("500m", "512Mi"),
        security_context=build_container_security_context(run, settings),
        volume_mounts=[V1VolumeMount(name=_INSPECTION_VOLUME_NAME, mount_path=WORK_MOUNT_PATH, read_only=True)],
    )


log = logging.getLogger("renku_spawner")

INSPECTION_WAIT_SECONDS = 3.0  # for a request that waits for the result
INSPECTION_TIMEOUT_SECONDS = 150.0  # includes waiting for resources, the volume and the image
ACTIVE_INSPECTION_TTL_SECONDS, PAUSED_INSPECTION_TTL_SECONDS = (
    20.0,
    300.0,
)  # files in the PVC of a paused session do not change
MAX_CONCURRENT_INSPECTIONS = 8  # every pod counts towards a quota


@dataclass(frozen=True, kw_only=True)
class PVCReadRequest:
    """A request to read the PVC *claim* of an instance.

    *pod* is the name of the session's pod, which need not exist. *place* is where a helper pod may run while the
    session is paused.
    """

    context: AppContext
    calls: KubernetesAPI
    instance: Instance
    claim: str
    pod: str
    place: PodPlacement
    settings: PodSettings


@dataclass(kw_only=True)
class _PVCInspection:
    """A running inspection, or its result, which is valid *until* then and for that *generation* of the instance."""

    generation: int
    task: asyncio.Task[None] = field(init=False)
    found: Contents | None = None
    until: float = 0.0

    def is_valid_for(self, instance: Instance) -> bool:
        return not self.task.done() or (self.generation == instance.generation and monotonic() < self.until)


_inspections_by_pvc: dict[str, _PVCInspection] = {}


def list_inspection_tasks() -> list[asyncio.Task[None]]:
    """List the tasks of running inspections."""
    return [flight.task for flight in _inspections_by_pvc.values() if not flight.task.done()]


async def inspect_pvc(asked: PVCReadRequest) -> Look:
    """Return the contents of the PVC if they are known within `INSPECTION_WAIT_SECONDS`. Raises nothing."""
    for name in [name for name, one in _inspections_by_pvc.items() if one.task.done() and one.until < monotonic()]:
        del _inspections_by_pvc[name]
    flight = _inspections_by_pvc.get(asked.claim)
    if flight is None or not flight.is_valid_for(asked.instance):
        if len(list_inspection_tasks()) >= MAX_CONCURRENT_INSPECTIONS:
            return Look(under_way=True)  # too many inspections are running
        flight = _inspections_by_pvc[asked.claim] = _start_inspection(asked)
    await asyncio.wait({flight.task}, timeout=INSPECTION_WAIT_SECONDS)
    return Look(contents=flight.found, under_way=not flight.task.done())


def _start_inspection(asked: PVCReadRequest) -> _PVCInspection:
    flight = _PVCInspection(generation=asked.instance.generation)
    flight.task = asyncio.ensure_future(_run_inspection(asked, flight))
    return flight


async def _run_inspection(asked: PVCReadRequest, flight: _PVCInspection) -> None:
    try:
        flight.found = await _read_pvc_contents(asked)
    except KubernetesAPIError as denied:
        log.info("Inspection of PVC %s failed: %s", asked.claim, denied.refusal.code)
    except Exception:
        log.exception("Inspection of PVC %s failed unexpectedly", asked.claim)
    at_rest = flight.found is not None and not asked.instance.is_active
    flight.until = monotonic() + (PAUSED_INSPECTION_TTL_SECONDS if at_rest else ACTIVE_INSPECTION_TTL_SECONDS)


async def _read_pvc_contents(asked: PVCReadRequest) -> Contents | None:
    """Run an inspection pod and return its report, or None if the PVC cannot be inspected now.

    While a session is starting there is no inspection, which could attach the volume to another node. Raises
    KubernetesAPIError.
    """
    claim, session = await asked.calls.get_pvc(asked.claim), await asked.calls.get_pod(asked.pod)
    now = await _load_current_instance(asked)
    runs_now = not has_pod_ended(session)
    if claim is None or now is None or not is_pvc_readable(claim, now.session) or (now.is_active and not runs_now):
        return None
    access = await _resolve_pvc_access(asked, now, claim, session)
    if runs_now and not access[2].node:  # the session's pod is not scheduled yet
        return None
    pod = build_inspection_pod(f"renku-look-{now.claim}-{create_id()}", *access, asked.settings)
    report = await run_helper_pod(
        asked.calls, pod, patience=INSPECTION_TIMEOUT_SECONDS, lines=1, limit=INSPECTION_MAX_LOG_BYTES
    )
    return await asyncio.to_thread(read, report)


async def resolve_paused_pvc_access(
    asked: PVCReadRequest,
) -> tuple[KubernetesObject, RunConfiguration, PodPlacement] | None:
    """Return the PVC, and the user and placement with which a pod can read it; None unless the session is paused.

    Raises KubernetesAPIError.
    """
    claim, session = await asked.calls.get_pvc(asked.claim), await asked.calls.get_pod(asked.pod)
    now = await _load_current_instance(asked)
    if claim is None or now is None or not is_pvc_readable(claim, now.session) or now.is_active:
        return None
    return await _resolve_pvc_access(asked, now, claim, session)


async def _load_current_instance(asked: PVCReadRequest) -> Instance | None:
    """Return the current instance, if it still has this claim."""
    now = await load_instance(asked.context, asked.instance.username, asked.instance.session)
    gone = now is None or now.desired is DesiredState.DELETED or now.claim != asked.instance.claim
    return None if gone else now


async def _resolve_pvc_access(
    asked: PVCReadRequest, now: Instance, claim: KubernetesObject, session: KubernetesObject | None
) -> tuple[KubernetesObject, RunConfiguration, PodPlacement]:
    """Return the user and placement with which a pod reads the PVC: those of the session's pod if there is one."""
    run, place = await get_last_launch_run(asked.context, now), asked.place
    if session is not None and not has_pod_ended(session):
        run, place = apply_pod_user(session, run), replace(read_pod_placement(session), pull_secrets=place.pull_secrets)
    return claim, run, place


async def cancel_pvc_inspection(calls: KubernetesAPI, claim: str, *, left: bool = False) -> None:
    """Cancel the inspection of a PVC, so that its pod does not block the PVC; with *left*, also an earlier hub's pods.

    Raises KubernetesAPIError.
    """
    flight = _inspections_by_pvc.pop(claim, None)
    if flight is not None and not flight.task.done():
        flight.task.cancel()
        await asyncio.wait({flight.task})
        left = True
    if left:
        await delete_helper_pods(calls, await calls.list_pods(build_inspection_selector("", claim)))


async def delete_stale_inspection_pods(calls: KubernetesAPI, hub: str) -> None:
    """Delete inspection pods of a hub process that was killed, retrying until the cluster allows it."""
    await delete_stale_helper_pods(
        calls,
        build_inspection_selector(hub),
        lambda pod: get_nested(pod, "metadata", "labels", INSPECTION_LABEL) in _inspections_by_pvc,
    )
