"""When files can be downloaded, and under which name."""

from datetime import UTC, datetime

import pytest

from renku_spawner.domain.download import disposition, obstacle
from renku_spawner.domain.instance import Instance
from renku_spawner.domain.status import Desired, Observed

AT = datetime(2026, 11, 28, tzinfo=UTC)
STEPS = [
    ({}, None),
    ({"reason": "crash_disk_full"}, None),
    ({"reason": "lost"}, None),
    ({"trashed_until": AT}, None),
    ({"reason": "volume_lost"}, "volume_lost"),
    ({"claim": None}, "download_nothing"),
    ({"claim": None, "reason": "start_error"}, "download_nothing"),
    ({"desired": Desired.DELETED}, "download_nothing"),
    ({"desired": Desired.RUNNING, "observed": Observed.READY}, "download_running"),
    ({"desired": Desired.RUNNING, "observed": Observed.PULLING}, "download_running"),
    ({"observed": Observed.TERMINATING}, "download_running"),
    ({"observed": Observed.UNKNOWN}, "cluster_unavailable"),
]


@pytest.mark.parametrize(("changes", "code"), STEPS)
def test_only_files_of_what_rests_can_be_had(changes: dict[str, object], code: str | None) -> None:
    given = {"id": "i", "session": "s", "username": "ada", "project": "p", "environment": "e", "claim": "c"}
    assert obstacle(Instance(**{**given, **changes})) == code  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("title", "plain", "shown"),
    [
        ("Explore", "Explore", "Explore"),
        ("../../etc/passwd", "etc-passwd", "etc-passwd"),
        ('a";\r\nSet-Cookie: x=1', "a- Set-Cookie- x1", "a-%3B%20Set-Cookie-%20x%3D1"),
        ("雪", "session", "%E9%9B%AA"),
        (" . ", "session", "session"),
        ("\u202egnp.exe", "gnp.exe", "gnp.exe"),
        ("x" * 300, "x" * 80, "x" * 80),
    ],
)
def test_a_title_names_the_file_and_nothing_else(title: str, plain: str, shown: str) -> None:
    expected = f"attachment; filename=\"{plain}.tar.zst\"; filename*=UTF-8''{shown}.tar.zst"
    assert disposition(title) == expected
    assert disposition(title).isascii()
    assert disposition(title).isprintable()
