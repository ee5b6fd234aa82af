"""Query image registries for manifests, configurations and SBOMs, cached and verified by digest."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import TypeVar

from ...domain.image_metadata import ImageMetadata, parse_image_config
from ...domain.images import ImageReference
from ...observability.metrics import DependencyCallTimer, record_skipped_call
from ..net.cache import TTLCache
from ..net.circuit_breaker import CircuitBreaker
from ..net.errors import (
    ConnectionNotAllowed,
    ImageAccessDenied,
    ImageNotFound,
    NoMatchingPlatform,
    RemoteError,
    RemoteUnreachable,
)
from ..net.guarded_http import HTTP_TOTAL_TIMEOUT_SECONDS, EgressGuard, GuardedHTTPClient, GuardedResponse
from ..net.single_flight import SingleFlight
from .login import RegistryRepository, RegistryTransport, to_registry_repository
from .manifests import (
    CONFIG_MEDIA_TYPES,
    DIGEST_PATTERN,
    INDEX_MEDIA_TYPES,
    MANIFEST_MEDIA_TYPES,
    ImageIndex,
    ImageManifest,
    InvalidManifest,
    OCIDescriptor,
    find_spdx_layer,
    parse_manifest,
    parse_platform,
    parse_registry_json,
    verify_digest,
)

MAX_MANIFEST_BYTES = 4 << 20  # of a manifest or config
MAX_SBOM_BLOB_BYTES = 8 << 20
_MAX_CACHED_BODIES, _MAX_CACHED_BODY_BYTES = 200, 64 << 10  # raw manifests


@dataclass(frozen=True, kw_only=True)
class ResolvedManifest:
    """The digest that a reference points to now; `media_type` is empty if the registry did not send it."""

    digest: str
    media_type: str


class RegistryReader:
    """Read images by the requests of *login*; small manifests are cached by digest.

    *platforms* are in order of preference.
    """

    def __init__(self, login: RegistryTransport, platforms: tuple[str, ...], clock: Callable[[], float]) -> None:
        self._login = login
        self._platforms = platforms
        self._bodies: TTLCache[bytes] = TTLCache(_MAX_CACHED_BODIES, clock)

    async def head_manifest(self, at: RegistryRepository, reference: str) -> ResolvedManifest:
        """Resolve a reference by HEAD, or by GET if the registry does not send the digest with HEAD."""
        answer = await self._login.request("HEAD", at, f"manifests/{reference}", limit=0)
        media_type, digest = _parse_media_type(answer), answer.headers.get("Docker-Content-Digest", "")
        if not digest:
            return await self.fetch_manifest(at, reference)
        if not DIGEST_PATTERN.fullmatch(digest) or (":" in reference and digest != reference):
            raise InvalidManifest("sent an invalid digest")
        return ResolvedManifest(digest=digest, media_type=media_type)

    async def fetch_manifest(self, at: RegistryRepository, reference: str) -> ResolvedManifest:
        """Resolve a reference by GET, and cache the manifest for `read_metadata`."""
        answer = await self._login.request("GET", at, f"manifests/{reference}", limit=MAX_MANIFEST_BYTES)
        media_type = _parse_media_type(answer)
        named = reference if ":" in reference else answer.headers.get("Docker-Content-Digest", "")
        if named and not DIGEST_PATTERN.fullmatch(named):
            raise InvalidManifest("sent an invalid digest")
        digest = named or f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        verify_digest(answer.body, digest)
        self._cache_body(at, digest, answer.body)
        return ResolvedManifest(digest=digest, media_type=media_type)

    async def read_metadata(self, at: RegistryRepository, found: ResolvedManifest) -> ImageMetadata:
        """Read the config of the image for the preferred platform.

        Raises:
            NoMatchingPlatform: the image has none of our platforms.
        """
        top = await self._load_manifest(at, found.digest)
        one, entry = top, None
        if isinstance(top, ImageIndex):
            entry = self._choose_entry(top)
            one = await self._load_manifest(at, entry.digest)
        if not isinstance(one, ImageManifest) or one.config.media_type not in CONFIG_MEDIA_TYPES:
            raise NoMatchingPlatform(top.platforms if isinstance(top, ImageIndex) else ())
        config = parse_registry_json(await self._fetch_blob(at, one.config, MAX_MANIFEST_BYTES))
        platform = (entry.platform if entry else None) or parse_platform(config)
        if platform not in self._platforms:
            raise NoMatchingPlatform((platform,) if platform else ())
        index = top if isinstance(top, ImageIndex) else None
        return parse_image_config(
            config,
            digest=found.digest,
            media_type=found.media_type,
            platforms=(index.platforms if index else ()) or (platform,),
            platform=platform,
            size=one.compressed_size,
            sbom=bool(index and entry and index.find_attestation(entry.digest)),
        )

    async def fetch_sbom_statement(self, at: RegistryRepository, digest: str) -> bytes | None:
        """Return the statement with the SPDX document that is attached to the index *digest* for our platform."""
        index = await self._load_manifest(at, digest)
        attached = index.find_attestation(self._choose_entry(index).digest) if isinstance(index, ImageIndex) else None
        attestation = await self._load_manifest(at, attached.digest) if attached else None
        layer = find_spdx_layer(attestation) if isinstance(attestation, ImageManifest) else None
        return await self._fetch_blob(at, layer, MAX_SBOM_BLOB_BYTES) if layer else None

    async def _load_manifest(self, at: RegistryRepository, digest: str) -> ImageIndex | ImageManifest:
        body = self._bodies.get((at.trusted, digest))
        if body is None:
            body = await self._fetch_document(at, f"manifests/{digest}", MAX_MANIFEST_BYTES)
            verify_digest(body, digest)
            self._cache_body(at, digest, body)
        return parse_manifest(body)

    async def _fetch_blob(self, at: RegistryRepository, part: OCIDescriptor, limit: int) -> bytes:
        if part.size > limit:
            raise InvalidManifest("has a part that is too large to be read")
        body = await self._fetch_document(at, f"blobs/{part.digest}", limit)
        await asyncio.to_thread(verify_digest, body, part.digest)  # hashing megabytes would block the event loop
        return body

    async def _fetch_document(self, at: RegistryRepository, what: str, limit: int) -> bytes:
        """Fetch a document that a manifest refers to; if it is missing, the manifest is invalid."""
        try:
            return (await self._login.request("GET", at, what, limit=limit)).body
        except ImageNotFound:
            raise InvalidManifest("does not have a part that its manifest lists") from None

    def _choose_entry(self, index: ImageIndex) -> OCIDescriptor:
        entry = index.choose_entry(self._platforms)
        if entry is None:
            raise NoMatchingPlatform(index.platforms)
        return entry

    def _cache_body(self, at: RegistryRepository, digest: str, body: bytes) -> None:
        """Cache a small document, by trust: anonymous requests must not see documents read with an admin's login."""
        if len(body) <= _MAX_CACHED_BODY_BYTES:
            self._bodies.put((at.trusted, digest), body)


