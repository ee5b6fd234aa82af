"""Read branches, commits, pipelines and registry tags of a GitLab project with the requesting user's token.

Answers are cached for seconds, for each user separately.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from ...domain.ci_images import CiPipeline, GitBranch, GitCommit, GitLabCodeProject, RegistryTag
from ..net.cache import TTLCache
from ..net.single_flight import SingleFlight
from .client import GitLabClient, GitLabUnavailable

Value = TypeVar("Value")
CI_CACHE_SECONDS = 20.0  # one page needs several answers, and users reload it
CI_PROJECT_CACHE_SECONDS = 300.0  # for data that rarely changes
CI_PAGE_SIZE = 100  # commits, branches and pipelines: one page of GitLab's lists
_MAX_CACHED_CI_RESPONSES = 2000
_REGISTRY_TIMEOUT_SECONDS = 4.0  # longer, since GitLab queries its registry tag by tag
# Registry repositories that are being deleted, https://docs.gitlab.com/api/container_registry/
_DELETION_STATUSES = ("delete_scheduled", "delete_ongoing")


class GitLabCI:
    """GitLab's answers as values, cached for seconds, for each user separately.

    All methods raise the exceptions of `GitLabClient.get`.
    """

    def __init__(self, gitlab: GitLabClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._gitlab = gitlab
        self._clock = clock
        self._flights = SingleFlight()
        self._kept: TTLCache[Any] = TTLCache(_MAX_CACHED_CI_RESPONSES, clock, name="ci")

    @property
    def url(self) -> str:
        return self._gitlab.url

    def clear_cache(self) -> None:
        """Discard all cached answers, after an event in GitLab."""
        self._kept = TTLCache(_MAX_CACHED_CI_RESPONSES, self._clock, name="ci")

    async def close(self) -> None:
        await self._flights.close()

    async def get_project(self, name: str, ref: int | str) -> GitLabCodeProject:
        """Return the project with this id or path."""
        body = await self._get_cached(name, f"/projects/{quote(str(ref), safe='')}", seconds=CI_PROJECT_CACHE_SECONDS)
        return _parse_response(_parse_code_project, body)

    async def list_branches(self, name: str, project: int) -> list[GitBranch]:
        """Return the first 100 branches, by name."""
        return await self._get_list(name, f"/projects/{project}/repository/branches", _parse_branch)

    async def list_commits(self, name: str, project: int, branch: str | None = None) -> list[GitCommit]:
        """Return the latest 100 commits of a branch, or of the whole repository, newest first."""
        query = {"ref_name": branch} if branch else {"all": "true"}
        return await self._get_list(name, f"/projects/{project}/repository/commits", _parse_commit, query)

    async def list_pipelines(self, name: str, project: int, **asked: str) -> list[CiPipeline]:
        """Return the latest 100 pipelines of a `ref` or a commit (`sha`), of all users."""
        return await self._get_list(name, f"/projects/{project}/pipelines", _parse_pipeline, asked)

    async def list_child_pipelines(self, name: str, project: int, pipeline: int) -> list[CiPipeline]:
        """Return the child pipelines of *pipeline* in the same project."""
        downstream = await self._get_list(
            name, f"/projects/{project}/pipelines/{pipeline}/bridges", _parse_downstream_pipeline
        )
        return [child for child in downstream if child is not None and child.project == project]

    async def list_registry_tags(self, name: str, project: int) -> list[RegistryTag]:
        """Return all tags in the project's registry."""
        path = f"/projects/{project}/registry/repositories"
        repositories = await self._get_cached(
            name, path, {"tags": "true", "per_page": CI_PAGE_SIZE}, within=_REGISTRY_TIMEOUT_SECONDS
        )
        return [
            tag
            for repository in _require_object_list(repositories)
            for tag in _parse_response(_parse_registry_tags, repository)
            if repository.get("project_id") == project
        ]

    async def get_tag_digest(self, name: str, project: int, tag: RegistryTag) -> str:
        """Return the digest that *tag* points to now."""
        path = f"/projects/{project}/registry/repositories/{tag.registry_id}/tags/{quote(tag.name, safe='')}"
        found = await self._get_cached(name, path, within=_REGISTRY_TIMEOUT_SECONDS)
        return str(_parse_response(lambda body: _parse_digest(body["digest"]), found))

    async def get_failed_job_url(self, name: str, project: int, pipeline: int) -> str:
        """Return the web page of the first failed job; empty if there is none."""
        path = f"/projects/{project}/pipelines/{pipeline}/jobs"
        jobs = _require_object_list(await self._get_cached(name, path, {"scope[]": "failed"}))
        return next((_parse_link(job.get("web_url")) for job in reversed(jobs) if not job.get("allow_failure")), "")

    async def _get_list(
        self, name: str, path: str, read: Callable[[Any], Value], asked: Mapping[str, Any] | None = None
    ) -> list[Value]:
        found = await self._get_cached(name, path, {"per_page": CI_PAGE_SIZE, **(asked or {})})
        return [_parse_response(read, each) for each in _require_object_list(found)]

    async def _get_cached(
        self,
        name: str,
        path: str,
        asked: Mapping[str, Any] | None = None,
        *,
        seconds: float = CI_CACHE_SECONDS,
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


def _parse_response(read: Callable[[Any], Value], body: Any) -> Value:
    """Return `read(body)`.

    Raises:
        GitLabUnavailable: the body is not an answer of GitLab.
    """
    try:
        return read(body)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise GitLabUnavailable from None


def _require_object_list(found: Any) -> list[Any]:
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise GitLabUnavailable
    return found


def _parse_link(address: Any) -> str:
    """Return the URL if it is http or https, else an empty string."""
    return address if isinstance(address, str) and address.startswith(("https://", "http://")) else ""


def _parse_code_project(body: Any) -> GitLabCodeProject:
    return GitLabCodeProject(
        id=int(body["id"]),
        path=str(body["path_with_namespace"]),
        url=str(body["http_url_to_repo"]),
        images=str(body.get("container_registry_image_prefix") or ""),
        default_branch=body.get("default_branch") or None,
    )


def _parse_branch(body: Any) -> GitBranch:
    return GitBranch(
        name=str(body["name"]),
        sha=str(body["commit"]["id"]),
        protected=body.get("protected") is True,
        default=body.get("default") is True,
    )


def _parse_commit(body: Any) -> GitCommit:
    at = body.get("committed_date")
    return GitCommit(
        sha=str(body["id"]),
        title=str(body.get("title") or ""),
        author=str(body.get("author_name") or ""),
        at=datetime.fromisoformat(at) if at else None,
        url=_parse_link(body.get("web_url")),
        parents=tuple(map(str, body.get("parent_ids") or ())),
    )


def _parse_pipeline(body: Any) -> CiPipeline:
    return CiPipeline(
        id=int(body["id"]),
        project=int(body["project_id"]),
        sha=str(body["sha"]),
        ref=str(body["ref"]),
        status=str(body["status"]),
        source=str(body.get("source") or ""),
        url=_parse_link(body.get("web_url")),
    )


def _parse_downstream_pipeline(body: Any) -> CiPipeline | None:
    """Return the downstream pipeline of a bridge job, or None if it has not started one."""
    return _parse_pipeline(body["downstream_pipeline"]) if body.get("downstream_pipeline") else None


def _parse_registry_tags(body: Any) -> list[RegistryTag]:
    if body.get("status") in _DELETION_STATUSES:
        return []
    place, number = str(body["location"]), int(body["id"])
    return [RegistryTag(repository=place, name=str(tag["name"]), registry_id=number) for tag in body.get("tags") or ()]


def _parse_digest(text: Any) -> str:
    if not isinstance(text, str) or not text.startswith("sha256:"):
        raise ValueError
    return text
