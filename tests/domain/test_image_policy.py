"""Admins say which images people may bring, by patterns that match as a whole."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.access import Person
from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.images import ImagePolicy, _matches_wildcard, parse_image_reference
from tests.fixtures.fair import least_processor_seconds

ALICE = Person(name="alice", groups=frozenset({"imaging"}))


@pytest.mark.parametrize(
    ("pattern", "typed", "matches"),
    [
        ("*", "nginx", True),
        ("*", "quay.io/a/b:1", True),
        ("docker.io", "nginx", True),
        ("docker.io", "evil/docker.io", True),  # on Docker Hub, after all
        ("docker.io", "docker.io.evil.example/x", False),
        ("quay.io", "quay.io/a/b/c", True),
        ("quay.io", "quay.io:5000/a", False),
        ("quay.io", "notquay.io/a", False),
        ("quay.io/jupyter/*", "quay.io/jupyter/scipy-notebook:1", True),
        ("quay.io/jupyter/*", "quay.io/jupyterlab/x", False),
        ("quay.io/jupyter", "quay.io/jupyter/scipy-notebook", False),
        ("quay.io/*/base", "quay.io/a/b/base", True),
        ("docker.io/library/*", "nginx:1.27", True),
        ("docker.io/library/*", "evil/nginx", False),
        ("*.example.org", "images.example.org/a", True),
        ("*.example.org", "example.org/a", False),
        ("*.example.org", "a.b.example.org/a", True),
        ("*.example.org/*", "evil.example.com/x.example.org/y", False),
        ("*/renku/*", "ghcr.io/renku/py", True),
        ("*/renku/*", "ghcr.io/other/renku/py", False),
        ("localhost:5000", "localhost:5000/x", True),
        ("[::1]:5000/a*", "[::1]:5000/abc", True),
        ("quay.io/a*a", "quay.io/a", False),
        ("quay.io/a*b*c", "quay.io/a1b2c", True),
        ("quay.io/a*b*c", "quay.io/a1c2b", False),
    ],
)
def test_a_pattern_matches_a_whole_name(pattern: str, typed: str, matches: bool) -> None:
    assert ImagePolicy(allowed=(pattern,)).is_permitted(parse_image_reference(typed), ALICE) is matches
    assert ImagePolicy(denied=(pattern,)).is_permitted(parse_image_reference(typed), ALICE) is not matches


@pytest.mark.parametrize("part", ["allowed", "denied"])
@pytest.mark.parametrize(
    "pattern",
    [
        "", "/", "/x", "quay.io/", "https://quay.io", "Quay.io", "quay.io/a:1", "quay.io/a@sha256:0", "quay.io//a",
        "quay.io/../a", "quay.io/a b", "quay.io\n", "^quay", "(quay|ghcr).io", "quay.io:999999", "-a.io",
        "[::1", "a" * 301,
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(part: str, pattern: str) -> None:
    with pytest.raises(InvalidInputError, match=r"is not a pattern such as quay\.io"):
        ImagePolicy(**{part: (pattern,)})


def test_by_default_every_image_may_be_brought() -> None:
    assert ImagePolicy().is_permitted(parse_image_reference("nginx"), ALICE)
    assert ImagePolicy().allows_all


def test_no_allowed_pattern_lets_nobody_bring_one() -> None:
    policy = ImagePolicy(allowed=())
    assert not policy.allows_all
    assert not policy.is_permitted(parse_image_reference("nginx"), ALICE)


def test_denied_wins_over_allowed() -> None:
    policy = ImagePolicy(allowed=("quay.io",), denied=("quay.io/evil/*",))
    assert policy.is_permitted(parse_image_reference("quay.io/good/x"), ALICE)
    assert not policy.is_permitted(parse_image_reference("quay.io/evil/x"), ALICE)


@pytest.mark.parametrize(
    ("outside", "may"), [(("alice",), True), (("group:imaging",), True), (("bob", "imaging", "group:alice"), False)]
)
def test_some_people_may_go_beyond_what_is_allowed_but_not_into_what_is_denied(
    outside: tuple[str, ...], may: bool
) -> None:
    policy = ImagePolicy(allowed=("quay.io/jupyter/*",), denied=("ghcr.io",), outside=outside)
    assert policy.is_permitted(parse_image_reference("nginx"), ALICE) is may
    assert not policy.is_permitted(parse_image_reference("ghcr.io/a/b"), ALICE)


@given(st.text(alphabet="ab*", max_size=8), st.text(alphabet="ab", max_size=10))
def test_a_star_stands_for_any_characters(pattern: str, text: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert _matches_wildcard(pattern, text) is bool(re.fullmatch(expression, text))


def test_many_stars_take_no_time() -> None:
    policy = ImagePolicy(allowed=("quay.io/" + "*a" * 140,))
    image = parse_image_reference("quay.io/" + "a" * 130 + "b")
    assert not policy.is_permitted(image, ALICE)
    assert least_processor_seconds(lambda: policy.is_permitted(image, ALICE)) < 0.05
