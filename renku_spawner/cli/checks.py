"""Commands that inspect a hub from its configuration.

`check` checks its settings and dependencies; `images` finds the packages of configured environments.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
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

from ..config.mounted import find_config_file, load_hub_config
from ..config.renku import Renku
from ..context.app_context import AppContext
from ..domain.environments import RunConfiguration
from ..domain.images import ImageReference, parse_image_reference
from ..domain.reasons import format_reason_sentence
from ..domain.software import (
    MAX_PROBE_REPORT_CHARACTERS,
    ImageSoftware,
    SoftwareOrigin,
    parse_probe_report,
)
from ..hub.configuration_checks import check_hub_configuration
from ..integrations.gitlab.client import GitLabForbidden, GitLabLoginRequired, GitLabNotFound, GitLabUnavailable
from ..integrations.net.errors import RemoteError
from ..integrations.registry.client import RegistryClient
from ..persistence.migrate import SchemaOutOfDate, check_schema, get_head_schema_revision, get_schema_revision
from ..spawners.kubernetes.api import KubernetesAPIError, list_missing_permissions
from ..spawners.kubernetes.errors import explain_tls_failure
from ..spawners.kubernetes.helper_pods import PodPlacement, run_helper_pod
from ..spawners.kubernetes.image_probe import PROBE_MAX_LOG_LINES, build_image_probe_pod, load_probe_scripts
from ..spawners.kubernetes.spawner import RenkuSpawner, create_detached_spawner
from ..usecases.environments import ConfiguredEnvironment
from ..usecases.images import format_image_refusal, inspect_image
from ..usecases.software import get_image_software, import_attested_software, save_image_software
from .output import CommandError, escape_for_terminal, print_json

REGISTRY_CHECK_TIMEOUT_SECONDS = 15.0  # for one registry
_NO_TABLES_MESSAGE = "There are no tables of Renku yet; the hub creates them when it starts."
_FINDING_LABELS = {True: "ok", False: "no", None: "-"}


class CheckFinding(BaseModel):
    """Result of one check; `good` is None if the check does not apply to this hub."""

    what: str
    good: bool | None
    says: str


def run_hub_checks(config_file: str, *, settings_only: bool, as_json: bool) -> None:
    """Run all checks and print their results. Raises CommandError if a check fails."""
    file = find_config_file(config_file)
    findings = asyncio.run(_collect_findings(file, alone=as_json, settings_only=settings_only))
    if as_json:
        print_json(findings)
    failed = sorted({each.what for each in findings if each.good is False})
    if failed:
        raise CommandError(f"Failed checks: {', '.join(failed)}.")


async def _collect_findings(file: Path, *, alone: bool, settings_only: bool) -> list[CheckFinding]:
    """Return the results of all checks; print each of them as soon as it is available, unless *alone*."""
    findings = []
    async for each in _run_checks(file, settings_only=settings_only):
        findings.append(each)
        if not alone:
            print(f"{_FINDING_LABELS[each.good]:2}  {each.what:10}  {escape_for_terminal(each.says)}", flush=True)
    return findings


async def _run_checks(file: Path, *, settings_only: bool) -> AsyncIterator[CheckFinding]:
    try:
        config = load_hub_config(file)
    except Exception as problem:  # the configuration is a program and can raise anything
        yield CheckFinding(what="settings", good=False, says=f"{file}: {type(problem).__name__}: {problem}")
        return
    yield _check_database(config)
    with tempfile.TemporaryDirectory() as folder:
        isolated = deepcopy(config)
        isolated.Renku.db_url = f"sqlite:///{folder}/empty.sqlite"  # loading would create the hub's own database
        isolated.JupyterHub.pop("extra_handlers", None)  # avoids JupyterHub's deprecation warning
        try:
            hub = JupyterHub(config=isolated)
            renku = _load_renku(hub, isolated)
            _check_spawner_settings(hub, isolated)
        except (TraitError, ValueError, OSError, ImportError) as problem:
            yield CheckFinding(what="settings", good=False, says=str(problem))
            return
        yield CheckFinding(what="settings", good=True, says=str(file))
        if settings_only:
            await _close_dependencies(renku)
            return
        async for each in _check_dependencies(hub, renku, config):
            yield each


def _check_database(config: Config) -> CheckFinding:
    url = config.Renku.get("db_url") or config.JupyterHub.get("db_url", "sqlite:///jupyterhub.sqlite")
    try:
        check_schema(url)
        said = f"Renku's tables are up to date (revision {get_head_schema_revision()})."
    except FileNotFoundError:
        said = _NO_TABLES_MESSAGE
    except SchemaOutOfDate as problem:
        if get_schema_revision(url) is not None:
            return CheckFinding(what="database", good=False, says=str(problem))
        said = _NO_TABLES_MESSAGE
    except (ValueError, OSError) as problem:
        return CheckFinding(what="database", good=False, says=str(problem))
    return CheckFinding(what="database", good=True, says=said)


def _load_renku(hub: Any, config: Config) -> Renku:
    hub.db = None  # the authenticator's constructor needs the attribute, but does not use it
    renku = Renku(config=config)
    check_hub_configuration(hub, renku)
    hub.authenticator  # noqa: B018  created on access, which validates its settings
    return renku


def _check_spawner_settings(hub: Any, config: Config) -> None:
    """Load the settings for pods of sessions, as the hub does when it starts and sessions run. Raises TraitError.

    A missing cluster is ignored here, since it is not an error in the settings.
    """
    if issubclass(hub.spawner_class, RenkuSpawner):
        with suppress(ValueError):
            create_detached_spawner(hub.spawner_class, config)


async def _check_dependencies(hub: Any, renku: Renku, config: Config) -> AsyncIterator[CheckFinding]:
    try:
        yield await _check_gitlab(renku)
        async for each in _check_registries(renku):
            yield each
        yield await _check_cluster_permissions(hub, renku, config)
    finally:
        await _close_dependencies(renku)


async def _close_dependencies(renku: Renku) -> None:
    if renku.context.registry is not None:
        await renku.context.registry.close()
    if renku.context.gitlab is not None:
        renku.context.gitlab.close()
    renku.context.db.dispose()


async def _check_gitlab(renku: Renku) -> CheckFinding:
    gitlab = renku.context.gitlab
    if gitlab is None:
        return CheckFinding(what="gitlab", good=None, says="Projects are stored in this hub.")
    try:
        await gitlab.list_objects(None, "/projects", {"per_page": 1}, within=10)
    except GitLabUnavailable:
        return CheckFinding(what="gitlab", good=False, says=f"{gitlab.url} does not answer as a GitLab does.")
    except (
        GitLabLoginRequired,
        GitLabForbidden,
        GitLabNotFound,
    ):  # GitLab answers, but shows nothing without a log-in
        pass
    return CheckFinding(what="gitlab", good=True, says=f"{gitlab.url} answers.")


async def _check_registries(renku: Renku) -> AsyncIterator[CheckFinding]:
    if renku.context.registry is None:
        yield CheckFinding(what="images", good=None, says="Renku.registries_asked is off; registries are not checked.")
        return
    for each in renku.configured:
        checked = await inspect_image(
            renku.context, parse_image_reference(each.image), trusted=True, patience=REGISTRY_CHECK_TIMEOUT_SECONDS
        )
        refusal = format_image_refusal(checked)
        yield CheckFinding(
            what="images", good=not refusal, says=refusal or f"{each.key}: {checked.image.canonical_reference}"
        )


async def _check_cluster_permissions(hub: Any, renku: Renku, config: Config) -> CheckFinding:
    if not issubclass(hub.spawner_class, RenkuSpawner):
        return CheckFinding(what="cluster", good=None, says="Sessions are processes on the hub's machine.")
    try:
        by = create_detached_spawner(hub.spawner_class, config)
        measured = renku.idle_processor > 0
        missing = await list_missing_permissions(
            by.api.api_client, by.namespace, prepuller=by.prepuller, measured=measured
        )
    except (ApiException, ClientError, TimeoutError, OSError) as problem:  # first: aiohttp's TLS error is a ValueError
        reason = explain_tls_failure(problem) or "The cluster does not report the hub's permissions."
        return CheckFinding(what="cluster", good=False, says=reason)
    except ValueError as problem:
        return CheckFinding(what="cluster", good=False, says=str(problem))
    if missing:
        reason = (
            f"In the namespace {by.namespace} the hub may not: {', '.join(missing)}. helm/role.yaml has these rights."
        )
        return CheckFinding(what="cluster", good=False, says=reason)
    return CheckFinding(
        what="cluster", good=True, says=f"The hub has all required rights in the namespace {by.namespace}."
    )


_PROBE_INSTRUCTIONS = """\
{key}: the image has no list of its packages. If sessions are pods, use --pod to probe it; otherwise run:
  renku-spawner images script | docker run --rm -i --network none --entrypoint /bin/sh {pinned} > report.txt
  renku-spawner images probe {key} --digest {digest} --report report.txt"""


def format_probe_script() -> str:
    """Return the script that lists an image's packages, for `/bin/sh`."""
    shell, python = load_probe_scripts()
    return f"set -- {shlex.quote(python)} /\n{shell}"


