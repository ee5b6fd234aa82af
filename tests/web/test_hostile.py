"""The table of hostile input, walked through the API and through the forms of a live hub."""

import asyncio
import itertools
import json
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from renku_spawner.context.app_context import read_transaction
from renku_spawner.domain.projects import Project
from renku_spawner.domain.text import MAX_DESCRIPTION_LENGTH, MAX_TITLE_LENGTH
from renku_spawner.persistence.database import Transaction
from renku_spawner.usecases.environments import list_offered_environments
from tests.domain.hostile import EQUAL_TITLES, HOSTILE, Hostile
from tests.fixtures.renku import RenkuHub, xsrf

BODY_LIMIT = 64 * 1024
# So large that every quantity of the table that is accepted fits into it.
GIANT = {"Renku": {"resource_classes": [{"name": "giant", "cpu": "1024", "memory": "64Ti", "gpu": 64, "disk": "1Pi"}]}}
KINDS = {
    "texts": ("title", "description"),
    "resources": ("cpu", "memory", "gpu", "disk"),
    "variables": ("variable",),
    "repositories": ("repository_url", "repository_ref", "directory"),
    "paths": ("path",),
    "ids": ("id",),
}
ELSEWHERE = ("keyword",)  # keywords are an admin's: they stand in the settings, not in a request


class Api:
    """Requests of an owner (of an admin for paths, who may make a project below the name of any group)."""

    def __init__(self, hub: RenkuHub, name: str, project: Project, environment: str) -> None:
        self.hub, self.name, self.id, self.environment = hub, name, project.id, environment
        self.client = hub.client(name)
        self.base = f"{hub.app.hub.url}api/renku/projects"  # past the proxy, which has own thoughts on %00
        self.project, self.session = f"{self.base}/{project.id}", ""
        self.count = itertools.count()

    async def begin(self) -> "Api":
        made = await self.client.post(f"{self.project}/sessions", json={"environment": self.environment})
        self.session = f"{self.project}/sessions/{made.json()['id']}"
        return self

    async def send(self, method: str, address: str, body: dict[str, Any]) -> httpx.Response:
        """Like `json=`, but lone surrogates survive: as escapes."""
        content = json.dumps(body).encode()
        return await self.client.request(method, address, content=content, headers={"Content-Type": "application/json"})

    async def stored(self) -> Any:
        """All that the walk could have changed."""

        def look(tx: Transaction) -> Any:
            listed = tx.projects.list_visible(name=self.name, groups=frozenset(), search="", after=None, limit=100)
            return listed, tx.projects.get(self.id), tx.sessions.list_for_project(self.id, limit=100)

        return await read_transaction(self.hub.parts, look)

    async def version(self, address: str) -> int:
        return (await self.client.get(address)).json()["version"]

    def path(self) -> str:
        return f"alice/p{next(self.count)}"

    async def tidy(self, row: Hostile) -> None:
        """Give the session a title that is not in the table."""
        if row.kind == "title":
            change = {"version": await self.version(self.session), "title": f"Session {next(self.count)}"}
            assert (await self.send("PATCH", self.session, change)).status_code == 200

    async def attempts(self, row: Hostile) -> list[tuple[str, str, dict[str, Any]]]:
        """The requests that carry the value of *row*: making and changing."""
        value, session, project = row.value, self.session, self.project
        if row.kind in ("title", "description"):
            said = {row.kind: value}
            project_said = {"path": self.path(), "title": "New"} | said
            session_said = {"environment": self.environment} | said
            made = [("POST", self.base, project_said), ("POST", f"{project}/sessions", session_said)]
            return [
                *(made[:1] if value == "" and row.kind == "title" else made),  # a session may leave its title out
                ("PATCH", project, {"version": await self.version(project)} | said),
                ("PATCH", session, {"version": await self.version(session)} | said),
            ]
        if row.kind in ("cpu", "memory", "gpu", "disk", "variable"):
            said = {"configuration": {"variables" if row.kind == "variable" else row.kind: value}}
            return [
                ("POST", f"{project}/sessions", {"environment": self.environment} | said),
                ("PATCH", session, {"version": await self.version(session)} | said),
            ]
        if row.kind == "path":
            change = {"version": await self.version(project), "path": value}
            return [("POST", self.base, {"path": value, "title": "New"}), ("PATCH", project, change)]
        key = {"repository_url": "url", "repository_ref": "ref", "directory": "directory"}[row.kind]
        if value == "" and key != "url":
            return []  # an empty text says that there is none
        said = {"repositories": [{"url": "https://git.example.org/a/b"} | {key: value}]}
        return [
            ("POST", self.base, {"path": self.path(), "title": "New"} | said),
            ("PATCH", project, {"version": await self.version(project)} | said),
        ]


