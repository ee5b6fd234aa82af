"""What is installed in the images that sessions run: found, kept by digest, searched, and handed out."""

from __future__ import annotations

import asyncio
import sys
from functools import lru_cache
from importlib import metadata
from typing import Protocol

from ..domain import software
from ..domain.image import Image
from ..domain.software import Kind, Origin, Package, Software
from ..registry import spdx
from ..store.database import Transaction
from .bom import cyclonedx
from .parts import Parts, read, write

__all__ = ["Attests", "attested", "cyclonedx", "keep", "of", "of_hub", "search", "wanted"]

search = software.search


class Attests(Protocol):
    """A registry that may have an SPDX document about an image."""

    async def sbom(self, image: Image, digest: str, *, trusted: bool = False) -> bytes | None:
        """The document about the image or index *digest*; None where there is none."""


async def of(parts: Parts, digest: str | None) -> Software | None:
    """What is installed in the image *digest*; None as long as nobody has looked."""
    return await read(parts, lambda tx: tx.software.get(digest)) if digest else None


async def wanted(parts: Parts, digest: str | None) -> bool:
    """Whether it is worth while to look into a running image: only if it is pinned and nothing
    whole is known of it."""
    if not digest:
        return False
    found = await of(parts, digest)
    return found is None or not found.complete


async def keep(parts: Parts, digest: str, found: Software) -> bool:
    """Keep what was found, unless more trustworthy findings are there; whether it was kept."""

    def work(tx: Transaction) -> bool:
        before = tx.software.get(digest)
        if before is not None and before.complete and not found.complete:
            return False
        return tx.software.save(digest, found)

    return await write(parts, work)


async def attested(
    parts: Parts, registry: Attests, image: Image, digest: str, *, trusted: bool = False
) -> Software | None:
    """What the image's SBOM attestation says, kept; None if it has none that can be read.

    Raises:
        RegistryError: the registry gave no answer.
    """
    document = await registry.sbom(image, digest, trusted=trusted)
    if document is None:
        return None
    found = await asyncio.to_thread(spdx.read, document, found_at=parts.now())
    if found is not None:
        await keep(parts, digest, found)
    return found


async def of_hub(parts: Parts) -> Software:
    """What sessions of this machine run in: this hub's own Python, never kept as an image's (decision 30)."""
    packages = await asyncio.to_thread(_own, sys.executable)
    version = ".".join(map(str, sys.version_info[:3]))
    return Software(packages=packages, interpreters={"Python": version}, origin=Origin.HUB, found_at=parts.now())


@lru_cache(maxsize=1)
def _own(_interpreter: str) -> tuple[Package, ...]:
    found = (software.package(one.name, one.version, Kind.PYTHON) for one in metadata.distributions())
    return software.listed(filter(None, found))[0]
