"""Call the Kubernetes API with retries and rate limiting, check the hub's permissions, and classify errors as
retryable or final. Request bodies are never logged.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from aiohttp import ClientError
from kubernetes_asyncio.client import (
    ApiException,
    AppsV1Api,
    AuthorizationV1Api,
    CustomObjectsApi,
    V1DeleteOptions,
    V1PersistentVolumeClaim,
    V1Pod,
    V1Preconditions,
    V1ResourceAttributes,
    V1Secret,
    V1SelfSubjectAccessReview,
    V1SelfSubjectAccessReviewSpec,
)

from ...integrations.net.rate_limiter import CallPacer
from ...integrations.net.retry import Backoff
from ...observability.metrics import DependencyCallTimer
from .errors import KubernetesRefusal, classify_error_response
from .objects import KubernetesObject, get_nested, list_objects, to_text


def get_loop_time() -> float:
    """Return the event loop's monotonic clock in seconds, which tests can advance."""
    return asyncio.get_running_loop().time()


API_REQUEST_TIMEOUT_SECONDS = 10  # for one request
API_RETRY_TIMEOUT_SECONDS = 30.0  # for all tries of a call together
_BACKOFF = Backoff(first=0.25, longest=5)
MAX_CONTAINER_LOG_BYTES = 64 * 1024
PVC_PAGE_SIZE = 500  # PVCs; about 1 MB
FIELD_MANAGER, APPLY_PATCH_CONTENT_TYPE = "renku-hub", "application/apply-patch+yaml"


