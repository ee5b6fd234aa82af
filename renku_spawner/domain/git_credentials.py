"""Git configuration of a session: the commit identity, and the repositories for which the hub provides credentials.

Tokens do not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .text import to_single_line

_DEFAULT_PORTS = {"https": 443, "http": 80}
_GIT_HOST_PATTERN = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?")
# https://docs.gitlab.com/user/reserved_names/: letters, digits, `_`, `-` and `.`, not a `-` first
_GIT_PATH_PART_PATTERN = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}")
_MAX_GIT_PATH_LENGTH = 1000
_HELPER_ARGUMENTS_SUFFIX = ' "$@"'
_EMAIL_PATTERN = re.compile(r"[^\s<>@\x00-\x1f]{1,200}@[^\s<>@\x00-\x1f]{1,200}")


@dataclass(frozen=True, kw_only=True)
class SessionGitIdentity:
    """The Git identity and the repositories of a session's user.

    `gitlab` is GitLab's address; `repositories` are the project's repositories that live there, as
    `normalize_repository_address` spells them; `credentials` is whether the hub provides credentials for
    them. `ssh` is the beginning of GitLab's SSH addresses, empty if GitLab does not report it.
    """

    gitlab: str
    name: str
    email: str
    credentials: bool = False
    repositories: tuple[str, ...] = ()
    ssh: str = ""


def normalize_repository_address(protocol: str, host: str, path: str) -> str | None:
    """Return a repository's address without default port, `.git` and trailing slash; None if it is not valid.

    Addresses with a user part or with `..` are not valid.
    """
    match = _GIT_HOST_PATTERN.fullmatch(host.lower())
    parts = path.removesuffix("/").split("/")
    if protocol not in _DEFAULT_PORTS or not match or len(path) > _MAX_GIT_PATH_LENGTH:
        return None
    if not all(_GIT_PATH_PART_PATTERN.fullmatch(part) for part in parts):
        return None
    name, port = match[1], int(match[3] or 0)
    at = name if port in (0, _DEFAULT_PORTS[protocol]) else f"{name}:{port}"
    last = parts[-1]
    parts[-1] = last.removesuffix(".git") or last
    return f"{protocol}://{at}/{'/'.join(parts)}"


def normalize_repository_url(url: str) -> str | None:
    """Return the normalized address of the repository at *url*; None if it is not valid."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.query or parts.fragment or not url.isprintable():
        return None
    return normalize_repository_address(parts.scheme, parts.netloc, parts.path.removeprefix("/"))


def _get_gitlab_address_prefix(gitlab: str) -> str | None:
    """Return the beginning of all addresses of repositories in that GitLab."""
    below = normalize_repository_url(f"{gitlab.rstrip('/')}/x")
    return below.removesuffix("x") if below else None


def filter_gitlab_repositories(gitlab: str, urls: Iterable[str]) -> tuple[str, ...]:
    """Return the normalized addresses of those *urls* that are repositories of the GitLab at that address."""
    prefix = _get_gitlab_address_prefix(gitlab)
    addresses = [normalize_repository_url(url) for url in urls] if prefix else []
    return tuple(dict.fromkeys(address for address in addresses if address and prefix and address.startswith(prefix)))


def get_commit_identity(user: Mapping[str, Any], gitlab: str) -> tuple[str, str]:
    """Return the name and e-mail address of the commits of GitLab's *user* (`GET /user`).

    The address is the user's commit e-mail, or the private one that GitLab provides for users who hide theirs
    (https://docs.gitlab.com/user/profile/#use-an-automatically-generated-private-commit-email).
    """
    username = to_single_line(str(user.get("username") or ""))
    name = to_single_line(str(user.get("name") or "")) or username
    for key in ("commit_email", "email"):
        address = user.get(key)
        if isinstance(address, str) and _EMAIL_PATTERN.fullmatch(address):
            return name, address
    return name, f"{user.get('id')}-{username}@users.noreply.{urlsplit(gitlab).hostname}"


def build_git_settings(git: SessionGitIdentity, helper: str) -> list[tuple[str, str]]:
    """Return the Git settings of a session; the credential *helper* asks the hub, for this GitLab only."""
    settings = [("user.name", git.name), ("user.email", git.email)] if git.name else []
    if not git.credentials:
        return settings
    return [*settings, *build_credential_helper_settings(git.gitlab, helper), *_build_ssh_rewrite_settings(git)]


def to_inline_credential_helper(script: str) -> str:
    """Return *script* as a credential helper without a file.

    Git's shell runs the whole script. It ends with a call of its function with `"$@"`, which is removed here,
    since Git appends the arguments itself (https://git-scm.com/docs/gitcredentials#_custom_helpers).
    """
    return f"!{script.strip().removesuffix(_HELPER_ARGUMENTS_SUFFIX)}"


def build_credential_helper_settings(gitlab: str, helper: str) -> list[tuple[str, str]]:
    at = gitlab.rstrip("/")
    return [(f"credential.{at}.helper", helper), (f"credential.{at}.useHttpPath", "true")]


def _build_ssh_rewrite_settings(git: SessionGitIdentity) -> Iterator[tuple[str, str]]:
    """Rewrite SSH addresses of the project's repositories to HTTPS: a session has no SSH key."""
    root = _get_gitlab_address_prefix(git.gitlab) or ""
    begins = dict.fromkeys(
        [*_list_ssh_prefixes(f"git@{urlsplit(root).hostname}:"), *(_list_ssh_prefixes(git.ssh) if git.ssh else ())]
    )
    for repository in git.repositories:
        for begin in begins:
            yield f"url.{repository}.insteadOf", f"{begin}{repository.removeprefix(root)}"


def _list_ssh_prefixes(begin: str) -> Iterator[str]:
    """Yield every way to write the prefix: users may configure the port in their ssh configuration instead."""
    who = begin.removeprefix("ssh://").partition(":")[0].rstrip("/")
    yield from (begin, f"{who}:", f"ssh://{who}/")


def build_git_config_variables(pairs: Iterable[tuple[str, str]], beside: Mapping[str, str]) -> dict[str, str]:
    """Return *pairs* as environment variables that Git reads, numbered after those in *beside*.

    *beside* is the session's other environment
    (https://git-scm.com/docs/git-config#Documentation/git-config.txt-GITCONFIGCOUNT).
    """
    counted = beside.get("GIT_CONFIG_COUNT", "")
    first, pairs = int(counted) if re.fullmatch("[0-9]{1,3}", counted) else 0, list(pairs)
    variables = {"GIT_CONFIG_COUNT": str(first + len(pairs))} if pairs else {}
    for number, (key, value) in enumerate(pairs, start=first):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