def _parse_media_type(answer: GuardedResponse) -> str:
    """Return the media type of a manifest, or an empty string without one.

    Raises:
        RemoteUnreachable: the answer is not a manifest, but for example an HTML page.
    """
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type and media_type not in INDEX_MEDIA_TYPES + MANIFEST_MEDIA_TYPES:
        raise RemoteUnreachable("answered with something that is not an image")
    return media_type


IMAGE_FOUND_CACHE_SECONDS = 300.0
IMAGE_REFUSED_CACHE_SECONDS = 30.0
_MAX_CACHED_IMAGES = 1000  # answers of each kind
_REGISTRY_METRIC_OUTCOMES: dict[type[BaseException], str] = {
    ImageNotFound: "refused",
    ImageAccessDenied: "refused",
    NoMatchingPlatform: "refused",
    ConnectionNotAllowed: "refused",
    RemoteUnreachable: "no_answer",
}
Value = TypeVar("Value")
_ResolveReference = Callable[[RegistryRepository, str], Awaitable[ResolvedManifest]]


class RegistryClient:
    """A client for image registries that connects through *guard* and caches answers in memory.

    *platforms* are those of the cluster, in order of preference (such as `linux/amd64`). *credentials* (user and
    password by host, those of Docker Hub under `docker.io`) are used for trusted images only, and sent to that host
    only. *ssl* replaces the system's trust store. Every method has a timeout of 10 seconds. After five failures in a
    row, no requests are made to a host for 15 seconds.
    """

    def __init__(
        self,
        guard: EgressGuard,
        platforms: tuple[str, ...],
        *,
        credentials: Mapping[str, tuple[str, str]] | None = None,
        ssl: SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._guard = guard
        self._wire = GuardedHTTPClient(guard, ssl=ssl)
        self._flights = SingleFlight()
        login = RegistryTransport(self._wire, guard, credentials or {}, self._flights, clock)
        self._reader = RegistryReader(login, platforms, clock)
        self._breaker = CircuitBreaker(clock)
        self._heads: TTLCache[ResolvedManifest | RemoteError] = TTLCache(_MAX_CACHED_IMAGES, clock, name="image")
        self._facts: TTLCache[ImageMetadata | NoMatchingPlatform] = TTLCache(_MAX_CACHED_IMAGES, clock, name="facts")
        self._asked: TTLCache[bool] = TTLCache(_MAX_CACHED_IMAGES, clock)  # repositories that were resolved before
        self._trusted: set[str] = set()  # hosts that an admin has listed, so there are few

    async def close(self) -> None:
        """Cancel running requests, and refuse further ones."""
        await self._flights.close()
        await self._wire.close()
        self._guard.close()

    def get_host_outages(self) -> dict[str, float | None]:
        """Return the outage in seconds of each host of trusted images, None while it answers.

        Hosts that users entered are left out: their outages say nothing about this hub.
        """
        return {host: self._breaker.get_outage_seconds(host) for host in sorted(self._trusted)}

    async def resolve_manifest(self, image: ImageReference, *, trusted: bool = False) -> ResolvedManifest:
        """Resolve the image's digest, or else its tag, usually without fetching the manifest.

        Answers are cached for 5 minutes, refusals for 30 seconds.

        Raises:
            ImageNotFound, ImageAccessDenied: definitive answers.
            ConnectionNotAllowed: the guard does not allow the host; no connection was made.
            RemoteUnreachable: no definitive answer.
        """
        return await self._resolve_cached(image, self._reader.head_manifest, trusted=trusted)

    async def inspect_image(self, image: ImageReference, *, trusted: bool = False) -> ImageMetadata:
        """Return the metadata of the image for the preferred of its platforms, verified by digest.

        Raises:
            NoMatchingPlatform: it is for other platforms, or not a container image.
            ImageNotFound, ImageAccessDenied, ConnectionNotAllowed, RemoteUnreachable: as `resolve_manifest`.
        """
        at = to_registry_repository(image, trusted=trusted)
        async with _apply_timeout():
            manifest = await self._resolve_cached(image, self._choose_resolver(at, image.digest), trusted=trusted)
            metadata = self._facts.get((trusted, manifest.digest))
            if metadata is None:
                metadata = await self._flights.run(("facts", at, manifest), lambda: self._read_metadata(at, manifest))
        if isinstance(metadata, NoMatchingPlatform):
            raise NoMatchingPlatform(metadata.platforms)
        return metadata

    async def fetch_sbom(self, image: ImageReference, digest: str, *, trusted: bool = False) -> bytes | None:
        """Return the in-toto statement with the SPDX document of the index *digest* for our platform, or None.

        BuildKit attaches it to the image. It is at most 8 MiB, and verified by digest.

        Raises:
            NoMatchingPlatform, ImageNotFound, ImageAccessDenied, ConnectionNotAllowed, RemoteUnreachable: as
                `inspect_image`.
        """
        at = to_registry_repository(image, trusted=trusted)
        key = ("sbom", at, digest)
        return await self._flights.run(
            key, lambda: self._call_registry(at, lambda: self._reader.fetch_sbom_statement(at, digest))
        )

    async def _resolve_cached(
        self, image: ImageReference, ask: _ResolveReference, *, trusted: bool
    ) -> ResolvedManifest:
        """Return what the image's reference points to, from the cache or by *ask*."""
        at, reference = to_registry_repository(image, trusted=trusted), image.digest or image.tag or "latest"
        key = ("head", at, reference)
        result = self._heads.get(key)
        if result is None:
            result = await self._flights.run(key, lambda: self._resolve_uncached(at, reference, ask))
        if isinstance(result, RemoteError):
            raise type(result)(result.detail)
        return result

    def _choose_resolver(self, at: RegistryRepository, digest: str | None) -> _ResolveReference:
        """Choose how to resolve a reference whose metadata is needed.

        Fetch an unknown image at once. For one that may be cached, get the digest first by HEAD, which registries do
        not count as a pull.
        """
        new = self._facts.get((at.trusted, digest)) is None if digest else self._asked.get(at) is None
        return self._reader.fetch_manifest if new else self._reader.head_manifest

    async def _resolve_uncached(
        self, at: RegistryRepository, reference: str, ask: _ResolveReference
    ) -> ResolvedManifest | RemoteError:
        try:
            found = await self._call_registry(at, lambda: ask(at, reference))
        except (ImageNotFound, ImageAccessDenied) as refusal:
            self._heads.put(("head", at, reference), refusal, seconds=IMAGE_REFUSED_CACHE_SECONDS)
            return refusal
        self._asked.put(at, value=True)
        for name in (reference, found.digest):
            self._heads.put(("head", at, name), found, seconds=IMAGE_FOUND_CACHE_SECONDS)
        return found

    async def _read_metadata(
        self, at: RegistryRepository, found: ResolvedManifest
    ) -> ImageMetadata | NoMatchingPlatform:
        try:
            known: ImageMetadata | NoMatchingPlatform = await self._call_registry(
                at, lambda: self._reader.read_metadata(at, found)
            )
        except NoMatchingPlatform as refusal:
            known = refusal
        self._facts.put((at.trusted, found.digest), known)
        return known

    async def _call_registry(self, at: RegistryRepository, work: Callable[[], Awaitable[Value]]) -> Value:
        """Run *work* with a timeout and the circuit breaker; only missing answers count as failures of the host."""
        if at.trusted:
            self._trusted.add(at.host)
        if not self._breaker.allow_request(at.host):
            record_skipped_call("registry")
            raise RemoteUnreachable("did not answer recently; the next attempt is in a few seconds")
        try:
            with DependencyCallTimer("registry", _REGISTRY_METRIC_OUTCOMES):
                async with _apply_timeout():
                    value = await work()
        except RemoteUnreachable:
            self._breaker.record_failure(at.host)
            raise
        except InvalidManifest as problem:
            raise RemoteUnreachable(str(problem)) from None
        except (ImageNotFound, ImageAccessDenied, NoMatchingPlatform):
            self._breaker.record_success(at.host)
            raise
        self._breaker.record_success(at.host)
        return value


@contextlib.asynccontextmanager
async def _apply_timeout() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(HTTP_TOTAL_TIMEOUT_SECONDS):
            yield
    except TimeoutError:
        raise RemoteUnreachable(f"did not answer within {HTTP_TOTAL_TIMEOUT_SECONDS:.0f} seconds") from None
