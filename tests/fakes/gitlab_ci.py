"""The fake GitLab's API on CI: pipelines, their jobs and logs."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import gitlab_bodies as bodies
from .gitlab_call import Call, Reply, message, route, wrong
from .gitlab_git import NONE, Object, Unknown
from .gitlab_lists import by_offset
from .gitlab_world import MAINTAINER, User, stamp

if TYPE_CHECKING:
    from .gitlab_project import Project

STATUSES = {"created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "running", "success"}
STATUSES |= {"failed", "canceled", "canceling", "skipped", "manual", "scheduled"}
ENDED = {"success", "failed", "canceled", "skipped"}
TEXTS = {"success": "passed", "manual": "manual action", "waiting_for_resource": "waiting for resource"}
SHORT = ("id", "iid", "project_id", "sha", "ref", "status", "source", "created_at", "updated_at", "web_url")
RUNNER = {"id": 5, "description": "shared-k8s", "ip_address": None, "active": True, "paused": False}
RUNNER |= {"is_shared": True, "runner_type": "instance_type", "name": "gitlab-runner", "online": True}
ABOUT = ("created_at", "bio", "location", "linkedin", "twitter", "discord", "website_url", "github", "job_title")
ABOUT += ("pronouns", "organization", "bot", "work_information", "followers", "following", "local_time")


@dataclass
class Job:
    """`more` are further fields of its body; `log` is its trace."""

    id: int
    name: str
    stage: str
    status: str
    log: bytes = b""
    more: Object = field(default_factory=dict)


@dataclass
class Pipeline:
    """What `Project.pipeline` makes; `becomes` lets it go on. `more` are further fields of its body; `parent` is the
    pipeline that has begun it."""

    project: "Project"
    id: int
    iid: int
    sha: str
    ref: str
    status: str
    source: str
    user: User | None
    jobs: list[Job]
    created_at: str = field(default_factory=stamp)
    updated_at: str = field(default_factory=stamp)
    more: Object = field(default_factory=dict)
    parent: "Pipeline | None" = None

    def becomes(self, status: str, **jobs: str) -> None:
        """Another status, and others of its jobs by their names; without any, all jobs share it."""
        self.status, self.updated_at = status, stamp()
        for job in self.jobs:
            job.status = jobs.get(job.name.replace("-", "_"), job.status if jobs else status)
        self.project.lab.hooks.pipeline(self)

    def short(self, url: str) -> Object:
        own = {key: getattr(self, key) for key in SHORT if key not in {"project_id", "web_url"}}
        own |= {"project_id": self.project.id, "web_url": f"{url}/{self.project.path}/-/pipelines/{self.id}"}
        return {key: own[key] for key in SHORT}

    def whole(self, url: str) -> Object:
        started = self.status not in {"created", "pending", "manual", "scheduled"} and bool(self.jobs)
        ended = started and self.status in ENDED
        text = TEXTS.get(self.status, self.status)
        shown = bodies.template("pipeline")["detailed_status"] | {"text": text, "label": text, "tooltip": text}
        shown |= {"icon": f"status_{self.status}", "group": self.status}
        shown["details_path"] = f"/{self.project.path}/-/pipelines/{self.id}"
        shown["favicon"] = f"/assets/ci_favicons/favicon_status_{self.status}.png"
        found = bodies.template("pipeline") | self.short(url) | {"before_sha": NONE, "detailed_status": shown}
        found |= {"user": bodies.person(self.user, url) if self.user else None, "yaml_errors": None}
        found |= {"started_at": self.created_at if started else None, "queued_duration": 0 if started else None}
        found |= {"finished_at": self.updated_at if ended else None, "duration": 1 if ended else None}
        return found | self.more

    def job(self, job: Job, url: str, commit: Object) -> Object:
        ended = self.created_at if job.status in ENDED - {"skipped"} else None
        started = self.created_at if job.status == "running" else ended
        found = bodies.template("job") | {"id": job.id, "name": job.name, "stage": job.stage, "status": job.status}
        found |= {"ref": self.ref, "created_at": self.created_at, "started_at": started, "finished_at": ended}
        found |= {"duration": 1.0 if started else None, "queued_duration": 0.1 if started else None, "commit": commit}
        found |= {"runner": RUNNER | {"status": "online"} if started else None}
        found |= {"pipeline": self.short(url), "web_url": f"{url}/{self.project.path}/-/jobs/{job.id}"}
        found |= {"user": _worker(self.user, url) if self.user else None}
        trace = {"file_type": "trace", "size": len(job.log), "filename": "job.log", "file_format": None}
        found["artifacts"] = [trace] if ended else []
        found |= {"failure_reason": "script_failure"} if job.status == "failed" else {}
        return found | job.more


def _worker(user: User, url: str) -> Object:
    whole = bodies.user(user, url)
    return bodies.person(user, url) | {key: whole[key] for key in ABOUT} | {"local_time": None}


def seen(call: Call) -> "Project":
    """The project of the path; raises Refusal unless the caller may see its pipelines."""
    project = call.project
    if not project.reads_pipelines(call.user):
        raise message(403, "Forbidden")
    return project


def seen_pipeline(call: Call, project: "Project", sha: str) -> Object | None:
    """The latest pipeline of a commit, where the caller may see it."""
    if not project.reads_pipelines(call.user):
        return None
    found = [one for one in project.pipelines if one.sha == sha and one.source != "parent_pipeline"]
    return max(found, key=lambda one: one.id).short(call.lab.link_url) if found else None


@route("/projects/:id/pipelines")
def pipelines(call: Call) -> Reply:
    project, query = seen(call), call.query
    if query.get("status", "running") not in STATUSES:
        raise wrong("status does not have a valid value")
    rows = sorted(project.pipelines, key=lambda one: one.id, reverse=query.get("sort", "desc") == "desc")
    source = query.get("source")
    rows = [one for one in rows if (one.source == source if source else one.source != "parent_pipeline")]
    for name in ("sha", "ref", "status"):
        rows = [one for one in rows if query.get(name, getattr(one, name)) == getattr(one, name)]
    return by_offset(call, rows, lambda one: one.short(call.lab.link_url) | {"name": one.more.get("name")})


@route("/projects/:id/pipelines/latest", slow=True)
def latest(call: Call) -> Reply:
    """Of the newest commit of a ref; GitLab says 403 when that has none."""
    project = seen(call)
    ref = call.query.get("ref") or project.default_branch
    try:
        sha = project.repository.sha(f"refs/heads/{ref}")
    except Unknown:
        raise message(403, "Forbidden") from None
    found = [one for one in project.pipelines if (one.sha, one.ref) == (sha, ref)]
    if not found:
        raise message(403, "Forbidden")
    return Reply(max(found, key=lambda one: one.id).whole(call.lab.link_url))


def _pipeline(call: Call) -> Pipeline:
    found = [one for one in seen(call).pipelines if str(one.id) == call.args["pipeline_id"]]
    if not found:
        raise message(404, "Not found")
    return found[0]


@route("/projects/:id/pipelines/:pipeline_id")
def pipeline(call: Call) -> Reply:
    return Reply(_pipeline(call).whole(call.lab.link_url))


@route("/projects/:id/pipelines/:pipeline_id/jobs", slow=True)
def jobs(call: Call) -> Reply:
    found, wanted = _pipeline(call), call.many("scope")
    rows = sorted(found.jobs, key=lambda one: one.id, reverse=True)
    rows = [one for one in rows if not wanted or one.status in wanted]
    return by_offset(call, rows, lambda one: found.job(one, call.lab.link_url, _commit(call, found)))


@route("/projects/:id/pipelines/:pipeline_id/bridges")
def bridges(call: Call) -> Reply:
    """One for each child; of the bridge itself no more is told than its name."""
    of = _pipeline(call)
    every = [one for project in call.lab.world.projects.values() for one in project.pipelines]
    rows = [one for one in every if one.parent is of]
    return by_offset(call, rows, lambda one: {"name": "begin", "downstream_pipeline": one.short(call.lab.link_url)})


def _commit(call: Call, of: Pipeline) -> Any:
    try:
        one = of.project.repository.one(of.sha)
    except Unknown:
        return None
    return one | {"web_url": f"{call.lab.link_url}/{of.project.path}/-/commit/{of.sha}"}


def _job(call: Call) -> tuple[Pipeline, Job]:
    call.signed_in()
    for one in seen(call).pipelines:
        for job in one.jobs:
            if str(job.id) == call.args["job_id"]:
                return one, job
    raise message(404, "Not found")


@route("/projects/:id/jobs/:job_id", slow=True)
def job(call: Call) -> Reply:
    of, found = _job(call)
    return Reply(of.job(found, call.lab.link_url, _commit(call, of)))


@route("/projects/:id/jobs/:job_id/trace")
def trace(call: Call) -> Reply:
    _, found = _job(call)
    named = {"Content-Disposition": f'infile; filename="{found.id}.log"'}
    return Reply(found.log, headers={"Content-Type": "text/plain"} | named)


@route("/projects/:id/protected_branches")
def protected_branches(call: Call) -> Reply:
    member = call.project.member(call.signed_in().id)
    if member is None or member.level < MAINTAINER:
        raise message(403, "Forbidden")
    return by_offset(call, sorted(call.project.protected), _protected)


def _protected(name: str) -> Object:
    push = {"id": 1001, "access_level": 40, "access_level_description": "Maintainers", "deploy_key_id": None}
    merge = {"id": 2001, "access_level": 30, "access_level_description": "Developers + Maintainers"}
    nobody = {"user_id": None, "group_id": None}
    body: Object = {"id": 100, "name": name, "push_access_levels": [push | nobody]}
    body |= {"merge_access_levels": [merge | nobody], "allow_force_push": False, "unprotect_access_levels": []}
    return body | {"code_owner_approval_required": False, "inherited": False}
