"""Answers to WATCH: one JSON object a line until the time is up, the client goes, or the cache has forgotten."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from .kube_errors import ApiError, cause, expired, invalid
from .kube_list import number
from .kube_selectors import selector
from .kube_store import KINDS, Change, Store, dumps, wait_for

YES = {"true", "True", "1"}
EACH = 60.0  # seconds between two bookmarks
BEFORE_END = 2.0  # seconds before the end at which the last bookmark comes
DEFAULT = 1800.0  # seconds that a watch lives when the client does not say
EMPTY = {"pods": {"spec": {"containers": None}, "status": {}}}
NO_LIST = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
NO_MATCH = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"


def check(query: Mapping[str, str]) -> None:
    """Raise ApiError(422) for a streaming list, which 1.33 does not give by default."""
    causes = []
    if "sendInitialEvents" in query:
        if query.get("resourceVersionMatch") != "NotOlderThan":
            causes.append(cause("Forbidden", "resourceVersionMatch", NO_MATCH))
        causes.append(cause("Forbidden", "sendInitialEvents", NO_LIST))
        raise invalid("ListOptions", "", causes, "meta.k8s.io")


class Watch:
    """One WATCH request against a store; `speed` makes its seconds shorter."""

    def __init__(self, store: Store, resource: str, namespace: str, query: Mapping[str, str], speed: float) -> None:
        check(query)
        self.store, self.resource, self.namespace = store, resource, namespace
        self.matches = selector(resource, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        self.given = query.get("resourceVersion", "")
        try:
            self.position = number(self.given)
        except ValueError as error:
            raise ApiError(500, str(error)) from error
        self.lifetime = float(query.get("timeoutSeconds") or DEFAULT) / speed
        self.bookmarks = query.get("allowWatchBookmarks") in YES
        self.speed = speed
        self.expired = False
        self.due = 0.0  # when the next bookmark comes

    async def lines(self) -> AsyncIterator[tuple[Change | None, bytes]]:
        """Yield each line with the change that it tells of (None: a bookmark or an error)."""
        clock = asyncio.get_running_loop()
        end = clock.time() + self.lifetime
        self.due = self.next_bookmark(clock.time(), end)
        for change in self.present() if self.given in {"", "0"} else []:
            yield change, self.line("ADDED", change.whole)
        while not self.too_old():
            news, now = self.store.news, clock.time()
            for told in self.fresh():
                yield told
            if now >= end:
                return
            if now >= self.due:
                yield None, self.bookmark()
                self.due = self.next_bookmark(now, end)
            await wait_for(news, min(self.due, end) - now)
        yield None, self.line("ERROR", dumps(self.error().body()))

    def next_bookmark(self, now: float, end: float) -> float:
        """Return when a bookmark is due: once a minute and shortly before the end."""
        last = end - BEFORE_END / self.speed
        if not self.bookmarks or now >= last:
            return end + 1
        return min(now + EACH / self.speed, last)

    def fresh(self) -> list[tuple[Change | None, bytes]]:
        """Return the lines of all changes that were not told yet."""
        changes = self.store.since(self.resource, self.position)
        self.position = max(self.position, self.store.version)
        return [(change, line) for change in changes if (line := self.told(change))]

    def present(self) -> list[Change]:
        found = self.store.sorted(self.store.now[self.resource], self.namespace)
        self.position = self.store.version
        return [change for change in found if self.matches(change.object)]

    def too_old(self) -> bool:
        oldest = self.store.compacted if self.resource == "events" else self.store.floor[self.resource]
        return self.expired or self.position < oldest

    def error(self) -> ApiError:
        if self.resource == "events":  # they have no watch cache, etcd itself answers
            return expired("The resourceVersion for the provided watch is too old.")
        return expired(f"too old resource version: {self.position} ({self.store.floor[self.resource]})")

    @staticmethod
    def line(kind: str, body: bytes) -> bytes:
        return b'{"type":"%s","object":' % kind.encode() + body.rstrip(b"\n") + b"}\n"

    def told(self, change: Change) -> bytes:
        """Return the line for a change as this selection sees it; empty: nothing."""
        if self.namespace and change.key[0] != self.namespace:
            return b""
        before = change.before is not None and self.matches(change.before)
        if change.type == "DELETED":
            return self.line("DELETED", change.whole) if before else b""
        if self.matches(change.object):
            return self.line("MODIFIED" if before else "ADDED", change.whole)
        return self.line("DELETED", self.left(change)) if before else b""

    @staticmethod
    def left(change: Change) -> bytes:
        """Return an object that left the selection: as it was, with the new version."""
        assert change.before is not None
        metadata = change.before["metadata"] | {"resourceVersion": str(change.version)}
        return Change(change.version, "DELETED", change.before | {"metadata": metadata}, None, change.resource).whole

    def bookmark(self) -> bytes:
        metadata = {"resourceVersion": str(self.store.version), "creationTimestamp": None}
        shown = {"kind": KINDS[self.resource], "apiVersion": "v1", "metadata": metadata}
        return self.line("BOOKMARK", dumps(shown | EMPTY.get(self.resource, {"spec": {}, "status": {}})))
