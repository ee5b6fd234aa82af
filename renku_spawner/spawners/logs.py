"""Read the end of a log file and remove secrets and control characters from it."""

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

_REDACTED_TEXT = "[hidden]"
# ECMA-48: control sequences, strings up to their terminator (titles, links), two-character escapes.
_ANSI_ESCAPE_PATTERN = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
)
# C0 except tab and newline, DEL, C1, line separators, and characters that change the writing direction.
_CONTROL_CHARACTER_PATTERN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# Each repetition is bounded, or ends at a character that cannot begin the pattern again, so that hostile text takes no
# longer than ordinary text. `re` holds the interpreter lock: a slow pattern would block the hub even from a thread.
_SECRET_PATTERNS = (
    (re.compile(r"(?i)(authorization\b[\"']?\s{0,20}[:=]\s{0,20})[^\n]+"), rf"\1{_REDACTED_TEXT}"),
    (
        re.compile(
            r"(?i)((?:token|password|secret|api_?key|access_?key(?:_?id)?)[\"']?\s{0,20}[=:]\s{0,20}[\"']?)[^\s&;,\"']+"
        ),
        rf"\1{_REDACTED_TEXT}",
    ),
    (re.compile(r"(?<=[\w+.-]://)[^/\s\"'@]*@"), f"{_REDACTED_TEXT}@"),
    # RFC 7617 and RFC 6750 without the header's name; a digit or padding distinguishes a credential from a word.
    (
        re.compile(r"\b([Bb]asic|[Bb]earer)( {1,20})(?=[A-Za-z+/._~-]{0,300}[0-9=])[\w+/.~=-]{12,}"),
        rf"\1\2{_REDACTED_TEXT}",
    ),
    # https://docs.gitlab.com/security/tokens/#token-prefixes
    (
        re.compile(r"(gl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct)-|GR1348941)[\w.-]{8,}"),
        rf"\1{_REDACTED_TEXT}",
    ),
    # https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
    (re.compile(r"(gh[oprsu]_|github_pat_)\w{16,}"), rf"\1{_REDACTED_TEXT}"),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    (re.compile(r"(AKIA|ASIA)[0-9A-Z]{16}"), rf"\1{_REDACTED_TEXT}"),
)
MAX_LOG_CHARACTERS = 64 * 1024
MAX_LOG_LINE_CHARACTERS = 4096
_TRUNCATED_LINE_MARKER = " [line cut]"


def read_file_tail(path: Path, lines: int = 200, limit: int = MAX_LOG_CHARACTERS) -> str:
    """Return the last *lines* of a file, at most *limit* bytes; empty if it is not a readable regular file.

    A line that is cut off at the front is omitted, because `redact_log` might not recognise half a secret.
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


def redact_log(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace *secrets* (also URL-encoded), tokens, passwords, Authorization headers and credentials in URLs.

    Terminal sequences and control characters are removed, except newline and tab. The text is cut to the whole lines
    among its last `MAX_LOG_CHARACTERS` characters, and each line to `MAX_LOG_LINE_CHARACTERS`.
    """
    if len(text) > MAX_LOG_CHARACTERS:
        text = text[-MAX_LOG_CHARACTERS:].partition("\n")[2]
    text = _CONTROL_CHARACTER_PATTERN.sub(
        "", _ANSI_ESCAPE_PATTERN.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    )
    for secret in sorted({form for each in secrets if each for form in (each, quote(each, safe=""))}, key=len)[::-1]:
        text = text.replace(secret, _REDACTED_TEXT)
    lines = text.split("\n")
    if max(map(len, lines)) > MAX_LOG_LINE_CHARACTERS:
        text = "\n".join(line if len(line) <= MAX_LOG_LINE_CHARACTERS else _truncate_log_line(line) for line in lines)
    for pattern, replacement in _SECRET_PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _truncate_log_line(line: str) -> str:
    """Cut a line before the word that crosses the limit, because half a URL may still contain its password."""
    kept = line[:MAX_LOG_LINE_CHARACTERS]
    return kept[: max(map(kept.rfind, " \t\"'/")) + 1 or MAX_LOG_LINE_CHARACTERS] + _TRUNCATED_LINE_MARKER
