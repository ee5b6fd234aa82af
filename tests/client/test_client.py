"""The client without a hub: addresses, a hub that is away, the end of a log."""

import pytest

from renku_spawner.client import Client, HubAway, NotUnderstood
from renku_spawner.client.hub_client import find_new_log_lines
from tests.fixtures.ports import free_port


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
    with pytest.raises(NotUnderstood, match="not a hub's address"):
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
    assert "".join(find_new_log_lines(known, now)) == new
