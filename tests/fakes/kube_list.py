"""Answers to LIST: pages, old versions, the refusals of each."""

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

from .kube_errors import ApiError, bad_request, cause, expired, invalid
from .kube_selectors import selector
from .kube_store import KINDS, Change, Key, Store, dumps, wait_for

TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)
PATIENCE = 3.0  # seconds for which a LIST waits for a version that is not there yet


def number(text: str) -> int:
    """Read a resourceVersion; raises ValueError with the server's words."""
    if text and not text.isdigit():
        why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise ValueError(f'resourceVersion: Invalid value: "{text}": {why}')
    return int(text or 0)


def token(version: int, start: str) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start + "\x00"}, separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(text: str) -> tuple[int, str]:
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    try:
        found = json.loads(raw)
        return found["rv"], found["start"].rstrip("\x00").lstrip("/")
    except (ValueError, KeyError) as error:
        why = f"invalid character '{raw[:1].decode('latin-1')}' looking for beginning of value"
        raise bad_request(f"invalid continue token: continue key is not valid: {why}") from error


class Listing:
    """One LIST request against a store."""

    def __init__(self, store: Store, resource: str, namespace: str, query: Mapping[str, str]) -> None:
        self.store, self.resource, self.namespace, self.query = store, resource, namespace, query
        self.selected = bool(query.get("labelSelector") or query.get("fieldSelector"))
        self.matches = selector(resource, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        self.limit = int(query.get("limit") or 0)

    async def body(self, speed: float) -> bytes:
        """Return the list as JSON; raises ApiError(400, 410, 422, 504)."""
        match = self.query.get("resourceVersionMatch", "")
        if match and not self.query.get("resourceVersion"):
            text = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
            raise invalid("ListOptions", "", [cause("Forbidden", "resourceVersionMatch", text)], "meta.k8s.io")
        if self.query.get("continue"):
            return self.rest(self.query["continue"])
        version = self.wanted()
        if match == "Exact":
            return self.page(self.store.at(self.resource, version), version, "", "")
        await self.wait_for(version, speed)
        if self.query.get("resourceVersion") == "0":
            self.limit = 0
        return self.page(self.store.now[self.resource], self.store.version, "", "/")

    def wanted(self) -> int:
        try:
            return number(self.query.get("resourceVersion", ""))
        except ValueError as error:
            raise bad_request(f"invalid resource version: {error}") from error

    async def wait_for(self, version: int, speed: float) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE / speed
        while version > self.store.version:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise self.from_the_future(version)
            await wait_for(self.store.news, left)

    def from_the_future(self, version: int) -> ApiError:
        why = "Too large resource version"
        details = {"causes": [{"reason": "ResourceVersionTooLarge", "message": why}], "retryAfterSeconds": 1}
        text = f"Timeout: {why}: {version}, current: {self.store.version}"
        error = ApiError(504, text, "Timeout", details=details)
        error.headers = {"Retry-After": "1"}
        return error

    def rest(self, given: str) -> bytes:
        version, start = read_token(given)
        if version < 0:  # an inconsistent rest
            return self.page(self.store.now[self.resource], self.store.version, start, "")
        try:
            return self.page(self.store.at(self.resource, version), version, start, "")
        except ApiError as error:
            raise expired(TOO_OLD, **{"continue": token(-1, start)}) from error

    def page(self, found: dict[Key, Change], version: int, after: str, slash: str) -> bytes:
        changes = [one for one in Store.sorted(found, self.namespace) if self.matches(one.object)]
        if after:
            changes = [one for one in changes if one.key[1] > after]
        metadata: dict[str, str | int] = {"resourceVersion": str(version)}
        if 0 < self.limit < len(changes):
            metadata["continue"] = token(version, slash + changes[self.limit - 1].key[1])
            if not self.selected:
                metadata["remainingItemCount"] = len(changes) - self.limit
            changes = changes[: self.limit]
        head = dumps({"kind": f"{KINDS[self.resource]}List", "apiVersion": "v1", "metadata": metadata})
        return head[:-1] + b',"items":[' + b",".join(one.item for one in changes) + b"]}\n"