class KubernetesAPIError(Exception):
    """A failed call of the Kubernetes API; `refusal` is the reason."""

    def __init__(self, refusal: KubernetesRefusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class KubernetesAPI:
    """Calls of the Kubernetes API in one namespace. Every method raises KubernetesAPIError when its retries end.

    *patience* is the time for all tries of a call, in seconds. Calls of a launch are made at once. Lookups and
    clean-up wait for *pace*, which all sessions of a hub share.
    """

    def __init__(
        self,
        api: Any,
        namespace: str,
        *,
        patience: float = API_RETRY_TIMEOUT_SECONDS,
        pace: CallPacer | None = None,
    ) -> None:
        self._api, self._namespace, self._patience, self._pace = api, namespace, patience, pace or CallPacer()
        self._asked: float | None = None

    @property
    def unanswered_seconds(self) -> float:
        """Seconds since the current call was first sent; 0 if there is none."""
        return get_loop_time() - self._asked if self._asked is not None else 0.0

    async def create_pod(self, pod: V1Pod, *, image: str) -> KubernetesObject:
        """Create the pod idempotently and return it.

        Accept an existing pod of the same run, because an earlier try may have succeeded without a response.
        """
        expected_labels = pod.metadata.labels
        try:
            return await self._call_with_retries(self._api.create_namespaced_pod, body=pod, image=image)
        except KubernetesAPIError as denied:
            present = await self.get_pod(pod.metadata.name) if denied.refusal.exists else None
            if present is None:
                raise
            if present["metadata"].get("labels") != expected_labels:
                raise KubernetesAPIError(
                    KubernetesRefusal(code="in_the_way", values={"name": pod.metadata.name})
                ) from None
            return present

    async def get_pod(self, name: str) -> KubernetesObject | None:
        return await self._call_or_none(self._api.read_namespaced_pod, name=name)

    async def list_pods(self, selector: str) -> list[KubernetesObject]:
        """List the pods that match a label *selector*."""
        return list(
            (await self._call_with_retries(self._api.list_namespaced_pod, label_selector=selector, hasty=False))[
                "items"
            ]
        )

    async def list_pod_metrics(self, selector: str) -> list[KubernetesObject]:
        """List the resource usage (`PodMetrics`) of the pods that match a label *selector*."""
        call = CustomObjectsApi(self._api.api_client).list_namespaced_custom_object
        of = {"group": "metrics.k8s.io", "version": "v1beta1", "plural": "pods", "label_selector": selector}
        return list_objects((await self._call_with_retries(call, hasty=False, **of)).get("items"))

    async def delete_pod(self, name: str, *, grace: int, uid: str) -> None:
        """Delete the pod with this *uid*; succeed if it is already gone. *grace* is in seconds."""
        options = V1DeleteOptions(grace_period_seconds=grace, preconditions=V1Preconditions(uid=uid))
        await self._call_or_none(self._api.delete_namespaced_pod, name=name, body=options, grace_period_seconds=grace)

    async def create_secret(self, secret: V1Secret) -> None:
        """Create idempotently: accept an existing Secret owned by the same pod, otherwise raise `in_the_way`."""
        if await self._create_if_absent(self._api.create_namespaced_secret, body=secret):
            return
        present = await self.get_secret(secret.metadata.name)
        owners = {
            to_text(owner.get("uid")) for owner in list_objects(get_nested(present, "metadata", "ownerReferences"))
        }
        if present is None or not owners & {owner.uid for owner in secret.metadata.owner_references}:
            raise KubernetesAPIError(KubernetesRefusal(code="in_the_way", values={"name": secret.metadata.name}))

    async def get_secret(self, name: str) -> KubernetesObject | None:
        return await self._call_or_none(self._api.read_namespaced_secret, name=name)

    async def patch_secret(self, name: str, patch: dict[str, Any]) -> None:
        await self._call_with_retries(self._api.patch_namespaced_secret, name=name, body=patch)

    async def get_pvc(self, name: str) -> KubernetesObject | None:
        return await self._call_or_none(self._api.read_namespaced_persistent_volume_claim, name=name, hasty=True)

    async def list_pvcs(self, selector: str) -> list[KubernetesObject]:
        """List the PVCs that match a label *selector*, in pages, because parsing a large response blocks the hub."""
        pvcs: list[KubernetesObject] = []
        next_page: dict[str, str] = {}
        while True:
            call = self._api.list_namespaced_persistent_volume_claim
            page = await self._call_with_retries(
                call, label_selector=selector, limit=PVC_PAGE_SIZE, hasty=False, **next_page
            )
            pvcs += page["items"]
            if not (continue_token := to_text(get_nested(page, "metadata", "continue"))):
                return pvcs
            next_page = {"_continue": continue_token}

    async def create_pvc(self, claim: V1PersistentVolumeClaim) -> bool:
        """Create the PVC; return False if one of that name exists."""
        return await self._create_if_absent(self._api.create_namespaced_persistent_volume_claim, body=claim)

    async def patch_pvc(self, name: str, patch: dict[str, Any]) -> None:
        await self._call_with_retries(self._api.patch_namespaced_persistent_volume_claim, name=name, body=patch)

    async def delete_pvc(self, name: str, *, uid: str) -> None:
        options = V1DeleteOptions(preconditions=V1Preconditions(uid=uid))
        await self._call_or_none(self._api.delete_namespaced_persistent_volume_claim, name=name, body=options)

    async def list_pvc_events(self, name: str) -> list[KubernetesObject]:
        """List the events of a PVC; empty if they cannot be read now."""
        field_selector = f"involvedObject.kind=PersistentVolumeClaim,involvedObject.name={name}"
        try:
            response = await self._call_with_retries(
                self._api.list_namespaced_event, field_selector=field_selector, hasty=False
            )
        except KubernetesAPIError:
            return []
        return list(response["items"])

    async def get_daemon_set(self, name: str) -> KubernetesObject | None:
        return await self._call_or_none(AppsV1Api(self._api.api_client).read_namespaced_daemon_set, name=name)

    async def apply_daemon_set(self, name: str, fields: dict[str, Any]) -> None:
        """Apply the fields that this hub owns (server-side apply), overriding other field managers."""
        await self._call_with_retries(
            AppsV1Api(self._api.api_client).patch_namespaced_daemon_set,
            name=name, body=fields, field_manager=FIELD_MANAGER, force=True, _content_type=APPLY_PATCH_CONTENT_TYPE,
        )  # fmt: skip

    async def read_log(
        self, pod: str, container: str, *, lines: int, previous: bool = False, limit: int = MAX_CONTAINER_LOG_BYTES
    ) -> str:
        """Return the last *lines* of a container's log, at most *limit* bytes; empty if it cannot be read now."""
        await self._pace.acquire()
        try:
            response = await self._api.read_namespaced_pod_log(
                name=pod,
                namespace=self._namespace,
                container=container,
                tail_lines=lines,
                limit_bytes=limit,
                previous=previous,
                _request_timeout=API_REQUEST_TIMEOUT_SECONDS,
                _preload_content=False,  # the client would parse a log that happens to be JSON
            )
            async with response:
                body: bytes = await response.read()
        except (ApiException, ClientError, TimeoutError, OSError):
            return ""
        return body.decode(errors="replace") if response.status == 200 else ""

    # Retries

    async def _call_or_none(self, call: Callable[..., Awaitable[Any]], *, hasty: bool = False, **arguments: Any) -> Any:
        """Return the response, or None if the object does not exist."""
        try:
            return await self._call_with_retries(call, hasty=hasty, **arguments)
        except KubernetesAPIError as denied:
            if denied.refusal.absent:
                return None
            raise

    async def _create_if_absent(self, call: Callable[..., Awaitable[Any]], **arguments: Any) -> bool:
        try:
            await self._call_with_retries(call, **arguments)
        except KubernetesAPIError as denied:
            if not denied.refusal.exists or denied.refusal.leaving:
                raise
            return False
        return True

    async def _call_with_retries(
        self, call: Callable[..., Awaitable[Any]], *, image: str = "", hasty: bool = True, **arguments: Any
    ) -> Any:
        """Retry the call until the response is final or the retry timeout is over.

        Only calls that are not *hasty* wait for the rate limiter.
        """
        if not hasty:
            await self._pace.acquire()
        self._asked = get_loop_time()
        try:
            return await self._retry_until(self._asked + self._patience, call, image, arguments)
        finally:
            self._asked = None

    async def _retry_until(self, end: float, call: Callable[..., Awaitable[Any]], image: str, arguments: Any) -> Any:
        tries = 0
        while True:
            result = await self._call_once(call, image, arguments)
            if not isinstance(result, KubernetesRefusal):
                return result
            tries += 1
            wait = _BACKOFF.get_pause(tries) if result.wait is None else result.wait * random.uniform(1, 1.25)
            hopeless = not result.again or (result.exists and not result.leaving)
            if hopeless or get_loop_time() + wait > end:
                raise KubernetesAPIError(result)
            await asyncio.sleep(wait)

    async def _call_once(self, call: Callable[..., Awaitable[Any]], image: str, arguments: dict[str, Any]) -> Any:
        """Return the parsed response, or the KubernetesRefusal that explains an error."""
        with DependencyCallTimer("kubernetes", {}) as timer:
            result = await self._send_request(call, image, arguments)
            timer.outcome = _to_metric_outcome(result)
        return result

    async def _send_request(self, call: Callable[..., Awaitable[Any]], image: str, arguments: dict[str, Any]) -> Any:
        try:
            response = await call(
                namespace=self._namespace,
                _request_timeout=API_REQUEST_TIMEOUT_SECONDS,
                _preload_content=False,
                **arguments,
            )
            async with response:
                body = await response.read()
            if 200 <= response.status <= 299:
                return json.loads(body)
            return classify_error_response(response.status, body, response.headers, image=image)
        except ApiException as error:  # raised by the client before it sends the request
            return classify_error_response(error.status, error.body, image=image)
        except (ClientError, TimeoutError, OSError, ValueError):
            return classify_error_response(None, None)


def _to_metric_outcome(outcome: Any) -> str:
    """Return the outcome label for the metrics; "exists" and "not found" count as ok."""
    if not isinstance(outcome, KubernetesRefusal) or outcome.absent or outcome.exists:
        return "ok"
    if outcome.code != "cluster_unavailable":
        return "refused"
    return "no_answer" if outcome.wait is None else "busy"


REQUIRED_PERMISSIONS = {
    "pods": ("get", "list", "watch", "create", "delete"),
    "pods/log": ("get",),
    "events": ("list", "watch"),
    "persistentvolumeclaims": ("get", "list", "create", "patch", "delete"),
    "secrets": ("get", "create", "patch"),
}
PREPULLER_PERMISSIONS = {"daemonsets": ("get", "patch")}
METRICS_PERMISSIONS = {"pods.metrics.k8s.io": ("list",)}


async def list_missing_permissions(
    client: Any, namespace: str, *, prepuller: str = "", measured: bool = False
) -> list[str]:
    """List the permissions that the hub lacks, such as `create pods`; *client* is an `ApiClient`.

    Any account may review its own access. *prepuller* is the name of the hub's DaemonSet, if it has one. With
    *measured*, the hub also needs to read pod metrics.

    Raises:
        ApiException, aiohttp.ClientError, TimeoutError, OSError: the access review failed.
    """
    api = AuthorizationV1Api(client)
    checks = [(name, verb, "") for name, verb in _iter_resource_verbs(REQUIRED_PERMISSIONS)]
    checks += [(name, verb, prepuller) for name, verb in _iter_resource_verbs(PREPULLER_PERMISSIONS) if prepuller]
    checks += [(name, verb, "") for name, verb in _iter_resource_verbs(METRICS_PERMISSIONS) if measured]
    allowed = await asyncio.gather(*(_is_permission_granted(api, namespace, *check) for check in checks))
    return [f"{verb} {name}" for (name, verb, _), is_allowed in zip(checks, allowed, strict=True) if not is_allowed]


def _iter_resource_verbs(rights: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    return ((name, verb) for name, verbs in rights.items() for verb in verbs)


async def _is_permission_granted(api: AuthorizationV1Api, namespace: str, resource: str, verb: str, name: str) -> bool:
    full_name, _, subresource = resource.partition("/")
    plural, _, group = full_name.partition(".")
    attributes = V1ResourceAttributes(
        namespace=namespace, verb=verb, resource=plural, subresource=subresource or None, name=name or None,
        group="apps" if resource in PREPULLER_PERMISSIONS else group,
    )  # fmt: skip
    review = V1SelfSubjectAccessReview(spec=V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
    answer = await api.create_self_subject_access_review(review, _request_timeout=API_REQUEST_TIMEOUT_SECONDS)
    return bool(answer.status and answer.status.allowed)
