"""The fake GitLab's API on images: repositories of a project's registry and their tags."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fixtures.images import Made

from .gitlab_call import Call, Refusal, Reply, message, route, wrong
from .gitlab_lists import NO_KEYSET, by_offset, number, place
from .gitlab_world import stamp

if TYPE_CHECKING:
    from .gitlab_project import Project

Object = dict[str, Any]


@dataclass
class Tag:
    """`digest` is what is pulled; `made` the image itself, where there is one; with an index most is null."""

    name: str
    digest: str
    revision: str | None = None
    created_at: str | None = None
    total_size: int | None = None
    made: Made | None = None


@dataclass
class Images:
    """A repository of a registry: `name` is empty for the one that has the project's own path."""

    project: "Project"
    id: int
    name: str = ""
    tags: dict[str, Tag] = field(default_factory=dict)
    status: str | None = None
    created_at: str = field(default_factory=stamp)
    cleaned_at: str | None = None
    size: int | None = None

    @property
    def path(self) -> str:
        own = self.project.path.lower()
        return f"{own}/{self.name}" if self.name else own

    def shown(self, call: Call) -> Object:
        body: Object = {"id": self.id, "name": self.name, "path": self.path, "project_id": self.project.id}
        body |= {"location": f"{self.project.lab.registry_host}/{self.path}", "created_at": self.created_at}
        body["cleanup_policy_started_at"] = self.cleaned_at
        if call.asks("tags_count"):
            body["tags_count"] = len(self.tags)
        if call.asks("tags"):
            body["tags"] = [self.tag(name) for name in sorted(self.tags)]
        if call.asks("size") and self.size is not None:
            body["size"] = self.size
        return body | {"status": self.status}

    def tag(self, name: str) -> Object:
        place = f"{self.path}:{name}"
        return {"name": name, "path": place, "location": f"{self.project.lab.registry_host}/{place}"}

    def detail(self, tag: Tag) -> Object:
        body = self.tag(tag.name) | {"revision": tag.revision}
        body |= {"short_revision": tag.revision[:9] if tag.revision else None, "digest": tag.digest}
        return body | {"created_at": tag.created_at, "total_size": tag.total_size}


def _allowed(call: Call, project: "Project") -> "Project":
    if not project.reads_images(call.user):
        raise message(403, "Forbidden")
    return project


def _images(call: Call) -> Images:
    found = _allowed(call, call.project).images
    for one in found:
        if str(one.id) == call.args["repository_id"]:
            return one
    raise message(404, "Not found")


@route("/projects/:id/registry/repositories")
def repositories(call: Call) -> Reply:
    rows = sorted(_allowed(call, call.project).images, key=lambda one: one.id)
    return by_offset(call, rows, lambda one: one.shown(call))


@route("/registry/repositories/:id")
def repository(call: Call) -> Reply:
    """That a repository exists is no secret here: who may not read it is told 403."""
    call.signed_in()
    for project in call.lab.world.projects.values():
        for one in project.images:
            if str(one.id) == call.args["id"]:
                _allowed(call, project)
                return Reply(one.shown(call))
    raise message(404, "Not found")


@route("/projects/:id/registry/repositories/:repository_id/tags")
def tags(call: Call) -> Reply:
    found = _images(call)
    names = sorted(found.tags)
    if call.query.get("pagination") != "keyset":
        return by_offset(call, names, found.tag)
    if not call.lab.registry_database:
        raise wrong(NO_KEYSET, 405)
    rest = [name for name in names if name > call.query.get("last", "")]
    some = rest[: min(number(call, "per_page", 20), 100)]
    headers = {}
    if len(rest) > len(some):
        headers["Link"] = f'<{place(call, call.query | {"last": some[-1]})}>; rel="next"'
    return Reply([found.tag(name) for name in some], headers=headers)


@route("/projects/:id/registry/repositories/:repository_id/tags/:tag")
def tag(call: Call) -> Reply:
    found = _images(call)
    if call.args["tag"] not in found.tags:
        raise message(404, "Tag Not Found")
    one = found.tags[call.args["tag"]]
    if one.revision is None and call.lab.index_tags_fail:
        raise Refusal(500, {"message": "500 Internal Server Error"})
    return Reply(found.detail(one))
