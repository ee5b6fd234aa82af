"""Every route of the running hub, method and person, against the literal table of `matrix.py`."""

import itertools
import re
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tornado.web import RequestHandler

from renku_spawner.context.app_context import read_transaction, write_transaction
from renku_spawner.domain.ids import create_id
from renku_spawner.domain.projects import NewRepository, Project
from renku_spawner.domain.sessions import Session
from renku_spawner.usecases.environments import list_offered_environments
from renku_spawner.web.base import RenkuBaseHandler
from tests.fixtures.renku import RenkuHub, xsrf
from tests.web.matrix import PEOPLE, ROWS, SENT, TOKENS, Row

SAFE = ("GET", "HEAD")
UNKNOWN = ("PROPFIND", "TRACE", "MKCOL")  # to Tornado; the proxy lets them through
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
GROUPS = {"([^/]+(?:/(?!-/)[^/]+)+)": "{path}", "([a-z][a-z2-7]{11})": "{session}", "([^/]+)": "{name}"}
ENDS = {"(?:/.*)?": "/{anything}", "static/(.*)": "static/{file}", "/.*": "/{anything}", "/?": "/"}
TYPES = {"form": "application/x-www-form-urlencoded", "json": "application/json"}
# Addresses that are there for admins alone.
ADMINS = {
    row.address
    for row in ROWS
    if re.search("/renku/(environments|admin)", row.address) and row.expected["alice", "private"] == 404
}
# Headers that say when, not what.
PASSING = {"date", "set-cookie", "content-length"}


def address_of(pattern: str) -> str:
    """A pattern of the running application as the table writes it."""
    text = pattern.removeprefix("/@/space%20word/hub").removesuffix("$").replace(r"\.", ".").replace(r"\-", "-")
    for end, word in ENDS.items():
        if text.endswith(end):
            text = text.removesuffix(end) + word
            break
    for group, word in GROUPS.items():
        text = text.replace(group, word)
    text = text.replace("/renku/environments/{session}", "/renku/environments/{ready}")
    text = text.replace("/storages/{session}", "/storages/{storage}")
    return text.replace("/api/renku/projects/{name}", "/api/renku/projects/{project}")


def methods_of(handler: type[Any]) -> set[str]:
    """What *handler* answers: what it names a scope for, or has a method of its own for."""
    absent = (RequestHandler._unimplemented_method, RenkuBaseHandler._reject_method)
    own = {method for method in METHODS if getattr(handler, method.lower()) not in absent}
    return own - {"OPTIONS"} if not issubclass(handler, RenkuBaseHandler) else own | {m.upper() for m in handler.scope}


def routes_of(hub: RenkuHub) -> dict[str, type[Any]]:
    """The routes below our prefixes that the running application has."""
    prefix = hub.app.hub.base_url.rstrip("/")
    found = {}
    for rule in hub.app.handlers:
        path = rule[0].removeprefix(prefix)
        if re.match(r"/(api/)?renku", path):
            found[address_of(path)] = rule[1]
    return found


