"""Query public git servers over smart HTTP: check that a repository or ref exists, and fetch one small file.

Cloning is in spawners.local.clone and spawners.kubernetes.clone.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from ssl import SSLContext

from yarl import URL

from .net.errors import RemoteUnreachable
from .net.guarded_http import EgressGuard, GuardedHTTPClient, GuardedResponse

GIT_CONTENT_TYPE = "application/x-git-upload-pack-{}"
GIT_PROTOCOL_HEADERS = {"Git-Protocol": "version=2"}
_PKT_LENGTH_PATTERN = re.compile(rb"[0-9a-fA-F]{4}")
_NO_REPOSITORY_STATUSES = (401, 403, 404, 410)


class RepositoryNotFound(Exception):
    """There is no public repository at this URL; the message is a sentence for the user."""


async def fetch_ref_advertisement(wire: GuardedHTTPClient, url: URL, limit: int) -> tuple[URL, list[bytes]]:
    """Return the repository's URL after redirects, and the lines of its ref or capability advertisement.

    See https://git-scm.com/docs/protocol-v2.

    Raises:
        RepositoryNotFound, ConnectionNotAllowed, RemoteUnreachable.
    """
    refs_url = (url / "info" / "refs").with_query(service="git-upload-pack")
    answer = await wire.request("GET", refs_url, headers=GIT_PROTOCOL_HEADERS, limit=limit)
    return answer.url.with_query(None).parent.parent, list(
        parse_pkt_text_lines(_require_git_body(answer, "advertisement"))
    )


async def send_git_command(
    wire: GuardedHTTPClient, url: URL, command: str, arguments: Iterable[str], limit: int
) -> bytes:
    """Send a command of protocol version 2, and return the body of the answer.

    Raises:
        RepositoryNotFound, ConnectionNotAllowed, RemoteUnreachable.
    """
    lines = [f"command={command}\n", None, *(f"{argument}\n" for argument in arguments)]
    body = "".join("0001" if line is None else f"{len(line) + 4:04x}{line}" for line in lines) + "0000"
    headers = {**GIT_PROTOCOL_HEADERS, "Content-Type": GIT_CONTENT_TYPE.format("request")}
    answer = await wire.request(
        "POST", url / "git-upload-pack", headers=headers, limit=limit, body=body.encode("ascii")
    )
    return _require_git_body(answer, "result")


def _require_git_body(answer: GuardedResponse, kind: str) -> bytes:
    """Return the body of an answer of that kind.

    Raises:
        RepositoryNotFound, RemoteUnreachable: it is another answer.
    """
    if answer.status in _NO_REPOSITORY_STATUSES:
        raise RepositoryNotFound(
            "There is no public repository here: it does not exist, or it is private and requires a login."
        )
    if answer.status != 200:
        raise RemoteUnreachable(f"answers with an error ({answer.status})")
    if answer.headers.get("Content-Type", "").partition(";")[0].strip() != GIT_CONTENT_TYPE.format(kind):
        raise RepositoryNotFound("This is not the address of a git repository.")
    return answer.body


def parse_pkt_lines(body: bytes) -> Iterator[bytes]:
    """Iterate over the pkt-lines of an answer; delimiter packets are empty.

    Raises:
        RemoteUnreachable: the body is malformed.
    """
    place = 0
    while place < len(body):
        head = body[place : place + 4]
        size = int(head, 16) if _PKT_LENGTH_PATTERN.fullmatch(head) else len(body) + 1
        if place + size > len(body):
            raise RemoteUnreachable("sent an answer that is not git's")
        yield body[place + 4 : place + size]
        place += max(size, 4)


def parse_pkt_text_lines(body: bytes) -> Iterator[bytes]:
    """Iterate over text lines in pkt-line format, each cut at the first zero byte (capabilities follow it).

    Raises:
        RemoteUnreachable: the body is malformed.
    """
    for packet in parse_pkt_lines(body):
        if packet:
            yield packet.partition(b"\0")[0].rstrip(b"\n")


_MAX_ADVERTISEMENT_BYTES = 1 << 20
_MAX_TREE_BYTES = 1 << 20  # compressed or not
_OBJECT_ID_PATTERN = re.compile(rb"[0-9a-f]{40}")
_OBJECT_TYPES = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}
_INVALID_ANSWER_MESSAGE = "sent an answer that is not git's"
_FILE_MODES, _TREE_MODES = (b"100644", b"100755"), (b"40000",)  # neither symlinks nor submodules


async def fetch_repository_file(
    wire: GuardedHTTPClient, url: URL, ref: str | None, path: Sequence[str], limit: int
) -> bytes | None:
    """Return the file at *path*, of at most *limit* bytes, in a branch, tag or commit; None if there is none.

    Raises:
        RepositoryNotFound, ConnectionNotAllowed.
        RemoteUnreachable: no readable answer, or the server does not support partial clones.
    """
    where, lines = await fetch_ref_advertisement(wire, url, _MAX_ADVERTISEMENT_BYTES)
    features = next((line.partition(b"=")[2].split() for line in lines if line.startswith(b"fetch=")), [])
    if b"version 2" not in lines or b"filter" not in features:
        raise RemoteUnreachable("does not offer single files, only whole repositories")
    commit = await _resolve_commit(wire, where, ref)
    if commit is None:
        return None
    content = await _fetch_object(wire, where, commit, b"commit", _MAX_TREE_BYTES)
    name: bytes | None = content.partition(b"\n")[0].removeprefix(b"tree ")
    for number, part in enumerate(path, 1):
        folder = await _fetch_object(wire, where, _require_object_id(name), b"tree", _MAX_TREE_BYTES)
        name = _find_tree_entry(folder, part, _TREE_MODES if number < len(path) else _FILE_MODES)
        if name is None:
            return None
    return await _fetch_object(wire, where, _require_object_id(name), b"blob", limit)


async def _resolve_commit(wire: GuardedHTTPClient, url: URL, ref: str | None) -> bytes | None:
    """Return the object id of the commit that *ref* points to, or that of HEAD for None; None if there is none."""
    if ref is not None and _OBJECT_ID_PATTERN.fullmatch(ref.encode()):
        return ref.encode()
    wanted = [f"refs/heads/{ref}", f"refs/tags/{ref}"] if ref else ["HEAD"]
    arguments = ["peel", *(f"ref-prefix {name}" for name in wanted)]
    body = await send_git_command(wire, url, "ls-refs", arguments, _MAX_ADVERTISEMENT_BYTES)
    known = dict(_parse_refs(parse_pkt_text_lines(body)))
    return next((known[name.encode()] for name in wanted if name.encode() in known), None)


def _parse_refs(lines: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Iterate over (ref name, object id); an annotated tag is peeled to its commit."""
    for line in lines:
        words = line.split(b" ")
        if len(words) >= 2:
            peeled = [word.removeprefix(b"peeled:") for word in words[2:] if word.startswith(b"peeled:")]
            yield words[1], [*peeled, words[0]][0]


