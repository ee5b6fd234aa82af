"""When the files of an instance can be downloaded, and what the file is called."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from .instance import Instance
from .status import Desired, Status

SUFFIX = ".tar.zst"
_LONGEST = 80  # letters


def obstacle(instance: Instance) -> str | None:
    """The code of the reason why its files cannot be had now; None if they can.

    While it runs they change, and its disk may be where nothing else can read it.
    """
    if instance.claim is None or instance.desired is Desired.DELETED:
        return "download_nothing"
    if instance.status is Status.UNKNOWN:
        return "cluster_unavailable"
    if instance.active:
        return "download_running"
    return "volume_lost" if instance.disk_lost else None


class RateWindow:
    """Measures how fast a reader takes what is sent, over *seconds* of waiting for that reader.

    Time in which the sender itself has nothing to send does not count. *min_rate* is in bytes a second.
    """

    def __init__(self, *, min_rate: int, seconds: float) -> None:
        self._min_rate, self._seconds = min_rate, seconds
        self._waited, self._taken = 0.0, 0

    @property
    def left(self) -> float:
        """Seconds of waiting until the rate is judged."""
        return self._seconds - self._waited

    def add(self, size: int, waited: float) -> None:
        """Count *size* bytes that were taken, for which the sender has *waited* seconds.

        Raises:
            TooSlow: at the end of a window in which too little was taken, or nothing.
        """
        self._waited += waited
        self._taken += size
        if self._waited >= self._seconds:
            if not self._taken or self._taken < self._min_rate * self._waited:
                raise TooSlow(f"{self._taken} bytes were taken in {self._waited:.0f} s.")
            self._waited, self._taken = 0.0, 0


class TooSlow(Exception):
    """A reader takes less than the least rate."""


def file_name(title: str) -> str:
    """What any file system takes as the name of a file, called after the session."""
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in title).split())
    shown = re.sub(r'[/\\:*?"<>|%]', "-", shown).strip(". -")[:_LONGEST] or "session"
    return shown + SUFFIX


def disposition(title: str) -> str:
    """The header that names the file after the session: in ASCII, and for who can read it as it is (RFC 6266)."""
    named = file_name(title)
    shown = named.removesuffix(SUFFIX)
    plain = unicodedata.normalize("NFKD", shown).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9 ._-]", "", plain).strip(". -") or "session"
    return f"attachment; filename=\"{plain}{SUFFIX}\"; filename*=UTF-8''{quote(named, safe='')}"
