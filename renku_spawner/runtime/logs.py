"""The end of a session's log, without secrets and fit to be shown."""

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

_HIDDEN = "[hidden]"
# ECMA-48: control sequences, strings up to their terminator (titles, links), two-character escapes.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?")
# C0 but tab and newline, DEL, C1, line separators, and what turns the direction of writing.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_PATTERNS = (
    (re.compile(r"(?i)(authorization\b[\"']?\s*[:=]\s*)[^\n]+"), rf"\1{_HIDDEN}"),
    (re.compile(r"(?i)(\w*(?:token|password|secret|api_?key)[\"']?\s*[=:]\s*[\"']?)[^\s&;,\"']+"), rf"\1{_HIDDEN}"),
    (re.compile(r"([A-Za-z][\w+.-]*://)[^/\s\"'@]*@"), rf"\1{_HIDDEN}@"),
)


def tail(path: Path, lines: int = 200, limit: int = 64 * 1024) -> str:
    """Return the last *lines* of a file, at most *limit* bytes of them; empty if there is no such plain file.

    A line that is cut off at the front is left out, so that half a secret cannot escape `redact`.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return ""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with open(descriptor, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - limit, 0))
        text = file.read(limit)
    if size > limit:
        text = text.partition(b"\n" if b"\n" in text[:-1] else b" ")[2]
    kept = text.rstrip(b"\n").split(b"\n")[-lines:]
    return b"\n".join(kept).decode(errors="replace")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Hide *secrets* (also as in URLs), tokens, passwords, Authorization headers and credentials in URLs; make the rest
    plain text without terminal sequences and control characters except newline and tab.
    """
    text = _CONTROLS.sub("", _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n"))
    for secret in sorted({form for each in secrets if each for form in (each, quote(each, safe=""))}, key=len)[::-1]:
        text = text.replace(secret, _HIDDEN)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text
