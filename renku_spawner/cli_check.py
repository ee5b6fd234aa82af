"""`renku-spawner check`: whether a hub would start, and what it needs answers. It changes nothing by itself."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from aiohttp import ClientError
from jupyterhub.app import JupyterHub
from kubernetes_asyncio.client import ApiException
from pydantic import BaseModel
from traitlets import TraitError
from traitlets.config import Config

from . import cli_cluster, fitness, mounted
from .app import Renku
from .cli_base import Ended
from .cli_show import as_json, safe
from .domain import image
from .gitlab.errors import Away, Denied, LogInAgain, Missing
from .kube import rights
from .kube.refusal import explain_tls_failure
from .services import images
from .spawner import RenkuSpawner
from .store import migrate

SECONDS = 15.0  # for one registry
_FRESH = "There are no tables of Renku yet; the hub makes them when it starts."
_WORDS = {True: "ok", False: "no", None: "-"}


class Finding(BaseModel):
    """`good` is null where there is nothing to look at."""

    what: str
    good: bool | None
    says: str


def check(parsed: argparse.Namespace) -> None:
    """Raises Ended: something is not as it should be; what stands before."""
    file = mounted.find_config(parsed.config)
    found = asyncio.run(_all(file, alone=parsed.json, settings_only=parsed.settings))
    if parsed.json:
        as_json(found)
    bad = sorted({each.what for each in found if each.good is False})
    if bad:
        raise Ended(f"Not as it should be: {', '.join(bad)}.")


async def _all(file: Path, *, alone: bool, settings_only: bool) -> list[Finding]:
    """What is found, each told as soon as it is known unless *alone*."""
    found = []
    async for each in _each(file, settings_only=settings_only):
        found.append(each)
        if not alone:
            print(f"{_WORDS[each.good]:2}  {each.what:10}  {safe(each.says)}", flush=True)
    return found


async def _each(file: Path, *, settings_only: bool) -> AsyncIterator[Finding]:
    try:
        config = mounted.load_config(file)
    except Exception as problem:  # it is a program, in which anything can go wrong
        yield Finding(what="settings", good=False, says=f"{file}: {type(problem).__name__}: {problem}")
        return
    yield _database(config)
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = deepcopy(config)
        elsewhere.Renku.db_url = f"sqlite:///{folder}/empty.sqlite"  # the hub's own would be made where there is none
        elsewhere.JupyterHub.pop("extra_handlers", None)  # of which the hub says each time that they are deprecated
        try:
            hub = JupyterHub(config=elsewhere)
            renku = _renku(hub, elsewhere)
            _build_spawner(hub, elsewhere)
        except (TraitError, ValueError, OSError, ImportError) as problem:
            yield Finding(what="settings", good=False, says=str(problem))
            return
        yield Finding(what="settings", good=True, says=str(file))
        if settings_only:
            await _close(renku)
            return
        async for each in _neighbours(hub, renku, config):
            yield each


def _database(config: Config) -> Finding:
    url = config.Renku.get("db_url") or config.JupyterHub.get("db_url", "sqlite:///jupyterhub.sqlite")
    try:
        migrate.check(url)
        said = f"Renku's tables are up to date (revision {migrate.head()})."
    except FileNotFoundError:
        said = _FRESH
    except migrate.OutOfDate as problem:
        if migrate.current(url) is not None:
            return Finding(what="database", good=False, says=str(problem))
        said = _FRESH
    except (ValueError, OSError) as problem:
        return Finding(what="database", good=False, says=str(problem))
    return Finding(what="database", good=True, says=said)


def _renku(hub: Any, config: Config) -> Renku:
    hub.db = None  # its authenticator is given it, and does not look at it
    renku = Renku(config=config)
    fitness.check(hub, renku)
    hub.authenticator  # noqa: B018  made by each start, with settings of its own
    return renku


def _build_spawner(hub: Any, config: Config) -> None:
    """Read what is set for the pods of sessions, which a hub does at each start for sessions that run.

    Raises TraitError. That there is no cluster here is no fault of the settings.
    """
    if issubclass(hub.spawner_class, RenkuSpawner):
        with suppress(ValueError):
            cli_cluster.spawner_of(hub.spawner_class, config)


async def _neighbours(hub: Any, renku: Renku, config: Config) -> AsyncIterator[Finding]:
    try:
        yield await _gitlab(renku)
        async for each in _registries(renku):
            yield each
        yield await _cluster(hub, renku, config)
    finally:
        await _close(renku)


async def _close(renku: Renku) -> None:
    if renku.parts.registry is not None:
        await renku.parts.registry.close()
    if renku.parts.gitlab is not None:
        renku.parts.gitlab.close()
    renku.parts.db.dispose()


async def _gitlab(renku: Renku) -> Finding:
    gitlab = renku.parts.gitlab
    if gitlab is None:
        return Finding(what="gitlab", good=None, says="Projects live in this hub.")
    try:
        await gitlab.listed(None, "/projects", {"per_page": 1}, within=10)
    except Away:
        return Finding(what="gitlab", good=False, says=f"{gitlab.url} does not answer as a GitLab does.")
    except (LogInAgain, Denied, Missing):  # that nobody sees anything without a login is an answer, too
        pass
    return Finding(what="gitlab", good=True, says=f"{gitlab.url} answers.")


async def _registries(renku: Renku) -> AsyncIterator[Finding]:
    if renku.parts.registry is None:
        yield Finding(what="images", good=None, says="Renku.registries_asked is off: no registry is asked.")
        return
    for each in renku.configured:
        checked = await images.ask(renku.parts, image.parse(each.image), trusted=True, patience=SECONDS)
        said = images.words(checked)
        yield Finding(what="images", good=not said, says=said or f"{each.key}: {checked.image.canonical}")


async def _cluster(hub: Any, renku: Renku, config: Config) -> Finding:
    if not issubclass(hub.spawner_class, RenkuSpawner):
        return Finding(what="cluster", good=None, says="Sessions are programs on the hub's machine.")
    try:
        by = cli_cluster.spawner_of(hub.spawner_class, config)
        measured = renku.idle_processor > 0
        lacking = await rights.missing(by.api.api_client, by.namespace, prepuller=by.prepuller, measured=measured)
    except (ApiException, ClientError, TimeoutError, OSError) as problem:  # before ValueError: aiohttp's of TLS is both
        said = explain_tls_failure(problem) or "The cluster does not say what the hub may do there."
        return Finding(what="cluster", good=False, says=said)
    except ValueError as problem:
        return Finding(what="cluster", good=False, says=str(problem))
    if lacking:
        said = (
            f"In the namespace {by.namespace} the hub may not: {', '.join(lacking)}. helm/role.yaml has these rights."
        )
        return Finding(what="cluster", good=False, says=said)
    return Finding(what="cluster", good=True, says=f"The hub has its rights in the namespace {by.namespace}.")
