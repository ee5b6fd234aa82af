"""The table of hostile input, walked against the domain functions."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from renku_spawner.domain.errors import InvalidInputError, NotFoundError, build_not_found_error
from renku_spawner.domain.ids import (
    check_directory,
    is_valid_id,
    make_unique_directory,
    parse_project_path,
    to_namespace,
)
from renku_spawner.domain.images import parse_image_reference
from renku_spawner.domain.projects import check_git_ref, check_repository_url
from renku_spawner.domain.quantities import parse_quantity
from renku_spawner.domain.resource_classes import ResourceRequirements, check_resource_requirements
from renku_spawner.domain.sessions import check_variables
from renku_spawner.domain.text import clean_description, clean_keywords, clean_title, fold_title

from .hostile import DIFFERENT_TITLES, EQUAL_TITLES, HOSTILE, Hostile


def _id(value: str) -> str:
    if not is_valid_id(value):
        raise build_not_found_error()
    return value


def _needs(key: str) -> Callable[[Any], Any]:
    return lambda value: getattr(check_resource_requirements(ResourceRequirements(**{key: value})), key)


CHECKS: dict[str, Callable[[Any], Any]] = {
    "title": clean_title,
    "description": clean_description,
    "keyword": lambda value: clean_keywords([value])[0],
    "cpu": _needs("cpu"),
    "memory": _needs("memory"),
    "gpu": _needs("gpu"),
    "disk": _needs("disk"),
    "variable": check_variables,
    "id": _id,
    "repository_url": check_repository_url,
    "repository_ref": check_git_ref,
    "directory": check_directory,
    "path": lambda value: "/".join(parse_project_path(value)),
}
# Validators take time that grows with the text at most, and refuse what is too long first.
QUICK = {
    **{kind: check for kind, check in CHECKS.items() if kind not in ("gpu", "variable")},
    "variable name": lambda value: check_variables({value: "x"}),
    "variable value": lambda value: check_variables({"A": value}),
    "namespace": to_namespace,
    "directory for a URL": lambda value: make_unique_directory(value, ()),
    "image": parse_image_reference,
    "quantity": parse_quantity,
}
MEGABYTE = {
    "letters": "a" * 1_000_000,
    "digits": "1" * 1_000_000,
    "labels": "a." * 500_000,
    "address": "https://" + "a." * 500_000 + "/",
    "slashes": "a/" * 500_000 + "!",
    "hyphens": "a" + "-" * 999_998 + "!",
    "marks": "a" + "\u0315\u0300" * 500_000,
    "blanks": " " * 1_000_000 + "a",
    "lines": "\n" * 1_000_000 + "a",
    "suffixes": "a" + ".git" * 250_000 + "!",
    "as many marks as a description's limit lets through": "a" + "\u0315\u0300" * 1_999,
    "as long as an image may be": ("a/" * 256)[:499] + "!",
    "as long as an image may be, with separators": ("a__b--" * 100)[:499] + "!",
    "as long as a quantity may be": "1" * 63 + "!",
    "as long as a URL may be": "https://" + "a." * 990 + "!/",
}


@pytest.mark.parametrize("row", [row for row in HOSTILE if row.accepted], ids=lambda row: row.id)
def test_what_is_odd_but_harmless_is_stored(row: Hostile) -> None:
    assert CHECKS[row.kind](row.value) == (row.value if row.stored is None else row.stored)


@pytest.mark.parametrize("row", [row for row in HOSTILE if not row.accepted], ids=lambda row: row.id)
def test_what_is_hostile_is_refused_with_a_sentence_at_its_field(row: Hostile) -> None:
    with pytest.raises(NotFoundError if row.kind == "id" else InvalidInputError) as refusal:
        CHECKS[row.kind](row.value)
    sentence = refusal.value.fields[row.field] if row.field else refusal.value.message
    assert row.says in sentence
    assert len(sentence) < 400
    assert "hunter2" not in f"{refusal.value.message} {sentence}"


def test_every_row_has_a_name_of_its_own_and_every_kind_has_rows() -> None:
    assert len({row.id for row in HOSTILE}) == len(HOSTILE)
    assert {row.kind for row in HOSTILE} == set(CHECKS)
    assert all(row.says for row in HOSTILE if not row.accepted)


@pytest.mark.parametrize(("first", "second"), EQUAL_TITLES)
def test_titles_that_look_or_sound_the_same_are_equal_h58(first: str, second: str) -> None:
    assert fold_title(clean_title(first)) == fold_title(clean_title(second))


@pytest.mark.parametrize(("first", "second"), DIFFERENT_TITLES)
def test_titles_that_differ_to_a_reader_are_not_equal_h58(first: str, second: str) -> None:
    assert fold_title(clean_title(first)) != fold_title(clean_title(second))


def test_directories_equal_but_for_case_are_kept_apart_h88() -> None:
    assert make_unique_directory("https://github.com/b/DATA", ["data"]) == "DATA-2"


def _seconds(check: Callable[[str], Any], value: str) -> float:
    """The processor's time of one call; its best of three, since the machine does other things as well."""
    taken = []
    for _ in range(3):
        begin = time.process_time()
        with contextlib.suppress(InvalidInputError, NotFoundError, ValueError):
            check(value)
        taken.append(time.process_time() - begin)
        if taken[-1] < 0.05:
            break
    return min(taken)


@pytest.mark.parametrize("check", QUICK.values(), ids=QUICK)
def test_no_validator_takes_50_ms_for_a_megabyte_t18(check: Callable[[str], Any]) -> None:
    slow = {name: spent for name, value in MEGABYTE.items() if (spent := _seconds(check, value)) >= 0.05}
    assert not slow
