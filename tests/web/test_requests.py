"""How requests are made: bodies, kinds of content, XSRF, sites, hosts, addresses."""

import asyncio
import itertools
import json
import logging
import re
import time
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx
import pytest

from renku_spawner.context.app_context import read_transaction, write_transaction
from renku_spawner.domain.environments import EnvironmentState
from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.usecases.environments import list_offered_environments
from renku_spawner.usecases.projects import get_project
from tests.fixtures.fair import Stopwatch
from tests.fixtures.renku import RenkuHub, xsrf
from tests.web.matrix import ROWS, SENT

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
MODES = (None, "navigate", "cors", "no-cors", "same-origin", "websocket")
SITES = (None, "none", "same-origin", "same-site", "cross-site")
OWN = (None, "none", "same-origin")
# Rows that change something or begin a start; GitLab's hook knows nobody and has its own tests, in test_hook.py.
ELSEWHERE = ("anything", "gitlab-hook")
CHANGING = [
    row for row in ROWS if row.method not in ("GET", "HEAD") and not any(word in row.address for word in ELSEWHERE)
]


class Place:
    """A project with a session, an owner by token and by cookie, who administers Renku, too, and each changing
    request as that owner sends it."""

    def __init__(self, hub: RenkuHub) -> None:
        self.hub = hub

    async def begin(self) -> "Place":
        self.project = await self.hub.project()
        self.session = await self.hub.session(self.project)
        self.hub.curator("alice")
        ready = await self.hub.ready_made()
        offered, _ = await list_offered_environments(self.hub.parts, self.hub.person("alice"))
        now = self.hub.parts.now()
        await write_transaction(self.hub.parts, lambda tx: tx.instances.get_or_create(self.session, "alice", now=now))
        self.token, self.cookie = self.hub.client("alice"), await self.hub.visitor("alice")
        self.values = {
            "path": self.project.path, "project": self.project.id, "session": self.session.id, "name": "bob",
            "title": self.project.title, "slug": "climate", "fresh": "fresh", "namespace": "alice",
            "environment": offered[0].id, "ready": ready
        }  # fmt: skip
        return self

    async def stock(self) -> None:
        """Add a storage, which each start of a session would have to open, and note the project's version after it."""
        if "storage" not in self.values:
            self.values["storage"] = await self.hub.storage(self.project)
        now = await read_transaction(self.hub.parts, lambda tx: tx.projects.get(self.project.id))
        self.values["version"] = now.version

    def requests(self):
        """Each changing request: whether it is a call of the API, method, address and what is sent."""
        for row in CHANGING:
            sent = {
                key: value.format(**self.values) if isinstance(value, str) else value
                for key, value in SENT.get((row.address, row.method), {}).items()
            }
            values = self.values | ({"name": "era5"} if "storages" in row.address else {})
            yield row.address.startswith("/api"), row.method, row.address.format(**values).lstrip("/"), sent

    async def stored(self):
        """All that a request may change."""

        def look(tx):
            listed = tx.projects.list_visible(name="alice", groups=frozenset(), search="", after=None, limit=100)
            sessions = tx.sessions.list_for_project(self.project.id, limit=100)
            ready_made = tx.environments.list_page(EnvironmentState, limit=100)
            kept = tx.storages.list_for_project(self.project.id), tx.storages.list_user_credentials("alice")
            return listed, tx.projects.get(self.project.id), sessions, tx.instances.list_active(), ready_made, kept

        return await read_transaction(self.hub.parts, look)

    async def answers(self, send):
        """What *send* gets for each changing request, which must change nothing."""
        await self.stock()
        before, found = await self.stored(), []
        for api, method, address, sent in self.requests():
            answer = await send(api, method, address, sent)
            found.append((method, address, answer.status_code, answer.text[:200]))
            assert await self.stored() == before, (method, address, "changed something")
        assert len(found) == len(CHANGING)
        return found


@pytest.fixture
async def place(renku_hub):
    return await Place(await renku_hub()).begin()


def unlike(status, answers):
    return "\n".join(str(answer) for answer in answers if answer[2] != status)


# ---- XSRF and other sites ---------------------------------------------------------------------


async def test_a_cookie_without_the_token_or_with_a_foreign_one_changes_nothing_h80(place):
    bob = await place.hub.visitor("bob")
    assert xsrf(bob) != xsrf(place.cookie)
    for token in (None, "", "foreign", "2|00000000:AAAA", xsrf(bob)):

        async def send(api, method, address, sent, token=token):
            if api:
                headers = {} if token is None else {"X-XSRFToken": token}
                return await place.cookie.request(method, address, json=sent, headers=headers)
            return await place.cookie.request(method, address, data=sent | ({} if token is None else {"_xsrf": token}))

        assert unlike(403, await place.answers(send)) == ""


