"""When files can be downloaded, and under which name."""

from datetime import UTC, datetime

import pytest

from renku_spawner.domain.download import RateWindow, TooSlow, disposition, obstacle
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


def test_a_reader_is_too_slow_when_less_than_the_least_rate_is_taken_in_a_window() -> None:
    window = RateWindow(min_rate=1000, seconds=10)
    for _ in range(5):  # in bursts, and still fast enough
        window.add(0, 9.5)
        assert window.left == 0.5
        window.add(10_000, 0.5)
    window.add(10_000_000, 0)  # what was taken without waiting counts
    window.add(1, 9)
    window.add(1, 1)
    window.add(9_000, 9)
    with pytest.raises(TooSlow, match="9001 bytes were taken in 10 s"):
        window.add(1, 1)


def test_without_a_least_rate_only_a_reader_who_takes_nothing_is_too_slow() -> None:
    window = RateWindow(min_rate=0, seconds=10)
    for _ in range(5):
        window.add(1, 10)
    with pytest.raises(TooSlow):
        window.add(0, 10)
