"""A look at an image ends with one of seven words."""

from datetime import UTC, datetime

import pytest

from renku_spawner.domain.image import parse
from renku_spawner.domain.reasons import REASONS
from renku_spawner.domain.verdict import Checked, Verdict

# (verdict, whether it refuses, reason)
EXPECTED = [
    (Verdict.OK, False, None),
    (Verdict.NOT_FOUND, True, "image_not_found"),
    (Verdict.DENIED, True, "image_denied"),
    (Verdict.PLATFORM_MISMATCH, True, "image_platform_mismatch"),
    (Verdict.DIGEST_GONE, True, "image_digest_gone"),
    (Verdict.UNVERIFIED, False, "image_unverified"),
    (Verdict.NOT_ALLOWED, True, "registry_not_allowed"),
]


def test_every_verdict_is_expected_to_be_something() -> None:
    assert [verdict for verdict, *_ in EXPECTED] == list(Verdict)


@pytest.mark.parametrize(("verdict", "refuses", "reason"), EXPECTED)
def test_only_what_cannot_or_may_not_run_is_refused(verdict: Verdict, refuses: bool, reason: str | None) -> None:
    checked = Checked(image=parse("nginx"), verdict=verdict, checked_at=datetime(2026, 11, 24, tzinfo=UTC))
    assert (checked.refuses, checked.reason) == (refuses, reason)
    assert reason is None or reason in REASONS


def test_all_but_the_registrys_silence_is_definitive() -> None:
    assert [verdict for verdict in Verdict if not verdict.definitive] == [Verdict.UNVERIFIED]