async def test_no_site_but_ours_sends_our_forms_whatever_the_mode_t5(place):
    """Every mode by every site, header absent included, with the right token and with none.

    No browser sends a form as `websocket`, for which the hub asks for no token.
    """
    form, wrong, count = {"title": "Fetched"}, [], itertools.count()
    for mode, site, right in itertools.product(MODES, SITES, (True, False)):
        headers = {"Sec-Fetch-Mode": mode, "Sec-Fetch-Site": site}
        headers = {name: value for name, value in headers.items() if value}
        token = xsrf(place.cookie) if right else ""
        slug = f"fetched-{next(count)}"
        page = await place.cookie.post("renku/projects", data=form | {"slug": slug, "_xsrf": token}, headers=headers)
        call = await place.cookie.post(
            "api/renku/projects", json=form | {"path": f"alice/{slug}-api"}, headers=headers | {"X-XSRFToken": token}
        )
        expected = (303, 201) if right and site in OWN and mode != "websocket" else (403, 403)
        if (page.status_code, call.status_code) != expected:
            wrong.append((mode, site, right, page.status_code, call.status_code))
    assert not wrong, "\n".join(map(str, wrong))


async def test_every_changing_request_of_another_site_is_refused_with_the_right_token_too_t5(place):
    async def send(api, method, address, sent):
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "X-XSRFToken": xsrf(place.cookie)}
        if api:
            return await place.cookie.request(method, address, json=sent, headers=headers)
        data = sent | {"_xsrf": xsrf(place.cookie)}
        return await place.cookie.request(method, address, data=data, headers=headers)

    assert unlike(403, await place.answers(send)) == ""


async def test_looking_from_another_site_shows_pages_and_changes_nothing_t5(place):
    before, wrong = await place.stored(), []
    addresses = ["renku/projects", "renku/launch/alice/climate", f"renku/launch/alice/climate/-/{place.session.id}"]
    for address, mode, site in itertools.product(addresses, MODES, SITES):
        headers = {name: v for name, v in {"Sec-Fetch-Mode": mode, "Sec-Fetch-Site": site}.items() if v}
        answer = await place.cookie.get(address, headers=headers)
        wrong += [(address, mode, site, answer.status_code)] if answer.status_code != 200 else []
    assert await place.stored() == before
    assert not wrong


async def test_the_api_tells_a_script_of_another_site_nothing_t5(place):
    """A cookie alone opens the API to navigation and to our own scripts with the token, to no one else's."""
    for site in ("cross-site", "same-site"):
        for mode in ("cors", "no-cors"):
            headers = {"Sec-Fetch-Mode": mode, "Sec-Fetch-Site": site}
            for address in ("projects", f"projects/{place.project.id}", "sessions", "sessions/events", "environments"):
                answer = await place.cookie.get(f"api/renku/{address}", headers=headers)
                assert answer.status_code == 403, (address, headers)
                assert place.project.title not in answer.text


# ---- bodies ----------------------------------------------------------------------


async def test_every_method_wants_its_own_kind_of_content_h79(place):
    foreign = ("text/plain", "multipart/form-data; boundary=x", "application/jsonp", "text/html", "application/xml")
    for kind in (*foreign, None):

        async def send(api, method, address, sent, kind=kind):
            kind = kind or (FORM if api else JSON)
            client, headers = (place.token if api else place.cookie), {"Content-Type": kind}
            body = json.dumps(sent) if api else urlencode(sent | {"_xsrf": xsrf(place.cookie)})
            return await client.request(method, address, content=body.encode(), headers=headers)

        assert unlike(415, await place.answers(send)) == ""


async def test_a_field_that_there_is_not_is_refused_everywhere_t17(place):
    fields = [
        "id", "owner", "created_by", "created_at", "deleted_at", "version_", "admin", "user", "username_", "state",
        "status", "image_", "cmd", "args", "environment_", "volumes", "uid", "gid", "privileged", "namespace_",
        "position", "service_account", "init_containers", "extra_pod_config", "profile", "node_selector", "__proto__",
        "constructor", "source_id", "int", "slot",
    ]  # fmt: skip
    assert len(fields) >= 30

    async def send(api, method, address, sent):
        for more in (fields, ["__proto__"]):
            extra = dict.fromkeys(more, "1")
            if api:
                answer = await place.token.request(method, address, json=sent | extra)
                named = set(more) <= set(answer.json().get("fields", {}))
            else:
                data = sent | extra | {"_xsrf": xsrf(place.cookie)}
                answer, named = await place.cookie.request(method, address, data=data), True
            assert named, answer.text
            if answer.status_code != 422:
                break
        return answer

    answers = await place.answers(send)
    offers = [answer for answer in answers if answer[1].endswith("/sessions/described")]
    assert [answer[2] for answer in offers] == [404]  # a project that has a session is offered none
    assert unlike(422, [answer for answer in answers if answer not in offers]) == ""


