"""Ids, namespaces, paths and directories: valid where they are used, never the same for two."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub.slugs import is_valid_safe_slug

from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.ids import (
    check_directory,
    create_id,
    is_path_part,
    is_project_path,
    is_valid_id,
    make_path_part,
    make_unique_directory,
    parse_project_path,
    to_namespace,
)
from renku_spawner.domain.ids import (
    is_path_part as may_be_path_part,
)

TYPED = st.text(max_size=120) | st.text(alphabet="aA0._-+@/~ §.git.lock", max_size=120)


def test_ids_are_names_of_servers_for_the_hub_and_do_not_repeat() -> None:
    made = [create_id() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert all(is_valid_id(each) and is_valid_safe_slug(each, max_length=30) for each in made)


@given(TYPED)
def test_what_is_no_id_is_told_without_an_exception(typed: str) -> None:
    assert is_valid_id(typed) in (True, False)


@given(TYPED | st.text(alphabet="aZ0_.-+@~", max_size=70))
def test_the_sentence_about_paths_says_what_is_accepted(typed: str) -> None:
    """Up to 64 letters, digits and . _ - + @, with a letter, digit or _ at both ends, and so on, read word by word."""
    plain = [each for each in typed if each.isascii() and (each.isalnum() or each == "_")]
    allowed = len(typed) == len(plain) + sum(typed.count(each) for each in ".-+@")
    ends = bool(typed) and typed[0] in plain and typed[-1] in plain
    rest = ".." not in typed and not typed.endswith((".git", ".atom"))
    assert is_path_part(typed) == (len(typed) <= 64 and allowed and ends and rest)


@pytest.mark.parametrize("name", ["ada", "ada.lovelace", "ada@example.org", "a_b", "1", "_x", "a" * 64])
def test_a_clean_name_is_its_own_namespace(name: str) -> None:
    assert to_namespace(name) == name


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("ada lovelace", "ada-lovelace---"),
        ("Ada", "Ada---"),
        ("a..b", "a-b---"),
        ("../x", "x---"),
        ("x.git", "x-git---"),
        ("a" * 65, "a" * 40 + "---"),
        ("", "x---"),
        ("§§", "x---"),
        ("\ud800", "x---"),
        ("a\n", "a---"),
    ],
)
def test_any_other_name_gets_a_readable_namespace_with_a_hash(name: str, start: str) -> None:
    assert to_namespace(name).startswith(start)
    assert len(to_namespace(name)) == len(start) + 16


def test_nobody_can_take_the_name_that_is_anothers_namespace() -> None:
    hashed = to_namespace("ada lovelace")
    assert to_namespace(hashed) != hashed


def _random_name(dice: random.Random) -> str:
    """Short names of few characters are those that come close to each other."""
    return "".join(dice.choices("aAbB0._-@+ /§ß\n", k=dice.randint(0, 12)))


def test_no_two_of_two_hundred_thousand_names_share_a_namespace() -> None:
    dice = random.Random(39)
    owners: dict[str, str] = {}
    for _ in range(100_000):
        first = _random_name(dice)
        second = first.swapcase() if dice.random() < 0.5 else first[:-1] + dice.choice("aA._- ")
        for name in (first, second):
            assert owners.setdefault(to_namespace(name).casefold(), name) == name


@given(TYPED)
def test_projects_can_be_made_below_any_namespace(name: str) -> None:
    made = to_namespace(name)
    assert parse_project_path(f"{made}/slug") == (made, "slug")


@given(TYPED)
def test_a_path_is_two_parts_or_refused_at_its_field(typed: str) -> None:
    try:
        first, second = parse_project_path(typed)
    except InvalidInputError as refusal:
        assert list(refusal.fields) == ["path"]
        return
    assert f"{first}/{second}" == typed
    assert is_path_part(first) and is_path_part(second)


@given(TYPED, st.lists(TYPED, max_size=6))
def test_a_made_directory_is_valid_and_differs_from_those_taken_also_but_for_case(url: str, taken: list[str]) -> None:
    made = make_unique_directory(url, taken)
    assert check_directory(made) == made
    assert made.casefold() not in {name.casefold() for name in taken}


@given(
    st.lists(
        st.sampled_from(
            ["https://h.example/a/data", "https://h.example/b/Data.git", "https://h.example/DATA/", "x/data-2"]
        )
    )
)
def test_directories_made_one_after_another_never_meet(urls: list[str]) -> None:
    taken: list[str] = []
    for url in urls:
        taken.append(make_unique_directory(url, taken))
    assert len({name.casefold() for name in taken}) == len(urls)


@pytest.mark.parametrize(
    ("url", "taken", "made"),
    [
        ("https://github.com/ada/data", (), "data"),
        ("https://github.com/ada/data.git/", ("DATA", "data-2"), "data-3"),
        ("https://github.com/ada/.git", (), "repository"),
        ("https://github.com/ada/%2e%2e", (), "2e-2e"),
        ("https://github.com/ada/x.lock", (), "x-lock"),
        ("https://github.com/ada/x.git.git", (), "x-git"),
        ("https://github.com/ada/con", (), "con-repository"),
        ("https://github.com/ada/" + "a" * 79 + ".b", (), "a" * 79),
        ("", (), "repository"),
    ],
)
def test_a_directory_is_made_from_the_last_part_of_the_url(url: str, taken: tuple[str, ...], made: str) -> None:
    assert make_unique_directory(url, taken) == made


@given(TYPED)
def test_a_directory_is_one_name_or_refused_at_its_field(typed: str) -> None:
    try:
        made = check_directory(typed)
    except InvalidInputError as refusal:
        assert list(refusal.fields) == ["directory"]
        return
    assert made == typed
    assert "/" not in made and not made.startswith((".", "-")) and made.isascii() and made.isprintable()


@pytest.mark.parametrize(
    "path", ["ada/climate", "a/b/c", "Group.x/sub_y/-z-", ".a/b.", "a/" * 20 + "b", "x" * 255 + "/" + "y" * 255]
)
def test_whatever_gitlab_calls_a_path_is_one(path: str) -> None:
    assert is_project_path(path)


@pytest.mark.parametrize(
    "path",
    ["", "a", "/a/b", "a//b", "a/b/", "a/-", "-/a", "a/../b", "./a", "a/b c", "a/b%2fc", "a/b\n", "a/" * 21 + "b",
     "x" * 256 + "/y", "a/\u00e9", "a/<b>"],
)  # fmt: skip
def test_what_can_be_no_path_is_none(path: str) -> None:
    assert not is_project_path(path)


@pytest.mark.parametrize(
    ("title", "path"),
    [
        ("Alpine snow", "alpine-snow"), ("Étude de la neige", "etude-de-la-neige"), ("Snow_1.x", "snow_1.x"),
        ("-- Snow! --", "snow"), ("a..b", "a.b"), ("x.git", "x-git"), ("雪", ""), ("", ""), ("A" * 99, "a" * 64),
    ],
)  # fmt: skip
def test_path_is_made_from_a_title(title, path):
    assert make_path_part(title) == path


@given(st.text(max_size=200))
def test_path_that_is_made_from_a_title_is_valid_or_empty(title):
    path = make_path_part(title)
    assert path == "" or may_be_path_part(path)