def _require_object_id(name: bytes | None) -> bytes:
    if name is None or not _OBJECT_ID_PATTERN.fullmatch(name):
        raise RemoteUnreachable(_INVALID_ANSWER_MESSAGE)
    return name


async def _fetch_object(wire: GuardedHTTPClient, url: URL, name: bytes, kind: bytes, limit: int) -> bytes:
    """Fetch one object, and return its content after checking its hash.

    Raises:
        RemoteUnreachable: the answer does not contain it.
    """
    text = _require_object_id(name).decode()
    arguments = [
        "no-progress",
        f"want {text}",
        *(["deepen 1"] if kind == b"commit" else []),
        _build_object_filter(kind),
        "done",
    ]
    body = await send_git_command(wire, url, "fetch", arguments, limit + _MAX_TREE_BYTES)
    for found, content in _parse_pack_objects(_extract_pack(body), limit):
        if found == kind and _hash_object(kind, content) == text:
            return content
    raise RemoteUnreachable(_INVALID_ANSWER_MESSAGE)


def _build_object_filter(kind: bytes) -> str:
    """Return the filter that leaves out everything but the commit itself, or a tree's own entries."""
    return "filter tree:0" if kind == b"commit" else "filter tree:1"


def _hash_object(kind: bytes, content: bytes) -> str:
    return hashlib.sha1(b"%s %d\0%s" % (kind, len(content), content), usedforsecurity=False).hexdigest()


def _extract_pack(body: bytes) -> bytes:
    """Return the packfile of an answer: side-band 1 of the section `packfile`."""
    pack, started = bytearray(), False
    for packet in parse_pkt_lines(body):
        if not started:
            started = packet == b"packfile\n"
        elif packet[:1] == b"\1":
            pack += packet[1:]
        elif packet[:1] == b"\3":
            break
    return bytes(pack)