async def test_what_cannot_be_read_is_malformed_everywhere(place):
    """Duplicate keys, no UTF-8, 20,000 levels, no JSON; for forms a field that stands twice and no UTF-8."""
    deep = b"[" * 20_000 + b"]" * 20_000
    calls = [
        b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 2}}', b'{"a": "\xff"}', b'{"a": "\\udc00"}', b'{"a": ' + deep + b"}",
        deep,
        b"{", b"nonsense", b"{'a': 1}", b'{"a": NaN}', b'{"a": Infinity}', b"\xef\xbb\xbf{}", b"{}{}", b"\x00",
    ]  # fmt: skip
    token = urlencode({"_xsrf": xsrf(place.cookie)}).encode()
    pages = [
        token + b"&title=a&title=b",
        token + b"&title=%ff",
        token + b"&title=\xff",
        token + b"&" + token,
    ]

    async def send(api, method, address, sent):
        for body in calls if api else pages:
            client, kind = (place.token, JSON) if api else (place.cookie, FORM)
            answer = await client.request(method, address, content=body, headers={"Content-Type": kind})
            if answer.status_code != 400:
                return answer
        return answer

    assert unlike(400, await place.answers(send)) == ""


async def test_a_body_that_is_no_object_is_invalid(place):
    for body in (b"[]", b"1", b'"x"', b"null", b"true"):
        answer = await place.token.post("api/renku/projects", content=body, headers={"Content-Type": JSON})
        assert (answer.status_code, answer.json()["message"]) == (422, "The body must be a JSON object."), body


# `P` is a project, `S` a session of it. method, address, what is sent, the field that is wrong
TYPES = [
    ("POST", "projects", {"path": 1, "title": "X"}, "path"),
    ("POST", "projects", {"path": "alice/x", "title": "X", "visibility": "internal"}, "visibility"),
    ("POST", "projects", {"path": "alice/x", "title": "X", "repositories": {}}, "repositories"),
    ("POST", "projects", {"path": "alice/x", "title": "X", "repositories": [1]}, "repositories.0"),
    ("POST", "projects", {"path": "alice/x", "title": "X", "repositories": [{}]}, "repositories.0.url"),
    ("POST", "projects", {"title": "X"}, "path"),
    ("PATCH", "P", {"title": "X"}, "version"),
    ("PATCH", "P", {"version": "3"}, "version"),
    ("PATCH", "P", {"version": 10**30}, "version"),
    ("POST", "P/sessions", {"environment": ["x"]}, "environment"),
    ("POST", "P/sessions", {"environment": "{environment}", "configuration": []}, "configuration"),
    ("POST", "P/sessions", {"environment": "{environment}", "default": 1}, "default"),
    ("PATCH", "S", {"version": 1, "configuration": {"cpu": 1}}, "cpu"),
    ("PATCH", "S", {"version": 1, "configuration": {"gpu": "1"}}, "gpu"),
    ("PATCH", "S", {"version": 1, "configuration": {"image": "x"}}, "image"),
    ("PATCH", "S", {"version": 1, "configuration": {"variables": [1]}}, "variables"),
    ("PATCH", "S", {"version": 1, "configuration": {"variables": {"A": 1}}}, "variables"),
    ("PATCH", "S", {"version": 1, "configuration": {"repositories": ["x"]}}, "repositories"),
    ("POST", "S/revision", {"revision": "zz!"}, "revision"),
    ("POST", "S/revision", {"revision": 1.5}, "revision"),
    ("POST", "S/revision", {"revision": 99}, "revision"),
    ("POST", "S/start", {"resource_class": 1}, "resource_class"),
    ("DELETE", "S", {"new_default": "aaaaaaaaaaaa"}, "new_default"),
    ("GET", "projects?limit=0", None, "limit"),
    ("GET", "projects?limit=1e9", None, "limit"),
    ("GET", "projects?limit=%D9%A1", None, "limit"),
    ("GET", "S/logs?lines=-1", None, "lines"),
]  # fmt: skip