def probe_environment_images(
    config_file: str, keys: Sequence[str], *, pod: bool, report: str | None, digest: str | None
) -> bool:
    """Find the packages of configured environments' images; return False if a registry or a probe pod failed.

    Raises:
        CommandError, ValueError, OSError: the message is for the admin.
    """
    file = find_config_file(config_file)
    try:
        config = load_hub_config(file)
        renku = Renku(config=config)
    except TraitError as problem:
        raise ValueError(str(problem)) from None
    chosen = _select_environments(renku.configured, keys)
    if (report or digest) and len(chosen) != 1:
        raise ValueError("A report is about one environment; please name it.")
    return asyncio.run(_probe_environments(renku, config, chosen, pod=pod, report=report, digest=digest))


def _select_environments(
    configured: Sequence[ConfiguredEnvironment], keys: Sequence[str]
) -> list[ConfiguredEnvironment]:
    unknown = sorted(set(keys) - {each.key for each in configured})
    if unknown:
        raise ValueError(f"Renku.environments has no entry with the key {unknown[0]!r}.")
    return [each for each in configured if each.key in keys or not keys]


async def _probe_environments(
    renku: Renku,
    config: Config,
    chosen: Sequence[ConfiguredEnvironment],
    *,
    pod: bool,
    report: str | None,
    digest: str | None,
) -> bool:
    """Probe the *chosen* environments; return False if a registry or a probe pod failed."""
    client, good = renku.context.registry, True
    try:
        if client is None:
            raise ValueError("Renku.registries_asked is off; images cannot be found in their registries.")
        by = build_cluster_spawner(config) if pod else None
        for each in chosen:
            try:
                print(await _probe_environment(renku, client, each, by, report=report, digest=digest))
            except (RemoteError, ImageProbeError) as problem:
                reason = f"{type(problem).__name__}: {problem.detail}" if isinstance(problem, RemoteError) else problem
                print(f"{each.key}: {reason}", file=sys.stderr)
                good = False
    finally:
        if client is not None:
            await client.close()
        renku.context.db.dispose()
    return good


