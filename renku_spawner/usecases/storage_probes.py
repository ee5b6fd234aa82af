"""Check which storages are available where this hub's sessions run, and probe them with credentials.

Permissions are checked in `usecases.storages`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from yarl import URL

from ..context.app_context import AppContext
from ..domain.policy import HubPolicy
from ..domain.storages import HostKey, SharedVolume, Storage, StorageProbe, StorageProbeOutcome
from ..integrations.net.errors import ConnectionNotAllowed, RemoteError, UnknownHost
from ..integrations.net.guarded_http import parse_ip_literal
from ..integrations.rclone import (
    RCLONE_PROBE_TIMEOUT_SECONDS,
    build_remote_options,
    can_mount_remotes,
    find_rclone,
    probe_remote,
    scan_host_key,
)


def find_declared_volume(policy: HubPolicy, storage: Storage) -> SharedVolume | None:
    """Return the configured volume of *storage*, if it exists on this backend."""
    name = storage.settings.get("volume")
    return next(
        (volume for volume in policy.volumes if volume.name == name and volume.is_available(local=policy.local)), None
    )


def get_unavailable_reason(policy: HubPolicy, storage: Storage) -> str:
    """Return why no session can mount *storage*, whatever its configuration, or an empty string."""
    if storage.kind == "volume":
        where = "folder of this machine" if policy.local else "volume of this cluster"
        return "" if find_declared_volume(policy, storage) else f"an admin has not configured it as a {where}"
    if policy.local:
        return "" if can_mount_remotes() else "this machine lacks rclone or FUSE"
    return "" if policy.rclone_storage_class else "this cluster mounts no remotes"


DEFAULT_SFTP_PORT = 22
_AWS_ENDPOINT = "https://s3.{region}.amazonaws.com"
_DEFAULT_AWS_REGION = "us-east-1"
_ENDPOINT_OPTIONS = {"s3": "endpoint", "webdav": "url"}  # the rclone option that holds the URL


async def probe_storage(context: AppContext, storage: Storage, secrets: Mapping[str, str]) -> StorageProbe:
    """List the folder with *secrets*. The outcome is `not_checked` if the admins disabled checks, or without rclone.

    The outcome is `not_allowed` in any case for a host that the hub may not connect to.
    """
    return StorageProbe(outcome=await _probe_outcome(context, storage, secrets), at=context.now())


async def check_storage_host(context: AppContext, storage: Storage) -> StorageProbe:
    """Check only whether the hub may connect to the host, where no credentials are known."""
    try:
        require_allowed_host(context, storage)
    except ConnectionNotAllowed:
        return StorageProbe(outcome=_get_forbidden_host_outcome(storage), at=context.now())
    return StorageProbe(outcome=StorageProbeOutcome.NOT_CHECKED, at=context.now())


async def _probe_outcome(context: AppContext, storage: Storage, secrets: Mapping[str, str]) -> StorageProbeOutcome:
    try:
        require_allowed_host(context, storage)
    except ConnectionNotAllowed:
        return _get_forbidden_host_outcome(storage)
    if storage.kind == "volume" and context.policy.storage_check:
        return await _probe_volume(context, storage)
    if not storage.storage_kind.rclone or not context.policy.storage_check or find_rclone() is None:
        return StorageProbeOutcome.NOT_CHECKED
    options = build_remote_options(storage, secrets)
    if storage.kind == "sftp":
        return await _probe_sftp(context, storage, options)
    if storage.kind in _ENDPOINT_OPTIONS:
        return await _probe_via_relay(context, storage, options)
    return await probe_remote(options, storage.path)  # its provider's own hosts


async def _probe_volume(context: AppContext, storage: Storage) -> StorageProbeOutcome:
    """Check that the folder of a local volume exists; volumes of a cluster are only visible in its pods."""
    volume = find_declared_volume(context.policy, storage)
    if volume is None:
        return StorageProbeOutcome.NOT_FOUND
    if not volume.directory:
        return StorageProbeOutcome.NOT_CHECKED
    try:
        async with asyncio.timeout(RCLONE_PROBE_TIMEOUT_SECONDS):
            exists = await asyncio.to_thread(os.path.isdir, os.path.join(volume.directory, storage.path))
    except TimeoutError:
        return StorageProbeOutcome.SLOW
    return StorageProbeOutcome.FINE if exists else StorageProbeOutcome.NOT_FOUND


def _get_forbidden_host_outcome(storage: Storage) -> StorageProbeOutcome:
    """Distinguish a forbidden host from one that cannot exist (RFC 6761)."""
    host = (
        _get_sftp_address(storage)[0] if storage.kind == "sftp" else urlsplit(_get_endpoint_url(storage)).hostname or ""
    )
    never = host.lower().rstrip(".").rpartition(".")[2] in ("invalid", "example", "test")
    return StorageProbeOutcome.UNKNOWN_HOST if never else StorageProbeOutcome.NOT_ALLOWED


def require_allowed_host(context: AppContext, storage: Storage) -> None:
    """Check the host without a DNS look-up. Raises ConnectionNotAllowed."""
    if storage.kind == "sftp":
        host, port = _get_sftp_address(storage)
        context.egress_proxies.guard.check_url(URL.build(scheme="https", host=host, port=port))
    elif storage.kind in _ENDPOINT_OPTIONS:
        context.egress_proxies.guard.check_url(URL(_get_endpoint_url(storage)))


async def _probe_sftp(context: AppContext, storage: Storage, options: dict[str, str]) -> StorageProbeOutcome:
    """Probe an SFTP server at the address that was checked, so that its name is not resolved a second time."""
    host, port = _get_sftp_address(storage)
    try:
        addresses = await context.egress_proxies.guard.resolve_allowed_addresses(host, port)
    except ConnectionNotAllowed:
        return StorageProbeOutcome.NOT_ALLOWED
    except UnknownHost:
        return StorageProbeOutcome.UNKNOWN_HOST
    except RemoteError:
        return StorageProbeOutcome.UNREACHABLE
    known = storage.known_hosts_text
    return await probe_remote({**options, "host": addresses[0]}, storage.path, known_hosts=known)


async def read_host_key(context: AppContext, storage: Storage) -> HostKey | None:
    """Query the server of an SFTP storage for its host key, of the type that was confirmed if it has one.

    Returns None where the hub may not check it, cannot connect, or gets no answer.
    """
    if storage.kind != "sftp" or not context.policy.storage_check:
        return None
    host, port = _get_sftp_address(storage)
    try:
        require_allowed_host(context, storage)
        addresses = await context.egress_proxies.guard.resolve_allowed_addresses(host, port)
    except RemoteError:
        return None
    types = (storage.host_key.type,) if storage.host_key else ()
    return await scan_host_key(addresses[0], port, *types)


async def _probe_via_relay(context: AppContext, storage: Storage, options: dict[str, str]) -> StorageProbeOutcome:
    """Probe an HTTP storage through the egress proxy.

    Loopback addresses, which an admin must have allowed, are probed directly: Go ignores proxies for them.
    """
    address = urlsplit(_get_endpoint_url(storage))
    if _is_loopback_host(address.hostname or ""):
        return await probe_remote(options, storage.path)
    try:  # rclone cannot tell an unknown host from other errors of the proxy
        await context.egress_proxies.guard.resolve_allowed_addresses(
            address.hostname or "", address.port or (443 if address.scheme == "https" else 80)
        )
    except UnknownHost:
        return StorageProbeOutcome.UNKNOWN_HOST
    except RemoteError:
        pass  # the proxy meets the same error and reports it
    plain = address._replace(scheme="http").geturl()
    async with context.egress_proxies.open_proxy(plain=address.scheme == "http") as proxy:
        proxied_options = {**options, _ENDPOINT_OPTIONS[storage.kind]: plain}
        outcome = await probe_remote(proxied_options, storage.path, proxy=proxy.proxy_url)
    return StorageProbeOutcome.NOT_ALLOWED if proxy.refused else outcome


def _is_loopback_host(host: str) -> bool:
    address = parse_ip_literal(host)
    return host == "localhost" or bool(address and address.is_loopback)


def _get_sftp_address(storage: Storage) -> tuple[str, int]:
    return storage.settings["host"], int(storage.settings.get("port", DEFAULT_SFTP_PORT))


def _get_endpoint_url(storage: Storage) -> str:
    """Return the URL of the endpoint; the default is AWS."""
    region = storage.settings.get("region", _DEFAULT_AWS_REGION)
    return storage.settings.get(_ENDPOINT_OPTIONS[storage.kind]) or _AWS_ENDPOINT.format(region=region)