async def test_a_wrong_type_is_said_at_its_field(place):
    before, wrong = await place.stored(), []
    for method, address, body, field in TYPES:
        where = re.sub("^S", f"P/sessions/{place.session.id}", address)
        where = re.sub("^P", f"projects/{place.project.id}", where)
        known = {"environment": place.values["environment"]} if "{environment}" in str(body) else {}
        sent = body and body | known
        answer = await place.token.request(method, f"api/renku/{where}", json=sent)
        fields = answer.json().get("fields", {})
        if (
            answer.status_code != 422
            or list(fields) != [field]
            or not re.fullmatch(r"[^_<>{}]{5,200}\.", fields[field])
        ):
            wrong.append((method, address, body, answer.text))
    assert await place.stored() == before
    assert not wrong, "\n".join(map(str, wrong))


async def test_cursors_from_elsewhere_are_refused_and_do_no_harm(place):
    for address in ("projects", "sessions", f"projects/{place.project.id}/sessions"):
        for after in (
            "x",
            "' OR 1=1--",
            "\x00",
            "a" * 2000,
            "[]",
            "W10",
            "eyJhIjoxfQ==",
            "\U0001f600",
            "null",
            "1e999",
        ):
            answer = await place.token.get(f"api/renku/{address}", params={"after": after})
            assert answer.status_code in (200, 422), (address, after, answer.text)


# ---- size ------------------------------------------------------------------------------------


async def raw(hub: RenkuHub, head: list[str], body: bytes = b"", *, pause: float = 0) -> tuple[int, bytes, float]:
    """Status, body and fair seconds of one request that is written by hand, straight to the hub."""
    address, took = urlsplit(hub.app.hub.url), Stopwatch()
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write("\r\n".join([*head, "Host: localhost", "", ""]).encode())
    writer.write(body)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    status = int(answer.split()[1])
    length = re.search(rb"(?i)content-length: (\d+)", answer)
    text = await asyncio.wait_for(reader.readexactly(int(length[1])), 60) if length else b""
    writer.close()
    return status, text, took()


async def test_20_mb_are_refused_before_they_are_read_h76(place):
    """Only the head and a little are sent, with a length or in chunks: the answer comes all the same."""
    length, chunked = ["Content-Length: 20971520"], ["Transfer-Encoding: chunked"]
    pieces = b"".join(b"1000\r\n" + b"x" * 4096 + b"\r\n" for _ in range(17))
    for prefix, (more, body) in itertools.product(
        ("api/renku/projects", "renku/projects"),
        [(length, b"x" * 1000), (chunked, pieces), (chunked, b"1400000\r\n" + b"x" * 70_000)],
    ):
        kind = JSON if prefix.startswith("api") else FORM
        head = [
            f"POST {place.hub.app.hub.base_url}{prefix} HTTP/1.1", f"Content-Type: {kind}", *more,
            f"Authorization: {place.token.headers['Authorization']}",
        ]  # fmt: skip
        status, text, took = await raw(place.hub, head, body)
        assert (status, b"larger than 64 kB" in text) == (413, True), (prefix, more)
        assert took < 2
    assert (await place.token.get("api/renku/projects")).status_code == 200


async def test_a_length_that_is_none_does_no_harm(place):
    for length in ("-1", "1e3", "0x10", " ", "99999999999999999999999"):
        head = [
            f"POST {place.hub.app.hub.base_url}api/renku/projects HTTP/1.1", f"Content-Type: {JSON}",
            f"Authorization: {place.token.headers['Authorization']}", f"Content-Length: {length}",
        ]  # fmt: skip
        status, _, _ = await raw(place.hub, head)
        assert status in (400, 413), length
    assert (await place.token.get("api/renku/projects")).status_code == 200


async def test_a_body_in_chunks_is_read_like_any_other(place):
    async def chunks():
        for piece in (b'{"path": "alice/ch', b'unks", "title"', b': "Chunks"}'):
            yield piece

    for base in (place.hub.url, place.hub.app.hub.url):
        answer = await place.token.post(f"{base}api/renku/projects", content=chunks(), headers={"Content-Type": JSON})
        assert answer.status_code in (201, 409), answer.text


async def test_a_megabyte_in_an_address_is_refused_and_does_not_stop_the_hub(place):
    took = Stopwatch()
    for address in ("api/renku/projects?search=" + "a" * 60_000, "renku/projects?search=" + "%F0%9F%98%80" * 4000):
        answer = await place.cookie.get(f"{place.hub.app.hub.url}{address}")
        assert answer.status_code in (200, 400, 414, 431)
    assert took() < 3