def found(row: Hostile, answer: Any) -> Any:
    """What an answer says of the value of *row*."""
    if row.kind in ("title", "description", "path"):
        return answer[row.kind]
    if row.kind in ("cpu", "memory", "gpu", "disk"):
        return answer["configuration"][row.kind]
    if row.kind == "variable":
        return answer["configuration"]["variables"]
    key = {"repository_url": "url", "repository_ref": "ref", "directory": "directory"}[row.kind]
    return answer["repositories"][0][key]


def field_of(row: Hostile) -> str:
    return f"repositories.0.{row.field}" if row.field in ("url", "ref", "directory") else row.field


def refusal(row: Hostile, body: dict[str, Any]) -> set[int] | None:
    """The statuses by which the way there refuses *body*, whatever the field thinks of it."""
    sent = json.dumps(body)
    if len(sent) > BODY_LIMIT:
        return {413}
    return {400} if "\\ud800" in sent else None  # a lone surrogate, which UTF-8 does not have


async def api_of(hub: RenkuHub, name: str = "alice") -> Api:
    offered, _ = await list_offered_environments(hub.parts, hub.person("alice"))
    hub.user("admin", admin=True)
    project = await hub.project()
    if name == "admin":
        for group in {row.value.partition("/")[0] for row in HOSTILE if row.kind == "path" and row.accepted}:
            hub.group(group)
        await hub.client("alice").patch(
            f"api/renku/projects/{project.id}",
            json={"version": project.version, "members": [{"name": n, "role": "owner"} for n in ("alice", "admin")]},
        )
    return await Api(hub, name, project, offered[0].id).begin()


@pytest.mark.parametrize("group", ["texts", "resources", "variables", "repositories", "paths"])
async def test_every_hostile_value_is_stored_as_expected_or_refused_at_its_field(renku_hub, group):
    api, wrong, tried = await api_of(await renku_hub(**GIANT), "admin" if group == "paths" else "alice"), [], 0
    for row in [row for row in HOSTILE if row.kind in KINDS[group]]:
        for method, address, body in await api.attempts(row):
            problem = await tried_once(api, row, method, address, body)
            wrong += [(row.id, method, address.removeprefix(api.base), problem)] if problem else []
            tried += 1
            if refusal(row, body) == {413}:
                break  # once is enough: the body is not read
        await api.tidy(row)
    assert tried > 20
    assert not wrong, "\n".join(map(str, wrong))


async def tried_once(api: Api, row: Hostile, method: str, address: str, body: dict[str, Any]) -> str | None:
    """Send one value one way, take back what it made, and say what is wrong."""
    transport, before = refusal(row, body), await api.stored()
    answer = await api.send(method, address, body)
    problem = judged(row, answer, transport)
    if answer.status_code == 201:
        await api.client.delete(f"{address}/{answer.json()['id']}")
    if (transport or not row.accepted) and await api.stored() != before:
        problem = "something was stored"
    return f"{problem}: {answer.text[:300]}" if problem else None


