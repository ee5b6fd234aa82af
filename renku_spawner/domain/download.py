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
