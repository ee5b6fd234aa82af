"""A GitLab to test against: real HTTP on a loopback port, from a thread of its own, with a world in memory."""

import asyncio
import logging
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from aiohttp import web

from .gitlab_faults import Fault, Faults
from .gitlab_hooks import Hooks
from .gitlab_http import Server
from .gitlab_pages import Session
from .gitlab_project import Project
from .gitlab_world import OWNER, Group, Member, Token, User, World

SCOPES = ("openid", "read_user", "read_api", "read_repository", "read_registry", "write_repository")


class FakeGitLab:
    """A GitLab with one application, whose `client_id` and `client_secret` a hub is given.

    calls: (method, path, user) of everything that was asked, the path raw and without its query, user "" for nobody;
    trusted: nobody is asked whether the application may act for them; withheld: scopes that it does not get;
    redirect_uris: where people may be sent back to, empty for anywhere; lifetime: of access tokens, in seconds;
    link_url: the address that GitLab believes to have, which its links and bodies name.
    """

    def __init__(self, *, trusted: bool = False, lifetime: float = 7200) -> None:
        self.world = World()
        self.faults = Faults()
        self.calls: list[tuple[str, str, str]] = []
        self.sessions: dict[str, Session] = {}
        self.client_id, self.client_secret = "renku", "the-secret-of-renku"
        self.applications = {self.client_id: self.client_secret}
        self.trusted, self.lifetime = trusted, lifetime
        self.agreed: set[tuple[int, str, str]] = set()
        self.withheld: set[str] = set()
        self.redirect_uris: set[str] = set()
        self.slow_seconds, self.drip_seconds = 1.0, 0.2
        self.port = 0
        self.external_url = ""
        self.registry_host, self.registry_port = "", 0  # as images name it; where it is
        self.registry_database = True  # the registry can page its tags by name
        self.index_tags_fail = False  # as in GitLab 19.0.2
        self.registry_calls: list[tuple[str, str]] = []
        self.failures: list[float] = []  # logins of git and registry
        self.hooks = Hooks(self)
        self.folder: Path  # of the bare repositories
        self.loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        self._runners: list[web.ServerRunner] = []
        self._folder: TemporaryDirectory[str]

    # life of the server

    async def start(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def stop(self) -> None:
        await asyncio.to_thread(self.__exit__)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
        self._folder = TemporaryDirectory(prefix="fake-gitlab-")
        self.folder = Path(self._folder.name)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True, name="fake-gitlab")
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self.loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(30)
        self.loop.close()
        self._folder.cleanup()

    async def _listen(self) -> None:
        server = Server(self)
        self.port = await self._served(server.handle, self.port)
        self.registry_port = await self._served(server.registry)
        self.registry_host = self.registry_host or f"127.0.0.1:{self.registry_port}"

    async def _served(self, handler: Any, port: int = 0) -> int:
        """Serve with *handler* on a port of the loopback, and return it; bodies stay packed, git unpacks its own."""
        server = web.Server(handler, handler_cancellation=True, auto_decompress=False)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self._runners.append(runner)
        return int(runner.addresses[0][1])

    async def _close(self) -> None:
        servers = [runner.server for runner in self._runners if runner.server]
        for site in [site for runner in self._runners for site in runner.sites]:
            await site.stop()
        await asyncio.sleep(0.01)  # whoever was let in just before is here by then
        _abort(servers)  # one that drips would wait for somebody who has gone
        for runner in self._runners:
            await runner.cleanup()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        _abort(servers)  # one whose task had not begun
        await asyncio.sleep(0.01)  # transports close in the next turns of the loop
        await self.loop.shutdown_default_executor()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def registry_url(self) -> str:
        return f"http://127.0.0.1:{self.registry_port}"

    @property
    def link_url(self) -> str:
        return self.external_url or self.url

    # what goes wrong, and what was asked

    @property
    def mode(self) -> str:
        """How everything is answered, see `gitlab_faults.Fault`; "ok" as GitLab should."""
        return self.faults.mode

    @mode.setter
    def mode(self, mode: str) -> None:
        self.faults.mode = Fault("", mode).mode

    def fault(self, prefix: str, mode: str, times: int | None = None) -> None:
        """Answer the next *times* requests (None: all) whose path begins with *prefix* in that mode."""
        self.faults.own.append(Fault(prefix, mode, times))

    def counted(self, prefix: str = "/", *, user: str | None = None) -> int:
        """How many requests there were to paths that begin with *prefix*, by that user only if one is named."""
        return sum(path.startswith(prefix) and user in (None, who) for _, path, who in self.calls)

    # the world

    def user(self, username: str, **more: Any) -> int:
        """Make a user and return the id; *more* are fields of `User` (id, name, email, admin, external, state)
        or of its body. Their password is their name."""
        own = _taken(more, "id", "name", "email", "admin", "external", "namespace_id")
        own = {"name": username.capitalize(), "email": f"{username}@example.com"} | own
        own = {"id": self.world.number("user"), "namespace_id": self.world.number("namespace")} | own
        self.world.users[username] = User(username=username, more=more, **own)
        return int(own["id"])

    def group(self, path: str, *, visibility: str = "private", **more: Any) -> Group:
        """Make a group, and its parents where they are missing; *more* are fields of `Group` or of its body."""
        made = self.world.group_at(path)
        made.visibility = visibility
        for name in [name for name in more if name in {"id", "name"}]:
            setattr(made, name, more.pop(name))
        made.more |= more
        return made

    def project(self, path: str, *, visibility: str = "private", owner: str | None = None, **more: Any) -> Project:
        """Make a project: of the user whose name *path* begins with, or else of a group, where *owner* is a direct
        member with level 50; *more* are fields of `Project` (id, name, default_branch, archived,
        protected) or of its body."""
        space, _, slug = path.rpartition("/")
        user = self.world.users.get(space)
        own = _taken(more, "id", "name", "default_branch", "archived", "protected")
        own = {"name": slug.replace("-", " ").capitalize(), "id": own.get("id") or self.world.number("project")} | own
        group = None if user else self.world.group_at(space)
        made = Project(lab=self, group=group, owner=user, slug=slug, visibility=visibility, more=more, **own)
        self.world.projects[made.id] = made
        if owner and made.group:
            self.member(made, owner, OWNER)
        return made

    def move(self, project: Project, path: str) -> None:
        """Rename or transfer a project; its old path leads to it until another one takes it."""
        self.world.old_paths[project.path.lower()] = project.id
        space, _, project.slug = path.rpartition("/")
        project.owner = self.world.users.get(space)
        project.group = None if project.owner else self.world.group_at(space)

    def member(self, of: Project | Group, username: str, level: int, custom: dict[str, Any] | None = None) -> None:
        """Let a user belong to a project or a group; *custom* is a custom role, by its abilities (`read_code`)."""
        role = None
        if custom is not None:
            role = {"id": 4, "group_id": 12, "name": "Custom", "description": "", "base_access_level": level} | custom
        user = self.world.users[username]
        of.members[user.id] = Member(user, level, role)

    def remove_member(self, of: Project | Group, username: str) -> None:
        of.members.pop(self.world.users[username].id, None)

    def share(self, what: Project | Group, group: Group, level: int) -> None:
        """Invite a group to a project or to another group, with at most that level."""
        what.shares.append((group, level))

    # tokens

    def leads_to(self, redirect_uri: str) -> bool:
        return bool(redirect_uri) and (not self.redirect_uris or redirect_uri in self.redirect_uris)

    def pair(self, username: str, scopes: tuple[str, ...] = SCOPES) -> Token:
        """A new pair of tokens of the application."""
        return self.world.issue(self.world.users[username], self.client_id, tuple(scopes), self.lifetime)

    def token(self, username: str, scopes: tuple[str, ...] = SCOPES) -> str:
        """A new access token."""
        return self.pair(username, scopes).access

    def expire(self, username: str) -> None:
        """Let the access tokens that a user has now be too old; they can be refreshed."""
        for token in self.tokens(username):
            token.expires = 0.0

    def revoke(self, username: str) -> None:
        """Let no token of a user work any more, as when they remove the application from their profile."""
        for token in self.tokens(username):
            token.revoked = True

    def tokens(self, username: str) -> list[Token]:
        """All that were ever made for a user, the latest last."""
        return [token for token in self.world.tokens if token.user.username == username]


def _taken(more: dict[str, Any], *names: str) -> dict[str, Any]:
    """What *more* has of these names; it has them no longer."""
    return {name: more.pop(name) for name in names if name in more}


def _abort(servers: list[web.Server]) -> None:
    for server in servers:
        for connection in server.connections:
            if connection.transport:
                connection.transport.abort()