def judged(row: Hostile, answer: httpx.Response, transport: set[int] | None) -> str | None:
    """What is wrong with *answer*; None if all is well."""
    if transport:
        return None if answer.status_code in transport else f"{answer.status_code} instead of {transport}"
    if row.accepted:
        expected = row.value if row.stored is None else row.stored
        if answer.status_code not in (200, 201):
            return f"{answer.status_code} for what is accepted"
        return None if found(row, answer.json()) == expected else f"stored {found(row, answer.json())!r}"
    if answer.status_code != 422:
        return f"{answer.status_code} instead of 422"
    said = answer.json()
    sentence = said.get("fields", {}).get(field_of(row))
    if not sentence or "hunter2" in answer.text or not said["message"]:
        return f"no sentence at {field_of(row)}"
    return None if row.says in sentence or in_general(sentence) else f"another sentence: {sentence}"


def in_general(sentence: str) -> bool:
    """A limit of the body comes before the field's own, and a wrong type before its range."""
    return sentence.startswith(("This text is too long", "A whole number"))


async def test_an_id_that_is_none_is_not_found_whatever_is_done_with_it_h72(renku_hub):
    api, wrong, bodies = await api_of(await renku_hub()), [], set()
    for row in [row for row in HOSTILE if row.kind == "id"]:
        address = f"{api.project}/sessions/{quote(str(row.value), safe='')}"
        if not row.value:
            continue
        for method, end in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/start"), ("DELETE", "/instance")]:
            answer = await api.send(method, address + end, {})
            bodies.add(answer.content)
            if answer.status_code != 404:
                wrong.append((row.id, method, end, answer.status_code))
    assert not wrong, "\n".join(map(str, wrong))
    assert len(bodies) == 1