@dataclass
class Walk:
    """The people of the table, and a project for each request that changes something."""

    hub: RenkuHub
    clients: dict[str, dict[str, httpx.AsyncClient]] = field(default_factory=dict)
    shared: dict[str, tuple[Project, Session]] = field(default_factory=dict)
    storages: dict[str, str] = field(default_factory=dict)  # by session
    environment: str = ""
    count: itertools.count = field(default_factory=itertools.count)

    async def begin(self) -> None:
        hub = self.hub
        hub.user("admin", admin=True)
        hub.curator("admin")
        await hub.ready_made()
        offered, _ = await list_offered_environments(hub.parts, hub.person("alice"))
        self.environment = offered[0].id
        nobody = httpx.AsyncClient(base_url=hub.url, trust_env=False)
        hub.clients["nobody"] = nobody
        pages, calls = {"nobody": nobody, "token": hub.client("alice")}, {"nobody": nobody}
        for name in PEOPLE[1:]:
            pages[name] = await hub.visitor(name)
            calls[name] = hub.client(name)
        for scope in TOKENS[:-1]:
            calls[scope] = hub.client("alice", scopes=[f"custom:renku:{scope}"])
        calls["server"] = self._server()
        self.clients = {"form": pages, "json": calls}
        for kind in ("private", "public"):
            self.shared[kind] = await self.place(kind)

    def _server(self) -> httpx.AsyncClient:
        """A token as a session has one."""
        user = self.hub.user("alice")
        token = user.new_api_token(scopes=["users:activity!user=alice", "access:servers!user=alice"])
        client = httpx.AsyncClient(base_url=self.hub.url, headers={"Authorization": f"token {token}"}, trust_env=False)
        self.hub.clients["server"] = client
        return client

    async def place(self, kind: str) -> tuple[Project, Session]:
        """A project with one session, of which alice has an instance that does not run."""
        slug = f"{kind}-{next(self.count)}"
        url = NewRepository(url="https://git.example.org/x/data", directory="data")
        project = await self.hub.project(slug, public=kind == "public", repositories=(url,))
        session = await self.hub.session(project)
        now = self.hub.parts.now()
        self.storages[session.id] = await self.hub.storage(project)
        await write_transaction(self.hub.parts, lambda tx: tx.instances.get_or_create(session, "alice", now=now))
        return project, session

    async def request(
        self, row: Row, who: str, project: Project, session: str, *, path: str = "", ref: str = ""
    ) -> Any:
        """Status, headers and body; of a stream only what comes first."""
        kind = "json" if row.address.startswith("/api") else "form"
        client = self.clients[kind][who]
        name = "carol" if "members" in row.address else "era5" if "storages" in row.address else "data"
        values = {
            "path": path or project.path, "project": ref or project.id, "session": session, "name": name,
            "storage": self.storages.get(session, session),
            "file": "renku.css", "anything": "no/such/thing",
            "title": project.title, "slug": project.path.partition("/")[2],
            "fresh": f"fresh-{next(self.count)}", "environment": self.environment,
            "ready": await self.hub.ready_made() if "{ready}" in row.address else "",
            "namespace": who if who in PEOPLE else "alice", "version": await self.version(project),
        }  # fmt: skip
        sent = {
            key: value.format(**values) if isinstance(value, str) else value
            for key, value in SENT.get((row.address, row.method), {}).items()
        }
        body: dict[str, Any] = {}
        if row.method not in SAFE and kind == "form":
            body = {"data": sent | {"_xsrf": xsrf(client)}}
        elif row.method not in SAFE:
            body = {"json": sent}
        address = row.address.format(**values).lstrip("/")
        async with client.stream(row.method, address, **body) as answer:
            if answer.headers.get("content-type") == "text/event-stream":
                return answer.status_code, answer.headers, b""
            return answer.status_code, answer.headers, await answer.aread()

    async def version(self, project: Project) -> int:
        """That of the project now: its first session has become its default since."""
        now = await read_transaction(self.hub.parts, lambda tx: tx.projects.get(project.id))
        return now.version if now else 0

    async def stored(self, project: Project, session: Session) -> Any:
        """All that a request may change."""
        return await read_transaction(
            self.hub.parts,
            lambda tx: (tx.storages.list_for_project(project.id), tx.storages.list_user_credentials("alice"),
                        tx.projects.get(project.id), tx.sessions.get(session.id), tx.instances.get(session.id, "alice"),
                        tx.sessions.count_for_project(project.id)),
        )  # fmt: skip


@pytest.fixture
async def walk(renku_hub):
    made = Walk(hub=await renku_hub())
    await made.begin()
    return made


async def test_every_route_and_method_has_a_row_and_every_row_a_route(renku_hub):
    routes = routes_of(await renku_hub())
    there = {(address, method) for address, handler in routes.items() for method in methods_of(handler)}
    listed = {(row.address, row.method) for row in ROWS}
    assert there - listed == set(), "a route without a row"
    assert listed - there == set(), "a row without a route"
    assert len(listed) == len(ROWS)
    assert set(SENT) <= listed


