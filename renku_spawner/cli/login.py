"""Log in to a hub, store the login in a file that only its owner can read, and connect commands to the hub."""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from .output import CommandError, ExitStatus, escape_for_terminal

if TYPE_CHECKING:
    from ..client import Client, ClientError

_MAX_LOGIN_FILE_BYTES = 10_000  # more than enough for one address and one token


@dataclass(frozen=True, kw_only=True)
class HubLogin:
    """Address of a hub and a token for it; `borrowed` if it is a session's own token, which has few scopes."""

    url: str
    token: str = field(repr=False)
    borrowed: bool = False


def get_login_file() -> Path:
    """Return the path of the login file, according to https://specifications.freedesktop.org/basedir-spec."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if base.startswith("/") else Path.home() / ".config"
    return folder / "renku-spawner" / "login.json"


def save_login(file: Path, login: HubLogin) -> None:
    """Write *file* atomically, readable only by its owner. Raises OSError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".login-", dir=file.parent)  # made with 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump({"url": login.url, "token": login.token}, out)
        Path(name).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def load_login(file: Path) -> HubLogin | None:
    """Return the login stored in *file*; None if there is no file.

    Raises:
        CommandError: other users can read the file, or it is not a login of the user.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        raise _build_login_file_error(file) from None
    with os.fdopen(handle, "rb") as opened:
        status = os.fstat(opened.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            raise _build_login_file_error(file)
        if status.st_mode & 0o077:
            raise CommandError(
                f"Others can read {file}, so its token is not used. Create a new token and log in again.",
                ExitStatus.LOG_IN,
            )
        return _parse_login(file, opened.read(_MAX_LOGIN_FILE_BYTES))


def _parse_login(file: Path, text: bytes) -> HubLogin:
    try:
        login = json.loads(text)
        return HubLogin(url=str(login["url"]), token=str(login["token"]))
    except (ValueError, KeyError, TypeError):
        raise _build_login_file_error(file) from None


def _build_login_file_error(file: Path) -> CommandError:
    return CommandError(f"{file} is not your login. Please remove the file and log in again.", ExitStatus.LOG_IN)


_NEW_TOKEN_HINT = "Create a new token on the hub's page Token, then run: renku-spawner login {url}"
_SESSION_TOKEN_HINT = (
    "The token of a session may not do this. Create a token on the hub's page Token and log in with it: "
    "renku-spawner login {url}"
)


@contextmanager
def connect_to_hub(*, hidden: str = "") -> Iterator[Client]:
    """Connect to the hub at which the user is logged in, and convert its errors.

    If *hidden* is given, it is the message for 404: the hub hides from other users what is only for admins.

    Raises:
        CommandError: there is no login, or a request fails; the message says what helps.
    """
    with _open_client(resolve_login(), hidden) as client:
        yield client


@contextmanager
def connect_from_session() -> Iterator[Client]:
    """Connect to the hub with the token of the session in which this runs.

    Raises:
        CommandError: this does not run in a session, or a request fails.
    """
    login = _read_login_from_environment()
    if login is None or not login.borrowed:
        raise CommandError("This is not inside a session.", ExitStatus.REFUSED)
    with _open_client(login, "") as client:
        yield client


@contextmanager
def _open_client(login: HubLogin, hidden: str) -> Iterator[Client]:
    from ..client import Client, ClientError, NotFound

    try:
        with Client(login.url, login.token) as client:
            yield client
    except NotFound as problem:
        raise CommandError(hidden or problem.message, ExitStatus.REFUSED if hidden else ExitStatus.NOT_FOUND) from None
    except ClientError as problem:
        raise to_command_error(problem, login) from None


def resolve_login() -> HubLogin:
    """Return the login to use: the user's own token in the environment, the login file, or a session's token.

    Raises:
        CommandError: there is none.
    """
    from_environment = _read_login_from_environment()
    if from_environment and not from_environment.borrowed:
        return from_environment
    login = load_login(get_login_file()) or from_environment
    if login is None:
        raise CommandError("You are not logged in. Please run: renku-spawner login https://your.hub", ExitStatus.LOG_IN)
    return login


def _read_login_from_environment() -> HubLogin | None:
    url, token = os.environ.get("JUPYTERHUB_API_URL"), os.environ.get("JUPYTERHUB_API_TOKEN")
    if not url or not token:
        return None
    return HubLogin(url=url, token=token, borrowed="JUPYTERHUB_SERVICE_PREFIX" in os.environ)


def to_command_error(problem: ClientError, login: HubLogin) -> CommandError:
    """Convert an error of the client to one for the user, with advice."""
    from ..client import Busy, HubAway, NotAllowed, Refused

    fields = [f"{name}: {message}" for name, message in problem.fields.items() if message != problem.message]
    sentences, status = [problem.message, *fields], ExitStatus.FAILED
    url = login.url.removesuffix("/hub/api")
    if isinstance(problem, NotAllowed | Refused):
        status = ExitStatus.REFUSED
    if isinstance(problem, NotAllowed) and login.borrowed:
        sentences.append(_SESSION_TOKEN_HINT.format(url=url))
    elif problem.code == "credentials":
        sentences.append(_NEW_TOKEN_HINT.format(url=url))
        status = ExitStatus.LOG_IN
    elif isinstance(problem, Busy | HubAway):
        sentences.append("Please try again in a while.")
        status = ExitStatus.AWAY
    return CommandError(" ".join(sentences), status)


_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")


@click.command("login")
@click.argument("url", help="the hub's address, or that of one of its pages")
@click.option("--plain-http", is_flag=True, help="send the token even without encryption")
def log_in_to_hub(url: str, plain_http: bool) -> None:
    """Log in to a hub; the command asks for a token."""
    from ..client import Client, ClientError

    try:
        login = _ask_for_login(url, plain_http=plain_http)
        with Client(login.url, login.token) as client:
            name = client.whoami()
            next(iter(client.projects()), None)  # every token can read its user's name; this needs a scope of Renku
    except ClientError as problem:
        raise to_command_error(problem, HubLogin(url=url, token="")) from None
    file = get_login_file()
    save_login(file, login)
    print(
        f"You are logged in at {escape_for_terminal(login.url)} as {escape_for_terminal(name)}. The token is in {file}."
    )


def _ask_for_login(url: str, *, plain_http: bool) -> HubLogin:
    """Read the token from the environment, a pipe or a hidden prompt. Raises CommandError, ClientError."""
    from ..client import Client

    hub = Client(url, "").url
    parts = urlsplit(hub)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK_HOSTS and not plain_http:
        raise CommandError(
            "Others could read your token, since this address is not encrypted. Use https if the hub has it.",
            ExitStatus.REFUSED,
        )
    token = os.environ.get("JUPYTERHUB_API_TOKEN", "")
    if not token or "JUPYTERHUB_SERVICE_PREFIX" in os.environ:  # then it is a session's token
        token = _read_token(hub)
    if not (token.isascii() and token.isprintable() and token and " " not in token):
        raise CommandError("This is not a token.", ExitStatus.USAGE)
    return HubLogin(url=hub, token=token)


def _read_token(hub: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    print(
        f"Create a token at {escape_for_terminal(hub)}/hub/token and paste it here; it is not shown.", file=sys.stderr
    )
    return getpass("Token: ").strip()


@click.command("logout")
def log_out_of_hub() -> None:
    """Delete the stored login."""
    file = get_login_file()
    existed = file.exists()
    file.unlink(missing_ok=True)
    print("You are logged out. Revoke the token on the hub's page Token." if existed else "You were not logged in.")


COMMANDS = (log_in_to_hub, log_out_of_hub)