async def _probe_environment(
    renku: Renku,
    client: RegistryClient,
    each: ConfiguredEnvironment,
    by: RenkuSpawner | None,
    *,
    report: str | None,
    digest: str | None,
) -> str:
    """Find the packages of one environment; return a sentence with the result.

    Raises:
        RemoteError, ImageProbeError, ValueError, OSError: the message says why there is none.
    """
    of, context = parse_image_reference(each.image), renku.context
    digest = digest or of.digest or (await client.resolve_manifest(of, trusted=True)).digest
    if report:
        text = sys.stdin.read() if report == "-" else await asyncio.to_thread(Path(report).read_text)
        software = parse_probe_report(text, origin=SoftwareOrigin.PROBE, found_at=context.now())
        if software is None:
            raise ValueError("The report is incomplete: it must be the whole output of the script.")
        saved = await save_image_software(context, digest, software)
        return _format_package_count(each.key, software) if saved else f"{each.key}: the image's own list was kept"
    listed = await import_attested_software(context, client, of, digest, trusted=True) or await get_image_software(
        context, digest
    )
    if by and not (listed and listed.complete):
        listed = await probe_image_in_pod(context, by, of, digest, each.run)
    return _format_package_count(each.key, listed) if listed else _format_probe_instructions(each.key, of, digest)


