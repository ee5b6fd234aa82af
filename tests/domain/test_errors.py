"""Errors carry a sentence for a person and a code for a program."""

import pytest

from renku_spawner.domain.errors import (
    NOT_FOUND_MESSAGE,
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    LaunchRefusedError,
    MalformedInputError,
    NotFoundError,
    RenkuError,
    TooManyRequestsError,
    UnavailableError,
    build_not_found_error,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (RenkuError, "error"),
        (MalformedInputError, "malformed"),
        (InvalidInputError, "invalid"),
        (ForbiddenError, "permission_denied"),
        (NotFoundError, "not_found"),
        (ConflictError, "conflict"),
        (LaunchRefusedError, "refused"),
        (UnavailableError, "unavailable"),
        (TooManyRequestsError, "too_many"),
    ],
)
def test_an_error_has_the_code_of_its_kind_unless_it_is_given_another(kind: type[RenkuError], code: str) -> None:
    assert kind("No.").code == code
    assert kind("No.", code="limit_user").code == "limit_user"
    assert kind.code == code
    assert str(kind("No.")) == kind("No.").message == "No."


def test_fields_and_details_are_kept_as_copies() -> None:
    fields, details = {"title": "Please give a title."}, {"version": 3}
    error = RenkuError("No.", fields=fields, details=details)
    fields["x"], details["x"] = "later", 1
    assert error.fields == {"title": "Please give a title."}
    assert error.details == {"version": 3}
    assert RenkuError("No.").fields == RenkuError("No.").details == {}


def test_what_is_absent_and_what_is_hidden_have_one_answer() -> None:
    first, second = build_not_found_error(), build_not_found_error()
    assert first is not second
    assert first.message == second.message == NOT_FOUND_MESSAGE


def test_a_refused_start_is_a_conflict_and_later_may_help_only_if_it_says_when() -> None:
    assert issubclass(LaunchRefusedError, ConflictError)
    assert UnavailableError("Busy.").retry_after == 1
    assert UnavailableError("Busy.", retry_after=5).retry_after == 5