async def test_what_would_make_a_pattern_think_for_ever_is_answered_at_once_t18(place):
    slow = []
    nasty = [
        "a" * 60_000,
        "a/" * 30_000,
        "-" * 60_000 + "!",
        "https://" + "a." * 30_000,
        " " * 60_000 + "a",
        "(a+)+" * 12_000,
    ]
    for text, (address, body) in itertools.product(
        nasty,
        [
            ("projects", {"path": "TEXT", "title": "X"}),
            ("projects", {"path": "alice/x", "title": "TEXT"}),
            ("projects", {"path": "alice/x", "title": "X", "description": "TEXT"}),
            ("projects", {"path": "alice/x", "title": "X", "repositories": [{"url": "TEXT"}]}),
            (
                "projects",
                {"path": "alice/x", "title": "X", "repositories": [{"url": "https://a.example/b", "ref": "TEXT"}]},
            ),
            (f"projects/{place.project.id}/sessions", {"environment": "TEXT"}),
            (
                f"projects/{place.project.id}/sessions",
                {"environment": "aaaaaaaaaaaa", "configuration": {"cpu": "TEXT"}},
            ),
        ],
    ):
        said = json.loads(json.dumps(body).replace("TEXT", text))
        status, took = await _thought(place, address, said)
        if status != 422 or took > 0.5:
            slow.append((text[:10], body, status, took))
    assert not slow, "\n".join(map(str, slow))


async def _thought(place, address, said):
    """The answer's status, and the seconds of processor time that it took: the hub thinks in this process, and what
    else is done there (Python collects its garbage now and then) is not done three times in a row."""
    took = []
    while not took or (took[-1] > 0.5 and len(took) < 3):
        begun = time.process_time()
        answer = await place.token.post(f"api/renku/{address}", json=said)
        took.append(time.process_time() - begun)
    return answer.status_code, min(took)


# ---- addresses and hosts ------------------------------------------------------------


async def test_headers_that_would_turn_one_request_into_another_are_ignored_h73(place):
    before, address = await place.stored(), f"api/renku/projects/{place.project.id}"
    methods = ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "X-Original-Method")
    for header in (*methods, "X-Rewrite-Url", "X-Original-Url"):
        value = "/hub/renku/projects" if header.endswith("Url") else "DELETE"
        got = await place.token.get(f"{address}?_method=DELETE", headers={header: value})
        posted = await place.token.post(address, json={}, headers={header: value})
        assert (got.status_code, got.json()["id"], posted.status_code) == (200, place.project.id, 405)
    assert await place.stored() == before


