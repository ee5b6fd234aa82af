"""Names that Renku makes or accepts: ids, paths and directories; made only here."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection

from .errors import Invalid

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BASE32 = _LETTERS + "234567"
_ID = re.compile(r"[a-z][a-z2-7]{11}")
# Says in one sentence what `is_part` accepts: forms, the API, its document and errors all quote it.
PART_RULE = (
    "Up to 64 letters, digits and . _ - + @, with a letter, digit or _ at both ends; without .. inside, and without "
    ".git or .atom at the end."
)
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._@+-]{0,62}[A-Za-z0-9_])?")
# GitLab takes more: groups in groups, names that end in - or ., and no @ or + (https://docs.gitlab.com/user/reserved_names/).
_ANY_PART = re.compile(r"[A-Za-z0-9_.@+-]{1,255}")
_DEPTH = 21  # twenty groups in each other, and the project
_DIRECTORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
# What a session needs for itself below /work.
_TAKEN = frozenset({"lost+found", "con", "nul"})
_HASHED = re.compile(r".*---[0-9a-f]{16}", re.DOTALL)


def new_id() -> str:
    """12 random lower-case base32 characters with a leading letter.

    It leaks no counts, is a valid name of a JupyterHub server (at most 30
    characters, `[a-z][a-z0-9-]*`) and survives renames.
    """
    return secrets.choice(_LETTERS) + "".join(secrets.choice(_BASE32) for _ in range(11))


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def namespace(name: str) -> str:
    """The first part of the paths that *name* (a user or group) may create below.

    A name that is no clean part gets a readable one with a hash of the whole, so
    that two names never share a namespace, also where upper and lower case are the
    same; so does one that has capitals or looks hashed already.
    """
    if is_part(name) and name == name.lower() and not _HASHED.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name[:200])[:40].strip("-")
    return f"{readable or 'x'}---{digest}"


def project_path(text: str) -> tuple[str, str]:
    """`namespace/slug` as its two parts.

    Raises:
        Invalid: at field `path`.
    """
    first, slash, second = text.partition("/")
    if not slash or not is_part(first) or not is_part(second):
        sentence = f"A path is a namespace and a name, as in ada/climate. In each of them: {PART_RULE}"
        raise Invalid(sentence, fields={"path": sentence})
    return first, second


def is_part(text: str) -> bool:
    """Whether it may be a part of a project's path; `PART_RULE` says it in words."""
    return _PART.fullmatch(text) is not None and ".." not in text and not text.endswith((".git", ".atom"))


def is_path(text: str) -> bool:
    """Whether it may be the path of a project, of whatever source; `-` is where the pages of one begin."""
    parts = text.split("/")
    return 2 <= len(parts) <= _DEPTH and all(_ANY_PART.fullmatch(p) and p not in (".", "..", "-") for p in parts)


def directory(text: str) -> str:
    """A directory below `/work` as a person names it.

    Raises:
        Invalid: at field `directory`.
    """
    if not _DIRECTORY.fullmatch(text) or text.endswith((".", ".git", ".lock")) or text.casefold() in _TAKEN:
        sentence = "A directory is one name of letters, digits and . _ - that starts with a letter, digit or _."
        raise Invalid(sentence, fields={"directory": sentence})
    return text


def directory_for(url: str, taken: Collection[str]) -> str:
    """A directory for the repository at *url* that differs from all *taken*, also
    where upper and lower case are the same: `data`, `data-2`, `data-3`, …"""
    last = url.rstrip("/").rpartition("/")[2][:200].removesuffix(".git")
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._")[:80].rstrip("-._") or "repository"
    base = re.sub(r"\.(?=(?:git|lock)\Z)", "-", base)
    if base.casefold() in _TAKEN:
        base = f"{base}-repository"
    used = {name.casefold() for name in taken}
    candidate, number = base, 1
    while candidate.casefold() in used:
        number += 1
        candidate = f"{base}-{number}"
    return candidate
