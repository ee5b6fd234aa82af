"""A look into a storage before it is saved or started: may we connect, and does it open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from yarl import URL

from ..domain.host_keys import HostKey
from ..domain.storage import Look, Outcome, Storage
from ..registry.addresses import literal
from ..registry.errors import NotAllowed, RegistryError, UnknownName
from ..runtime import rclone
from . import availability
from .parts import Parts

SFTP_PORT = 22
_AWS = "https://s3.{region}.amazonaws.com"
_USUAL_REGION = "us-east-1"
_ADDRESS = {"s3": "endpoint", "webdav": "url"}  # the option of those kinds that say where they are


async def look(parts: Parts, storage: Storage, secrets: Mapping[str, str]) -> Look:
    """List the folder with *secrets*; where the admin has said no, or there is no rclone, it is `not_checked`.

    A host where the hub may not connect is `not_allowed` in any case.
    """
    return Look(outcome=await _outcome(parts, storage, secrets), at=parts.now())


async def host(parts: Parts, storage: Storage) -> Look:
    """The same where nobody's credentials are known: only whether the hub may connect."""
    try:
        judge(parts, storage)
    except NotAllowed:
        return Look(outcome=_forbidden(storage), at=parts.now())
    return Look(outcome=Outcome.NOT_CHECKED, at=parts.now())


async def _outcome(parts: Parts, storage: Storage, secrets: Mapping[str, str]) -> Outcome:
    try:
        judge(parts, storage)
    except NotAllowed:
        return _forbidden(storage)
    if storage.kind == "volume" and parts.policy.storage_check:
        return await _volume(parts, storage)
    if not storage.of_kind.rclone or not parts.policy.storage_check or rclone.program() is None:
        return Outcome.NOT_CHECKED
    options = rclone.options(storage, secrets)
    if storage.kind == "sftp":
        return await _by_address(parts, storage, options)
    if storage.kind in _ADDRESS:
        return await _by_relay(parts, storage, options)
    return await rclone.look(options, storage.path)  # its provider's own hosts


async def _volume(parts: Parts, storage: Storage) -> Outcome:
    """Look for the folder of a volume of this machine; those of a cluster only its pods see."""
    volume = availability.declared(parts.policy, storage)
    if volume is None:
        return Outcome.NOT_FOUND
    if not volume.directory:
        return Outcome.NOT_CHECKED
    try:
        async with asyncio.timeout(rclone.LOOK_SECONDS):
            there = await asyncio.to_thread(os.path.isdir, os.path.join(volume.directory, storage.path))
    except TimeoutError:
        return Outcome.SLOW
    return Outcome.FINE if there else Outcome.NOT_FOUND


def _forbidden(storage: Storage) -> Outcome:
    """Tell a host that the hub may not connect to from one that cannot exist (RFC 6761)."""
    host = _host(storage)[0] if storage.kind == "sftp" else urlsplit(_address(storage)).hostname or ""
    never = host.lower().rstrip(".").rpartition(".")[2] in ("invalid", "example", "test")
    return Outcome.UNKNOWN_HOST if never else Outcome.NOT_ALLOWED


def judge(parts: Parts, storage: Storage) -> None:
    """What can be said of its host without a look-up. Raises NotAllowed."""
    if storage.kind == "sftp":
        host, port = _host(storage)
        parts.relay.guard.check(URL.build(scheme="https", host=host, port=port))
    elif storage.kind in _ADDRESS:
        parts.relay.guard.check(URL(_address(storage)))


async def _by_address(parts: Parts, storage: Storage, options: dict[str, str]) -> Outcome:
    """SSH is given the very address that was judged: nothing looks the name up again."""
    host, port = _host(storage)
    try:
        addresses = await parts.relay.guard.vet(host, port)
    except NotAllowed:
        return Outcome.NOT_ALLOWED
    except UnknownName:
        return Outcome.UNKNOWN_HOST
    except RegistryError:
        return Outcome.UNREACHABLE
    known = storage.known_hosts
    return await rclone.look({**options, "host": addresses[0]}, storage.path, known_hosts=known)


async def read_host_key(parts: Parts, storage: Storage) -> HostKey | None:
    """Ask the server of an SFTP storage for its host key, of the type that was confirmed if it has one.

    None where the hub may not look, cannot connect, or gets no answer.
    """
    if storage.kind != "sftp" or not parts.policy.storage_check:
        return None
    host, port = _host(storage)
    try:
        judge(parts, storage)
        addresses = await parts.relay.guard.vet(host, port)
    except RegistryError:
        return None
    types = (storage.host_key.type,) if storage.host_key else ()
    return await rclone.scan_host_key(addresses[0], port, *types)


async def _by_relay(parts: Parts, storage: Storage, options: dict[str, str]) -> Outcome:
    """HTTP is asked by us; what an admin has listed on this very machine rclone asks itself, since Go
    takes no proxy to loopback."""
    address = urlsplit(_address(storage))
    if _loopback(address.hostname or ""):
        return await rclone.look(options, storage.path)
    try:  # rclone only learns that the relay has no answer
        await parts.relay.guard.vet(address.hostname or "", address.port or (443 if address.scheme == "https" else 80))
    except UnknownName:
        return Outcome.UNKNOWN_HOST
    except RegistryError:
        pass  # the relay meets the same, and tells what it is
    plain = address._replace(scheme="http").geturl()
    async with parts.relay.way(plain=address.scheme == "http") as way:
        asked = {**options, _ADDRESS[storage.kind]: plain}
        found = await rclone.look(asked, storage.path, proxy=way.address)
    return Outcome.NOT_ALLOWED if way.refused else found


def _loopback(host: str) -> bool:
    address = literal(host)
    return host == "localhost" or bool(address and address.is_loopback)


def _host(storage: Storage) -> tuple[str, int]:
    return storage.settings["host"], int(storage.settings.get("port", SFTP_PORT))


def _address(storage: Storage) -> str:
    """Only AWS is found without one."""
    region = storage.settings.get("region", _USUAL_REGION)
    return storage.settings.get(_ADDRESS[storage.kind]) or _AWS.format(region=region)
