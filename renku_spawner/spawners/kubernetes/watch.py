"""Keep an up-to-date copy of this hub's pods and their events with list and watch, in place of KubeSpawner's
reflectors.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from typing import Any

from ...integrations.net.single_flight import SingleFlight
from ...observability.metrics import WATCH_RECONNECTS_TOTAL
from .api import get_loop_time
from .errors import explain_tls_failure

_MAX_SILENT_CHECKS, _SYNC_CHECK_INTERVAL_SECONDS = (
    6,
    0.5,
)  # six checks without a response, half a second apart: three seconds in all


class SyncStatus:
    """The state of the initial list, and waiting for it.

    *heard* returns when the API server last responded. The informer reports its state to `set_synced`. Waiting counts
    checks instead of seconds, because a hub that is busy with thousands of sessions reads responses late.
    """

    def __init__(self, heard: Callable[[], float]) -> None:
        self._heard, self._seen, self._checks = heard, asyncio.Event(), SingleFlight()

    @property
    def is_synced(self) -> bool:
        """True while the informer has all objects and is connected."""
        return self._seen.is_set()

    def set_synced(self, seen: bool) -> None:
        if seen:
            self._seen.set()
        else:
            self._seen.clear()

    async def wait_until_synced(self) -> bool:
        """Wait for the initial list; return False if the API server stops responding."""
        await self._checks.run("sync", self._wait_while_responding)
        return self.is_synced

    async def wait_indefinitely(self) -> None:
        """Wait for the initial list without a timeout."""
        await self._seen.wait()

    async def close(self) -> None:
        """Cancel the wait when the informer stops."""
        await self._checks.close()

    async def _wait_while_responding(self) -> None:
        heard, silent = self._heard(), 0
        while silent < _MAX_SILENT_CHECKS and not self.is_synced:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SYNC_CHECK_INTERVAL_SECONDS):
                    await self._seen.wait()
            silent = silent + 1 if self._heard() == heard else 0
            heard = self._heard()


WatchedObject = dict[str, Any]
MAX_BACKOFF_SECONDS = 6.0  # between the starts of two tries, so that the copy is current ten seconds after an outage
_INITIAL_BACKOFF_SECONDS = 0.25
_RESPONSE_START_TIMEOUT_SECONDS = 6  # until a response starts
MIN_RETRY_INTERVAL_SECONDS = 1  # between two tries while a caller waits
RELIST_INTERVAL_SECONDS = 900  # a change that the server did not send is noticed after this time
LIST_PAGE_SIZE = 200  # objects; about 2 MB of pods
WATCH_TIMEOUT_SECONDS = 50  # the server then ends the watch, and sends a bookmark shortly before
WATCH_STALL_SECONDS = 5  # margin after which a watch without an end counts as stalled


class ResourceVersionExpired(Exception):
    """The server no longer has the resource version (410), so the objects must be listed again."""


class WatchRequestRefused(Exception):
    """The server answered with an error; `status` is its HTTP status."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:300]}")
        self.status = status