def _parse_pack_objects(pack: bytes, limit: int) -> Iterator[tuple[bytes, bytes]]:
    """Iterate over type and content of the objects in a pack, up to the first delta.

    See https://git-scm.com/docs/gitformat-pack.

    Raises:
        RemoteUnreachable: the pack is malformed.
    """
    if pack[:4] != b"PACK" or len(pack) < 12:
        raise RemoteUnreachable(_INVALID_ANSWER_MESSAGE)
    place = 12
    for _ in range(min(int.from_bytes(pack[8:12], "big"), 100)):
        number, size, place = _parse_object_header(pack, place)
        if number not in _OBJECT_TYPES or size > limit:
            return
        unpacked = zlib.decompressobj()
        try:
            content = unpacked.decompress(pack[place:], size + 1)
        except zlib.error:
            raise RemoteUnreachable(_INVALID_ANSWER_MESSAGE) from None
        if len(content) != size:
            raise RemoteUnreachable(_INVALID_ANSWER_MESSAGE)
        yield _OBJECT_TYPES[number], content
        place = len(pack) - len(unpacked.unused_data) if unpacked.eof else len(pack)


def _parse_object_header(pack: bytes, place: int) -> tuple[int, int, int]:
    """Return the type number and size (bytes) of an object, and the offset of its data.

    The size has four bits in the first byte and seven in each following one.
    """
    number, size, shift = 0, 0, 4
    for at in range(place, min(place + 8, len(pack))):
        byte = pack[at]
        if at == place:
            number, size = byte >> 4 & 7, byte & 15
        else:
            size, shift = size | (byte & 127) << shift, shift + 7
        if byte < 128:
            return number, size, at + 1
    raise RemoteUnreachable(_INVALID_ANSWER_MESSAGE)


def _find_tree_entry(folder: bytes, name: str, modes: Sequence[bytes]) -> bytes | None:
    """Return the object id of the tree entry *name*, or None if there is none or its mode is not in *modes*."""
    place = 0
    while place < len(folder):
        end = folder.find(b"\0", place)
        if end < 0:
            raise RemoteUnreachable(_INVALID_ANSWER_MESSAGE)
        mode, _, called = folder[place:end].partition(b" ")
        if called == name.encode():
            return folder[end + 1 : end + 21].hex().encode() if mode in modes else None
        place = end + 21
    return None


GIT_SERVER_TIMEOUT_SECONDS = 5.0  # for one repository
_MAX_REFS_BYTES = 16 * 1024**2  # servers without protocol version 2 send all refs at once


class GitServerClient:
    """A client for the git servers that *guard* allows. *ssl* replaces the system's trust store."""

    def __init__(self, guard: EgressGuard, *, ssl: SSLContext | None = None) -> None:
        self._wire = GuardedHTTPClient(guard, ssl=ssl)

    async def has_ref(self, url: str, ref: str | None) -> bool:
        """Return whether the repository at *url* has a branch or tag *ref*; True for None if it exists.

        Raises:
            RepositoryNotFound: there is no public repository at *url*.
            ConnectionNotAllowed: the guard does not allow the connection.
            RemoteUnreachable: no readable answer within five seconds.
        """
        try:
            async with asyncio.timeout(GIT_SERVER_TIMEOUT_SECONDS):
                return await self._has_ref(URL(url), ref)
        except TimeoutError:
            raise RemoteUnreachable("did not answer in time") from None

    async def read_file(self, url: str, ref: str | None, path: Sequence[str], limit: int) -> bytes | None:
        """Return the file at *path* (folders and name), of at most *limit* bytes; None if there is none.

        Raises:
            RepositoryNotFound, ConnectionNotAllowed: as `has_ref`.
            RemoteUnreachable: as `has_ref`, or the server does not support partial clones.
        """
        try:
            async with asyncio.timeout(GIT_SERVER_TIMEOUT_SECONDS):
                return await fetch_repository_file(self._wire, URL(url), ref, path, limit)
        except TimeoutError:
            raise RemoteUnreachable("did not answer in time") from None

    async def close(self) -> None:
        await self._wire.close()

    async def _has_ref(self, url: URL, ref: str | None) -> bool:
        where, lines = await fetch_ref_advertisement(self._wire, url, _MAX_REFS_BYTES)
        if ref is None:
            return True
        if b"version 2" in lines:
            arguments = [f"ref-prefix refs/{kind}/{ref}" for kind in ("heads", "tags")]
            lines = list(
                parse_pkt_text_lines(await send_git_command(self._wire, where, "ls-refs", arguments, _MAX_REFS_BYTES))
            )
        wanted = {f"refs/heads/{ref}".encode(), f"refs/tags/{ref}".encode()}
        return any(line.partition(b" ")[2] in wanted for line in lines)
