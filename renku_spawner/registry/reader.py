"""The requests that answer one question about an image, each document checked against its digest."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from ..domain import facts
from ..domain.facts import ImageFacts
from ..remote.cache import Cache
from . import manifest
from .errors import NoPlatform, NotFound, Unreachable
from .login import Login, Place
from .manifest import Descriptor, Index, Manifest, Unreadable
from .wire import Answer

MANIFEST_LIMIT = 4 << 20  # bytes, for manifests and configs
SBOM_LIMIT = 8 << 20
_BODIES, _BODY_LIMIT = 200, 64 << 10  # manifests that are kept as they came


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a reference points to now; `media_type` is empty where the registry did not say."""

    digest: str
    media_type: str


class Reader:
    """Asks through *login*; *platforms* in the order of preference. Small manifests are kept by digest."""

    def __init__(self, login: Login, platforms: tuple[str, ...], clock: Callable[[], float]) -> None:
        self._login = login
        self._platforms = platforms
        self._bodies: Cache[bytes] = Cache(_BODIES, clock)

    async def look(self, at: Place, reference: str) -> Found:
        """HEAD; GET only from a registry that does not name the digest otherwise."""
        answer = await self._login.ask("HEAD", at, f"manifests/{reference}", limit=0)
        media_type, digest = _type(answer), answer.headers.get("Docker-Content-Digest", "")
        if not digest:
            return await self.open(at, reference)
        if not manifest.DIGEST.fullmatch(digest) or (":" in reference and digest != reference):
            raise Unreadable("named a digest that cannot be")
        return Found(digest=digest, media_type=media_type)

    async def open(self, at: Place, reference: str) -> Found:
        """GET: for who wants the details too, which are kept for `facts`."""
        answer = await self._login.ask("GET", at, f"manifests/{reference}", limit=MANIFEST_LIMIT)
        media_type = _type(answer)
        named = reference if ":" in reference else answer.headers.get("Docker-Content-Digest", "")
        if named and not manifest.DIGEST.fullmatch(named):
            raise Unreadable("named a digest that cannot be")
        digest = named or f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        manifest.check(answer.body, digest)
        self._keep(at, digest, answer.body)
        return Found(digest=digest, media_type=media_type)

    async def facts(self, at: Place, found: Found) -> ImageFacts:
        """Raises NoPlatform where the image is for none of our platforms."""
        top = await self._manifest(at, found.digest)
        one, entry = top, None
        if isinstance(top, Index):
            entry = self._choose(top)
            one = await self._manifest(at, entry.digest)
        if not isinstance(one, Manifest) or one.config.media_type not in manifest.CONFIGS:
            raise NoPlatform(top.platforms if isinstance(top, Index) else ())
        config = manifest.document(await self._blob(at, one.config, MANIFEST_LIMIT))
        platform = (entry.platform if entry else None) or manifest.platform_of(config)
        if platform not in self._platforms:
            raise NoPlatform((platform,) if platform else ())
        index = top if isinstance(top, Index) else None
        return facts.read(
            config,
            digest=found.digest,
            media_type=found.media_type,
            platforms=(index.platforms if index else ()) or (platform,),
            platform=platform,
            size=one.size,
            sbom=bool(index and entry and index.attestation(entry.digest)),
        )

    async def packages(self, at: Place, digest: str) -> bytes | None:
        """The statement with the SPDX document attached to the index *digest* for our platform."""
        index = await self._manifest(at, digest)
        attached = index.attestation(self._choose(index).digest) if isinstance(index, Index) else None
        attestation = await self._manifest(at, attached.digest) if attached else None
        layer = manifest.spdx_layer(attestation) if isinstance(attestation, Manifest) else None
        return await self._blob(at, layer, SBOM_LIMIT) if layer else None

    async def _manifest(self, at: Place, digest: str) -> Index | Manifest:
        body = self._bodies.get((at.trusted, digest))
        if body is None:
            body = await self._get(at, f"manifests/{digest}", MANIFEST_LIMIT)
            manifest.check(body, digest)
            self._keep(at, digest, body)
        return manifest.read(body)

    async def _blob(self, at: Place, part: Descriptor, limit: int) -> bytes:
        if part.size > limit:
            raise Unreadable("has a part that is too large to be read")
        body = await self._get(at, f"blobs/{part.digest}", limit)
        await asyncio.to_thread(manifest.check, body, part.digest)  # megabytes: not on the loop
        return body

    async def _get(self, at: Place, what: str, limit: int) -> bytes:
        """What the registry itself has named; that it has not got it is no answer about the image."""
        try:
            return (await self._login.ask("GET", at, what, limit=limit)).body
        except NotFound:
            raise Unreadable("does not have what it names") from None

    def _choose(self, index: Index) -> Descriptor:
        entry = index.choose(self._platforms)
        if entry is None:
            raise NoPlatform(index.platforms)
        return entry

    def _keep(self, at: Place, digest: str, body: bytes) -> None:
        """Per trust: what an admin's credentials have opened is not shown to who was asked anonymously."""
        if len(body) <= _BODY_LIMIT:
            self._bodies.put((at.trusted, digest), body)


def _type(answer: Answer) -> str:
    """Raises Unreachable for an answer that is no manifest, such as a page of HTML."""
    said = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if said and said not in manifest.INDEXES + manifest.MANIFESTS:
        raise Unreachable("answered with something that is not an image")
    return said
