"""What etcd and the watch cache hold: objects, their history, and who waits for news."""

import asyncio
import json
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from .kube_errors import exists, expired, not_found

Object = dict[str, Any]
Key = tuple[str, str]  # namespace, name
KINDS = {
    "pods": "Pod",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "events": "Event",
    "secrets": "Secret",
    "services": "Service",
    "namespaces": "Namespace",
    "configmaps": "ConfigMap",
    "serviceaccounts": "ServiceAccount",
    "resourcequotas": "ResourceQuota",
    "limitranges": "LimitRange",
    "daemonsets": "DaemonSet",
}
GROUPS = {"daemonsets": "apps"}  # those that are not of the core
FIRST = 1000  # a cluster that has just been made is already at some version


def version(resource: str) -> str:
    return f"{GROUPS[resource]}/v1" if resource in GROUPS else "v1"


def root(resource: str) -> str:
    """Where paths to such objects begin."""
    return f"/{'apis' if resource in GROUPS else 'api'}/{version(resource)}/"


def stamp(moment: datetime | None = None, micro: bool = False) -> str:
    moment = moment or datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def parse_stamp(text: str) -> datetime:
    return datetime.fromisoformat(text)


def dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


async def wait_for(news: asyncio.Event, seconds: float) -> None:
    """Wait until there is news, but no longer than so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0)):
            await news.wait()


@dataclass(frozen=True)
class Change:
    """One step of the history. `before` is the object as it was (None: it was not)."""

    version: int
    type: str
    object: Object
    before: Object | None
    resource: str

    @cached_property
    def item(self) -> bytes:
        return dumps(self.object)

    @cached_property
    def whole(self) -> bytes:
        """Return the object with its kind, as everything but a list shows it."""
        shown = KINDS[self.resource], version(self.resource)
        return '{{"kind":"{}","apiVersion":"{}",'.format(*shown).encode() + self.item[1:]

    @property
    def key(self) -> Key:
        return self.object["metadata"].get("namespace", ""), self.object["metadata"]["name"]


class Store:
    """Objects are never changed in place: whoever writes puts a new one."""

    def __init__(self) -> None:
        self.version = FIRST
        self.compacted = 0  # etcd keeps nothing older
        self.now: dict[str, dict[Key, Change]] = {resource: {} for resource in KINDS}
        self.history: dict[str, deque[Change]] = {resource: deque(maxlen=50_000) for resource in KINDS}
        self.floor = dict.fromkeys(KINDS, FIRST)  # the watch cache of a resource begins here
        self.listeners: list[Callable[[Change], None]] = []
        self.news = asyncio.Event()

    def next(self) -> int:
        self.version += 1
        return self.version

    def find(self, resource: str, namespace: str, name: str) -> Object | None:
        change = self.now[resource].get((namespace, name))
        return change.object if change else None

    def get(self, resource: str, namespace: str, name: str) -> Object:
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def objects(self, resource: str, namespace: str = "") -> list[Object]:
        return [change.object for change in self.sorted(self.now[resource], namespace)]

    @staticmethod
    def sorted(changes: dict[Key, Change], namespace: str) -> list[Change]:
        return [changes[key] for key in sorted(changes) if not namespace or key[0] == namespace]

    def create(self, resource: str, obj: Object, *, keep: bool = True) -> Object:
        """Add an object with new uid and times; `keep=False` (dry run) only says what it would be."""
        metadata = obj["metadata"]
        old = self.find(resource, metadata.get("namespace", ""), metadata["name"])
        if old is not None:
            raise exists(resource, metadata["name"], "deletionTimestamp" in old["metadata"])
        own = {"uid": str(uuid.uuid4()), "creationTimestamp": stamp()}
        obj = obj | {"metadata": metadata | own}
        return self.put(resource, obj) if keep else obj

    def put(self, resource: str, obj: Object) -> Object:
        """Write the newest form of an object."""
        obj = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(self.next())}}
        key = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
        before = self.now[resource].get(key)
        kind = "MODIFIED" if before else "ADDED"
        change = Change(self.version, kind, obj, before.object if before else None, resource)
        self.now[resource][key] = change
        self.tell(change)
        return obj

    def remove(self, resource: str, obj: Object) -> Object:
        obj = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(self.next())}}
        change = Change(self.version, "DELETED", obj, obj, resource)
        self.now[resource].pop(change.key)
        self.tell(change)
        return obj

    def tell(self, change: Change) -> None:
        history = self.history[change.resource]
        if len(history) == history.maxlen:
            self.floor[change.resource] = history[0].version
        history.append(change)
        for listener in self.listeners:
            listener(change)
        self.wake()

    def wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    def since(self, resource: str, version: int) -> list[Change]:
        """Return what came after `version`, oldest first (the history is walked from its end)."""
        found = []
        for change in reversed(self.history[resource]):
            if change.version <= version:
                break
            found.append(change)
        return found[::-1]

    def at(self, resource: str, version: int) -> dict[Key, Change]:
        """Return the objects as they were at `version`; raises ApiError(410) when etcd has forgotten."""
        if version < self.compacted or version < self.floor[resource]:
            raise expired("The resourceVersion for the provided list is too old.")
        found = dict(self.now[resource])
        for change in reversed(self.history[resource]):
            if change.version <= version:
                break
            found.pop(change.key, None)
            if change.before is not None:
                found[change.key] = Change(version, "ADDED", change.before, None, resource)
        return found

    def compact(self, *, caches: bool = True) -> None:
        """Forget the past; without `caches` the watches can still go on from it."""
        self.compacted = self.next()
        if caches:
            for resource, history in self.history.items():
                history.clear()
                self.floor[resource] = self.version