async def test_no_address_is_made_from_what_a_request_calls_the_host_h81(place):
    wrong = []
    for name in ("Host", "X-Forwarded-Host", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Server", "X-Host"):
        value = {"Forwarded": "host=evil.example;proto=https", "X-Forwarded-Proto": "evil.example"}.get(
            name, "evil.example"
        )
        for address in (
            "renku", "renku/projects", "renku/projects/alice/climate", "renku/no/such/page",
            f"renku/launch/alice/climate/-/{place.session.id}",
            f"renku/projects/alice/climate/-/sessions/{place.session.id}",
        ):  # fmt: skip
            for client, base in ((place.cookie, place.hub.url), (place.cookie, place.hub.app.hub.url)):
                page = await client.get(f"{base}{address}", headers={name: value})
                if "evil.example" in page.text or "evil.example" in str(page.headers):
                    wrong.append((name, base, address))
        made = await place.token.get("api/renku/projects", params={"limit": 1}, headers={name: value})
        assert "evil.example" not in made.text + str(made.headers)
    assert not wrong, wrong


ELSEWHERE = [
    "//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example", "https://evil.example",
    "javascript:alert(1)", "data:text/html,x", "%0d%0aLocation:%20//evil.example", "\r\nLocation: //evil.example",
    "/hub/renku/../../..//evil.example", "projects//evil.example", "projects?next=//evil.example",
    "session?path=//evil.example",
    "session?path=..%2f..%2fevil", "@evil.example", "\t//evil.example", "project#@evil.example", "x" * 40_000,
]  # fmt: skip


async def test_nothing_in_a_form_or_link_leads_away_t8_h82(place):
    """`back`, `next` and `path=`, where actions return to and where links open a session."""
    own, wrong = httpx.URL(place.hub.url), []
    base = f"renku/projects/alice/climate/-/sessions/{place.session.id}"
    for word in ELSEWHERE:
        form = {"_xsrf": xsrf(place.cookie), "back": word}
        answers = [
            await place.cookie.post(f"{base}/default", data=form),
            await place.cookie.post(f"{base}/pause", data=form),
            await place.cookie.post(f"{base}/pause?next={httpx.QueryParams({'next': word})}"[:2000], data=form),
        ]
        for answer in answers:
            target = own.join(answer.headers.get("location", ""))
            inside = target.netloc == own.netloc and target.path.startswith(f"{own.path}renku/")
            if answer.status_code != 303 or not inside or "evil" in target.path:
                wrong.append((word[:40], answer.status_code, str(target)[:200]))
        page = await place.cookie.get("renku/launch/alice/climate", params={"path": word[:1000]})
        links = re.findall(r'(?:href|action|formaction|src)="([^"]*)"', page.text)
        wrong += [(word, link) for link in links if own.join(link.replace("&amp;", "&")).netloc != own.netloc]
    assert not wrong, "\n".join(map(str, wrong))


async def test_after_the_login_one_lands_on_our_site_only_t8_h82(place):
    async with httpx.AsyncClient(base_url=place.hub.url, trust_env=False) as nobody:
        for path in (
            "renku/projects/evil.example/x",
            "renku//evil.example",
            "renku/%5Cevil.example",
            "renku/%0d%0aX:%20y",
        ):
            answer = await nobody.get(path)
            if answer.status_code == 302:
                target = parse_qs(urlsplit(answer.headers["location"]).query)["next"][0]
                assert target.startswith(f"{urlsplit(place.hub.url).path}renku/"), target
                assert "\r" not in answer.headers["location"]


async def test_paths_within_a_session_stay_within_it_t8(place):
    hub = place.hub
    form = {"_xsrf": xsrf(place.cookie)}
    await place.cookie.post(f"renku/projects/alice/climate/-/sessions/{place.session.id}/start", data=form)
    await hub.becomes(place.session, InstanceStatus.RUNNING)
    address = f"renku/projects/alice/climate/-/sessions/{place.session.id}"
    for word in ELSEWHERE:
        page = await place.cookie.get(address, params={"path": word[:1000]})
        opens = [
            link for link in re.findall(r'href="([^"]*)"', page.text) if f"/user/alice/{place.session.id}/" in link
        ]
        assert opens, word
        for link in opens:
            target = httpx.URL(hub.url).join(link.replace("&amp;", "&"))
            assert target.netloc == httpx.URL(hub.url).netloc
            assert "/../" not in target.path


# ---- who and how often -------------------------------------------------------------


async def test_a_name_that_is_made_again_inherits_nothing_t11(renku_hub):
    hub = await renku_hub()
    place = await Place(hub).begin()
    carol = hub.client("carol")
    assert (await carol.get("api/renku/projects/alice%2Fclimate")).status_code == 200
    hub.app.users.delete(hub.user("carol").orm_user)
    assert (await carol.get("api/renku/projects/alice%2Fclimate")).status_code == 403
    await hub.clients.pop("carol None").aclose()
    await asyncio.sleep(1.1)  # the hub keeps creation times; another second is another person
    again = hub.client("carol")
    assert (await again.get("api/renku/projects/alice%2Fclimate")).status_code == 404
    assert (await again.get(f"api/renku/projects/{place.project.id}")).status_code == 404


async def test_a_role_that_is_taken_away_is_gone_at_once_t11(place):
    carol, address = place.hub.client("carol"), f"api/renku/projects/{place.project.id}"
    assert (await carol.get(address)).status_code == 200
    assert (await place.token.delete(f"{address}/members/carol")).status_code == 204
    assert (await carol.get(address)).status_code == 404
    started = await carol.post(f"{address}/sessions/{place.session.id}/start")
    assert started.status_code == 404


async def test_the_same_request_fifty_times_at_once_has_one_effect_h84(place):
    hub, body = place.hub, {"path": "alice/once", "title": "Once"}
    made = await asyncio.gather(*(place.token.post("api/renku/projects", json=body) for _ in range(50)))
    assert sorted({answer.status_code for answer in made}) == [201, 409]
    assert [answer.status_code for answer in made].count(201) == 1
    assert (
        len([p for p in (await place.token.get("api/renku/projects")).json()["items"] if p["path"] == "alice/once"])
        == 1
    )
    session = {"environment": place.values["environment"], "title": "Once"}
    address = f"api/renku/projects/{place.project.id}/sessions"
    added = await asyncio.gather(*(place.token.post(address, json=session) for _ in range(50)))
    assert sorted(answer.status_code for answer in added) == [201] + [409] * 49
    form = {"_xsrf": xsrf(place.cookie), "title": "Form", "slug": "form"}
    sent = await asyncio.gather(*(place.cookie.post("renku/projects", data=form) for _ in range(50)))
    assert sorted(answer.status_code for answer in sent) == [303] + [409] * 49
    started = await asyncio.gather(*(place.token.post(f"{address}/{place.session.id}/start") for _ in range(50)))
    assert {answer.status_code for answer in started} <= {200, 202}
    instance = await hub.becomes(place.session, InstanceStatus.RUNNING)
    launches = await read_transaction(
        hub.parts, lambda tx: tx.launches.list_for_session(place.session.id, "alice", 100)
    )
    assert (len(launches), launches[0].id) == (1, instance.run)


async def test_changing_the_same_version_fifty_times_at_once_works_once_h84(place):
    address = f"api/renku/projects/{place.project.id}"
    version = (await place.token.get(address)).json()["version"]
    changes = [place.token.patch(address, json={"version": version, "title": f"Title {n}"}) for n in range(50)]
    answers = await asyncio.gather(*changes)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    title = next(answer.json()["title"] for answer in answers if answer.status_code == 200)
    assert (await place.token.get(address)).json()["title"] == title


async def test_deleting_twice_is_no_failure(place):
    address = f"api/renku/projects/{place.project.id}/sessions/{place.session.id}"
    await place.token.post(f"{address}/start")
    await place.hub.becomes(place.session, InstanceStatus.RUNNING)
    statuses = [(await place.token.delete(f"{address}/instance")).status_code for _ in range(3)]
    assert statuses == [204, 204, 204]
    assert await place.hub.status(place.session) is InstanceStatus.INACTIVE
    statuses = [(await place.token.delete(address)).status_code for _ in range(2)]
    assert statuses == [204, 404]
    project = f"api/renku/projects/{place.project.id}"
    assert [(await place.token.delete(project)).status_code for _ in range(2)] == [204, 404]
    with pytest.raises(Exception, match="no such page"):
        await get_project(place.hub.parts, place.hub.person("alice"), place.project.id)


# ---- headers --------------------------------------------------------------------------------------

PAGE_POLICY = {
    "object-src": "'none'", "base-uri": "'none'", "form-action": "'self'", "frame-ancestors": "'none'",
    "script-src": "'self' 'unsafe-inline'",
}  # fmt: skip
API_POLICY = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}


