"""Create and validate ids, project paths and directory names."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Collection
from typing import Annotated

from pydantic import Field

from .errors import InvalidInputError

_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ID_ALPHABET = _ID_LETTERS + "234567"
_ID_PATTERN = re.compile(r"[a-z][a-z2-7]{11}")
RecordId = Annotated[str, Field(pattern="^[a-z][a-z2-7]{11}$")]
RowVersion = Annotated[
    int, Field(ge=0, lt=2**31, description="The version that was read; another one answers 409 `changed`")
]
# States the rule of `is_path_part` in one sentence, for forms, the API, its schema and errors.
PATH_PART_RULE = (
    "Up to 64 letters, digits and . _ - + @, with a letter, digit or _ at both ends; without .. inside, and without "
    ".git or .atom at the end."
)
_PATH_PART_PATTERN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._@+-]{0,62}[A-Za-z0-9_])?")
# GitLab allows more: nested groups, and names that end in - or ., but no @ or + (https://docs.gitlab.com/user/reserved_names/).
_SOURCE_PATH_PART_PATTERN = re.compile(r"[A-Za-z0-9_.@+-]{1,255}")
_MAX_PATH_PARTS = 21  # twenty nested groups, and the project
_DIRECTORY_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
# Names that would collide with files of the session's disk, or that not every system can store.
_RESERVED_DIRECTORIES = frozenset({"lost+found", "con", "nul"})
_HASHED_NAMESPACE_PATTERN = re.compile(r".*---[0-9a-f]{16}", re.DOTALL)


def create_id() -> str:
    """Return 12 random lower-case base32 characters with a leading letter.

    An id reveals no counts, is a valid name of a JupyterHub server (at most 30 characters,
    `[a-z][a-z0-9-]*`) and survives renames.
    """
    return secrets.choice(_ID_LETTERS) + "".join(secrets.choice(_ID_ALPHABET) for _ in range(11))


def is_valid_id(text: str) -> bool:
    return _ID_PATTERN.fullmatch(text) is not None


def to_namespace(name: str) -> str:
    """Return the first part of the paths that *name* (a user or group) may create projects below.

    A name that is not a valid part is replaced by a readable one with a hash of the whole name, so that two
    names never share a namespace, also where upper and lower case are the same. That also holds for a name
    that has capitals or looks hashed already.
    """
    if is_path_part(name) and name == name.lower() and not _HASHED_NAMESPACE_PATTERN.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name[:200])[:40].strip("-")
    return f"{readable or 'x'}---{digest}"


def parse_project_path(text: str) -> tuple[str, str]:
    """Split `namespace/slug` into its two parts.

    Raises:
        InvalidInputError: at field `path`.
    """
    first, slash, second = text.partition("/")
    if not slash or not is_path_part(first) or not is_path_part(second):
        sentence = f"A path is a namespace and a name, as in ada/climate. In each of them: {PATH_PART_RULE}"
        raise InvalidInputError(sentence, fields={"path": sentence})
    return first, second


def is_path_part(text: str) -> bool:
    """Return whether *text* may be a part of a project's path; `PATH_PART_RULE` is the rule in words."""
    return _PATH_PART_PATTERN.fullmatch(text) is not None and ".." not in text and not text.endswith((".git", ".atom"))


def make_path_part(title: str) -> str:
    """Make a part of a project's path from *title*: `Étude de la neige` is `etude-de-la-neige`.

    Return an empty string if the title has nothing that a path may have. `makePath` in `templates/static/comforts.js`
    does the same while the title is typed.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", title[:500]) if not unicodedata.combining(c)).lower()
    name = re.sub(r"[^a-z0-9._]+", "-", plain)
    name = re.sub(r"\.{2,}", ".", name)[:64].strip("-.")
    return re.sub(r"\.(?=(?:git|atom)\Z)", "-", name)


def is_project_path(text: str) -> bool:
    """Return whether *text* may be the path of a project of any source; `-` starts the pages of a project."""
    parts = text.split("/")
    return 2 <= len(parts) <= _MAX_PATH_PARTS and all(
        _SOURCE_PATH_PART_PATTERN.fullmatch(p) and p not in (".", "..", "-") for p in parts
    )


def check_directory(text: str) -> str:
    """Return *text*, if it is a valid name of a directory below `/work`.

    Raises:
        InvalidInputError: at field `directory`.
    """
    if (
        not _DIRECTORY_PATTERN.fullmatch(text)
        or text.endswith((".", ".git", ".lock"))
        or text.casefold() in _RESERVED_DIRECTORIES
    ):
        sentence = "A directory is one name of letters, digits and . _ - that starts with a letter, digit or _."
        raise InvalidInputError(sentence, fields={"directory": sentence})
    return text


def make_unique_directory(url: str, taken: Collection[str]) -> str:
    """Return a directory for the repository at *url* that differs from all *taken*: `data`, `data-2`, `data-3`, …

    Upper and lower case count as the same.
    """
    last = url.rstrip("/").rpartition("/")[2][:200].removesuffix(".git")
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._")[:80].rstrip("-._") or "repository"
    base = re.sub(r"\.(?=(?:git|lock)\Z)", "-", base)
    if base.casefold() in _RESERVED_DIRECTORIES:
        base = f"{base}-repository"
    used = {name.casefold() for name in taken}
    candidate, number = base, 1
    while candidate.casefold() in used:
        number += 1
        candidate = f"{base}-{number}"
    return candidate
