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
# Each repetition has a limit, or ends at a character that cannot begin the pattern again: a hostile text costs no more
# than a usual one. `re` holds the interpreter's lock, so a slow pattern would stop the hub, in a thread too.
_PATTERNS = (
    (re.compile(r"(?i)(authorization\b[\"']?\s{0,20}[:=]\s{0,20})[^\n]+"), rf"\1{_HIDDEN}"),
    (
        re.compile(
            r"(?i)((?:token|password|secret|api_?key|access_?key(?:_?id)?)[\"']?\s{0,20}[=:]\s{0,20}[\"']?)[^\s&;,\"']+"
        ),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"(?<=[\w+.-]://)[^/\s\"'@]*@"), f"{_HIDDEN}@"),
    # RFC 7617 and RFC 6750 without the name of the header; a digit or padding tells a credential from a word.
    (re.compile(r"\b([Bb]asic|[Bb]earer)( {1,20})(?=[A-Za-z+/._~-]{0,300}[0-9=])[\w+/.~=-]{12,}"), rf"\1\2{_HIDDEN}"),
    # https://docs.gitlab.com/security/tokens/#token-prefixes
    (re.compile(r"(gl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct)-|GR1348941)[\w.-]{8,}"), rf"\1{_HIDDEN}"),
    # https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
    (re.compile(r"(gh[oprsu]_|github_pat_)\w{16,}"), rf"\1{_HIDDEN}"),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    (re.compile(r"(AKIA|ASIA)[0-9A-Z]{16}"), rf"\1{_HIDDEN}"),
)
TEXT_LIMIT = 64 * 1024  # characters of a log that are shown
LINE_LIMIT = 4096  # characters of a line that are shown
_LINE_CUT = " [line cut]"


def tail(path: Path, lines: int = 200, limit: int = TEXT_LIMIT) -> str:
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

    The text is cut to the whole lines among its last `TEXT_LIMIT` characters, and each line to `LINE_LIMIT`.
    """
    if len(text) > TEXT_LIMIT:
        text = text[-TEXT_LIMIT:].partition("\n")[2]
    text = _CONTROLS.sub("", _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n"))
    for secret in sorted({form for each in secrets if each for form in (each, quote(each, safe=""))}, key=len)[::-1]:
        text = text.replace(secret, _HIDDEN)
    lines = text.split("\n")
    if max(map(len, lines)) > LINE_LIMIT:
        text = "\n".join(line if len(line) <= LINE_LIMIT else _cut(line) for line in lines)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def _cut(line: str) -> str:
    """Return the front of a line, without the word that a cut would halve: half a URL still has its password."""
    kept = line[:LINE_LIMIT]
    return kept[: max(map(kept.rfind, " \t\"'/")) + 1 or LINE_LIMIT] + _LINE_CUT