def policy_of(answer):
    text = answer.headers.get("content-security-policy", "")
    return dict(part.strip().split(" ", 1) for part in text.split(";") if part.strip() and "report-uri" not in part)


async def test_every_page_every_answer_and_every_error_has_its_headers_t21(place):
    await place.stock()
    wrong, seen = [], set()
    for row in ROWS:
        if "static" in row.address or row.address.endswith("events"):
            continue
        api = row.address.startswith("/api")
        values = place.values | {"anything": "no/such/thing"}
        for client in (place.cookie, place.token, await bad(place)):
            body = {} if row.method == "GET" else {"json" if api else "data": {"x": "y"}}
            answer = await client.request(row.method, row.address.format(**values).lstrip("/"), **body)
            seen.add(answer.status_code)
            facts = {
                "policy": policy_of(answer) == (API_POLICY if api else PAGE_POLICY),
                "cache": answer.headers.get("cache-control") == "no-store",
                "opener": answer.headers.get("cross-origin-opener-policy") == "same-origin",
                "sniff": answer.headers.get("x-content-type-options") == "nosniff",
                "referrer": answer.headers.get("referrer-policy") == "same-origin",
            }
            if not all(facts.values()):
                wrong.append((row.method, row.address, answer.status_code, [k for k, v in facts.items() if not v]))
    assert {200, 302, 303, 403, 404, 422} <= seen
    assert not wrong, "\n".join(map(str, wrong))


async def bad(place):
    """Somebody unknown."""
    if "unknown" not in place.hub.clients:
        place.hub.clients["unknown"] = httpx.AsyncClient(base_url=place.hub.url, trust_env=False)
    return place.hub.clients["unknown"]


async def test_errors_that_come_before_a_handler_has_looked_have_them_too_t21(place):
    large = await place.token.post("api/renku/projects", content=b" " * 70_000, headers={"Content-Type": JSON})
    page = await place.cookie.post("renku/projects", content=b" " * 70_000, headers={"Content-Type": FORM})
    assert (large.status_code, page.status_code) == (413, 413)
    assert (policy_of(large), policy_of(page)) == (API_POLICY, PAGE_POLICY)
    assert {a.headers["x-content-type-options"] for a in (large, page)} == {"nosniff"}
    assert large.json()["code"] == "too_large"


