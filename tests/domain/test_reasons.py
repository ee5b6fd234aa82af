"""Every reason has words, and telling a failure never fails."""

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.notices import build_launch_notices
from renku_spawner.domain.reasons import (
    _REASON_TABLE,
    REASONS_BY_CODE,
    ReasonGroup,
    format_reason,
    format_reason_sentence,
    merge_notices,
    resolve_exit_reason,
)
from tests.spawners.kubernetes.made import spec

CODES = sorted(REASONS_BY_CODE)
ENDED = {"cancelled", "stopped_by_user", "stopped_by_admin", "stopped_by_hub", "deleted_by_user", "deleted_expired"}
FIELDS = sorted({f for r in REASONS_BY_CODE.values() for _, f, *_ in string.Formatter().parse(r.text + r.advice) if f})


@pytest.mark.parametrize("code", CODES)
def test_every_reason_says_what_happened_and_what_to_do(code: str) -> None:
    reason = REASONS_BY_CODE[code]
    assert reason.code == code
    assert isinstance(reason.group, ReasonGroup)
    assert reason.text[0].isupper() or reason.text.startswith("{")
    assert reason.text.endswith((".", "{message}", "{other}."))
    assert reason.advice.endswith(".") or (code in ENDED and reason.group is ReasonGroup.ENDED and not reason.advice)


@pytest.mark.parametrize("code", CODES)
def test_the_gaps_in_a_sentence_are_plain_names(code: str) -> None:
    for _, gap, specification, conversion in string.Formatter().parse(
        REASONS_BY_CODE[code].text + REASONS_BY_CODE[code].advice
    ):
        assert gap is None or (gap.isidentifier() and not specification and not conversion)


def test_no_code_stands_in_the_table_twice() -> None:
    assert len(_REASON_TABLE) == len(REASONS_BY_CODE)


VALUES = st.text() | st.text(alphabet="{}!:%s0.__class__[]") | st.integers() | st.none() | st.floats() | st.binary()


@given(st.sampled_from(CODES), st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_words_are_found_for_any_values_and_put_them_in_as_they_are(code: str, values: dict[str, Any]) -> None:
    text, advice = format_reason(code, **values)
    for part, template in ((text, REASONS_BY_CODE[code].text), (advice, REASONS_BY_CODE[code].advice)):
        expected = template
        pieces = []
        for literal, gap, *_ in string.Formatter().parse(expected):
            pieces.append(literal + ("" if gap is None else str(values.get(gap, "…"))))
        assert part == "".join(pieces)


@given(st.text(), st.dictionaries(st.text().filter(lambda key: key != "code"), VALUES, max_size=3))
def test_words_are_found_for_any_code(code: str, values: dict[str, Any]) -> None:
    text, _ = format_reason(code, **values)
    assert text


@pytest.mark.parametrize("hostile", ["{username:>9999999999}", "{", "}", "{0.__class__}", "%s", "{other}"])
def test_braces_in_a_value_mean_nothing(hostile: str) -> None:
    assert hostile in format_reason_sentence("already_running", other=hostile)


def test_an_unknown_code_reads_as_a_failed_start_and_a_missing_value_as_an_ellipsis() -> None:
    assert format_reason_sentence("what_is_this") == format_reason_sentence("start_error")
    assert format_reason_sentence("limit_user", count=3).startswith("You run 3 of … sessions")


def test_an_end_without_advice_is_one_sentence() -> None:
    assert format_reason_sentence("stopped_by_user") == "Paused by you."


FULL = "OSError: [Errno 28] No space left on device"
QUOTA = "cp: Disk quota exceeded"
DENIED = "PermissionError: [Errno 13] Permission denied: '/etc/x'"


@pytest.mark.parametrize(
    ("exit_code", "log", "was_ready", "code"),
    [
        (None, "", False, "lost"),
        (None, FULL, True, "lost"),
        (0, "", False, "exited_clean"),
        (0, "", True, "server_exited"),
        (0, FULL, False, "exited_clean"),
        (1, "", False, "crash_exit"),
        (1, "", True, "crash_exit"),
        (1, FULL, False, "crash_disk_full"),
        (1, QUOTA, True, "crash_disk_full"),
        (1, DENIED, False, "crash_permission"),
        (1, f"{DENIED}\n{FULL}", False, "crash_disk_full"),
        (1, FULL + "\n" * 4001, False, "crash_exit"),
        (1, DENIED + "." * 4001, False, "crash_exit"),
        (2, "usage", False, "crash_exit"),
        (126, DENIED, False, "command_not_executable"),
        (127, "sh: 1: jupyter: not found", False, "command_not_found"),
        (137, "", True, "crash_killed"),
        (137, FULL, True, "crash_disk_full"),
        (139, "", True, "crash_exit"),
        (143, "", True, "crash_exit"),
        (-9, "", True, "crash_exit"),
    ],
)
def test_an_exit_status_and_a_log_tell_the_reason(exit_code: int | None, log: str, was_ready: bool, code: str) -> None:
    assert resolve_exit_reason(exit_code, log, was_ready=was_ready) == code


@given(st.none() | st.integers(), st.text(), st.booleans())
def test_any_exit_has_a_reason_that_is_in_the_table(exit_code: int | None, log: str, was_ready: bool) -> None:
    assert resolve_exit_reason(exit_code, log, was_ready=was_ready) in REASONS_BY_CODE


def test_each_notice_of_a_start_is_kept_as_a_fact_of_it() -> None:
    notices = build_launch_notices(spec(started_by="root", without=("era5",), variables={"PATH": "/"}, unverified=True))
    assert len(notices) == 4
    assert merge_notices(notices) == notices
