"""What the hub may do in the namespace of its sessions, and whether it may: helm/role.yaml as a table."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from kubernetes_asyncio.client import (
    AuthorizationV1Api,
    V1ResourceAttributes,
    V1SelfSubjectAccessReview,
    V1SelfSubjectAccessReviewSpec,
)

from .calls import TIMEOUT

RIGHTS = {
    "pods": ("get", "list", "watch", "create", "delete"),
    "pods/log": ("get",),
    "events": ("list", "watch"),
    "persistentvolumeclaims": ("get", "list", "create", "patch", "delete"),
    "secrets": ("get", "create", "patch"),
}
OF_PREPULLER = {"daemonsets": ("get", "patch")}
OF_METRICS = {"pods.metrics.k8s.io": ("list",)}


async def missing(client: Any, namespace: str, *, prepuller: str = "", measured: bool = False) -> list[str]:
    """The rights that the cluster says the hub has not, as `create pods`; *client* is an `ApiClient`.

    Any account may ask about itself. *prepuller* is the name of the DaemonSet that the hub keeps, if it keeps one;
    *measured*: it asks what sessions use.

    Raises:
        ApiException, aiohttp.ClientError, TimeoutError, OSError: the cluster does not say.
    """
    api = AuthorizationV1Api(client)
    asked = [(name, verb, "") for name, verb in _pairs(RIGHTS)]
    asked += [(name, verb, prepuller) for name, verb in _pairs(OF_PREPULLER) if prepuller]
    asked += [(name, verb, "") for name, verb in _pairs(OF_METRICS) if measured]
    allowed = await asyncio.gather(*(_allowed(api, namespace, *each) for each in asked))
    return [f"{verb} {name}" for (name, verb, _), is_allowed in zip(asked, allowed, strict=True) if not is_allowed]


def _pairs(rights: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    return ((name, verb) for name, verbs in rights.items() for verb in verbs)


async def _allowed(api: AuthorizationV1Api, namespace: str, resource: str, verb: str, name: str) -> bool:
    whole, _, sub = resource.partition("/")
    plain, _, group = whole.partition(".")
    asked = V1ResourceAttributes(
        namespace=namespace, verb=verb, resource=plain, subresource=sub or None, name=name or None,
        group="apps" if resource in OF_PREPULLER else group,
    )  # fmt: skip
    review = V1SelfSubjectAccessReview(spec=V1SelfSubjectAccessReviewSpec(resource_attributes=asked))
    answer = await api.create_self_subject_access_review(review, _request_timeout=TIMEOUT)
    return bool(answer.status and answer.status.allowed)
