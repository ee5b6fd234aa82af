"""Check whether the files of an instance can be downloaded, name the download, and detect readers that are too slow."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from .instances import DesiredState, Instance, InstanceStatus

DOWNLOAD_SUFFIX = ".tar.zst"
_MAX_FILE_NAME_CHARACTERS = 80


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


def build_download_file_name(title: str) -> str:
    """Return a file name made from the session's title that any file system accepts."""
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in title).split())
    shown = re.sub(r'[/\\:*?"<>|%]', "-", shown).strip(". -")[:_MAX_FILE_NAME_CHARACTERS] or "session"
    return shown + DOWNLOAD_SUFFIX


def build_content_disposition(title: str) -> str:
    """Return the `Content-Disposition` header, with the name in ASCII and in UTF-8 (RFC 6266)."""
    named = build_download_file_name(title)
    shown = named.removesuffix(DOWNLOAD_SUFFIX)
    plain = unicodedata.normalize("NFKD", shown).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9 ._-]", "", plain).strip(". -") or "session"
    return f"attachment; filename=\"{plain}{DOWNLOAD_SUFFIX}\"; filename*=UTF-8''{quote(named, safe='')}"
