"""The filters of the templates, by value."""

from datetime import UTC, datetime

import pytest

from renku_spawner.web.filters import add_word_breaks, format_moment, render_session_body, strip_image_tag
from renku_spawner.web.sessions.cards import SessionCardView
from tests.web.generated import Generator
from tests.web.rendering import ENVIRONMENT


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("quay.io/jupyter/x:1", "quay.io/<wbr>jupyter/<wbr>x<wbr><span>:1</span>"),
        ("host:5050/a/b", "host<wbr>:5050/<wbr>a/<wbr>b"),
        ("host:5050/a:5050", "host<wbr>:5050/<wbr>a<wbr><span>:5050</span>"),
        ("x", "x"),
        ("x:1", "x<wbr><span>:1</span>"),
        ("quay.io/x:1@sha256:" + "a" * 64, "quay.io/<wbr>x<wbr><span>:1</span>"),
        ("http://127.0.0.1:80/a.git", "http:/<wbr>/<wbr>127.0.0.1:80/<wbr>a.git"),
        ('<b>/"x":<i>', "&lt;b&gt;/<wbr>&#34;x&#34;<wbr><span>:&lt;i&gt;</span>"),
    ],
)
def test_a_reference_wraps_at_slashes_port_and_tag_and_is_escaped(reference: str, shown: str) -> None:
    assert add_word_breaks(reference) == shown


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("quay.io/x:1", "quay.io/x"),
        ("host:5050/x", "host:5050/x"),
        ("host:5050/x:5050", "host:5050/x"),
        ("x@sha256:" + "a" * 64, "x"),
        ("x:1@sha256:" + "a" * 64, "x"),
    ],
)
def test_a_repository_is_the_reference_without_tag_and_digest(reference: str, name: str) -> None:
    assert strip_image_tag(reference) == name


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("2026-11-24T07:10:00+00:00", "24 November 2026, 07:10 UTC"),
        ("2026-01-01T00:30:00+01:00", "31 December 2025, 23:30 UTC"),
        ("2026-11-02T07:10:00", "2 November 2026, 07:10 UTC"),
        (datetime(2026, 11, 2, 7, 10, tzinfo=UTC), "2 November 2026, 07:10 UTC"),
    ],
)
def test_a_moment_is_said_in_words_in_utc(when: str | datetime, words: str) -> None:
    assert format_moment(when) == words


def test_the_body_of_a_card_is_kept_only_while_all_of_it_is_the_same() -> None:
    """And it holds nothing of who looks at it."""
    about = {
        "name": "Python", "kind": "default", "description": "", "image": "quay.io/x:1", "digest": None,
        "creator": "ada", "created_at": "2026-11-24T08:10:00+00:00", "keywords": ["one"],
    }  # fmt: skip
    session = {
        "id": "s", "page": "/p", "title": "<b>", "default": False, "description": "", "needs": "1 CPU",
        "mounts": "no repositories", "added_by": "ada", "added_at": "2026-11-24T08:10:00+00:00", "environment": about,
        "status": "running",
    }  # fmt: skip
    first = render_session_body(ENVIRONMENT, session)
    assert "&lt;b&gt;" in first and "<b>" not in first
    assert render_session_body(ENVIRONMENT, {**session, "status": "paused"}) is first
    for key in set(session) - {"environment", "status"}:
        assert render_session_body(ENVIRONMENT, {**session, key: "2026-01-01T00:00:00+00:00"}) != first, key
    for key in set(about) - {"kind", "keywords"}:
        assert (
            render_session_body(ENVIRONMENT, {**session, "environment": {**about, key: "2026-01-01T00:00:00+00:00"}})
            != first
        ), key
    assert "two" in render_session_body(ENVIRONMENT, {**session, "environment": {**about, "keywords": ["one", "two"]}})


def test_a_cached_card_has_the_hidden_fields_of_the_user_who_looks_at_it() -> None:
    """Cards are shared by all users for whom they look the same: what is another user's must never be in one."""
    card = ENVIRONMENT.from_string("{{ s | session_card }}")
    session = Generator(0, {}).view(SessionCardView) | {"status": "inactive", "other": None, "title": "_xsrf <i>"}
    seen = {}
    for user in ("ada", "bob"):
        seen[user] = card.render(s=session, xsrf_token=f'token-of-{user}"', back=f"back-of-{user}")
    assert 'name="_xsrf" value="token-of-ada&#34;"' in seen["ada"] and 'name="back" value="back-of-ada"' in seen["ada"]
    assert seen["bob"] == seen["ada"].replace("of-ada", "of-bob") and "_xsrf &lt;i&gt;" in seen["bob"]
    running = card.render(s=session | {"status": "running"}, xsrf_token="t", back="")
    assert 'data-status="running"' in running, "a card with another value is another card"
