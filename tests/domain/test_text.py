"""Texts are cleaned once, and what is cleaned is fit to be stored and shown."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub.slugs import is_valid_display_name

from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.text import (
    build_display_name,
    clean_description,
    clean_keywords,
    clean_text,
    clean_title,
    fold_title,
    to_single_line,
)

# Texts of all characters, and texts that are mostly made of the difficult ones.
BLANK = "\x00\x07\t\n\r \xa0\u200b\u200d\u202e\u2028\ufe0f\ufeff\uffff\ud800\U000e0041"
COMBINING = "\u0300\u0315\u0344\u0345\u034f\u1025\u102e\u1100\u1161\u11a8\u20dd\U0001d15e"
FOLDING = "aßéI\u0130\u0131\u03a3\u03c2\u01c5\u2126\u212a\ufb00\ufb01\U0001f469"
CATEGORIES = st.characters(categories=["Mn", "Me", "Mc", "Cf", "Lo", "Zs", "Sk"])
ANY = (
    st.text(max_size=150)
    | st.text(alphabet=BLANK + COMBINING + FOLDING, max_size=150)
    | st.text(alphabet=CATEGORIES, max_size=60)
)
IGNORED = {"\u034f", "\u200d", *map(chr, range(0xFE00, 0xFE10))}
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}


def _cleaned(given_text: str) -> str | None:
    try:
        return clean_title(given_text)
    except InvalidInputError as refusal:
        assert list(refusal.fields) == ["title"]
        return None


def _fit(cleaned: str, kept: str) -> bool:
    return all(c in kept or unicodedata.category(c) not in INVISIBLE for c in cleaned)


@given(ANY)
def test_a_title_is_one_line_in_nfc_without_control_or_bidirectional_characters(typed: str) -> None:
    cleaned = _cleaned(typed)
    if cleaned is not None:
        assert 1 <= len(cleaned) <= 99
        assert unicodedata.is_normalized("NFC", cleaned)
        assert _fit(cleaned, "\u200d")
        assert cleaned == " ".join(cleaned.split())
        cleaned.encode()


@given(ANY)
def test_a_description_is_in_nfc_without_control_or_bidirectional_characters(typed: str) -> None:
    try:
        cleaned = clean_description(typed)
    except InvalidInputError as refusal:
        assert list(refusal.fields) == ["description"]
        return
    assert unicodedata.is_normalized("NFC", cleaned)
    assert _fit(cleaned, "\u200d\n")
    assert clean_description(cleaned) == cleaned


@given(ANY)
def test_cleaning_twice_is_cleaning_once(typed: str) -> None:
    cleaned = _cleaned(typed)
    if cleaned is not None:
        assert clean_title(cleaned) == cleaned


@given(ANY, st.booleans(), st.integers(1, 300))
def test_cleaning_raises_nothing_but_its_own_error(typed: str, lines: bool, limit: int) -> None:
    try:
        assert len(clean_text(typed, limit=limit, lines=lines)) <= limit
    except ValueError as problem:
        assert "NUL" in str(problem) or f"at most {limit}" in str(problem)


@given(st.lists(ANY, max_size=30))
def test_keywords_are_few_short_and_each_once(typed: list[str]) -> None:
    try:
        cleaned = clean_keywords(typed)
    except InvalidInputError as refusal:
        assert list(refusal.fields) == ["keywords"]
        return
    assert len(cleaned) == len(set(cleaned)) <= 20
    assert all(1 <= len(word) <= 32 for word in cleaned)


@given(ANY)
def test_folding_twice_is_folding_once_and_case_makes_no_difference(typed: str) -> None:
    cleaned = _cleaned(typed)
    if cleaned is not None:
        folded = fold_title(cleaned)
        assert fold_title(folded) == folded
        seen = unicodedata.normalize("NFD", "".join(c for c in cleaned if c not in IGNORED))
        assert fold_title(seen.casefold()) == folded
        assert fold_title(unicodedata.normalize("NFKC", seen)) == folded


@given(ANY, ANY)
def test_the_hub_takes_the_display_name_of_any_two_titles(first: str, second: str) -> None:
    project, session = _cleaned(first), _cleaned(second)
    if project and session:
        name = build_display_name(project, session)
        assert is_valid_display_name(name)
        assert unicodedata.is_normalized("NFC", name)


def test_a_display_name_reads_project_and_session() -> None:
    assert build_display_name("Climate", "JupyterLab 👩\u200d🔬") == "Climate: JupyterLab 👩🔬"


def test_a_display_name_of_texts_that_nobody_cleaned_is_cut_to_the_hubs_limit() -> None:
    assert len(build_display_name("p" * 500, "s")) == 255
    assert is_valid_display_name(build_display_name("p" * 254, "s"))


@given(st.text(max_size=300))
def test_a_line_in_a_log_is_one_printable_line(said: str) -> None:
    line = to_single_line(said)
    assert line.isprintable()
    assert len(line) == min(len(said), 200)


def test_a_forged_line_in_a_log_shows_as_one() -> None:
    said = to_single_line("ada\n[I] admin logged in\x1b[2J", limit=24)
    assert said == "ada\ufffd[I] admin logged in\ufffd"


@pytest.mark.parametrize(
    ("typed", "cleaned"),
    [
        ("a  b\t c", "a b c"),
        ("\n\n a \n\n  b\n\n", "a\n\nb"),
        ("a\r\nb\rc", "a\nbc"),
        ("", ""),
    ],
)
def test_a_description_keeps_its_lines_but_not_superfluous_blanks(typed: str, cleaned: str) -> None:
    assert clean_description(typed) == cleaned


def test_emoji_joined_of_several_stay_one() -> None:
    assert clean_title("👩\u200d🔬 at work") == "👩\u200d🔬 at work"


def test_keywords_keep_their_order_and_lose_repetitions_and_blanks() -> None:
    assert clean_keywords(["gpu", " ", "R", "gpu ", ""]) == ("gpu", "R")


@pytest.mark.parametrize("words", [[f"k{n}" for n in range(21)], ["k"] * 201])
def test_too_many_keywords_are_refused(words: list[str]) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        clean_keywords(words, field="labels")
    assert refusal.value.fields == {"labels": "At most 20 keywords, please."}


@pytest.mark.parametrize(
    "refused", [lambda: clean_title("", field="name"), lambda: clean_description("\x00", field="name")]
)
def test_sentences_stand_at_the_field_that_the_caller_names(refused: Callable[[], object]) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        refused()
    assert list(refusal.value.fields) == ["name"]
