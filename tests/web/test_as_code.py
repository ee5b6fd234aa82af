"""Sessions as a document over HTTP: which form is given and taken, what is refused, and who may."""

from dataclasses import replace

import yaml

from renku_spawner.web import rate_limits
from renku_spawner.web.rate_limits import LimitedRequest
from renku_spawner.web.request_parsing import MAX_BODY_BYTES
from tests.fixtures.renku import RenkuHub, renku_hub

__all__ = ["renku_hub"]
YAML = {"Content-Type": "application/yaml"}


async def begun(hub: RenkuHub) -> tuple[str, str]:
    """A project with a session, and its document."""
    project = await hub.project()
    await hub.session(project)
    address = f"api/renku/projects/{project.id}"
    return address, (await hub.client("carol").get(f"{address}/export")).text


def actions(plan: dict) -> list[str]:
    return [each["action"] for each in plan["items"]]


async def test_a_document_is_given_taken_and_then_changes_nothing(renku_hub) -> None:
    hub = await renku_hub()
    address, text = await begun(hub)
    bob, carol = hub.client("bob"), hub.client("carol")
    given = await carol.get(f"{address}/export", headers={"Accept": "application/json"})
    assert (given.headers["Content-Type"], given.json()) == ("application/json", yaml.safe_load(text))
    assert (await carol.get(f"{address}/export")).headers["Content-Type"] == "application/yaml"
    same = (await bob.post(f"{address}/apply", content=text, headers=YAML)).json()
    assert (same["changes"], same["applied"], actions(same)) == (False, True, ["same"])
    assert (await bob.post(f"{address}/apply", json=given.json())).json() == same

    other = given.json() | {"sessions": [{**given.json()["sessions"][0], "title": "Second"}]}
    look = (await bob.post(f"{address}/apply?dry_run=true&prune=true", json=other)).json()
    assert (look["changes"], look["applied"], [each["action"] for each in look["items"]]) == (
        True,
        False,
        ["add", "remove"],
    )
    assert (await carol.get(f"{address}/export")).text == text
    viewers = (await carol.post(f"{address}/apply?dry_run=true", json=other)).json()
    assert viewers["forbidden"].startswith("Changing sessions needs write access")
    assert (await carol.post(f"{address}/apply", json=other)).status_code == 403
    done = (await bob.post(f"{address}/apply?prune=true", json=other)).json()
    assert [(each["action"], bool(each["session"])) for each in done["items"]] == [("add", True), ("remove", True)]
    assert [each["title"] for each in yaml.safe_load((await carol.get(f"{address}/export")).text)["sessions"]] == [
        "Second"
    ]


REFUSED = {
    "no YAML": (b"version: [", YAML, 400, {}),
    "a bomb": (b"a: &a [x]\nb: [*a, *a]", YAML, 400, {}),
    "a key twice": (b"version: 1\nversion: 1", YAML, 400, {}),
    "a key twice in JSON": (b'{"version": 1, "version": 1}', {"Content-Type": "application/json"}, 400, {}),
    "too much": (b"#" * (MAX_BODY_BYTES + 1), YAML, 413, {}),
    "another kind": (b"version: 1", {"Content-Type": "text/plain"}, 415, {}),
    "YAML for JSON": (b"version: 1", {"Content-Type": "application/json"}, 400, {}),
    "an unknown key": (b"version: 1\ncolour: 1", YAML, 422, {"colour": "There is no such key. (line 2)"}),
    "what cannot be": (
        b"version: 1\nsessions:\n- title: A\n  environment: {ready_made: Fortran}",
        YAML,
        422,
        {"sessions.0.environment.ready_made": "This hub offers no such environment."},
    ),
}


async def test_what_cannot_be_read_or_done_is_said_where_it_is_wrong(renku_hub) -> None:
    hub = await renku_hub()
    address, before = await begun(hub)
    bob = hub.client("bob")
    for name, (body, headers, status, fields) in REFUSED.items():
        answer = await bob.post(f"{address}/apply", content=body, headers=headers)
        assert (name, answer.status_code, answer.json().get("fields", {})) == (name, status, fields)
    odd = await bob.post(f"{address}/apply?dry_run=yes", content=b"version: 1", headers=YAML)
    assert (odd.status_code, odd.json()["fields"]) == (422, {"dry_run": "true or false, please."})
    from_a_form = await (await hub.visitor("bob")).post(f"{address}/apply", content=b"version: 1", headers=YAML)
    assert from_a_form.status_code == 403, "a cookie without the XSRF token"
    assert (await bob.get(f"{address}/export")).text == before


async def test_who_only_looks_again_and_again_is_told_to_wait(renku_hub, monkeypatch) -> None:
    three = replace(rate_limits._REQUEST_LIMITS[LimitedRequest.SESSION_FILE], per_minute=lambda _policy: 3)
    monkeypatch.setitem(rate_limits._REQUEST_LIMITS, LimitedRequest.SESSION_FILE, three)
    hub = await renku_hub()
    address, text = await begun(hub)
    bob = hub.client("bob")
    asked = [await bob.post(f"{address}/apply?dry_run=true", content=text, headers=YAML) for _ in range(4)]
    assert [answer.status_code for answer in asked] == [200, 200, 200, 429]
    assert asked[-1].json()["message"].startswith("Each user may have 3 documents of sessions compared or applied a")
    assert 0 < int(asked[-1].headers["Retry-After"]) <= 60
    assert (await bob.post(f"{address}/apply", content=text, headers=YAML)).status_code == 429
    assert (await hub.client("alice").post(f"{address}/apply", content=text, headers=YAML)).status_code == 200
