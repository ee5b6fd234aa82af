"""Webhooks of the fake GitLab's projects: a push, a pipeline that changed."""

import asyncio
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from . import gitlab_bodies as bodies
from .gitlab_git import NONE, Object
from .gitlab_world import User

if TYPE_CHECKING:
    from .gitlab import FakeGitLab
    from .gitlab_ci import Pipeline
    from .gitlab_project import Project


@dataclass(frozen=True)
class Hook:
    url: str
    secret: str


@dataclass(frozen=True)
class Sent:
    """One delivery; `status` is what the other side answered, 0 if it did not."""

    url: str
    event: str
    body: Object
    status: int


class Hooks:
    """Sends events from the thread of the fake GitLab; `sent` has what was delivered or could not be."""

    def __init__(self, lab: "FakeGitLab") -> None:
        self.lab = lab
        self.sent: list[Sent] = []

    def push(self, project: "Project", ref: str, before: str, after: str, user: User | None) -> None:
        if not project.hooks:
            return
        commits: list[Object] = []
        if NONE not in {before, after}:
            commits = project.repository.log("--reverse", f"{before}..{after}")
        elif after != NONE:
            commits = project.repository.log("-1", after)
        url = self.lab.link_url
        body = {"object_kind": "push", "event_name": "push", "before": before, "after": after, "ref": ref}
        body |= {"ref_protected": ref.removeprefix("refs/heads/") in project.protected, "message": None}
        body |= {"checkout_sha": None if after == NONE else after, **_sender(user, url), "project_id": project.id}
        body |= {"project": _project(project, url), "commits": [_commit(project, one, url) for one in commits[-20:]]}
        body |= {"total_commits_count": len(commits), "push_options": {}}
        self._send(project, "Push Hook", body)

    def pipeline(self, pipeline: "Pipeline") -> None:
        project, url = pipeline.project, self.lab.link_url
        if not project.hooks:
            return
        whole = pipeline.whole(url)
        keys = ("id", "iid", "name", "ref", "tag", "sha", "before_sha", "source", "status", "created_at")
        about = {key: whole[key] for key in (*keys, "finished_at", "duration", "queued_duration")}
        about |= {"detailed_status": whole["detailed_status"]["text"], "url": whole["web_url"], "variables": []}
        about["stages"] = list(dict.fromkeys(job.stage for job in pipeline.jobs))
        user = bodies.person(pipeline.user, url) if pipeline.user else None
        builds = [{"id": job.id, "stage": job.stage, "name": job.name, "status": job.status} for job in pipeline.jobs]
        commit = _commit(project, project.repository.one(pipeline.sha), url)
        body = {"object_kind": "pipeline", "object_attributes": about, "merge_request": None, "user": user}
        body |= {"project": _project(project, url), "commit": commit, "builds": builds}
        self._send(project, "Pipeline Hook", body)

    def _send(self, project: "Project", event: str, body: Object) -> None:
        for hook in project.hooks:
            asyncio.run_coroutine_threadsafe(self._one(hook, event, body), self.lab.loop)

    async def _one(self, hook: Hook, event: str, body: Object) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "GitLab/18.6.1-ee", "X-Gitlab-Event": event}
        headers |= {"X-Gitlab-Token": hook.secret, "X-Gitlab-Instance": self.lab.link_url}
        headers |= {"X-Gitlab-Webhook-UUID": str(uuid.uuid4()), "X-Gitlab-Event-UUID": str(uuid.uuid4())}
        status, limit = 0, aiohttp.ClientTimeout(total=10)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.post(hook.url, data=json.dumps(body), headers=headers) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            pass  # as GitLab does: the delivery has failed
        self.sent.append(Sent(hook.url, event, body, status))


def _sender(user: User | None, url: str) -> Object:
    shown = bodies.user(user, url) if user else {}
    keys = {"user_id": "id", "user_name": "name", "user_username": "username", "user_avatar": "avatar_url"}
    return {key: shown.get(name) for key, name in keys.items()} | {"user_email": ""}


def _project(project: "Project", url: str) -> Object:
    web = f"{url}/{project.path}"
    level = {"private": 0, "internal": 10, "public": 20}[project.visibility]
    body = {"id": project.id, "name": project.name, "description": project.more.get("description", "")}
    body |= {"web_url": web, "avatar_url": None, "git_http_url": f"{web}.git", "namespace": project.namespace}
    body |= {"visibility_level": level, "path_with_namespace": project.path, "default_branch": project.default_branch}
    return body | {"ci_config_path": "", "homepage": web, "url": f"{web}.git", "http_url": f"{web}.git"}


def _commit(project: "Project", one: Object, url: str) -> Object:
    author = {"name": one["author_name"], "email": one["author_email"]}
    body = {"id": one["id"], "message": one["message"], "title": one["title"], "timestamp": one["committed_date"]}
    body |= {"url": f"{url}/{project.path}/-/commit/{one['id']}", "author": author}
    return body | {"added": [], "modified": [], "removed": []}