class ObjectReflector:
    """List and watch objects, and pass them to *replace* (all objects) and *apply* (one change), pruned by *prune*.

    *call* is a list method of kubernetes_asyncio. *turned* is called when `healthy` changes and after the first try.
    `healthy` is True while the objects passed on are current, `tried` after the first try. `heard` is when the server
    last responded (seconds of `get_loop_time`). `problem` is the known reason why requests fail, if any.
    """

    def __init__(
        self,
        call: Callable[..., Awaitable[Any]],
        *,
        selectors: Mapping[str, str],
        replace: Callable[[Sequence[WatchedObject]], None],
        apply: Callable[[str, WatchedObject], None],
        prune: Callable[[WatchedObject], WatchedObject],
        log: Any,
        seconds: float = WATCH_TIMEOUT_SECONDS,
        turned: Callable[[], None] = lambda: None,
    ) -> None:
        self._call, self._selectors, self._replace, self._apply, self._log = call, selectors, replace, apply, log
        self._prune, self._seconds, self._turned = prune, seconds, turned
        self._version: str | None = None
        self._listed = 0.0
        self._failures = self._expired = 0
        self._tried, self._hurried = 0.0, asyncio.Event()
        self.healthy = self.tried = False
        self.heard = get_loop_time()
        self.problem: str | None = None

    async def run(self) -> None:
        """List and watch without end, until the task is cancelled."""
        while True:
            self._tried = began = get_loop_time()
            self._hurried.clear()
            try:
                if self._version is None or began - self._listed > RELIST_INTERVAL_SECONDS:
                    await self._list_objects()
                await self._watch_changes(self._version or "")
            except ResourceVersionExpired:
                await self._relist_after_expiry(began)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                await self._back_off(error, began)

    async def _relist_after_expiry(self, began: float) -> None:
        """List again at once; back off if the server rejects versions repeatedly."""
        self._version, self._expired = None, self._expired + 1
        WATCH_RECONNECTS_TOTAL.labels("expired").inc()
        if self._expired > 1:
            await asyncio.sleep(_get_backoff_seconds(self._expired, began))

    async def _back_off(self, error: Exception, began: float) -> None:
        """Wait before the next try: longer after each failure, with jitter, and less after a try that took long."""
        self._set_healthy(False)
        self._failures += 1
        WATCH_RECONNECTS_TOTAL.labels("failed").inc()
        delay = _get_backoff_seconds(self._failures, began)
        self.problem = explain_tls_failure(error)
        log = self._log.warning if self._failures in (1, 10) else self._log.debug
        if self.problem is not None and self._failures == 1:
            self._log.error("%s", self.problem)
        log("Kubernetes API does not respond (%s: %s), retrying in %.1f s", type(error).__name__, error, delay)
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._hurried.wait()

    def retry_now(self) -> None:
        """End the backoff for a caller that waits, at most once per `MIN_RETRY_INTERVAL_SECONDS`."""
        if not self.healthy and get_loop_time() - self._tried >= MIN_RETRY_INTERVAL_SECONDS:
            self._hurried.set()

    def _mark_healthy(self) -> None:
        self.heard, self._failures, self.problem = get_loop_time(), 0, None
        self._set_healthy(True)

    def _set_healthy(self, healthy: bool) -> None:
        turned = healthy is not self.healthy or not self.tried
        self.healthy, self.tried = healthy, True
        if turned:
            self._turned()

    # List

    async def _list_objects(self) -> None:
        """List all objects in pages, because parsing a large response blocks the hub.

        All pages have the same, newest resource version: a list from version "0" may be outdated.
        """
        objects: list[WatchedObject] = []
        page = await self._fetch_page()
        while True:
            objects += map(self._prune, page["items"])
            if not (continue_token := page["metadata"].get("continue")):
                break
            page = await self._fetch_page(_continue=continue_token)
        self._replace(objects)
        self._version, self._listed = page["metadata"]["resourceVersion"], get_loop_time()
        self._mark_healthy()

    async def _fetch_page(self, **following: str) -> WatchedObject:
        response = await self._send_request(**following, limit=LIST_PAGE_SIZE, _request_timeout=60)
        async with response:
            body = await response.read()
        if response.status >= 400:
            _raise_for_status(response.status, body.decode(errors="replace"))
        self.heard = get_loop_time()
        page: WatchedObject = json.loads(body)
        return page

    async def _send_request(self, **asked: Any) -> Any:
        """Send the request, and return the response once it starts."""
        async with asyncio.timeout(_RESPONSE_START_TIMEOUT_SECONDS):
            return await self._call(**self._selectors, **asked, _preload_content=False)

    # Watch

    async def _watch_changes(self, version: str) -> None:
        """Apply changes until the server ends the watch. Raises ResourceVersionExpired if nothing was received."""
        response = await self._send_request(
            watch=True,
            resource_version=version,
            allow_watch_bookmarks=True,
            timeout_seconds=max(1, int(self._seconds)),
            _request_timeout=self._seconds + WATCH_STALL_SECONDS,
        )
        async with response:
            if response.status >= 400:
                _raise_for_status(response.status, await response.text())
            self._mark_healthy()
            if not await self._read_changes(response):  # a healthy server sends at least a bookmark before the end
                raise ResourceVersionExpired

    async def _read_changes(self, response: Any) -> bool:
        """Apply received changes; return True if the watch received any and ended normally.

        A timeout covers broken connections, whose end is never reported.
        """
        has_received = False
        try:
            async with asyncio.timeout(self._seconds + WATCH_STALL_SECONDS), aclosing(_iter_lines(response)) as lines:
                async for line in lines:
                    self._apply_change(json.loads(line))
                    has_received = True
        except TimeoutError:
            return False
        return has_received

    def _apply_change(self, change: WatchedObject) -> None:
        kind, thing = change["type"], change["object"]
        if kind == "ERROR":
            _raise_for_status(int(thing.get("code") or 500), str(thing.get("message")))
        version = thing["metadata"]["resourceVersion"]
        ahead = _compare_versions(version, self._version)
        if ahead < 0 and kind != "BOOKMARK":  # changes are out of order, so others may be missing
            raise ResourceVersionExpired
        self._mark_healthy()
        if ahead > 0:
            self._version, self._expired = version, 0
            if kind != "BOOKMARK":
                self._apply(kind, self._prune(thing))


