"""Pods of ours beside sessions: one container that runs a fixed script of ours, prints, and ends.

They have no Secret and no service account, are never started again, and go with what they
belong to. Nobody but the cluster says what stands in their logs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubernetes_asyncio.client import (
    V1Affinity,
    V1Container,
    V1NodeAffinity,
    V1NodeSelector,
    V1NodeSelectorRequirement,
    V1NodeSelectorTerm,
    V1ObjectMeta,
    V1OwnerReference,
    V1Pod,
    V1PodSecurityContext,
    V1PodSpec,
    V1Volume,
)

from .objects import Raw, dig, text


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a pod may run: on *node* alone, or wherever *selector* allows if there is none. The others
    are fields of a pod as the API has them."""

    node: str = ""
    selector: Mapping[str, str] | None = None
    tolerations: Sequence[Any] | None = None
    pull_secrets: Sequence[Any] | None = None
    runtime_class: str | None = None
    scheduler: str | None = None


def beside(session: Raw) -> Place:
    """Where that pod runs, as the API gives it while it does."""
    return Place(
        node=text(dig(session, "spec", "nodeName")),
        tolerations=dig(session, "spec", "tolerations"),
        pull_secrets=dig(session, "spec", "imagePullSecrets"),
        runtime_class=dig(session, "spec", "runtimeClassName"),
        scheduler=dig(session, "spec", "schedulerName"),
    )


def pod(
    metadata: V1ObjectMeta,
    container: V1Container,
    place: Place,
    *,
    context: V1PodSecurityContext,
    seconds: int | None,
    volumes: list[V1Volume] | None = None,
) -> V1Pod:
    """The pod, which may run for *seconds*, the start of its container included; None is for ever."""
    return V1Pod(
        api_version="v1",
        kind="Pod",
        metadata=metadata,
        spec=V1PodSpec(
            containers=[container],
            volumes=volumes,
            restart_policy="Never",
            active_deadline_seconds=seconds,
            termination_grace_period_seconds=0,
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=context,
            affinity=_on(place.node) if place.node else None,
            node_selector=dict(place.selector) if place.selector else None,
            tolerations=list(place.tolerations) if place.tolerations else None,
            image_pull_secrets=list(place.pull_secrets) if place.pull_secrets else None,
            runtime_class_name=place.runtime_class,
            scheduler_name=place.scheduler,
        ),
    )


def owner(kind: str, found: Raw) -> V1OwnerReference:
    """That the pod goes with what was *found*, at the latest."""
    name, uid = text(dig(found, "metadata", "name")), text(dig(found, "metadata", "uid"))
    return V1OwnerReference(api_version="v1", kind=kind, name=name, uid=uid)


def _on(node: str) -> V1Affinity:
    """That machine, by way of the scheduler, which knows whether there is room."""
    field = V1NodeSelectorRequirement(key="metadata.name", operator="In", values=[node])
    term = V1NodeSelectorTerm(match_fields=[field])
    return V1Affinity(
        node_affinity=V1NodeAffinity(
            required_during_scheduling_ignored_during_execution=V1NodeSelector(node_selector_terms=[term])
        )
    )


def ended(found: Raw | None) -> bool:
    """Whether nothing more will come of the pod; None is one that has gone."""
    return found is None or text(dig(found, "status", "phase")) in ("Succeeded", "Failed")
