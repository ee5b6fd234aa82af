"""What GitLab says of a project's branches, its CI and its registry, each time with the rights of who looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from ..domain.ci import Branch, CodeProject, Commit, Pipeline, Tag
from ..remote.cache import Cache, Flights
from .client import GitLab
from .errors import Away

Value = TypeVar("Value")
FRESH = 20.0  # seconds; one page is made from a few answers, and people load it again
SETTLED = 300.0  # seconds, for what hardly ever changes
MOST = 100  # commits, branches and pipelines: one page of GitLab's lists
_REMEMBERED = 2000
_REGISTRY_SECONDS = 4.0  # GitLab asks its registry in turn, tag by tag
# https://docs.gitlab.com/api/container_registry/: of these soon nothing is left.
_GOING = ("delete_scheduled", "delete_ongoing")


class Ci:
    """Answers of GitLab as values, remembered for seconds, for each person apart.

    All of it raises what `GitLab.get` raises.
    """

    def __init__(self, gitlab: GitLab, clock: Callable[[], float] = time.monotonic) -> None:
        self._gitlab = gitlab
        self._clock = clock
        self._flights = Flights()
        self._kept: Cache[Any] = Cache(_REMEMBERED, clock, name="ci")

    @property
    def url(self) -> str:
        return self._gitlab.url

    def forget(self) -> None:
        """Something has happened in GitLab: ask anew."""
        self._kept = Cache(_REMEMBERED, self._clock, name="ci")

    async def close(self) -> None:
        await self._flights.close()

    async def project(self, name: str, ref: int | str) -> CodeProject:
        """By its number or its path."""
        found = await self._get(name, f"/projects/{quote(str(ref), safe='')}", seconds=SETTLED)
        return _read(_project, found)

    async def branches(self, name: str, project: int) -> list[Branch]:
        """The first hundred, by name."""
        return await self._all(name, f"/projects/{project}/repository/branches", _branch)

    async def commits(self, name: str, project: int, branch: str | None = None) -> list[Commit]:
        """The last hundred of a branch, or of all that GitLab keeps; the newest first."""
        asked = {"ref_name": branch} if branch else {"all": "true"}
        return await self._all(name, f"/projects/{project}/repository/commits", _commit, asked)

    async def pipelines(self, name: str, project: int, **asked: str) -> list[Pipeline]:
        """The last hundred of a `ref` or of a commit (`sha`), whoever began them."""
        return await self._all(name, f"/projects/{project}/pipelines", _pipeline, asked)

    async def children(self, name: str, project: int, pipeline: int) -> list[Pipeline]:
        """Those of the same project that *pipeline* has begun."""
        found = await self._all(name, f"/projects/{project}/pipelines/{pipeline}/bridges", _begun)
        return [each for each in found if each is not None and each.project == project]

    async def tags(self, name: str, project: int) -> list[Tag]:
        """All that is in the project's registry."""
        path = f"/projects/{project}/registry/repositories"
        found = await self._get(name, path, {"tags": "true", "per_page": MOST}, within=_REGISTRY_SECONDS)
        return [tag for each in _list(found) for tag in _read(_tags, each) if each.get("project_id") == project]

    async def digest(self, name: str, project: int, tag: Tag) -> str:
        """What *tag* is now."""
        path = f"/projects/{project}/registry/repositories/{tag.registry_id}/tags/{quote(tag.name, safe='')}"
        found = await self._get(name, path, within=_REGISTRY_SECONDS)
        return str(_read(lambda body: _digest(body["digest"]), found))

    async def failed_job(self, name: str, project: int, pipeline: int) -> str:
        """The page of the job that failed first; empty if there is none any more."""
        path = f"/projects/{project}/pipelines/{pipeline}/jobs"
        jobs = _list(await self._get(name, path, {"scope[]": "failed"}))
        return next((_link(job.get("web_url")) for job in reversed(jobs) if not job.get("allow_failure")), "")

    async def _all(
        self, name: str, path: str, read: Callable[[Any], Value], asked: Mapping[str, Any] | None = None
    ) -> list[Value]:
        found = await self._get(name, path, {"per_page": MOST, **(asked or {})})
        return [_read(read, each) for each in _list(found)]

    async def _get(
        self,
        name: str,
        path: str,
        asked: Mapping[str, Any] | None = None,
        *,
        seconds: float = FRESH,
        within: float = 2.0,
    ) -> Any:
        key = (name, path, *sorted((asked or {}).items()))
        kept = self._kept
        known = kept.get(key)
        if known is not None:
            return known

        async def ask() -> Any:
            found = await self._gitlab.get(name, path, asked, within=within)
            kept.put(key, found, seconds=seconds)
            return found

        return await self._flights.run((id(kept), *key), ask)


def _read(read: Callable[[Any], Value], body: Any) -> Value:
    """Raises Away: something else than GitLab answered."""
    try:
        return read(body)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Away from None


def _list(found: Any) -> list[Any]:
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Away
    return found


def _link(address: Any) -> str:
    """A page of GitLab; nothing else becomes a link."""
    return address if isinstance(address, str) and address.startswith(("https://", "http://")) else ""


def _project(body: Any) -> CodeProject:
    return CodeProject(
        id=int(body["id"]),
        path=str(body["path_with_namespace"]),
        url=str(body["http_url_to_repo"]),
        images=str(body.get("container_registry_image_prefix") or ""),
        default_branch=body.get("default_branch") or None,
    )


def _branch(body: Any) -> Branch:
    return Branch(
        name=str(body["name"]),
        sha=str(body["commit"]["id"]),
        protected=body.get("protected") is True,
        default=body.get("default") is True,
    )


def _commit(body: Any) -> Commit:
    at = body.get("committed_date")
    return Commit(
        sha=str(body["id"]),
        title=str(body.get("title") or ""),
        author=str(body.get("author_name") or ""),
        at=datetime.fromisoformat(at) if at else None,
        url=_link(body.get("web_url")),
        parents=tuple(map(str, body.get("parent_ids") or ())),
    )


def _pipeline(body: Any) -> Pipeline:
    return Pipeline(
        id=int(body["id"]),
        project=int(body["project_id"]),
        sha=str(body["sha"]),
        ref=str(body["ref"]),
        status=str(body["status"]),
        source=str(body.get("source") or ""),
        url=_link(body.get("web_url")),
    )


def _begun(body: Any) -> Pipeline | None:
    """Of a bridge: what it has begun, if it has."""
    return _pipeline(body["downstream_pipeline"]) if body.get("downstream_pipeline") else None


def _tags(body: Any) -> list[Tag]:
    if body.get("status") in _GOING:
        return []
    place, number = str(body["location"]), int(body["id"])
    return [Tag(repository=place, name=str(tag["name"]), registry_id=number) for tag in body.get("tags") or ()]


def _digest(text: Any) -> str:
    if not isinstance(text, str) or not text.startswith("sha256:"):
        raise ValueError
    return text