def _compare_versions(version: str, before: str | None) -> int:
    """Return > 0 if *version* is newer than *before*, < 0 if it is older; non-numeric versions count as newer."""
    if before is not None and version.isdecimal() and before.isdecimal():
        return int(version) - int(before)
    return 1


def _get_backoff_seconds(failures: int, began: float) -> float:
    """Return the seconds until the next try; the time since the last try *began* counts as waited."""
    pause = min(MAX_BACKOFF_SECONDS, _INITIAL_BACKOFF_SECONDS * 2 ** min(failures, 10))
    return max(_INITIAL_BACKOFF_SECONDS, pause - (get_loop_time() - began)) * random.uniform(0.5, 1)


def _raise_for_status(status: int, body: str) -> None:
    if status == 410:
        raise ResourceVersionExpired
    if status >= 400:
        raise WatchRequestRefused(status, body)


async def _iter_lines(response: Any) -> AsyncGenerator[bytes, None]:
    """Yield lines of any length, because an object may have 1.5 MB."""
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line


MAX_EVENTS_PER_POD = 40
MAX_UNKNOWN_PODS = 256  # pods that are deleted, or whose events arrived before the pod itself
_KEPT_METADATA_FIELDS = (
    "name", "namespace", "uid", "labels", "annotations", "deletionTimestamp", "resourceVersion", "creationTimestamp",
)  # fmt: skip
_KEPT_EVENT_FIELDS = (
    "type", "reason", "message", "count", "firstTimestamp", "lastTimestamp", "eventTime", "series", "involvedObject",
)  # fmt: skip


