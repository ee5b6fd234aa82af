"""Code repositories of a project: which addresses and which refs are accepted."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from .errors import Invalid

_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+#@-]{0,199}")
_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_INTERNAL = (".localhost", ".local", ".internal", ".svc", ".cluster.local", ".lan", ".home.arpa")
URL_LIMIT = 2000
# `user:password@` at the beginning of a line, and whatever stands before the @ of a URL's host.
_CREDENTIALS = re.compile(r"(//)[^/\s]*@|^[^/\s:]+:[^/\s]*@", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class NewRepository:
    """What a person says of a repository; a missing directory is made from the URL."""

    url: str
    ref: str | None = None
    directory: str | None = None
    lfs: bool = False
    submodules: bool = False


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository that sessions find in `/work/<directory>`.

    One that is `fixed` is the project's own, from where the project lives: it is kept nowhere in our tables.
    """

    directory: str
    url: str
    ref: str | None = None
    lfs: bool = False
    submodules: bool = False
    fixed: bool = False


def check_url(text: str, *, hosts: Collection[str] = ()) -> str:
    """An https URL of a public host, or any http(s) URL of one of *hosts* (`host` or
    `host:port`, listed by the admin), without a user part.

    Raises:
        Invalid: at field `url`; a password in the URL is never repeated.
    """
    problem = _problem(text, hosts)
    if problem:
        raise Invalid(problem, fields={"url": problem})
    return text


def without_credentials(text: str) -> str:
    """*text* without the users and passwords in the addresses of its lines."""
    return _CREDENTIALS.sub(r"\1", text)


def _problem(text: str, hosts: Collection[str]) -> str | None:
    if not text or len(text) > URL_LIMIT or not text.isascii() or not text.isprintable() or " " in text:
        return "Please give the https:// address of the repository."
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "This is not a valid address."
    if parts.scheme not in ("https", "http") or not host or not parts.path.strip("/") or "\\" in text:
        return "Only addresses that start with https:// can be cloned."
    if "@" in parts.netloc:
        return "Leave out user name and password: they would be readable by everybody in the project."
    if "?" in text or "#" in text or "/../" in f"{parts.path}/":
        return "This is not the address of a repository: leave out everything after ? or #."
    listed = host in hosts or (port is not None and f"{host}:{port}" in hosts)
    return None if listed else _foreign(parts.scheme, host, port)


def _foreign(scheme: str, host: str, port: int | None) -> str | None:
    """What is wrong with a host that no admin has listed."""
    if scheme != "https":
        return "Only addresses that start with https:// can be cloned."
    if _is_address(host) or not _HOST.fullmatch(host) or f".{host}".endswith(_INTERNAL):
        return f"Repositories on the host {host[:100]} are not allowed here."
    if port not in (None, 443):
        return f"Port {port} is not allowed here."
    return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_ref(text: str) -> str:
    """A branch, a tag or a commit, by the rules of `git check-ref-format`.

    Raises:
        Invalid: at field `ref`.
    """
    bad = ("..", "@{", "//", "/.", ".lock/")
    if not _REF.fullmatch(text) or any(part in text for part in bad) or text.endswith((".", "/", ".lock")):
        sentence = "This is not the name of a branch, a tag or a commit."
        raise Invalid(sentence, fields={"ref": sentence})
    return text
