"""When files can be downloaded, and under which name."""

from datetime import UTC, datetime

import pytest

from renku_spawner.domain.downloads import (
    GZIP_ARCHIVE,
    ZSTD_ARCHIVE,
    ArchiveFormat,
    DownloadRateWindow,
    DownloadTooSlowError,
    build_content_disposition,
    detect_archive_format,
    find_download_obstacle,
)
from renku_spawner.domain.instances import DesiredState, Instance, ObservedState

AT = datetime(2026, 11, 28, tzinfo=UTC)
STEPS = [
    ({}, None),
    ({"reason": "crash_disk_full"}, None),
    ({"reason": "lost"}, None),
    ({"trashed_until": AT}, None),
    ({"reason": "volume_lost"}, "volume_lost"),
    ({"claim": None}, "download_nothing"),
    ({"claim": None, "reason": "start_error"}, "download_nothing"),
    ({"desired": DesiredState.DELETED}, "download_nothing"),
    ({"desired": DesiredState.RUNNING, "observed": ObservedState.READY}, "download_running"),
    ({"desired": DesiredState.RUNNING, "observed": ObservedState.PULLING}, "download_running"),
    ({"observed": ObservedState.TERMINATING}, "download_running"),
    ({"observed": ObservedState.UNKNOWN}, "cluster_unavailable"),
]


@pytest.mark.parametrize(("changes", "code"), STEPS)
def test_only_files_of_what_rests_can_be_had(changes: dict[str, object], code: str | None) -> None:
    given = {"id": "i", "session": "s", "username": "ada", "project": "p", "environment": "e", "claim": "c"}
    assert find_download_obstacle(Instance(**{**given, **changes})) == code  # type: ignore[arg-type]


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
@pytest.mark.parametrize("archive", [ZSTD_ARCHIVE, GZIP_ARCHIVE])
def test_a_title_names_the_file_and_nothing_else(title: str, plain: str, shown: str, archive: ArchiveFormat) -> None:
    ending = archive.suffix
    expected = f"attachment; filename=\"{plain}{ending}\"; filename*=UTF-8''{shown}{ending}"
    assert build_content_disposition(title, archive) == expected
    assert build_content_disposition(title, archive).isascii()
    assert build_content_disposition(title, archive).isprintable()


@pytest.mark.parametrize(
    ("start", "archive"),
    [
        (b"\x28\xb5\x2f\xfd\x04", ZSTD_ARCHIVE), (b"\x1f\x8b\x08\x00", GZIP_ARCHIVE), (b"\x28\xb5", None),
        (b"work/", None), (b"", None),
    ],
)  # fmt: skip
def test_an_archive_is_known_by_its_first_bytes(start: bytes, archive: ArchiveFormat | None) -> None:
    assert detect_archive_format(start) is archive


def test_a_reader_is_too_slow_when_less_than_the_least_rate_is_taken_in_a_window() -> None:
    window = DownloadRateWindow(min_rate=1000, seconds=10)
    for _ in range(5):  # in bursts, and still fast enough
        window.record_bytes(0, 9.5)
        assert window.remaining_seconds == 0.5
        window.record_bytes(10_000, 0.5)
    window.record_bytes(10_000_000, 0)  # what was taken without waiting counts
    window.record_bytes(1, 9)
    window.record_bytes(1, 1)
    window.record_bytes(9_000, 9)
    with pytest.raises(DownloadTooSlowError, match="9001 bytes were taken in 10 s"):
        window.record_bytes(1, 1)


def test_without_a_least_rate_only_a_reader_who_takes_nothing_is_too_slow() -> None:
    window = DownloadRateWindow(min_rate=0, seconds=10)
    for _ in range(5):
        window.record_bytes(1, 10)
    with pytest.raises(DownloadTooSlowError):
        window.record_bytes(0, 10)
