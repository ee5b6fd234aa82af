"""One small file of a repository, from a git server without a login, and nothing else of it.

The newest commit is asked for with its topmost folder alone, then each folder on the way, then the file. No git runs on
what a stranger sends, and nothing is written: each pack has to hold the one object that was asked for, whole, and its
hash (SHA-1) has to be the name by which it was asked for (decision 39).
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence

from yarl import URL

from . import git_packets
from .errors import Unreachable
from .wire import Wire

_ADVERTISED = 1 << 20  # bytes
_FOLDER_LIMIT = 1 << 20  # bytes of a folder's list, packed or not
_NAME = re.compile(rb"[0-9a-f]{40}")
_KINDS = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}
_ODD = "sent an answer that is not git's"
_PLAIN, _FOLDER = (b"100644", b"100755"), (b"40000",)  # modes: neither links nor submodules


async def find(wire: Wire, url: URL, ref: str | None, path: Sequence[str], limit: int) -> bytes | None:
    """The file at *path*, of at most *limit* bytes, in a branch, a tag or a commit; None if there is none.

    Raises:
        NoRepository, NotAllowed.
        Unreachable: no answer that can be read; also of a server that gives no single files.
    """
    where, said = await git_packets.advertised(wire, url, _ADVERTISED)
    features = next((line.partition(b"=")[2].split() for line in said if line.startswith(b"fetch=")), [])
    if b"version 2" not in said or b"filter" not in features:
        raise Unreachable("gives whole repositories only")
    commit = await _commit(wire, where, ref)
    if commit is None:
        return None
    found = await _object(wire, where, commit, b"commit", _FOLDER_LIMIT)
    name: bytes | None = found.partition(b"\n")[0].removeprefix(b"tree ")
    for number, part in enumerate(path, 1):
        folder = await _object(wire, where, _named(name), b"tree", _FOLDER_LIMIT)
        name = _entry(folder, part, _FOLDER if number < len(path) else _PLAIN)
        if name is None:
            return None
    return await _object(wire, where, _named(name), b"blob", limit)


async def _commit(wire: Wire, url: URL, ref: str | None) -> bytes | None:
    """The name of the commit that *ref* means, the head for None."""
    if ref is not None and _NAME.fullmatch(ref.encode()):
        return ref.encode()
    wanted = [f"refs/heads/{ref}", f"refs/tags/{ref}"] if ref else ["HEAD"]
    asked = ["peel", *(f"ref-prefix {name}" for name in wanted)]
    body = await git_packets.commanded(wire, url, "ls-refs", asked, _ADVERTISED)
    known = dict(_names(git_packets.lines(body)))
    return next((known[name.encode()] for name in wanted if name.encode() in known), None)


def _names(lines: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Each name with what it means; of a tag with words of its own the commit."""
    for line in lines:
        words = line.split(b" ")
        if len(words) >= 2:
            peeled = [word.removeprefix(b"peeled:") for word in words[2:] if word.startswith(b"peeled:")]
            yield words[1], [*peeled, words[0]][0]


def _named(name: bytes | None) -> bytes:
    if name is None or not _NAME.fullmatch(name):
        raise Unreachable(_ODD)
    return name


async def _object(wire: Wire, url: URL, name: bytes, kind: bytes, limit: int) -> bytes:
    """The content of the object of that name and kind. Raises Unreachable."""
    text = _named(name).decode()
    asked = ["no-progress", f"want {text}", *(["deepen 1"] if kind == b"commit" else []), _filter(kind), "done"]
    body = await git_packets.commanded(wire, url, "fetch", asked, limit + _FOLDER_LIMIT)
    for found, content in _objects(_pack(body), limit):
        if found == kind and _hash(kind, content) == text:
            return content
    raise Unreachable(_ODD)


def _filter(kind: bytes) -> str:
    """Of a commit nothing else, of a folder its list alone."""
    return "filter tree:0" if kind == b"commit" else "filter tree:1"


def _hash(kind: bytes, content: bytes) -> str:
    return hashlib.sha1(b"%s %d\0%s" % (kind, len(content), content), usedforsecurity=False).hexdigest()


def _pack(body: bytes) -> bytes:
    """The pack in an answer: what the first of its bands carries, behind the line `packfile`."""
    found, begun = bytearray(), False
    for packet in git_packets.packets(body):
        if not begun:
            begun = packet == b"packfile\n"
        elif packet[:1] == b"\1":
            found += packet[1:]
        elif packet[:1] == b"\3":
            break
    return bytes(found)


def _objects(pack: bytes, limit: int) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the objects in a pack (https://git-scm.com/docs/gitformat-pack), up to the first that is a
    difference to another one. Raises Unreachable."""
    if pack[:4] != b"PACK" or len(pack) < 12:
        raise Unreachable(_ODD)
    place = 12
    for _ in range(min(int.from_bytes(pack[8:12], "big"), 100)):
        number, size, place = _head(pack, place)
        if number not in _KINDS or size > limit:
            return
        unpacked = zlib.decompressobj()
        try:
            content = unpacked.decompress(pack[place:], size + 1)
        except zlib.error:
            raise Unreachable(_ODD) from None
        if len(content) != size:
            raise Unreachable(_ODD)
        yield _KINDS[number], content
        place = len(pack) - len(unpacked.unused_data) if unpacked.eof else len(pack)


def _head(pack: bytes, place: int) -> tuple[int, int, int]:
    """The number of an object's kind, its size in bytes, and where it begins: four bits, then seven in each byte."""
    number, size, shift = 0, 0, 4
    for at in range(place, min(place + 8, len(pack))):
        byte = pack[at]
        if at == place:
            number, size = byte >> 4 & 7, byte & 15
        else:
            size, shift = size | (byte & 127) << shift, shift + 7
        if byte < 128:
            return number, size, at + 1
    raise Unreachable(_ODD)


def _entry(folder: bytes, name: str, modes: Sequence[bytes]) -> bytes | None:
    """The name of the object that is called so in a folder's list, if it is of one of those modes."""
    place = 0
    while place < len(folder):
        end = folder.find(b"\0", place)
        if end < 0:
            raise Unreachable(_ODD)
        mode, _, called = folder[place:end].partition(b" ")
        if called == name.encode():
            return folder[end + 1 : end + 21].hex().encode() if mode in modes else None
        place = end + 21
    return None
