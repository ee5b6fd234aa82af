"""Git inside a session: whom a commit is by, and for which addresses the hub gives credentials."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .text import one_line

_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?")
# https://docs.gitlab.com/user/reserved_names/: letters, digits, `_`, `-` and `.`, not a `-` first
_PART = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}")
_PATH_LIMIT = 1000
_CALLED_WITH = ' "$@"'
_EMAIL = re.compile(r"[^\s<>@\x00-\x1f]{1,200}@[^\s<>@\x00-\x1f]{1,200}")


@dataclass(frozen=True, kw_only=True)
class GitInside:
    """What git in a session knows of its user.

    `gitlab` is the address of GitLab, `repositories` are those of the project that live there, as
    `address` spells them; `credentials` says whether the hub gives any for them. `ssh` is how
    GitLab's SSH addresses begin, where it says so.
    """

    gitlab: str
    name: str
    email: str
    credentials: bool = False
    repositories: tuple[str, ...] = ()
    ssh: str = ""


def address(protocol: str, host: str, path: str) -> str | None:
    """The one spelling of a repository's address: without default port, `.git` and slash at the
    end; None for what is none, with a user part or a way up for example.
    """
    found = _HOST.fullmatch(host.lower())
    parts = path.removesuffix("/").split("/")
    if protocol not in _PORTS or not found or len(path) > _PATH_LIMIT:
        return None
    if not all(_PART.fullmatch(part) for part in parts):
        return None
    name, port = found[1], int(found[3] or 0)
    at = name if port in (0, _PORTS[protocol]) else f"{name}:{port}"
    last = parts[-1]
    parts[-1] = last.removesuffix(".git") or last
    return f"{protocol}://{at}/{'/'.join(parts)}"


def address_of(url: str) -> str | None:
    """The same for a URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.query or parts.fragment or not url.isprintable():
        return None
    return address(parts.scheme, parts.netloc, parts.path.removeprefix("/"))


def _root(gitlab: str) -> str | None:
    """What the addresses of that GitLab's repositories begin with."""
    below = address_of(f"{gitlab.rstrip('/')}/x")
    return below.removesuffix("x") if below else None


def living_at(gitlab: str, urls: Iterable[str]) -> tuple[str, ...]:
    """Those of *urls* that are repositories of the GitLab at that address, in their one spelling."""
    prefix = _root(gitlab)
    found = [address_of(url) for url in urls] if prefix else []
    return tuple(dict.fromkeys(each for each in found if each and prefix and each.startswith(prefix)))


def identity(user: Mapping[str, Any], gitlab: str) -> tuple[str, str]:
    """Name and e-mail of the commits of GitLab's *user* (`GET /user`): the address that they have chosen for it,
    or the one that GitLab gives out for those who hide theirs
    (https://docs.gitlab.com/user/profile/#use-an-automatically-generated-private-commit-email).
    """
    username = one_line(str(user.get("username") or ""))
    name = one_line(str(user.get("name") or "")) or username
    for key in ("commit_email", "email"):
        said = user.get(key)
        if isinstance(said, str) and _EMAIL.fullmatch(said):
            return name, said
    return name, f"{user.get('id')}-{username}@users.noreply.{urlsplit(gitlab).hostname}"


def settings(git: GitInside, helper: str) -> list[tuple[str, str]]:
    """How git is configured: *helper* asks the hub, for this GitLab alone."""
    said = [("user.name", git.name), ("user.email", git.email)] if git.name else []
    if not git.credentials:
        return said
    return [*said, *asked_of_the_hub(git.gitlab, helper), *_over_https(git)]


def inline(script: str) -> str:
    """A helper that is no file: git's shell gets the whole *script*, which ends by calling its
    function with what it was called with, and git puts that behind it itself
    (https://git-scm.com/docs/gitcredentials#_custom_helpers).
    """
    return f"!{script.strip().removesuffix(_CALLED_WITH)}"


def asked_of_the_hub(gitlab: str, helper: str) -> list[tuple[str, str]]:
    at = gitlab.rstrip("/")
    return [(f"credential.{at}.helper", helper), (f"credential.{at}.useHttpPath", "true")]


def _over_https(git: GitInside) -> Iterator[tuple[str, str]]:
    """There is no SSH key in a session: what is written for one goes over HTTPS."""
    root = _root(git.gitlab) or ""
    begins = dict.fromkeys([*_ssh(f"git@{urlsplit(root).hostname}:"), *(_ssh(git.ssh) if git.ssh else ())])
    for repository in git.repositories:
        for begin in begins:
            yield f"url.{repository}.insteadOf", f"{begin}{repository.removeprefix(root)}"


def _ssh(begin: str) -> Iterator[str]:
    """Every way to write it: a port may stand in somebody's configuration of ssh instead."""
    who = begin.removeprefix("ssh://").partition(":")[0].rstrip("/")
    yield from (begin, f"{who}:", f"ssh://{who}/")


def variables(pairs: Iterable[tuple[str, str]], beside: Mapping[str, str]) -> dict[str, str]:
    """*pairs* as git reads them from its environment, after those that are in *beside* already
    (https://git-scm.com/docs/git-config#Documentation/git-config.txt-GITCONFIGCOUNT).
    """
    counted = beside.get("GIT_CONFIG_COUNT", "")
    first, pairs = int(counted) if re.fullmatch("[0-9]{1,3}", counted) else 0, list(pairs)
    said = {"GIT_CONFIG_COUNT": str(first + len(pairs))} if pairs else {}
    for number, (key, value) in enumerate(pairs, start=first):
        said |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return said