# ---- settings and records ---------------------------------------------------------------


async def test_what_people_type_stays_one_line_in_the_log_t22(place, caplog):
    nasty = "a\r\nCRITICAL forged\x1b[2J\u2028b"
    with caplog.at_level("DEBUG"):
        await place.token.post("api/renku/projects", json={"path": nasty, "title": nasty})
        await place.token.get("api/renku/projects", params={"search": nasty})
        await place.cookie.post("renku/projects", data={"_xsrf": xsrf(place.cookie), "title": nasty, "slug": nasty})
        await place.token.delete(f"api/renku/projects/{place.project.id}/members/{quote(nasty, safe='')}")
        await place.hub.client("dave").post(
            f"api/users/dave/servers/{place.session.id}", json={"user_options": {nasty: nasty}}
        )
    lines = [record.getMessage() for record in caplog.records]
    assert not [line for line in lines if "\x1b" in line or line.startswith("CRITICAL") or "\nCRITICAL" in line]


async def test_no_log_line_has_the_value_of_a_token(place, caplog):
    canary = "canary-0123456789abcdef"
    async with httpx.AsyncClient(trust_env=False, timeout=300) as stranger:
        with caplog.at_level("DEBUG"):
            for name in ("_xsrf", "token", "access_token"):
                nested = quote(f"/hub/renku?{name}={canary}&x=1", safe="")
                await place.cookie.post(f"{place.hub.url}spawn?{name}={canary}", data={"a": "b"})
                for address in (f"renku/projects?x=1&{name}={canary}", f"login?next={nested}"):
                    for client in (place.cookie, place.token, stranger):
                        await client.get(place.hub.url + address)
                        await client.post(place.hub.url + address, data={"a": "b"})
            logging.getLogger("tornado.application").error("Uncaught exception %r", f"GET /hub/?token={canary}")
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]  # our own client
    assert [line for line in lines if canary in line] == []
    for known in ("403 POST /", "_xsrf=[hidden]", "token=[hidden]"):
        assert [line for line in lines if known in line], known


async def test_a_live_page_follows_its_stream_without_the_token(place):
    page = await place.cookie.get("renku/sessions")
    assert 'data-events="' in page.text
    address = re.search(r'data-events="([^"]+)"', page.text)[1].replace("&amp;", "&")
    assert (xsrf(place.cookie) in address, "_xsrf" in address) == (False, False)
    stream, _, ticket = address.removeprefix(urlsplit(place.hub.url).path).partition("?")
    browser = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    for query, status in (("", 403), ("ticket=0123", 403), ("ticket=%E2%82%AC", 403), (ticket, 200)):
        async with place.cookie.stream("GET", f"{stream}?{query}", headers=browser) as answer:
            assert answer.status_code == status, query
    assert (await place.cookie.get(f"api/renku/me?{ticket}", headers=browser)).status_code == 403
    bob = await place.hub.visitor("bob")
    assert (await bob.get(f"{stream}?{ticket}", headers=browser)).status_code == 403


async def test_unknown_methods_of_a_stranger_do_not_disturb_others(place, caplog):
    """Through the proxy, which keeps connections to the hub: one that breaks fails the next request on it."""
    done = asyncio.Event()

    async def disturb():
        async with httpx.AsyncClient(base_url=place.hub.url, trust_env=False, timeout=300) as stranger:
            count = 0
            while not done.is_set() or count < 20:
                method = ("PROPFIND", "TRACE", "MKCOL")[count % 3]
                for address, status in (("renku/projects", 303), ("api/renku/sessions", 403)):
                    body = b"x" * 5000 if count % 2 else None
                    assert (await stranger.request(method, address, content=body)).status_code == status
                count += 1

    disturbing = [asyncio.ensure_future(disturb()) for _ in range(3)]
    try:
        statuses = [(await place.cookie.get("renku/projects")).status_code for _ in range(150)]
    finally:
        done.set()
    await asyncio.gather(*disturbing)
    assert statuses == [200] * 150
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


async def test_a_method_with_the_name_of_one_of_ours_runs_nothing(place):
    """Past the proxy, which knows no such method."""
    port = urlsplit(place.hub.app.hub.url).port
    for method in ("WRITE", "FINISH", "get", "PREPARE"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = (
            f"{method} {urlsplit(place.hub.url).path}renku/projects HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        )
        for _ in range(2):  # on one connection
            writer.write(request.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 303 " in head.partition(b"\r\n")[0], head
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]))
        writer.close()
        await writer.wait_closed()
