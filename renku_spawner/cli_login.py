"""`renku-spawner login | logout`."""

from __future__ import annotations

import argparse
import sys
from getpass import getpass
from typing import Any
from urllib.parse import urlsplit

from . import cli_base, cli_keep, cli_reach
from .cli_base import Ended, Exit
from .cli_keep import Login
from .cli_show import safe
from .client import Client, ClientError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def add(commands: Any) -> None:
    """The commands' places on the command line."""
    log_in = cli_base.add(commands, "login", _login, "remember a hub and a token of yours, which is asked for")
    log_in.add_argument("url", metavar="URL", help="the hub's address, or that of one of its pages")
    log_in.add_argument("--plain-http", action="store_true", help="also send the token where others could read it")
    cli_base.add(commands, "logout", _logout, "forget them")


def _login(parsed: argparse.Namespace) -> None:
    """Raises Ended, OSError."""
    try:
        login = _asked(parsed)
        with Client(login.url, login.token) as client:
            name = client.whoami()
            next(iter(client.projects()), None)  # a token of any kind says whose it is; this needs one that may look
    except ClientError as problem:
        raise cli_reach.ended(problem, Login(url=parsed.url, token="")) from None
    file = cli_keep.file_of(parsed.environ)
    cli_keep.keep(file, login)
    print(f"You are logged in at {safe(login.url)} as {safe(name)}. The token is in {file}.")


def _asked(parsed: argparse.Namespace) -> Login:
    """The token comes from the environment, from a pipe, or is typed unseen. Raises Ended, ClientError."""
    hub = Client(parsed.url, "").url
    parts = urlsplit(hub)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not parsed.plain_http:
        raise Ended(
            "This address is not encrypted, so others could read your token. Is there one with https?", Exit.REFUSED
        )
    token = parsed.environ.get("JUPYTERHUB_API_TOKEN", "")
    if not token or "JUPYTERHUB_SERVICE_PREFIX" in parsed.environ:  # that one is a session's
        token = _typed(hub)
    if not (token.isascii() and token.isprintable() and token and " " not in token):
        raise Ended("This is no token.", Exit.USAGE)
    return Login(url=hub, token=token)


def _typed(hub: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    print(f"Make a token at {safe(hub)}/hub/token and paste it here; it is not shown.", file=sys.stderr)
    return getpass("Token: ").strip()


def _logout(parsed: argparse.Namespace) -> None:
    file = cli_keep.file_of(parsed.environ)
    there = file.exists()
    file.unlink(missing_ok=True)
    print("The token is forgotten here; it ends on the hub's page Token." if there else "You were not logged in.")
