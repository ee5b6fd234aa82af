"""Every route and method about a project of GitLab, for people of every level, against a literal table."""

from dataclasses import dataclass
from typing import Any

import pytest

from renku_spawner.context.app_context import write_transaction
from renku_spawner.domain.ids import create_id
from renku_spawner.domain.projects import NewRepository, Project, ProjectChange
from renku_spawner.domain.sessions import Session
from renku_spawner.usecases.environments import list_offered_environments
from renku_spawner.usecases.projects import change_project
from tests.fixtures import gitlab, renku
from tests.integrations.gitlab.matrix import ALL, CUSTOM, LEVELS
from tests.web.matrix import TOKENS, Row
from tests.web.test_matrix import SAFE, Walk, told

renku_hub, lab, gitlab_hub = renku.renku_hub, gitlab.lab, gitlab.gitlab_hub
MEMBERS = {"alice": 50} | {name: level for name, (level, _) in LEVELS.items()}


@dataclass
class GitLabWalk(Walk):
    """The same walk, where people and projects are GitLab's."""

    hub: gitlab.GitLabHub

    async def begin(self) -> None:
        hub, pages, calls = self.hub, {}, {}
        for name in (*MEMBERS, "dave", "admin"):
            pages[name] = await hub.visitor(name)
            calls[name] = hub.client(name)
        hub.user("admin").orm_user.admin = True
        hub.app.db.commit()
        nobody = renku.httpx.AsyncClient(base_url=hub.url, trust_env=False)
        hub.clients["nobody"] = pages["nobody"] = calls["nobody"] = nobody
        pages["token"] = hub.client("alice")
        for scope in TOKENS[:-1]:
            calls[scope] = hub.client("alice", scopes=[f"custom:renku:{scope}"])
        calls["server"] = self._server()
        self.clients = {"form": pages, "json": calls}
        offered, _ = await list_offered_environments(hub.parts, hub.person("alice"))
        self.environment = offered[0].id
        for kind in ("private", "public"):
            self.shared[kind] = await self.place(kind)

    async def place(self, kind: str) -> tuple[Project, Session]:
        hub, parts = self.hub, self.hub.parts
        made = hub.lab.project(f"ada/{kind}-{next(self.count)}", visibility=kind)
        for name, level in MEMBERS.items():
            hub.lab.member(made, name, level, CUSTOM.get(name))
        shown = await hub.shown(made)
        data = NewRepository(url="https://git.example.org/x/data", directory="data")
        change = ProjectChange(version=shown.version, repositories=(data,))
        project = await change_project(parts, hub.person("alice"), shown.id, change)
        session = await hub.session(project)
        self.storages[session.id] = await hub.storage(project)
        await write_transaction(parts, lambda tx: tx.instances.get_or_create(session, "alice", now=parts.now()))
        return project, session

    async def faults(self, row: Row, who: str, kind: str) -> list[Any]:
        """What one person's request to one address is answered otherwise than the table says."""
        expected = row.expected[who, kind]
        changes = expected < 400 and row.method not in SAFE and who not in ("nobody", "token")
        project, session = await self.place(kind) if changes else self.shared[kind]
        before = None if row.method in SAFE or changes else await self.stored(project, session)
        answer = await self.request(row, who, project, session.id)
        found = [] if answer[0] == expected else [(answer[0], expected, answer[2][:200])]
        if before is not None and await self.stored(project, session) != before:
            found.append("something was changed")
        if expected == 404:
            absent = await self.request(row, who, project, create_id(), path="ada/never-was", ref=create_id())
            found += [] if told(answer) == told(absent) else [(told(answer), told(absent))]
        return [(row.method, row.address, who, kind, fault) for fault in found]


@pytest.fixture
async def walk(gitlab_hub: Any) -> GitLabWalk:
    made = GitLabWalk(hub=await gitlab_hub())
    await made.begin()
    return made


async def test_levels_of_gitlab_open_what_the_table_says_and_what_is_hidden_is_like_what_is_absent(walk):
    columns = [(row, *column) for row in ALL for column in row.expected]
    wrong = [fault for column in columns for fault in await walk.faults(*column)]
    assert len(columns) > 700
    assert sum(row.expected[who, kind] == 404 for row, who, kind in columns) > 100
    assert not wrong, "\n".join(map(str, wrong))
