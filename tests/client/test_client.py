"""The client at work: with a real hub, and with servers that are none or are in a bad way."""

import pytest

from renku_spawner.client import Client, HubAway, NotAllowed, NotFound, NotUnderstood, Refused, models
from renku_spawner.client.tail import fresh
from tests.faults.own_hub import OwnHub
from tests.fixtures.ports import free_port


def test_a_program_makes_a_project_and_a_session_starts_reads_pauses_and_deletes(hub: OwnHub, client: Client):
    assert client.whoami() == "alice"
    project = client.add_project(models.ProjectBody(path="alice/climate", title="Climate"))
    [entry] = client.projects("climate")
    assert (entry.id, entry.role) == (project.id, "owner")
    [environment] = client.environments()
    new = models.SessionBody(environment=environment.id, title="Explore")
    made = client.add_session("alice/climate", new)
    change = models.SessionChangeBody(version=made.version, description="Ice")
    assert client.change_session(project.id, made.id, change).description == "Ice"
    assert client.start("alice/climate", made.id).status in ("launching", "running")
    *_, told = client.until_settled("alice/climate", made.id)
    assert told.status == "running"
    assert [each.session for each in client.mine()] == [made.id]
    assert client.address(client.session(project.id, made.id).instance.url or "").startswith(client.url)
    assert client.pause(made.id).status in ("stopping", "paused")
    *_, told = client.until_settled("alice/climate", made.id)
    assert told.status == "paused"
    assert client.session_by_id(made.id).instance.status == "paused"
    looked = client.contents(made.id)
    assert (looked.known, looked.repositories, looked.loose) == (True, [], 0)
    client.delete_data(made.id)
    client.remove_session(project.id, made.id)
    assert list(client.sessions(project.id)) == []


def test_lists_go_on_from_page_to_page(hub: OwnHub, client: Client):
    paths = [client.add_project(models.ProjectBody(path=f"alice/many-{n}", title="Many")).path for n in range(3)]
    client._wire.most = 2
    assert sorted(each.path for each in client.projects("many")) == paths


def test_errors_say_what_the_hub_says(hub: OwnHub, client: Client):
    with pytest.raises(NotFound, match="no such page, or you have no access") as missing:
        client.project("alice/nothing")
    assert (missing.value.status, missing.value.code) == (404, "not_found")
    with pytest.raises(Refused) as wrong:
        client.add_project(models.ProjectBody(path="bob/climate", title=""))
    assert wrong.value.fields.keys() & {"path", "title"}
    with pytest.raises(NotFound):
        list(client.all_instances())


def test_a_token_that_is_unknown_is_neither_accepted_nor_shown(hub: OwnHub):
    secret = "s3cret-" + "x" * 20
    stranger = Client(hub.url, secret)
    with pytest.raises(NotAllowed) as refused:
        list(stranger.projects())
    assert secret not in f"{refused.value!r} {refused.value.__dict__} {stranger!r} {vars(stranger._wire)!r}"


def test_a_hub_that_is_away_is_said_in_words_without_the_token():
    port = free_port()
    with pytest.raises(HubAway, match=rf"^127.0.0.1:{port} cannot be reached\.$") as away:
        Client(f"http://127.0.0.1:{port}", "s3cret").project("a/b")
    assert away.value.__cause__ is None
    assert away.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("hub.example.org", "https://hub.example.org/hub/api"),
        ("https://hub.example.org/", "https://hub.example.org/hub/api"),
        ("https://hub.example.org/jupyter/hub/renku/projects/a/b?x=1", "https://hub.example.org/jupyter/hub/api"),
        ("http://127.0.0.1:8081/hub/api", "http://127.0.0.1:8081/hub/api"),
        ("http://hub:8081/a/hub/", "http://hub:8081/a/hub/api"),
    ],
)
def test_any_address_of_a_hub_will_do(url: str, api: str):
    assert Client(url, "").url == api.removesuffix("/hub/api")


@pytest.mark.parametrize(
    "url", ["", "https://", "ftp://hub/", "https://me:pass@hub.example.org", "file:///etc", "https://[x"]
)
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(NotUnderstood, match="no address of a hub"):
        Client(url, "")


@pytest.mark.parametrize(
    ("known", "now", "new"),
    [
        ("", "ab", "ab"),
        ("ab", "abc", "c"),
        ("abc", "bcd", "d"),
        ("abc", "abc", ""),
        ("aab", "aabaab", "aab"),
        ("abc", "xyz", "xyz"),
        ("abc", "", ""),
        ("aaa", "aaaa", "a"),
        ("abcabc", "bcabcd", "d"),
    ],
)
def test_of_a_log_only_what_is_new_is_told(known: str, now: str, new: str):
    assert "".join(fresh(known, now)) == new