def _format_package_count(key: str, found: ImageSoftware) -> str:
    where = {SoftwareOrigin.SBOM: "the image's own list", SoftwareOrigin.PROBE: "a probe of the image"}
    source = where.get(found.origin, "a session of the image")
    number = len(found.packages) + found.more
    return f"{key}: {number} package{'' if number == 1 else 's'} known from {source}"


def _format_probe_instructions(key: str, of: ImageReference, digest: str) -> str:
    return _PROBE_INSTRUCTIONS.format(key=shlex.quote(key), pinned=f"{of.repository}@{digest}", digest=digest)


IMAGE_PROBE_TIMEOUT_SECONDS = 900  # enough to pull a large image


class ImageProbeError(Exception):
    """A failed probe; the message is the reason, to be printed after the environment's key and a colon."""


def build_cluster_spawner(config: Config) -> RenkuSpawner:
    """Create a spawner that starts no session, to use its cluster and its settings for pods.

    It needs a running event loop; its connections are closed with it.

    Raises:
        ValueError: the hub has no cluster, or the cluster cannot be found from here.
    """
    settings = {name: value for name, value in config.JupyterHub.items() if name == "spawner_class"}
    spawner_class = JupyterHub(config=Config(JupyterHub=settings)).spawner_class  # resolves names of classes
    if not issubclass(spawner_class, RenkuSpawner):
        raise ValueError(f"Sessions of this hub are not pods (c.JupyterHub.spawner_class is {spawner_class.__name__}).")
    return create_detached_spawner(spawner_class, config)


async def probe_image_in_pod(
    context: AppContext, by: RenkuSpawner, image: ImageReference, digest: str, run: RunConfiguration
) -> ImageSoftware:
    """Find the packages of *image* with a helper pod and save them. Raises ImageProbeError."""
    pod = build_image_probe_pod(
        f"{image.repository}@{digest}",
        run,
        by.pod_settings,
        _get_probe_placement(by),
        seconds=IMAGE_PROBE_TIMEOUT_SECONDS,
    )
    try:
        report = await run_helper_pod(
            by.kubernetes_api,
            pod,
            patience=IMAGE_PROBE_TIMEOUT_SECONDS,
            lines=PROBE_MAX_LOG_LINES,
            limit=MAX_PROBE_REPORT_CHARACTERS,
        )
    except KubernetesAPIError as denied:
        raise ImageProbeError(format_reason_sentence(denied.refusal.code, **denied.refusal.values)) from None
    software = await asyncio.to_thread(parse_probe_report, report, origin=SoftwareOrigin.PROBE, found_at=context.now())
    if software is None:
        raise ImageProbeError(
            "could not be probed: the image has no shell, does not start, or took more than "
            f"{IMAGE_PROBE_TIMEOUT_SECONDS // 60} minutes"
        )
    await save_image_software(context, digest, software)
    return software


def _get_probe_placement(by: RenkuSpawner) -> PodPlacement:
    """Return the nodes for the probe pod and its pull secrets: the same as for sessions."""
    secrets = [{"name": each} if isinstance(each, str) else each for each in by.image_pull_secrets or []]
    return PodPlacement(
        selector=by.node_selector, tolerations=by.tolerations, pull_secrets=secrets, scheduler=by.scheduler_name or None
    )
