"""`renku-spawner images`: what is installed in the ready-made environments, before anybody starts one."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from traitlets import TraitError
from traitlets.config import Config

from . import cli_cluster, cli_database, mounted
from .app import Renku
from .domain import image, probed
from .domain.image import Image
from .domain.software import Origin, Software
from .kube import probe
from .registry.client import Client
from .registry.errors import RegistryError
from .services import software
from .services.environments import Configured
from .spawner import RenkuSpawner

_HOW = """{key}: the image has no list of its packages. Where sessions are pods, --pod looks into it; or by hand:
  renku-spawner images script | docker run --rm -i --network none --entrypoint /bin/sh {pinned} > report.txt
  renku-spawner images probe {key} --digest {digest} --report report.txt"""


def script(_parsed: argparse.Namespace) -> None:
    shell, python = probe.scripts()
    print(f"set -- {shlex.quote(python)} /\n{shell}", end="")


def probe_images(parsed: argparse.Namespace) -> None:
    """Raises Ended, ValueError, OSError: the message is for the admin."""
    file = mounted.find_config(parsed.config)
    try:
        config = mounted.load_config(file)
        renku = Renku(config=config)
    except TraitError as problem:
        raise ValueError(str(problem)) from None
    chosen = _chosen(renku.configured, parsed.environments)
    if (parsed.report or parsed.digest) and len(chosen) != 1:
        raise ValueError("A report is about one environment: please name it.")
    with cli_database.in_words():
        failed = asyncio.run(_all(renku, config, chosen, parsed))
    if failed:
        sys.exit(failed)


def _chosen(configured: Sequence[Configured], keys: Sequence[str]) -> list[Configured]:
    unknown = sorted(set(keys) - {each.key for each in configured})
    if unknown:
        raise ValueError(f"Renku.environments has none with the key {unknown[0]!r}.")
    return [each for each in configured if each.key in keys or not keys]


async def _all(renku: Renku, config: Config, chosen: Sequence[Configured], parsed: argparse.Namespace) -> int:
    """1 if a registry did not answer, or a pod came to nothing, else 0."""
    client, failed = renku.parts.registry, 0
    try:
        if client is None:
            raise ValueError("Renku.registries_asked is off: no registry can be asked.")
        by = cli_cluster.spawner(config) if parsed.pod else None
        for each in chosen:
            try:
                print(await _one(renku, client, each, parsed, by))
            except (RegistryError, cli_cluster.NotLooked) as problem:
                said = f"{type(problem).__name__}: {problem.detail}" if isinstance(problem, RegistryError) else problem
                print(f"{each.key}: {said}", file=sys.stderr)
                failed = 1
    finally:
        if client is not None:
            await client.close()
        renku.parts.db.dispose()
    return failed


async def _one(
    renku: Renku, client: Client, each: Configured, parsed: argparse.Namespace, by: RenkuSpawner | None
) -> str:
    """What became of it, in a sentence. Raises RegistryError, NotLooked, ValueError, OSError."""
    of, parts = image.parse(each.image), renku.parts
    digest = parsed.digest or of.digest or (await client.head(of, trusted=True)).digest
    if parsed.report:
        report = sys.stdin.read() if parsed.report == "-" else await asyncio.to_thread(Path(parsed.report).read_text)
        found = probed.read(report, origin=Origin.PROBE, found_at=parts.now())
        if found is None:
            raise ValueError("This is not the whole of what the script prints.")
        kept = await software.keep(parts, digest, found)
        return _told(each.key, found) if kept else f"{each.key}: what the image lists itself stays"
    listed = await software.attested(parts, client, of, digest, trusted=True) or await software.of(parts, digest)
    if by and not (listed and listed.complete):
        listed = await cli_cluster.look(parts, by, of, digest, each.run)
    return _told(each.key, listed) if listed else _how(each.key, of, digest)


def _told(key: str, found: Software) -> str:
    where = {Origin.SBOM: "the image's own list", Origin.PROBE: "a look into the image"}
    source = where.get(found.origin, "a session of the image")
    number = len(found.packages) + found.more
    return f"{key}: {number} package{'' if number == 1 else 's'} known from {source}"


def _how(key: str, of: Image, digest: str) -> str:
    return _HOW.format(key=shlex.quote(key), pinned=f"{of.repository}@{digest}", digest=digest)
