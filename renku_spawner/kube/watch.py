"""What the cluster last said of this hub's pods, and of what happened to them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .clock import now
from .sight import Sight
from .stream import WATCH_SECONDS, Raw, Stream

EVENTS_KEPT = 40  # of one pod
STRANGERS_KEPT = 256  # pods of which an event came before the pod itself did
_META = (
    "name", "namespace", "uid", "labels", "annotations", "deletionTimestamp", "resourceVersion", "creationTimestamp",
)  # fmt: skip
_EVENT = (
    "type", "reason", "message", "count", "firstTimestamp", "lastTimestamp", "eventTime", "series", "involvedObject",
)  # fmt: skip


def pruned_pod(pod: Raw) -> Raw:
    """The fields of a pod that somebody reads: KubeSpawner (recipe 4) or `status`."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    return {
        "metadata": {key: metadata[key] for key in _META if key in metadata},
        "spec": {
            "nodeName": spec.get("nodeName"),
            "restartPolicy": spec.get("restartPolicy"),
            "containers": [
                {"name": c["name"], "ports": c.get("ports") or []} for c in spec.get("containers") or () if "name" in c
            ],
        },
        "status": pod.get("status") or {},
    }


def pruned_event(event: Raw) -> Raw:
    """The fields of an event that somebody reads."""
    metadata = event["metadata"]
    kept = {key: event[key] for key in _EVENT if event.get(key) is not None}
    return {**kept, "metadata": {key: metadata.get(key) for key in ("uid", "name", "creationTimestamp")}}


def moment(event: Raw) -> str:
    """When it last happened; kubelet and scheduler fill different fields, some none."""
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


class Watch:
    """Pods by `namespace/name`, and their events by the same key, pruned.

    Stands in for both of KubeSpawner's reflectors: `pods`, `events`,
    `first_load_future` and `stop` are what it asks of them.
    """

    def __init__(self, api: Any, *, namespace: str, labels: str, log: Any, seconds: float = WATCH_SECONDS) -> None:
        self.pods: dict[str, Raw] = {}
        self._events: dict[str, OrderedDict[str, Raw]] = {}
        self._strangers: OrderedDict[str, Raw | None] = OrderedDict()
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.first_load_future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pods = Stream(
            api.list_namespaced_pod, selectors={"namespace": namespace, "label_selector": labels},
            replace=self._replace_pods, apply=self._apply_pod, prune=pruned_pod, log=log, seconds=seconds,
            turned=self._turned,
        )  # fmt: skip
        self._happened = Stream(
            api.list_namespaced_event,
            selectors={"namespace": namespace, "field_selector": "involvedObject.kind=Pod"},
            replace=self._replace_events, apply=self._apply_event, prune=pruned_event, log=log, seconds=seconds,
            turned=self._turned,
        )  # fmt: skip
        self.sight = Sight(lambda: (self._happened if self.sees else self._pods).heard)
        self._tasks = [asyncio.ensure_future(stream.run()) for stream in (self._pods, self._happened)]

    # ---- what is asked of it ----------------------------------------------------------------------

    @property
    def healthy(self) -> bool:
        """Whether `pods` is what the cluster says now."""
        return self._pods.healthy

    @property
    def sees(self) -> bool:
        """Whether the cluster has said what there is, and says it still."""
        return self.first_load_future.done() and self.healthy

    @property
    def over(self) -> bool:
        """Whether the loop that it lived in has ended, and it with that."""
        return self.first_load_future.get_loop().is_closed()

    @property
    def silence(self) -> float:
        """Seconds since the API server was last heard."""
        return now() - self._pods.heard

    @property
    def problem(self) -> str | None:
        """Why the API server cannot be asked, where that is known."""
        return self._pods.problem

    @property
    def events(self) -> list[Raw]:
        """All events in order of time, as KubeSpawner's reflector has them."""
        return sorted((e for kept in self._events.values() for e in kept.values()), key=moment)

    def last(self, key: str) -> Raw | None:
        """The pod as it was last seen; one that is gone may have said why."""
        return self.pods.get(key) or self._strangers.get(key)

    def events_of(self, key: str) -> list[Raw]:
        """The last events of one pod, in order of time."""
        pod = self.last(key)
        uid = pod["metadata"].get("uid") if pod else None
        kept = self._events.get(key) or OrderedDict()
        return sorted((e for e in kept.values() if _is_about(e, uid)), key=moment)

    @contextmanager
    def listening(self, key: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever something of that pod changes; whoever waits clears it."""
        changed = asyncio.Event()
        self._waiting[key].add(changed)
        try:
            yield changed
        finally:
            self._waiting[key].discard(changed)
            if not self._waiting[key]:
                del self._waiting[key]

    def hurry(self) -> None:
        """Somebody waits: a cluster that was away a moment ago is asked again now."""
        self._pods.hurry()
        self._happened.hurry()

    def ends(self, task: asyncio.Task[None]) -> None:
        """It takes the task with it when it stops."""
        self._tasks.append(task)

    async def stop(self) -> None:
        self.sight.ends()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- what it is told --------------------------------------------------------------------------

    def _replace_pods(self, items: Sequence[Raw]) -> None:
        before = self.pods
        self.pods = {_key(pod["metadata"]): pod for pod in items}
        for key in before.keys() - self.pods.keys():
            self._let_go(key, before[key])
        for key in before.keys() | self.pods.keys():
            self._tell(key)
        if not self.first_load_future.done():
            self.first_load_future.set_result(None)

    def _apply_pod(self, kind: str, pod: Raw) -> None:
        key = _key(pod["metadata"])
        if kind == "DELETED":
            self.pods.pop(key, None)
            self._let_go(key, pod)
        else:
            self.pods[key] = pod
            self._strangers.pop(key, None)
        self._tell(key)

    def _replace_events(self, items: Sequence[Raw]) -> None:
        """They are listed by name: in order of time, those of an earlier pod go first where there are too many."""
        self._events.clear()
        for event in sorted(items, key=moment):
            self._keep(event)

    def _apply_event(self, kind: str, event: Raw) -> None:
        if kind != "DELETED":
            self._tell(self._keep(event))

    def _keep(self, event: Raw) -> str:
        """Remember the last events of our pods, and for a while of pods that may turn out to be ours."""
        key = _key(event["involvedObject"])
        if key not in self.pods:
            self._let_go(key)
        kept = self._events.setdefault(key, OrderedDict())
        name = event["metadata"]["name"]
        kept[name] = event
        kept.move_to_end(name)
        if len(kept) > EVENTS_KEPT:
            kept.popitem(last=False)
        return key

    def _let_go(self, key: str, pod: Raw | None = None) -> None:
        """What happened to a pod that is gone, or not ours, is kept for a while: it may say why."""
        self._strangers[key] = pod or self._strangers.get(key)
        self._strangers.move_to_end(key)
        if len(self._strangers) > STRANGERS_KEPT:
            self._events.pop(self._strangers.popitem(last=False)[0], None)

    def _turned(self) -> None:
        """Why a pod has ended may be known by its events alone: whoever waits for sight waits for them too."""
        self.sight.changes(self.sees and self._happened.tried)
        for key in list(self._waiting):
            self._tell(key)

    def _tell(self, key: str) -> None:
        for changed in self._waiting.get(key, ()):
            changed.set()


def _key(metadata: Raw) -> str:
    return f"{metadata.get('namespace')}/{metadata.get('name')}"


def _is_about(event: Raw, uid: str | None) -> bool:
    """Events of an earlier pod of that name are not about this one; some have no uid at all."""
    said = event["involvedObject"].get("uid")
    return uid is None or said is None or said == uid
