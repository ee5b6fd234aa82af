"""A hub whose sessions can act in a fake GitLab, and a git that runs inside them."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from renku_spawner.config.renku import Renku
from renku_spawner.domain.access import ProjectAction
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.projects import NewRepository, ProjectChange
from renku_spawner.domain.sessions import Session
from renku_spawner.usecases.projects import change_project
from tests.cluster.conftest import OnCluster
from tests.fakes.gitlab import FakeGitLab
from tests.fakes.gitlab_project import Project
from tests.fakes.gitlab_world import DEVELOPER, REPORTER
from tests.fixtures import canaries
from tests.fixtures.renku import RenkuHub
from tests.integrations.gitlab.logins import Hub
from tests.spawners import ways

MEMBERS = {"alice": DEVELOPER, "bob": REPORTER}


@dataclass
class Inside:
    """The hub with its GitLab, and a project of both."""

    it: Hub
    theirs: Project
    session: Session

    @property
    def hub(self) -> RenkuHub:
        return self.it.hub

    @property
    def lab(self) -> FakeGitLab:
        return self.it.lab

    @property
    def url(self) -> str:
        return f"{self.lab.url}/{self.theirs.path}.git"

    async def start(self, name: str = "alice", session: Session | None = None) -> "Running":
        session = session or self.session
        answer = await ways.start(self.hub, session, name)
        assert answer.status_code in (200, 202), answer.text
        instance = await self.hub.becomes(session, InstanceStatus.RUNNING, name, seconds=60)
        folder = self.hub.parts.workspace / instance.claim
        (pid,) = ways.servers(folder)
        return Running(hub=self.hub, folder=folder, variables=ways.environ(pid))

    async def add(self, path: str, *more: str, **about: Any) -> tuple[Project, Session]:
        """One more project of GitLab in which alice writes, and a session of it; *more* are the addresses of
        repositories beside its own."""
        theirs, alice = self.lab.project(path, **about), self.hub.person("alice")
        self.lab.member(theirs, "alice", DEVELOPER)
        theirs.push("main", {"README.md": f"# {path}\n"})
        project = await self.hub.parts.source.get_project(alice, path, ProjectAction.WRITE)
        change = ProjectChange(version=project.version, repositories=tuple(NewRepository(url=url) for url in more))
        if more:
            project = await change_project(self.hub.parts, alice, project.id, change)
        return theirs, await self.hub.session(project)

    async def pause(self, name: str = "alice", session: Session | None = None) -> None:
        await ways.pause(self.hub, session or self.session, name)
        await self.hub.becomes(session or self.session, InstanceStatus.PAUSED, name)


@dataclass
class Running:
    """What runs of somebody's instance: what is in its working directory, and what a terminal there has."""

    hub: RenkuHub
    folder: Any
    variables: dict[str, str]

    @property
    def token(self) -> str:
        return self.variables["JUPYTERHUB_API_TOKEN"]

    async def git(self, *arguments: str, at: str = ".", **env: str) -> tuple[int, str]:
        """What git says in a terminal of the session; nobody answers its questions."""
        done = await asyncio.to_thread(
            subprocess.run, ["git", *arguments], cwd=self.folder / "work" / at, capture_output=True, text=True,
            env={**self.variables, "GIT_TERMINAL_PROMPT": "0", **env}, check=False, timeout=120,
        )  # fmt: skip
        canaries.collect("output", done.stdout + done.stderr)
        return done.returncode, done.stdout + done.stderr

    async def ask(self, url: str | None = None, *, token: str | None = None, **asked: str) -> Any:
        """What the hub answers to whoever asks for credentials with the session's token, or another one."""
        scheme, _, rest = (url or "").partition("://")
        host, _, path = rest.partition("/")
        body = {"protocol": scheme, "host": host, "path": path, **asked}
        client = self.hub.client("alice")
        headers = {"Authorization": f"token {token or self.token}"}
        return await client.post("api/renku/git-credential", json=body, headers=headers)


Make = Callable[..., Awaitable[Inside]]


def change_policy(hub: RenkuHub, **more: Any) -> None:
    """What an admin has settled is something else from now on, as after a restart."""
    renku = Renku.instance()
    renku.context = replace(hub.parts, policy=replace(hub.parts.policy, **more))


def plant_tokens(lab: FakeGitLab) -> None:
    """Nobody may find one of GitLab's tokens anywhere, also not in a session."""
    for pair in lab.world.tokens:
        canaries.plant("git", pair.access)
        canaries.plant("git", pair.refresh)


def settings(lab: FakeGitLab, **changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The hub's configuration, with *changes* by class name."""
    own = {
        "GitLabOAuthenticator": {"client_id": lab.client_id, "gitlab_url": lab.url, "allow_all": True},
        "Renku": {"projects": "gitlab"},
    }
    return {name: {**own.get(name, {}), **changes.get(name, {})} for name in {*own, *changes}}


async def join(it: Hub, name: str) -> None:
    """What a log-in at GitLab leaves behind."""
    pair = it.lab.pair(name)
    known = {"id": pair.user.id, "username": name, "name": pair.user.name, "email": pair.user.email}
    state = {"access_token": pair.access, "refresh_token": pair.refresh, "scope": list(pair.scopes)}
    state |= {"token_response": {"expires_in": it.lab.lifetime}, "renku_expires_at": pair.expires}
    await it.hub.user(name).save_auth_state(state | {"gitlab_user": known})


async def furnished(hub: RenkuHub, lab: FakeGitLab) -> Inside:
    """The hub with people who have logged in, and a project `astro/spectra` in its GitLab, where alice pushes, bob
    reads and carol only passes by."""
    lab.user("carol")
    theirs = lab.project("astro/spectra", visibility="private")
    for name, level in MEMBERS.items():
        lab.member(theirs, name, level)
    theirs.push("main", {"README.md": "# Spectra\n"})
    it = Hub(hub, lab)
    for name in ("alice", "bob", "carol"):
        await join(it, name)
    plant_tokens(lab)
    project = await hub.parts.source.get_project(hub.person("alice"), theirs.path, ProjectAction.WRITE)
    return Inside(it=it, theirs=theirs, session=await hub.session(project))


@pytest.fixture
async def inside(renku_hub: Any, lab: FakeGitLab, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """A function that starts such a hub; its arguments are changes to the configuration."""
    monkeypatch.setenv("GITLAB_CLIENT_SECRET", lab.client_secret)
    made: list[Inside] = []

    async def make(**changes: dict[str, Any]) -> Inside:
        made.append(await furnished(await renku_hub(**settings(lab, **changes)), lab))
        return made[-1]

    yield make
    plant_tokens(lab)
    for each in made:
        each.hub.parts.gitlab.close()


@pytest.fixture
async def pods(on_cluster: Any, lab: FakeGitLab, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A function that starts the hub, its GitLab and its cluster."""
    monkeypatch.setenv("GITLAB_CLIENT_SECRET", lab.client_secret)
    made: list[Inside] = []

    async def make(**changes: dict[str, Any]) -> tuple[Inside, OnCluster]:
        on = await on_cluster(**settings(lab, **changes))
        made.append(await furnished(on.hub, lab))
        return made[-1], on

    yield make
    plant_tokens(lab)
    for each in made:
        each.hub.parts.gitlab.close()
