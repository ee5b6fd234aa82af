"""The table of hostile input, walked against the domain functions."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from renku_spawner.domain import image, names, quantity, repository, resources, text, variables
from renku_spawner.domain.errors import Invalid, NotFound, not_found
from renku_spawner.domain.resources import Requirements

from .hostile import DIFFERENT_TITLES, EQUAL_TITLES, HOSTILE, Hostile


def _id(value: str) -> str:
    if not names.is_id(value):
        raise not_found()
    return value


def _needs(key: str) -> Callable[[Any], Any]:
    return lambda value: getattr(resources.check(Requirements(**{key: value})), key)


CHECKS: dict[str, Callable[[Any], Any]] = {
    "title": text.title,
    "description": text.description,
    "keyword": lambda value: text.keywords([value])[0],
    "cpu": _needs("cpu"),
    "memory": _needs("memory"),
    "gpu": _needs("gpu"),
    "disk": _needs("disk"),
    "variable": variables.check,
    "id": _id,
    "repository_url": repository.check_url,
    "repository_ref": repository.check_ref,
    "directory": names.directory,
    "path": lambda value: "/".join(names.project_path(value)),
}
# Validators take time that grows with the text at most, and refuse what is too long first (T18).
QUICK = {
    **{kind: check for kind, check in CHECKS.items() if kind not in ("gpu", "variable")},
    "variable name": lambda value: variables.check({value: "x"}),
    "variable value": lambda value: variables.check({"A": value}),
    "namespace": names.namespace,
    "directory for a URL": lambda value: names.directory_for(value, ()),
    "image": image.parse,
    "quantity": quantity.parse,
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
    with pytest.raises(NotFound if row.kind == "id" else Invalid) as refusal:
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
    assert text.folded(text.title(first)) == text.folded(text.title(second))


@pytest.mark.parametrize(("first", "second"), DIFFERENT_TITLES)
def test_titles_that_differ_to_a_reader_are_not_equal_h58(first: str, second: str) -> None:
    assert text.folded(text.title(first)) != text.folded(text.title(second))


def test_directories_equal_but_for_case_are_kept_apart_h88() -> None:
    assert names.directory_for("https://github.com/b/DATA", ["data"]) == "DATA-2"


def _seconds(check: Callable[[str], Any], value: str) -> float:
    """The processor's time of one call; its best of three, since the machine does other things as well."""
    taken = []
    for _ in range(3):
        begin = time.process_time()
        with contextlib.suppress(Invalid, NotFound, ValueError):
            check(value)
        taken.append(time.process_time() - begin)
        if taken[-1] < 0.05:
            break
    return min(taken)


@pytest.mark.parametrize("check", QUICK.values(), ids=QUICK)
def test_no_validator_takes_50_ms_for_a_megabyte_t18(check: Callable[[str], Any]) -> None:
    slow = {name: spent for name, value in MEGABYTE.items() if (spent := _seconds(check, value)) >= 0.05}
    assert not slow