async def test_everybody_gets_what_the_table_says_and_a_refusal_changes_nothing(walk):
    wrong, asked = [], 0
    for row in ROWS:
        for (who, kind), expected in row.expected.items():
            changes = expected < 400 and row.method not in SAFE and who not in ("nobody", "token")
            project, session = await walk.place(kind) if changes else walk.shared[kind]
            before = None if row.method in SAFE or changes else await walk.stored(project, session)
            status, headers, body = await walk.request(row, who, project, session.id)
            asked += 1
            if status != expected:
                wrong.append((row.method, row.address, who, kind, f"{status} instead of {expected}", body[:200]))
            if before is not None and await walk.stored(project, session) != before:
                wrong.append((row.method, row.address, who, kind, "something was changed"))
            if expected in (302, 303) and who in ("nobody", "token") and "/hub/login?next=" not in headers["location"]:
                wrong.append((row.method, row.address, who, kind, headers["location"]))
    assert asked == sum(len(row.expected) for row in ROWS)
    assert not wrong, "\n".join(map(str, wrong))


async def test_what_is_hidden_answers_byte_for_byte_like_what_does_not_exist(walk):
    """The same status, headers and body as for a path and an id that nobody has ever had."""
    differ, compared = [], 0
    for row in ROWS:
        for (who, kind), expected in row.expected.items():
            if expected != 404:
                continue
            project, session = walk.shared[kind]
            hidden = await walk.request(row, who, project, session.id)
            absent = await walk.request(row, who, project, create_id(), path="alice/never-was", ref=create_id())
            compared += 1
            if told(hidden) != told(absent):
                differ.append((row.method, row.address, who, kind, told(hidden), told(absent)))
    assert compared > 150
    assert not differ, "\n".join(map(str, differ))


def told(answer: Any) -> Any:
    status, headers, body = answer
    return status, {k: v for k, v in headers.items() if k not in PASSING}, body


async def test_a_method_that_a_route_does_not_have_is_405_for_all_who_are_let_in(walk):
    wrong, project, session = [], *walk.shared["private"]
    listed = {(row.address, row.method) for row in ROWS}
    alone = {"/renku/static/{file}", "/api/renku/gitlab-hook"}  # of the hub; lets nobody in without its secret
    for address in {row.address for row in ROWS} - alone:
        for method in METHODS:
            row = Row(address=address, method=method, expected={})
            if (address, method) in listed or "anything" in address:
                continue
            who = "admin" if address in ADMINS else "alice"
            status, headers, _ = await walk.request(row, who, project, session.id)
            allowed = {m for a, m in listed if a == address}
            if (status, set(headers.get("allow", "").split(", "))) != (405, allowed):
                wrong.append((method, address, status, headers.get("allow")))
    assert not wrong, "\n".join(map(str, wrong))


async def test_a_method_that_is_unknown_is_refused_like_any_other(walk):
    wrong, project, session = [], *walk.shared["private"]
    hook = "/api/renku/gitlab-hook"  # lets nobody in without its secret
    addresses = sorted({row.address for row in ROWS if "anything" not in row.address} - {"/renku/static/{file}", hook})
    open_to_all = {row.address for row in ROWS if row.expected["nobody", "private"] == 200}
    for address, method in zip(addresses, itertools.cycle(UNKNOWN), strict=False):
        row = Row(address=address, method=method, expected={})
        inside = await walk.request(row, "admin" if address in ADMINS else "alice", project, session.id)
        stranger = await walk.request(row, "nobody", project, session.id)
        expected = (405, 405 if address in open_to_all else 403 if address.startswith("/api") else 303)
        if (inside[0], stranger[0]) != expected or not inside[1].get("allow"):
            wrong.append((method, address, inside[:2], stranger[:2]))
    assert not wrong, "\n".join(map(str, wrong))