def prune_pod(pod: WatchedObject) -> WatchedObject:
    """Keep only the fields of a pod that KubeSpawner or this package reads."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    return {
        "metadata": {key: metadata[key] for key in _KEPT_METADATA_FIELDS if key in metadata},
        "spec": {
            "nodeName": spec.get("nodeName"),
            "restartPolicy": spec.get("restartPolicy"),
            "containers": [
                {"name": c["name"], "ports": c.get("ports") or []} for c in spec.get("containers") or () if "name" in c
            ],
        },
        "status": pod.get("status") or {},
    }


def prune_event(event: WatchedObject) -> WatchedObject:
    """Keep only the fields of an event that KubeSpawner or this package reads."""
    metadata = event["metadata"]
    kept = {key: event[key] for key in _KEPT_EVENT_FIELDS if event.get(key) is not None}
    return {**kept, "metadata": {key: metadata.get(key) for key in ("uid", "name", "creationTimestamp")}}


def get_event_timestamp(event: WatchedObject) -> str:
    """Return when an event last occurred; kubelet and scheduler fill different fields, some events none."""
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


class PodInformer:
    """An up-to-date copy of pods and their events, pruned, by `namespace/name`.

    It replaces both of KubeSpawner's reflectors, of which KubeSpawner uses `pods`, `events`, `first_load_future` and
    `stop`.
    """

    def __init__(
        self, api: Any, *, namespace: str, labels: str, log: Any, seconds: float = WATCH_TIMEOUT_SECONDS
    ) -> None:
        self.pods: dict[str, WatchedObject] = {}
        self._events: dict[str, OrderedDict[str, WatchedObject]] = {}
        self._strangers: OrderedDict[str, WatchedObject | None] = OrderedDict()
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.first_load_future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pods = ObjectReflector(
            api.list_namespaced_pod, selectors={"namespace": namespace, "label_selector": labels},
            replace=self._replace_pods, apply=self._apply_pod, prune=prune_pod, log=log, seconds=seconds,
            turned=self._handle_health_change,
        )  # fmt: skip
        self._happened = ObjectReflector(
            api.list_namespaced_event,
            selectors={"namespace": namespace, "field_selector": "involvedObject.kind=Pod"},
            replace=self._replace_events, apply=self._apply_event, prune=prune_event, log=log, seconds=seconds,
            turned=self._handle_health_change,
        )  # fmt: skip
        self.sight = SyncStatus(lambda: (self._happened if self.is_synced else self._pods).heard)
        self._tasks = [asyncio.ensure_future(stream.run()) for stream in (self._pods, self._happened)]

    # Queries

    @property
    def healthy(self) -> bool:
        """True while `pods` is current."""
        return self._pods.healthy

    @property
    def is_synced(self) -> bool:
        """True if the initial list is complete and `pods` is current."""
        return self.first_load_future.done() and self.healthy

    @property
    def is_closed(self) -> bool:
        """True if the informer's event loop is closed."""
        return self.first_load_future.get_loop().is_closed()

    @property
    def seconds_since_response(self) -> float:
        """Seconds since the API server last responded."""
        return get_loop_time() - self._pods.heard

    @property
    def problem(self) -> str | None:
        """The known reason why the API server cannot be reached, or None."""
        return self._pods.problem

    @property
    def events(self) -> list[WatchedObject]:
        """All events in chronological order, as in KubeSpawner's reflector."""
        return sorted((e for kept in self._events.values() for e in kept.values()), key=get_event_timestamp)

    def get_last_seen_pod(self, key: str) -> WatchedObject | None:
        """Return the last known state of a pod; that of a deleted pod may explain its end."""
        return self.pods.get(key) or self._strangers.get(key)

    def list_pod_events(self, key: str) -> list[WatchedObject]:
        """List the last events of one pod in chronological order."""
        pod = self.get_last_seen_pod(key)
        uid = pod["metadata"].get("uid") if pod else None
        kept = self._events.get(key) or OrderedDict()
        return sorted((e for e in kept.values() if _is_event_of_pod(e, uid)), key=get_event_timestamp)

    @contextmanager
    def subscribe(self, key: str) -> Iterator[asyncio.Event]:
        """Yield an `asyncio.Event` that is set when the pod or its events change; the subscriber clears it."""
        changed = asyncio.Event()
        self._waiting[key].add(changed)
        try:
            yield changed
        finally:
            self._waiting[key].discard(changed)
            if not self._waiting[key]:
                del self._waiting[key]

    def retry_now(self) -> None:
        """End the backoff of both reflectors, because a caller waits for the result."""
        self._pods.retry_now()
        self._happened.retry_now()

    def cancel_on_stop(self, task: asyncio.Task[None]) -> None:
        """Cancel *task* when the informer stops."""
        self._tasks.append(task)

    async def stop(self) -> None:
        await self.sight.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Updates from the reflectors

    def _replace_pods(self, items: Sequence[WatchedObject]) -> None:
        before = self.pods
        self.pods = {_build_pod_key(pod["metadata"]): pod for pod in items}
        for key in before.keys() - self.pods.keys():
            self._retain_unknown_pod(key, before[key])
        for key in before.keys() | self.pods.keys():
            self._notify_subscribers(key)
        if not self.first_load_future.done():
            self.first_load_future.set_result(None)

    def _apply_pod(self, kind: str, pod: WatchedObject) -> None:
        key = _build_pod_key(pod["metadata"])
        if kind == "DELETED":
            self.pods.pop(key, None)
            self._retain_unknown_pod(key, pod)
        else:
            self.pods[key] = pod
            self._strangers.pop(key, None)
        self._notify_subscribers(key)

    def _replace_events(self, items: Sequence[WatchedObject]) -> None:
        """Store listed events in chronological order, so that the oldest are dropped if there are too many."""
        self._events.clear()
        for event in sorted(items, key=get_event_timestamp):
            self._store_event(event)

    def _apply_event(self, kind: str, event: WatchedObject) -> None:
        if kind != "DELETED":
            self._notify_subscribers(self._store_event(event))

    def _store_event(self, event: WatchedObject) -> str:
        """Store the last events of our pods, and for a while of pods that may turn out to be ours."""
        key = _build_pod_key(event["involvedObject"])
        if key not in self.pods:
            self._retain_unknown_pod(key)
        kept = self._events.setdefault(key, OrderedDict())
        name = event["metadata"]["name"]
        kept[name] = event
        kept.move_to_end(name)
        if len(kept) > MAX_EVENTS_PER_POD:
            kept.popitem(last=False)
        return key

    def _retain_unknown_pod(self, key: str, pod: WatchedObject | None = None) -> None:
        """Keep the state and events of a deleted or unknown pod for a while, because they may explain its end."""
        self._strangers[key] = pod or self._strangers.get(key)
        self._strangers.move_to_end(key)
        if len(self._strangers) > MAX_UNKNOWN_PODS:
            self._events.pop(self._strangers.popitem(last=False)[0], None)

    def _handle_health_change(self) -> None:
        """Update the sync status, which also requires a try to load events: only they may explain a pod's end."""
        self.sight.set_synced(self.is_synced and self._happened.tried)
        for key in list(self._waiting):
            self._notify_subscribers(key)

    def _notify_subscribers(self, key: str) -> None:
        for changed in self._waiting.get(key, ()):
            changed.set()


def _build_pod_key(metadata: WatchedObject) -> str:
    return f"{metadata.get('namespace')}/{metadata.get('name')}"


def _is_event_of_pod(event: WatchedObject, uid: str | None) -> bool:
    """Return False for events of an earlier pod with the same name; events without a uid count."""
    event_uid = event["involvedObject"].get("uid")
    return uid is None or event_uid is None or event_uid == uid
