"""The user that an image is made for, for sessions that shall run as that one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import facts
from .environment import NewRevision, RunConfiguration
from .errors import Invalid

_NUMBER = re.compile(r"[0-9]{1,10}")
_ROOT = re.compile(r"root|0*")  # where an image says nothing it is root, too
_LARGEST = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Ids:
    """Of user and group; None for a group that the image does not name by its number."""

    uid: int
    gid: int | None


def ids(user: str) -> Ids | None:
    """The numbers in an image's `User` (`1000`, `1000:0`, `jovyan`); None for root and for a name.

    The Pod Security Standard *restricted* wants a number other than 0 of the user alone.
    """
    name, _, group = user.partition(":")
    uid = _number(name)
    return Ids(uid=uid, gid=_number(group)) if uid else None


def is_root(user: str) -> bool:
    return _ROOT.fullmatch(user.partition(":")[0]) is not None


def _number(text: str) -> int | None:
    number = int(text) if _NUMBER.fullmatch(text) else None
    return number if number is not None and number <= _LARGEST else None


def problem(user: str) -> str:
    """Why sessions cannot run as an image's *user*; empty if they can."""
    if ids(user):
        return ""
    if is_root(user):
        return "The image runs as root, and sessions never do. Without this they run it as an ordinary user."
    name = user.partition(":")[0][:50]
    return (
        f"The image names its user “{name}”, and only a number shows that it is not root. Give its number as user id."
    )


def check(run: RunConfiguration, known: Mapping[str, Any], *, field: str = "image_user") -> None:
    """Raise Invalid at *field* where *run* wants the image's own user, and the facts that are
    *known* of the image (stored form) say that it cannot be; nothing is known of some."""
    found = facts.from_json(known)
    said = problem(found.user) if run.image_user and found else ""
    if said:
        raise Invalid(said, fields={field: said}, code="image_root")


def of(revision: NewRevision) -> Ids | None:
    """As whom the image itself wants to be run, if that was chosen and can be done."""
    found = facts.from_json(revision.facts) if revision.run.image_user else None
    return ids(found.user) if found else None


def applied(revision: NewRevision) -> RunConfiguration:
    """How it is run, with the numbers of its own user in place."""
    own = of(revision)
    return replace(revision.run, uid=own.uid, group=own.gid) if own else revision.run