async def test_a_session_of_another_project_is_not_found_h71(renku_hub):
    hub = await renku_hub()
    session, other = await hub.session(await hub.project()), await hub.project("ocean")
    alice, base = hub.client("alice"), f"api/renku/projects/{other.id}/sessions/{session.id}"
    answers = [
        await alice.get(base),
        await alice.patch(base, json={"version": 1, "title": "X"}),
        await alice.delete(base),
        *[await alice.post(f"{base}/{what}", json={}) for what in ("start", "pause")],
        await alice.post(f"{base}/revision", json={"revision": 1}),
        *[await alice.get(f"{base}/{what}") for what in ("events", "logs", "revisions")],
        await alice.delete(f"{base}/instance"),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    change = {"version": other.version, "default_session": session.id}
    refused = await alice.patch(f"api/renku/projects/{other.id}", json=change)
    assert (refused.status_code, set(refused.json()["fields"])) == (422, {"default_session"})


async def test_an_environment_that_is_not_ready_made_is_not_found(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    address = f"api/renku/projects/{project.id}/sessions"
    unknown = await hub.client("alice").post(address, json={"environment": "aaaaaaaaaaaa"})
    broken = await hub.client("alice").post(address, json={"environment": "../etc"})
    assert (unknown.status_code, broken.status_code) == (404, 422)
    assert set(broken.json()["fields"]) == {"environment"}


async def test_titles_that_look_the_same_are_a_conflict_with_a_sentence_at_the_title_h58(renku_hub):
    api, wrong = await api_of(await renku_hub()), []
    for first, second in EQUAL_TITLES:
        made = await api.send("POST", f"{api.project}/sessions", {"environment": api.environment, "title": first})
        again = await api.send("POST", f"{api.project}/sessions", {"environment": api.environment, "title": second})
        change = {"version": await api.version(api.session), "title": second}
        changed = await api.send("PATCH", api.session, change)
        for answer in (again, changed):
            if (answer.status_code, answer.json()["code"], list(answer.json()["fields"])) != (
                409,
                "title_taken",
                ["title"],
            ):
                wrong.append((first, second, answer.status_code, answer.text))
        await api.client.delete(f"{api.project}/sessions/{made.json()['id']}")
    assert not wrong, "\n".join(map(str, wrong))


MEMBERS = [
    ([{"name": "", "role": "owner"}], "members"),
    ([{"name": "alice", "role": "owner"}, {"name": "a\x00", "role": "viewer"}], "members"),
    ([{"name": "alice", "role": "owner"}, {"name": "\u202ebob", "role": "viewer"}], "members"),
    ([{"name": "alice", "role": "owner"}, {"name": "a\nb", "role": "viewer"}], "members"),
    ([{"name": "alice", "role": "owner"}, {"name": "x" * 256, "role": "viewer"}], "members"),
    ([{"name": "alice", "role": "owner"}, {"name": "x" * 301, "role": "viewer"}], "members.1.name"),
    ([{"name": "alice", "role": "owner"}, {"name": "alice", "role": "viewer"}], "members"),
    ([{"name": "alice", "role": "god"}], "members.0.role"),
    ([{"name": "alice", "role": "owner", "kind": "robot"}], "members.0.kind"),
    ([{"name": "alice", "role": 3}], "members.0.role"),
    ([{"name": "alice", "role": "owner", "admin": True}], "members.0.admin"),
    ([{"name": 1, "role": "owner"}], "members.0.name"),
    ([{"role": "owner"}], "members.0.name"),
    ([], "members"),
    ([{"name": "alice", "role": "editor"}], "members"),
    ([{"name": "users", "role": "owner", "kind": "group"}], "members"),
    ("alice", "members"),
    ([{"name": f"u{n}", "role": "owner"} for n in range(201)], "members"),
]


async def test_members_that_cannot_be_are_refused_at_their_field(renku_hub):
    api, wrong = await api_of(await renku_hub()), []
    before = await api.stored()
    for members, field in MEMBERS:
        answer = await api.send("PATCH", api.project, {"version": await api.version(api.project), "members": members})
        if answer.status_code != 422 or not answer.json().get("fields", {}).get(field):
            wrong.append((str(members)[:80], field, answer.status_code, answer.text[:200]))
    assert await api.stored() == before
    assert not wrong, "\n".join(map(str, wrong))


async def test_one_user_creates_no_more_projects_than_an_admin_allows(renku_hub):
    hub = await renku_hub(Renku={"session_limits": {"projects": 3}})
    alice, first = hub.client("alice"), await hub.project()

    async def create(client, path):
        return await client.post("api/renku/projects", json={"path": path, "title": "More"})

    answers = await asyncio.gather(*[create(alice, f"alice/more{number}") for number in range(20)])
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 18
    refused = next(answer.json() for answer in answers if answer.status_code == 409)
    assert (refused["code"], refused["count"], refused["limit"]) == ("limit_projects", 3, 3)
    said = "You have created 3 of 3 projects, the limit that an admin has set."
    assert refused["message"] == f"{said} Delete one first."
    visitor = await hub.visitor("alice")
    assert said in (await visitor.get("renku/projects/new")).text
    assert (await create(hub.client("bob"), "bob/own")).status_code == 201, "each has a limit of their own"
    assert (await alice.delete(f"api/renku/projects/{first.id}")).status_code == 204
    assert (await create(alice, "alice/again")).status_code == 201


async def test_counts_have_limits_that_are_said_in_a_sentence_t16(renku_hub):
    api = await api_of(await renku_hub(Renku={"session_limits": {"per_project": 3}}))
    address, version = f"{api.project}/sessions", await api.version(api.project)
    repositories = [{"url": f"https://git.example.org/a/r{n}"} for n in range(21)]
    members = [{"name": "alice", "role": "owner"}, *({"name": f"u{n}", "role": "viewer"} for n in range(200))]
    variables = {"configuration": {"variables": {f"A{n}": "x" for n in range(33)}}}
    for method, where, body, field, says in [
        ("PATCH", api.project, {"version": version, "repositories": repositories}, "repositories", "At most 20"),
        ("PATCH", api.project, {"version": version, "members": members}, "members", "At most 200"),
        ("POST", address, {"environment": api.environment} | variables, "variables", "At most 32"),
    ]:
        answer = await api.send(method, where, body)
        assert (answer.status_code, says in answer.json()["fields"][field]) == (422, True), answer.text
    full = {"version": version, "repositories": repositories[:20], "members": members[:200], "allow_unknown": True}
    assert (await api.send("PATCH", api.project, full)).status_code == 200
    statuses = [(await api.send("POST", address, {"environment": api.environment})).status_code for _ in range(3)]
    assert statuses == [201, 201, 409]
    last = (await api.send("POST", address, {"environment": api.environment})).json()
    assert (last["code"], "An admin allows 3 sessions" in last["message"]) == ("limit_project", True)


def test_every_kind_of_the_table_is_walked():
    walked = {kind for kinds in KINDS.values() for kind in kinds}
    assert walked | set(ELSEWHERE) == {row.kind for row in HOSTILE}


# ---- the same through the forms ----------------------------------------------------------------------

P = "renku/projects/alice/climate/-"
S = f"{P}/sessions/{{session}}"
NEW = {"title": "New", "slug": "new"}
SETTINGS = {"title": "Climate", "slug": "climate", "visibility": "private"}
EDIT = {"title": "Explore", "version": "1", "environment": "{environment}"}
HOSTILE_TEXT = "<script>alert(1)</script>"
# address, what is sent besides, field, what is typed, part of the sentence
FORMS = [
    ("renku/projects", NEW, "title", " ", "Please give a title"),
    ("renku/projects", NEW, "title", HOSTILE_TEXT + "x" * 100, "at most 99"),
    ("renku/projects", NEW, "title", "a\x00b", "NUL"),
    ("renku/projects", NEW, "slug", "../x", "A path is"),
    ("renku/projects", NEW, "slug", '"><script>', "A path is"),
    ("renku/projects", NEW, "description", HOSTILE_TEXT * 100, "at most 2000"),
    ("renku/projects", NEW, "repositories", "file:///etc", "https://"),
    ("renku/projects", NEW, "repositories", "https://git.example.org/a\nhttps://169.254.169.254/x", "not allowed here"),
    (f"{P}/settings", SETTINGS, "title", "x" * 100, "at most 99"),
    (f"{P}/settings", SETTINGS, "slug", "a b", "A path is"),
    (f"{P}/settings", SETTINGS, "description", "a\x00", "NUL"),
    (f"{P}/repositories", {}, "url", "ext::sh -c x", "https:// address"),
    (f"{P}/repositories", {}, "url", "https://user:hunter2@git.example.org/a", "Leave out user name"),
    (f"{P}/repositories", {"url": "https://git.example.org/a"}, "ref", "--output=x", "not the name of a branch"),
    (f"{P}/repositories", {"url": "https://git.example.org/a"}, "directory", ".git", "A directory is one name"),
    (f"{P}/members", {"role": "viewer"}, "username", "", "user name"),
    (f"{P}/members", {"role": "viewer"}, "username", "a\u202eb", "needs a name"),
    (f"{P}/sessions", EDIT, "title", "y" * 100, "at most 99"),
    (f"{P}/sessions", EDIT, "cpu", "1,5", "Please give a quantity"),
    (f"{P}/sessions", EDIT, "cpu", "\u0661", "Please give a quantity"),
    (f"{P}/sessions", EDIT, "memory", "1GB", "between 16Mi"),
    (f"{P}/sessions", EDIT, "gpu", "1.5", "whole number"),
    (f"{P}/sessions", EDIT, "disk", "-1G", "between 16Mi"),
    (f"{P}/sessions", EDIT, "variables", "LD_PRELOAD=/x", "cannot be set"),
    (f"{P}/sessions", EDIT, "variables", "A B=x", "letters, digits"),
    (f"{P}/sessions", EDIT, "variables", "A=1\nA=2", "given twice"),
    (f"{P}/sessions", EDIT, "variables", "no equals sign", "NAME=value"),
    (f"{S}/edit", EDIT, "title", "\u200b", "Please give a title"),
    (f"{S}/edit", EDIT, "description", "x" * 2001, "at most 2000"),
    (f"{S}/edit", EDIT, "cpu", "1e9", "Please give a quantity"),
    (f"{S}/edit", EDIT, "memory", "999999Gi", "quantity"),
    (f"{S}/edit", EDIT, "variables", "JUPYTERHUB_API_TOKEN=x", "set by the platform"),
    (f"{S}/delete", {}, "confirm", HOSTILE_TEXT, "not the title"),
    (f"{P}/delete", {}, "confirm", "climate", "not the title"),
]  # fmt: skip


class Form(HTMLParser):
    """The fields of a page with what stands in them, and the text of each element that has an id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, dict[str, str | None]] = {}
        self.texts: dict[str, str] = {}
        self.stack: list[tuple[str, str | None]] = []
        self.area = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if known.get("id") and known.get("name") == known["id"]:
            self.fields[str(known["id"])] = known | {"tag": tag}
            self.area = str(known["id"]) if tag == "textarea" else ""
        if tag not in ("input", "br", "wbr", "meta", "link", "img", "hr", "col"):
            self.stack.append((tag, known.get("id")))

    def handle_endtag(self, tag: str) -> None:
        while self.stack and self.stack.pop()[0] != tag:
            pass
        self.area = "" if tag == "textarea" else self.area

    def handle_data(self, data: str) -> None:
        if self.area:
            self.fields[self.area]["value"] = (self.fields[self.area].get("value") or "") + data
        for _, name in self.stack:
            if name:
                self.texts[name] = self.texts.get(name, "") + data


async def test_a_browser_lets_everything_through_that_is_accepted(renku_hub):
    """`maxlength` keeps a browser from sending what is already stored, if it is less than the field's own limit."""
    hub = await renku_hub()
    session = await hub.session(await hub.project())
    alice = await hub.visitor("alice")
    limits = {"title": MAX_TITLE_LENGTH, "description": MAX_DESCRIPTION_LENGTH, "slug": 64}
    for address in ("renku/projects/new", f"{P}/settings", f"{P}/sessions/new", f"{S}/edit".format(session=session.id)):
        fields = Form((await alice.get(address)).text).fields
        said = {name: int(fields[name].get("maxlength") or 10**6) for name in limits if name in fields}
        assert {"title", "description"} <= set(said), address
        assert [name for name, most in said.items() if most < limits[name]] == [], address


async def test_a_form_is_shown_again_with_the_sentence_at_the_field_and_what_was_typed(renku_hub):
    hub = await renku_hub()
    project = await hub.project()
    session = await hub.session(project)
    offered, _ = await list_offered_environments(hub.parts, hub.person("alice"))
    alice, wrong = await hub.visitor("alice"), []
    api = Api(hub, "alice", project, offered[0].id)
    before = await api.stored()
    for address, others, field, given, says in FORMS:
        sent = {key: value.format(environment=offered[0].id) for key, value in others.items()} | {field: given}
        answer = await alice.post(address.format(session=session.id), data=sent | {"_xsrf": xsrf(alice)})
        form = Form(answer.text)
        shown, sentence = form.fields.get(field, {}), form.texts.get(f"{field}-error", "")
        value = (shown.get("value") or "").removeprefix("\n") if shown.get("tag") == "textarea" else shown.get("value")
        typed = given.replace("user:hunter2@", "")  # a password is not given back
        kept = typed.replace("\x00", "\ufffd")  # HTML has no NUL
        facts = (
            answer.status_code,
            shown.get("aria-invalid"),
            f"{field}-error" in (shown.get("aria-describedby") or ""),
        )
        if facts != (422, "true", True) or says not in sentence or (value or "") not in (typed, kept):
            wrong.append((address, field, typed[:40], facts, " ".join(sentence.split()), value and value[:60]))
    assert await api.stored() == before
    assert not wrong, "\n".join(map(str, wrong))
