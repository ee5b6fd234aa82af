"""Calls to the Kubernetes API that are tried again while that makes sense, and never log what they send.

KubeSpawner's own requests give up at the first 429 or 503 and log whole manifests, tokens
included; these do neither. Answers stay the JSON that they are: making objects of a pod
costs as much as all the rest of a start's calls.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import ClientError
from kubernetes_asyncio.client import (
    ApiException,
    AppsV1Api,
    CustomObjectsApi,
    V1DeleteOptions,
    V1PersistentVolumeClaim,
    V1Pod,
    V1Preconditions,
    V1Secret,
)

from .. import metrics
from .clock import now
from .objects import Raw, dig, items, text
from .pace import RATE, shared
from .refusal import Refusal, refusal

TIMEOUT = 10  # seconds of one request (security.md, budgets)
PATIENCE = 30.0  # seconds of all tries together
LOG_BYTES = 64 * 1024
PAGE = 500  # claims; some 1 MB
MANAGER, APPLY = "renku-hub", "application/apply-patch+yaml"


class Denied(Exception):
    """The cluster does not do it; `refusal` says why."""

    def __init__(self, said: Refusal) -> None:
        super().__init__(said.code)
        self.refusal = said


class Calls:
    """What a spawner asks of one namespace. Every method raises Denied when it is given up.

    What a start makes is asked for at once; what is looked up and cleaned away keeps to a
    *rate* of calls a second for all sessions together.
    """

    def __init__(self, api: Any, namespace: str, *, patience: float = PATIENCE, rate: int = RATE) -> None:
        self._api, self._namespace, self._patience, self._pace = api, namespace, patience, shared(rate)
        self._asked: float | None = None

    @property
    def unanswered(self) -> float:
        """Seconds since what is asked now was asked first; 0 when nothing is."""
        return now() - self._asked if self._asked is not None else 0.0

    async def create_pod(self, pod: V1Pod, *, image: str) -> Raw:
        """The pod that was made, also if an earlier try of this very run made it unseen (V2, R8)."""
        run = pod.metadata.labels
        try:
            return await self._again(self._api.create_namespaced_pod, body=pod, image=image)
        except Denied as denied:
            present = await self.pod(pod.metadata.name) if denied.refusal.exists else None
            if present is None:
                raise
            if present["metadata"].get("labels") != run:
                raise Denied(Refusal(code="in_the_way", values={"name": pod.metadata.name})) from None
            return present

    async def pod(self, name: str) -> Raw | None:
        return await self._find(self._api.read_namespaced_pod, name=name)

    async def pods(self, selector: str) -> list[Raw]:
        """Those with such labels."""
        return list((await self._again(self._api.list_namespaced_pod, label_selector=selector, hasty=False))["items"])

    async def usage(self, selector: str) -> list[Raw]:
        """What pods with such labels use (`PodMetrics`), as far as the cluster measures that."""
        call = CustomObjectsApi(self._api.api_client).list_namespaced_custom_object
        of = {"group": "metrics.k8s.io", "version": "v1beta1", "plural": "pods", "label_selector": selector}
        return items((await self._again(call, hasty=False, **of)).get("items"))

    async def delete_pod(self, name: str, *, grace: int, uid: str) -> None:
        """Ask for the end of this very pod; that it is gone already is fine."""
        options = V1DeleteOptions(grace_period_seconds=grace, preconditions=V1Preconditions(uid=uid))
        await self._find(self._api.delete_namespaced_pod, name=name, body=options, grace_period_seconds=grace)

    async def create_secret(self, secret: V1Secret) -> None:
        """One that an earlier try made unseen belongs to the same pod; any other is somebody else's."""
        if await self._unless_there(self._api.create_namespaced_secret, body=secret):
            return
        present = await self.secret(secret.metadata.name)
        owners = {text(owner.get("uid")) for owner in items(dig(present, "metadata", "ownerReferences"))}
        if present is None or not owners & {owner.uid for owner in secret.metadata.owner_references}:
            raise Denied(Refusal(code="in_the_way", values={"name": secret.metadata.name}))

    async def secret(self, name: str) -> Raw | None:
        return await self._find(self._api.read_namespaced_secret, name=name)

    async def patch_secret(self, name: str, patch: dict[str, Any]) -> None:
        await self._again(self._api.patch_namespaced_secret, name=name, body=patch)

    async def claim(self, name: str) -> Raw | None:
        return await self._find(self._api.read_namespaced_persistent_volume_claim, name=name, hasty=True)

    async def claims(self, selector: str) -> list[Raw]:
        """Those with such labels, in pages: reading a large one keeps the hub from everything else."""
        found: list[Raw] = []
        following: dict[str, str] = {}
        while True:
            call = self._api.list_namespaced_persistent_volume_claim
            page = await self._again(call, label_selector=selector, limit=PAGE, hasty=False, **following)
            found += page["items"]
            if not (rest := text(dig(page, "metadata", "continue"))):
                return found
            following = {"_continue": rest}

    async def create_claim(self, claim: V1PersistentVolumeClaim) -> bool:
        """False if there was one of that name already."""
        return await self._unless_there(self._api.create_namespaced_persistent_volume_claim, body=claim)

    async def patch_claim(self, name: str, patch: dict[str, Any]) -> None:
        await self._again(self._api.patch_namespaced_persistent_volume_claim, name=name, body=patch)

    async def delete_claim(self, name: str, *, uid: str) -> None:
        options = V1DeleteOptions(preconditions=V1Preconditions(uid=uid))
        await self._find(self._api.delete_namespaced_persistent_volume_claim, name=name, body=options)

    async def claim_events(self, name: str) -> list[Raw]:
        """What happened to a claim, as the API gives it; empty if it cannot be had now."""
        about = f"involvedObject.kind=PersistentVolumeClaim,involvedObject.name={name}"
        try:
            found = await self._again(self._api.list_namespaced_event, field_selector=about, hasty=False)
        except Denied:
            return []
        return list(found["items"])

    async def daemon_set(self, name: str) -> Raw | None:
        return await self._find(AppsV1Api(self._api.api_client).read_namespaced_daemon_set, name=name)

    async def apply_daemon_set(self, name: str, said: dict[str, Any]) -> None:
        """All that this hub says of it, which nobody else does: what somebody has put in its place is taken back."""
        await self._again(
            AppsV1Api(self._api.api_client).patch_namespaced_daemon_set,
            name=name, body=said, field_manager=MANAGER, force=True, _content_type=APPLY,
        )  # fmt: skip

    async def log(self, pod: str, container: str, *, lines: int, previous: bool = False, limit: int = LOG_BYTES) -> str:
        """The end of a container's log, of *limit* bytes at most; empty if it has none or it cannot be had now."""
        await self._pace.turn()
        try:
            response = await self._api.read_namespaced_pod_log(
                name=pod,
                namespace=self._namespace,
                container=container,
                tail_lines=lines,
                limit_bytes=limit,
                previous=previous,
                _request_timeout=TIMEOUT,
                _preload_content=False,  # the client takes a log that happens to be JSON apart
            )
            async with response:
                body: bytes = await response.read()
        except (ApiException, ClientError, TimeoutError, OSError):
            return ""
        return body.decode(errors="replace") if response.status == 200 else ""

    # ---- how --------------------------------------------------------------------------------------

    async def _find(self, call: Callable[..., Awaitable[Any]], *, hasty: bool = False, **arguments: Any) -> Any:
        """The answer, None for what does not exist."""
        try:
            return await self._again(call, hasty=hasty, **arguments)
        except Denied as denied:
            if denied.refusal.absent:
                return None
            raise

    async def _unless_there(self, call: Callable[..., Awaitable[Any]], **arguments: Any) -> bool:
        try:
            await self._again(call, **arguments)
        except Denied as denied:
            if not denied.refusal.exists or denied.refusal.leaving:
                raise
            return False
        return True

    async def _again(
        self, call: Callable[..., Awaitable[Any]], *, image: str = "", hasty: bool = True, **arguments: Any
    ) -> Any:
        """Try until it is answered for good, as long as the server asks and our patience allows."""
        if not hasty:
            await self._pace.turn()
        self._asked = now()
        try:
            return await self._until(self._asked + self._patience, call, image, arguments)
        finally:
            self._asked = None

    async def _until(self, end: float, call: Callable[..., Awaitable[Any]], image: str, arguments: Any) -> Any:
        pause = 0.25
        while True:
            said = await self._once(call, image, arguments)
            if not isinstance(said, Refusal):
                return said
            wait = pause * random.uniform(0.5, 1) if said.wait is None else said.wait * random.uniform(1, 1.25)
            hopeless = not said.again or (said.exists and not said.leaving)
            if hopeless or now() + wait > end:
                raise Denied(said)
            await asyncio.sleep(wait)
            pause = min(2 * pause, 5.0)

    async def _once(self, call: Callable[..., Awaitable[Any]], image: str, arguments: dict[str, Any]) -> Any:
        """The answer as JSON gives it, or what its being no good answer means."""
        with metrics.Asking("kubernetes", {}) as asking:
            said = await self._answered(call, image, arguments)
            asking.outcome = _outcome(said)
        return said

    async def _answered(self, call: Callable[..., Awaitable[Any]], image: str, arguments: dict[str, Any]) -> Any:
        try:
            response = await call(
                namespace=self._namespace, _request_timeout=TIMEOUT, _preload_content=False, **arguments
            )
            async with response:
                body = await response.read()
            if 200 <= response.status <= 299:
                return json.loads(body)
            return refusal(response.status, body, response.headers, image=image)
        except ApiException as error:  # the client's own, before it has asked
            return refusal(error.status, error.body, image=image)
        except (ClientError, TimeoutError, OSError, ValueError):
            return refusal(None, None)


def _outcome(said: Any) -> str:
    """For the metrics: that something is there, or is not, is an answer."""
    if not isinstance(said, Refusal) or said.absent or said.exists:
        return "ok"
    if said.code != "cluster_unavailable":
        return "refused"
    return "no_answer" if said.wait is None else "busy"
