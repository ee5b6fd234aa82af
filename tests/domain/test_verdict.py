"""A look at an image ends with one of seven words."""

from datetime import UTC, datetime

import pytest

from renku_spawner.domain.image_checks import ImageInspection, InspectionResult
from renku_spawner.domain.images import parse_image_reference
from renku_spawner.domain.reasons import REASONS_BY_CODE

# (verdict, whether it refuses, reason)
EXPECTED = [
    (InspectionResult.OK, False, None),
    (InspectionResult.NOT_FOUND, True, "image_not_found"),
    (InspectionResult.DENIED, True, "image_denied"),
    (InspectionResult.PLATFORM_MISMATCH, True, "image_platform_mismatch"),
    (InspectionResult.DIGEST_GONE, True, "image_digest_gone"),
    (InspectionResult.UNVERIFIED, False, "image_unverified"),
    (InspectionResult.NOT_ALLOWED, True, "registry_not_allowed"),
]


def test_every_verdict_is_expected_to_be_something() -> None:
    assert [verdict for verdict, *_ in EXPECTED] == list(InspectionResult)


@pytest.mark.parametrize(("verdict", "refuses", "reason"), EXPECTED)
def test_only_what_cannot_or_may_not_run_is_refused(
    verdict: InspectionResult, refuses: bool, reason: str | None
) -> None:
    checked = ImageInspection(
        image=parse_image_reference("nginx"), verdict=verdict, checked_at=datetime(2026, 11, 24, tzinfo=UTC)
    )
    assert (checked.is_blocking, checked.reason) == (refuses, reason)
    assert reason is None or reason in REASONS_BY_CODE


def test_all_but_the_registrys_silence_is_definitive() -> None:
    assert [verdict for verdict in InspectionResult if not verdict.is_definitive] == [InspectionResult.UNVERIFIED]
