"""Check whether files can be downloaded, recognise and name their archive, and detect readers that are too slow."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote

from .instances import DesiredState, Instance, InstanceStatus

_MAX_FILE_NAME_CHARACTERS = 80


@dataclass(frozen=True, kw_only=True)
class ArchiveFormat:
    """A compressed tar archive; *magic* are its first bytes."""

    suffix: str
    media_type: str
    magic: bytes


ZSTD_ARCHIVE = ArchiveFormat(suffix=".tar.zst", media_type="application/zstd", magic=b"\x28\xb5\x2f\xfd")
GZIP_ARCHIVE = ArchiveFormat(suffix=".tar.gz", media_type="application/gzip", magic=b"\x1f\x8b")
ARCHIVE_FORMATS = (ZSTD_ARCHIVE, GZIP_ARCHIVE)
ARCHIVE_MAGIC_BYTES = max(len(archive.magic) for archive in ARCHIVE_FORMATS)


def detect_archive_format(start: bytes) -> ArchiveFormat | None:
    """Return the format of an archive from its first `ARCHIVE_MAGIC_BYTES`: what packs it decides on the format."""
    return next((archive for archive in ARCHIVE_FORMATS if start.startswith(archive.magic)), None)


def find_download_obstacle(instance: Instance) -> str | None:
    """Return the code of the reason why the instance's files cannot be downloaded now; None if they can.

    Files change while the session runs, and its disk may be attached where no helper pod can read it.
    """
    if instance.claim is None or instance.desired is DesiredState.DELETED:
        return "download_nothing"
    if instance.status is InstanceStatus.UNKNOWN:
        return "cluster_unavailable"
    if instance.is_active:
        return "download_running"
    return "volume_lost" if instance.is_disk_lost else None


class DownloadRateWindow:
    """Measure how fast a reader takes data, over *seconds* of waiting for that reader.

    Time in which the sender has nothing to send does not count. *min_rate* is in bytes a second.
    """

    def __init__(self, *, min_rate: int, seconds: float) -> None:
        self._min_rate, self._seconds = min_rate, seconds
        self._waited, self._taken = 0.0, 0

    @property
    def remaining_seconds(self) -> float:
        """Seconds of waiting until the rate is judged."""
        return self._seconds - self._waited

    def record_bytes(self, size: int, waited: float) -> None:
        """Count *size* bytes that the reader took, for which the sender waited *waited* seconds.

        Raises:
            DownloadTooSlowError: at the end of a window in which the reader took too little, or nothing.
        """
        self._waited += waited
        self._taken += size
        if self._waited >= self._seconds:
            if not self._taken or self._taken < self._min_rate * self._waited:
                raise DownloadTooSlowError(f"{self._taken} bytes were taken in {self._waited:.0f} s.")
            self._waited, self._taken = 0.0, 0


class DownloadTooSlowError(Exception):
    """A reader takes data more slowly than the minimum rate."""


def build_download_file_name(title: str, archive: ArchiveFormat) -> str:
    """Return a file name made from the session's title that any file system accepts."""
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in title).split())
    shown = re.sub(r'[/\\:*?"<>|%]', "-", shown).strip(". -")[:_MAX_FILE_NAME_CHARACTERS] or "session"
    return shown + archive.suffix


def build_content_disposition(title: str, archive: ArchiveFormat) -> str:
    """Return the `Content-Disposition` header, with the name in ASCII and in UTF-8 (RFC 6266)."""
    name = build_download_file_name(title, archive)
    shown = name.removesuffix(archive.suffix)
    plain = unicodedata.normalize("NFKD", shown).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9 ._-]", "", plain).strip(". -") or "session"
    return f"attachment; filename=\"{plain}{archive.suffix}\"; filename*=UTF-8''{quote(name, safe='')}"
