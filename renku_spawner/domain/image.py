"""Names of container images: parsed by the grammar of the distribution project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from docker_image.digest import InvalidDigest
from docker_image.reference import InvalidReference, Reference

from .errors import Invalid

LIMIT, HOST_LIMIT, PATH_LIMIT, TAG_LIMIT = 500, 253, 255, 128
FLOATING = frozenset(
    ("latest", "main", "master", "stable", "edge", "nightly", "dev", "devel", "develop", "current", "release")
)
_EXAMPLE = "quay.io/jupyter/scipy-notebook:2026-11-02"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,19}://")
_FOREIGN = re.compile(r"[^A-Za-z0-9._/:@\[\]-]")
_HEX = re.compile(r"(?:sha256:)?[0-9A-Fa-f]{64}")
_UPPER = re.compile(r"[A-Z]")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_DIGITS = {"sha256": 64, "sha512": 128}


@dataclass(frozen=True, kw_only=True)
class Image:
    """A reference in its canonical form: `docker.io/library/nginx:latest`."""

    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def canonical(self) -> str:
        """What pages show: with tag, without digest (which they show beside it)."""
        return f"{self.repository}:{self.tag}" if self.tag else self.repository

    @property
    def pinned(self) -> str | None:
        """What runs: exactly this content (decision 21); None while the digest is unknown."""
        return f"{self.repository}@{self.digest}" if self.digest else None

    @property
    def host(self) -> str:
        """The registry's name as in the reference: `docker.io`, `localhost:5000`, `[::1]:5000`."""
        return self.repository.partition("/")[0]

    @property
    def path(self) -> str:
        """The repository within its registry: `library/nginx`."""
        return self.repository.partition("/")[2]

    @property
    def floating(self) -> bool:
        """Whether the tag is one that usually moves; a digest alone never does."""
        return self.tag in FLOATING


def parse(text: str) -> Image:
    """The image that `docker pull` would mean by *text*; hosts in lower case and without
    the port 443, so that two spellings of one image are equal.

    Raises:
        Invalid: at field `image`, with a sentence that says what is wrong and where. It
            repeats no password.
    """
    if not text or len(text) > LIMIT or _FOREIGN.search(text) or _HEX.fullmatch(text):
        raise _wrong(text)
    try:
        reference = Reference.parse_normalized_named(_with_usual_host(text))
    except (InvalidReference, InvalidDigest, ValueError):
        raise _wrong(text) from None
    name, tag, digest = str(reference["name"]), reference["tag"], reference["digest"]
    if name.index("/") > HOST_LIMIT:
        raise _wrong(text)
    return Image(repository=name, tag=tag or (None if digest else "latest"), digest=digest)


def _with_usual_host(text: str) -> str:
    """Docker takes what stands before the first slash for a host if it has a dot or a colon."""
    host, slash, rest = text.partition("/")
    if not slash or not {".", ":"} & set(host):
        return text
    return f"{host.lower().removesuffix(':443')}/{rest}"


def _wrong(text: str) -> Invalid:
    other = f"This is not the name of an image, such as {_EXAMPLE}."
    sentence = next(_problems(text), other)
    return Invalid(sentence, fields={"image": sentence})


def _problems(text: str) -> Iterator[str]:
    """What is wrong with *text*, the most telling first."""
    if not text:
        yield f"Please give the name of an image, such as {_EXAMPLE}."
    if len(text) > LIMIT:
        yield f"This is too long for the name of an image: at most {LIMIT} characters, this has {len(text)}."
    if scheme := _SCHEME.match(text):
        yield f"Please leave out {scheme[0]}: the name as for docker pull, such as {_EXAMPLE}."
    first, slash, _ = text.partition("/")
    if slash and re.search(r"@(?!sha256:|sha512:|md5:)", first):
        yield "Please leave out user name and password: everybody in the project could read them."
    yield from _characters(text)
    if _HEX.fullmatch(text):
        yield f"This is the id of an image, not its name: please give the name, such as {_EXAMPLE}."
    yield from _parts(text)


def _characters(text: str) -> Iterator[str]:
    found = _FOREIGN.search(text)
    if found is None:
        return
    if text[0].isspace() or text[-1].isspace():
        called = _called(text[0] if text[0].isspace() else text[-1]).removeprefix("a ")
        yield f"Please leave out the {called} at the {'beginning' if text[0].isspace() else 'end'}."
    called = _called(found[0])
    yield f"{called[0].upper()}{called[1:]} is not allowed in image names (character {found.start() + 1})."


def _called(character: str) -> str:
    if character in "\r\n":
        return "a line break"
    if character.isspace():
        return "a blank"
    return f"“{character}”" if character.isprintable() else f"the invisible character U+{ord(character):04X}"


def _parts(text: str) -> Iterator[str]:
    """What is wrong with the digest, the tag, or the name, if all characters are allowed ones."""
    named, at, digest = text.partition("@")
    if at:
        yield from _digest(digest)
    path, slash, last = named.rpartition("/")
    name, colon, tag = last.partition(":")
    if colon and not (slash == "" and name.startswith("[")):
        yield from _tag(tag)
    yield from _name(f"{path}{slash}{name}")


def _digest(digest: str) -> Iterator[str]:
    algorithm, _, digits = digest.partition(":")
    if "@" in digest:
        yield "There is more than one digest (@)."
    if algorithm not in _DIGITS:
        yield "A digest starts with @sha256: or @sha512:."
    elif len(digits) != _DIGITS[algorithm] or not re.fullmatch(r"[0-9a-f]+", digits):
        yield (
            f"A {algorithm} digest has {_DIGITS[algorithm]} digits of 0-9 and a-f after the colon; "
            f"this one has {len(digits)} characters."
        )


def _tag(tag: str) -> Iterator[str]:
    if ":" in tag:
        yield "There is more than one tag (:)."
    if not tag:
        yield "The tag after the colon is missing."
    if len(tag) > TAG_LIMIT:
        yield f"A tag has at most {TAG_LIMIT} characters; this one has {len(tag)}."
    if not _TAG.fullmatch(tag):
        yield "A tag has letters, digits, “_”, “.” and “-”, and starts with none of the last two."


def _name(name: str) -> Iterator[str]:
    host, slash, rest = name.partition("/")
    hosted = bool(slash) and bool({".", ":", "["} & set(host))
    start = len(host) + 1 if hosted else 0
    if not name or (name.startswith("[") and not slash):
        yield f"The name is missing, such as {_EXAMPLE}."
    if found := _UPPER.search(name, start):
        yield f"Upper-case letters are not allowed in image names (character {found.start() + 1})."
    path = rest if hosted else name
    yield from _path(path, start)
    if len(path) > PATH_LIMIT:
        yield f"An image's name has at most {PATH_LIMIT} characters; this one has {len(path)}."
    yield f"“{host[:60]}” is not a valid host."


def _path(path: str, start: int) -> Iterator[str]:
    for part in path.split("/"):
        if not part:
            yield f"A part of the name is missing: two slashes, or one at an end (character {start + 1})."
        if not _PART.fullmatch(part):
            yield (
                f"“{part[:60]}” cannot be part of an image's name (character {start + 1}): letters and digits, "
                "with “.”, “-”, “_” or “__” only between them."
            )
        start += len(part) + 1
