"""The hub that a command asks: by whose login, and what its refusals mean to a script."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from . import cli_keep
from .cli_base import Ended, Exit
from .cli_keep import Login
from .client import Busy, Client, ClientError, HubAway, NotAllowed, NotFound, Refused

_STATUSES: dict[type[ClientError], Exit] = {
    NotAllowed: Exit.REFUSED,
    Refused: Exit.REFUSED,
    Busy: Exit.AWAY,
    HubAway: Exit.AWAY,
}
_AGAIN = "Make a new token on the hub's page Token, then: renku-spawner login {url}"
_BORROWED = (
    "The token of a session may not do this. Log in with one of your own, made on the hub's page Token: "
    "renku-spawner login {url}"
)


@contextmanager
def connected(parsed: argparse.Namespace, *, hidden: str = "") -> Iterator[Client]:
    """The hub where one is logged in; *hidden* is what it means if the hub denies that there is what is asked for.

    Raises:
        Ended: what the hub does not do, with what helps.
    """
    with _asked(login_of(parsed.environ), hidden) as client:
        yield client


@contextmanager
def inside(parsed: argparse.Namespace) -> Iterator[Client]:
    """The hub as the session knows it in which this runs. Raises Ended, also outside of any."""
    login = _given(parsed.environ)
    if login is None or not login.borrowed:
        raise Ended("This is not inside a session.", Exit.REFUSED)
    with _asked(login, "") as client:
        yield client


@contextmanager
def _asked(login: Login, hidden: str) -> Iterator[Client]:
    try:
        with Client(login.url, login.token) as client:
            yield client
    except NotFound as problem:
        raise Ended(hidden or problem.message, Exit.REFUSED if hidden else Exit.NOT_FOUND) from None
    except ClientError as problem:
        raise ended(problem, login) from None


def login_of(environ: Mapping[str, str]) -> Login:
    """What the environment says, unless that is a session's own token and there is a login. Raises Ended."""
    said = _given(environ)
    if said and not said.borrowed:
        return said
    found = cli_keep.kept(cli_keep.file_of(environ)) or said
    if found is None:
        raise Ended("You are not logged in. Please run: renku-spawner login https://your.hub", Exit.LOG_IN)
    return found


def _given(environ: Mapping[str, str]) -> Login | None:
    url, token = environ.get("JUPYTERHUB_API_URL"), environ.get("JUPYTERHUB_API_TOKEN")
    if not url or not token:
        return None
    return Login(url=url, token=token, borrowed="JUPYTERHUB_SERVICE_PREFIX" in environ)


def ended(problem: ClientError, login: Login) -> Ended:
    """The same for whoever typed the command."""
    fields = [f"{name}: {said}" for name, said in problem.fields.items() if said != problem.message]
    sentences, status = [problem.message, *fields], _status(problem)
    url = login.url.removesuffix("/hub/api")
    if isinstance(problem, NotAllowed) and login.borrowed:
        sentences.append(_BORROWED.format(url=url))
    elif problem.code == "credentials":
        sentences.append(_AGAIN.format(url=url))
        status = Exit.LOG_IN
    elif isinstance(problem, Busy | HubAway):
        sentences.append("Please try again in a while.")
    return Ended(" ".join(sentences), status)


def _status(problem: ClientError) -> Exit:
    return next((status for kind, status in _STATUSES.items() if isinstance(problem, kind)), Exit.FAILED)
