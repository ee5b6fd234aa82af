"""A project of the fake GitLab: where it is, who belongs to it, and what each caller may do with it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.fixtures.images import Made
from tests.fixtures.images import image as tiny

from .gitlab_ci import Job, Pipeline
from .gitlab_git import AUTHOR, NONE, Repository
from .gitlab_hooks import Hook
from .gitlab_images import Images, Tag
from .gitlab_world import DEVELOPER, GUEST, OWNER, REPORTER, Group, Member, User, limited, stamp

if TYPE_CHECKING:
    from .gitlab import FakeGitLab


@dataclass
class Project:
    """`more` are further fields of its body (`description`, `public_jobs`, `container_registry_access_level`, ...)."""

    lab: "FakeGitLab"
    id: int
    group: Group | None
    owner: User | None  # of a personal project
    slug: str
    name: str
    visibility: str = "private"
    archived: bool = False
    members: dict[int, Member] = field(default_factory=dict)
    shares: list[tuple[Group, int]] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    created_at: str = field(default_factory=stamp)
    last_activity: str = field(default_factory=stamp)
    default_branch: str = "main"
    protected: set[str] = field(default_factory=set)  # branches that only maintainers push to
    pipelines: list[Pipeline] = field(default_factory=list)
    images: list[Images] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.group.full_path if self.group else self.owner.username if self.owner else ""

    @property
    def path(self) -> str:
        return f"{self.namespace}/{self.slug}"

    @property
    def image_prefix(self) -> str:
        return f"{self.lab.registry_host}/{self.path.lower()}"

    @property
    def repository(self) -> Repository:
        return Repository(self.lab.folder / f"{self.id}.git", self.default_branch)

    @property
    def empty(self) -> bool:
        return self.repository.empty

    # what tests do

    def push(
        self,
        branch: str,
        files: Mapping[str, str | bytes | None],
        *,
        message: str = "Change it",
        author: str | tuple[str, str] = AUTHOR,
        date: str = "",
    ) -> str:
        """Commit *files* (None: removed) on a branch and return the sha; *author* is a user, or name and e-mail,
        *date* is in git's raw form (`1795510800 +0100`), now by default."""
        user = self.lab.world.users.get(author) if isinstance(author, str) else None
        who = (user.name, user.email) if user else author
        assert isinstance(who, tuple), f"no user {author}"
        before = self.repository.refs().get(f"refs/heads/{branch}", NONE)
        sha = self.repository.commit(branch, files, message, who, date)
        self.last_activity = stamp()
        self.lab.hooks.push(self, f"refs/heads/{branch}", before, sha, user)
        return sha

    def pipeline(
        self,
        sha: str,
        status: str = "success",
        *,
        ref: str | None = None,
        jobs: Iterable[str | dict[str, Any]] = ("image_build",),
        source: str = "push",
        by: str | None = None,
        **more: Any,
    ) -> Pipeline:
        """A pipeline of a commit; *jobs* are names, or fields of `Job`; they share its status where they have none.
        *more* are fields of its body (`yaml_errors`); `parent` is the pipeline that has begun it."""
        made = []
        for given in jobs:
            own = {"name": given} if isinstance(given, str) else dict(given)
            own = {"stage": "build", "status": status} | own
            taken = {key: own.pop(key) for key in ("id", "name", "stage", "status", "log") if key in own}
            made.append(Job(**({"id": self.lab.world.number("job")} | taken), more=own))
        number = more.pop("id", None) or self.lab.world.number("pipeline")
        user = self.lab.world.users[by] if by else self.owner
        iid = more.pop("iid", len(self.pipelines) + 1)
        branch = ref or self.default_branch
        times = {key: more.pop(key) for key in ("created_at", "updated_at", "parent") if key in more}
        found = Pipeline(self, number, iid, sha, branch, status, source, user, made, more=more, **times)
        self.pipelines.append(found)
        self.lab.hooks.pipeline(found)
        return found

    def image(self, tag: str, *, name: str = "", digest: str = "", made: Made | None = None, **more: Any) -> str:
        """Let *tag* of the repository *name* (the project's own by default) be an image, and return its digest: that
        which is *made*, or a tiny one of its own; with a *digest* only GitLab's API knows it. *more*: `created`
        (ISO 8601), `config` (see `tests.fixtures.images`), `revision`, `total_size`."""
        found = self.registry(name)
        created = more.pop("created", datetime.fromisoformat(stamp()).isoformat())
        config = more.pop("config", {"Labels": {"renku.test.tag": f"{self.id}/{name}:{tag}"}})
        if not digest:
            made = made or tiny(config=config, created=created)
        index = made is not None and "manifests" in made.manifests[made.top][0].decode()
        about = _about(made) if made and not index else {}
        about = {"created_at": None if index else created} | about | more
        found.tags[tag] = Tag(tag, made.top if made else digest, made=made, **about)
        return found.tags[tag].digest

    def registry(self, name: str = "") -> Images:
        """A repository of the project's registry, made if missing."""
        found = next((one for one in self.images if one.name == name), None)
        if found is None:
            found = Images(self, self.lab.world.number("images"), name)
            self.images.append(found)
        return found

    def hook(self, url: str, secret: str = "") -> None:
        """Tell *url* of every push and pipeline from now on."""
        self.hooks.append(Hook(url, secret))

    def move(self, path: str) -> None:
        """Rename or transfer; the old path leads here until somebody takes it."""
        self.lab.move(self, path)

    def archive(self, archived: bool = True) -> None:
        self.archived = archived

    def delete(self) -> None:
        self.lab.world.projects.pop(self.id, None)

    # who belongs to it

    def memberships(self, user_id: int) -> Iterator[Member]:
        if user_id in self.members:
            yield self.members[user_id]
        for group, limit in self.shares:
            yield from limited(group.members_of(user_id), limit)
        if self.group:
            yield from self.group.members_of(user_id)
        if self.owner and self.owner.id == user_id:
            yield Member(self.owner, OWNER)

    def member(self, user_id: int) -> Member | None:
        """With the highest level; minimal access (5) to a group is none to its projects."""
        found = [member for member in self.memberships(user_id) if member.level >= GUEST]
        return max(found, key=lambda member: (member.level, member.role is not None), default=None)

    def everybody(self) -> list[Member]:
        """One entry a user, by id."""
        users = sorted(self.lab.world.users.values(), key=lambda user: user.id)
        return [member for user in users if (member := self.member(user.id))]

    # what they may do

    def visible(self, user: User | None) -> bool:
        if self.visibility == "public":
            return True
        if user is None:
            return False
        inside = self.visibility == "internal" and not user.external
        return inside or user.admin or self.member(user.id) is not None

    def may(self, user: User | None, ability: str, level: int, feature: str = "enabled") -> bool:
        """Whether *user* may use a feature: as passers-by may, where the project and the feature are open,
        as a member of *level*, or by a custom role with the *ability*."""
        if feature == "disabled":
            return False
        if user and user.admin:
            return True
        if feature == "enabled" and self.open_to(user):
            return True
        member = self.member(user.id) if user else None
        return member is not None and member.can(ability, level)

    def open_to(self, user: User | None) -> bool:
        return self.visibility != "private" and self.visible(user)

    def reads_code(self, user: User | None) -> bool:
        return self.may(user, "read_code", REPORTER, self.more.get("repository_access_level", "enabled"))

    def reads_images(self, user: User | None) -> bool:
        return self.may(
            user, "read_container_image", REPORTER, self.more.get("container_registry_access_level", "enabled")
        )

    def reads_pipelines(self, user: User | None) -> bool:
        feature = self.more.get("builds_access_level", "enabled")
        public = self.more.get("public_jobs", True) and feature == "enabled" and self.visible(user)
        return public or (self.may(user, "read_pipeline", REPORTER, feature if feature != "enabled" else "private"))

    def pushes(self, user: User | None) -> bool:
        """Whether they may push at all; an archived project is read-only."""
        return user is not None and not self.archived and self.may(user, "push_code", DEVELOPER, "private")


def _about(made: Made) -> dict[str, Any]:
    """What a registry says of an image that is no index."""
    document = json.loads(made.manifests[made.top][0])
    config = document["config"]["digest"].removeprefix("sha256:")
    return {"revision": config, "total_size": sum(layer["size"] for layer in document["layers"])}
