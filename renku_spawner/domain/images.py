"""Parse container image references, and check them against the admin's image policy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from docker_image.digest import InvalidDigest
from docker_image.reference import InvalidReference, Reference

from .access import Person
from .errors import InvalidInputError

MAX_IMAGE_NAME_LENGTH, MAX_HOST_LENGTH, MAX_PATH_LENGTH, MAX_TAG_LENGTH = 500, 253, 255, 128
FLOATING_TAGS = frozenset(
    ("latest", "main", "master", "stable", "edge", "nightly", "dev", "devel", "develop", "current", "release")
)
_EXAMPLE_IMAGE = "quay.io/jupyter/scipy-notebook:2026-11-02"
_URL_SCHEME_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,19}://")
_FORBIDDEN_CHARACTER_PATTERN = re.compile(r"[^A-Za-z0-9._/:@\[\]-]")
_IMAGE_ID_PATTERN = re.compile(r"(?:sha256:)?[0-9A-Fa-f]{64}")
_UPPER_CASE_PATTERN = re.compile(r"[A-Z]")
_TAG_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NAME_PART_PATTERN = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_DIGEST_LENGTHS = {"sha256": 64, "sha512": 128}


@dataclass(frozen=True, kw_only=True)
class ImageReference:
    """A reference in its canonical form: `docker.io/library/nginx:latest`."""

    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def canonical_reference(self) -> str:
        """The form that pages show: with tag, without digest (which they show separately)."""
        return f"{self.repository}:{self.tag}" if self.tag else self.repository

    @property
    def pinned_reference(self) -> str | None:
        """The form that runs: exactly this content; None while the digest is unknown."""
        return f"{self.repository}@{self.digest}" if self.digest else None

    @property
    def host(self) -> str:
        """The registry's host as in the reference: `docker.io`, `localhost:5000`, `[::1]:5000`."""
        return self.repository.partition("/")[0]

    @property
    def path(self) -> str:
        """The repository within its registry: `library/nginx`."""
        return self.repository.partition("/")[2]

    @property
    def has_floating_tag(self) -> bool:
        """True if the tag is one that usually moves; a digest never does."""
        return self.tag in FLOATING_TAGS


def parse_image_reference(text: str) -> ImageReference:
    """Parse *text* as `docker pull` would.

    Hosts are in lower case and without the port 443, so that two spellings of one image are equal.

    Raises:
        InvalidInputError: at field `image`, with a sentence that says what is wrong and where. It
            never repeats a password.
    """
    if (
        not text
        or len(text) > MAX_IMAGE_NAME_LENGTH
        or _FORBIDDEN_CHARACTER_PATTERN.search(text)
        or _IMAGE_ID_PATTERN.fullmatch(text)
    ):
        raise _build_image_error(text)
    try:
        reference = Reference.parse_normalized_named(_normalize_image_host(text))
    except (InvalidReference, InvalidDigest, ValueError):
        raise _build_image_error(text) from None
    name, tag, digest = str(reference["name"]), reference["tag"], reference["digest"]
    if name.index("/") > MAX_HOST_LENGTH:
        raise _build_image_error(text)
    return ImageReference(repository=name, tag=tag or (None if digest else "latest"), digest=digest)


def _normalize_image_host(text: str) -> str:
    """Normalize the host: Docker takes the text before the first slash for one if it has a dot or a colon."""
    host, slash, rest = text.partition("/")
    if not slash or not {".", ":"} & set(host):
        return text
    return f"{host.lower().removesuffix(':443')}/{rest}"


def _build_image_error(text: str) -> InvalidInputError:
    other = f"This is not the name of an image, such as {_EXAMPLE_IMAGE}."
    sentence = next(_find_image_problems(text), other)
    return InvalidInputError(sentence, fields={"image": sentence})


def _find_image_problems(text: str) -> Iterator[str]:
    """Yield what is wrong with *text*, the most useful sentence first."""
    if not text:
        yield f"Please give the name of an image, such as {_EXAMPLE_IMAGE}."
    if len(text) > MAX_IMAGE_NAME_LENGTH:
        yield (
            f"This is too long for the name of an image: at most {MAX_IMAGE_NAME_LENGTH} characters, "
            f"this has {len(text)}."
        )
    if scheme := _URL_SCHEME_PATTERN.match(text):
        yield f"Please leave out {scheme[0]}: the name as for docker pull, such as {_EXAMPLE_IMAGE}."
    first, slash, _ = text.partition("/")
    if slash and re.search(r"@(?!sha256:|sha512:|md5:)", first):
        yield "Please leave out user name and password: everyone in the project could read them."
    yield from _find_character_problems(text)
    if _IMAGE_ID_PATTERN.fullmatch(text):
        yield f"This is the id of an image, not its name: please give the name, such as {_EXAMPLE_IMAGE}."
    yield from _find_part_problems(text)


def _find_character_problems(text: str) -> Iterator[str]:
    match = _FORBIDDEN_CHARACTER_PATTERN.search(text)
    if match is None:
        return
    if text[0].isspace() or text[-1].isspace():
        character = _describe_character(text[0] if text[0].isspace() else text[-1]).removeprefix("a ")
        yield f"Please leave out the {character} at the {'beginning' if text[0].isspace() else 'end'}."
    character = _describe_character(match[0])
    yield f"{character[0].upper()}{character[1:]} is not allowed in image names (character {match.start() + 1})."


def _describe_character(character: str) -> str:
    if character in "\r\n":
        return "a line break"
    if character.isspace():
        return "a blank"
    return f"“{character}”" if character.isprintable() else f"the invisible character U+{ord(character):04X}"


def _find_part_problems(text: str) -> Iterator[str]:
    """Yield what is wrong with the digest, the tag, or the name, if all characters are allowed."""
    named, at, digest = text.partition("@")
    if at:
        yield from _find_digest_problems(digest)
    path, slash, last = named.rpartition("/")
    name, colon, tag = last.partition(":")
    if colon and not (slash == "" and name.startswith("[")):
        yield from _find_tag_problems(tag)
    yield from _find_name_problems(f"{path}{slash}{name}")


def _find_digest_problems(digest: str) -> Iterator[str]:
    algorithm, _, digits = digest.partition(":")
    if "@" in digest:
        yield "There is more than one digest (@)."
    if algorithm not in _DIGEST_LENGTHS:
        yield "A digest starts with @sha256: or @sha512:."
    elif len(digits) != _DIGEST_LENGTHS[algorithm] or not re.fullmatch(r"[0-9a-f]+", digits):
        yield (
            f"A {algorithm} digest has {_DIGEST_LENGTHS[algorithm]} digits of 0-9 and a-f after the colon; "
            f"this one has {len(digits)} characters."
        )


def _find_tag_problems(tag: str) -> Iterator[str]:
    if ":" in tag:
        yield "There is more than one tag (:)."
    if not tag:
        yield "The tag after the colon is missing."
    if len(tag) > MAX_TAG_LENGTH:
        yield f"A tag has at most {MAX_TAG_LENGTH} characters; this one has {len(tag)}."
    if not _TAG_PATTERN.fullmatch(tag):
        yield "A tag has letters, digits, “_”, “.” and “-”, and starts with none of the last two."


def _find_name_problems(name: str) -> Iterator[str]:
    host, slash, rest = name.partition("/")
    hosted = bool(slash) and bool({".", ":", "["} & set(host))
    start = len(host) + 1 if hosted else 0
    if not name or (name.startswith("[") and not slash):
        yield f"The name is missing, such as {_EXAMPLE_IMAGE}."
    if match := _UPPER_CASE_PATTERN.search(name, start):
        yield f"Upper-case letters are not allowed in image names (character {match.start() + 1})."
    path = rest if hosted else name
    yield from _find_path_problems(path, start)
    if len(path) > MAX_PATH_LENGTH:
        yield f"An image's name has at most {MAX_PATH_LENGTH} characters; this one has {len(path)}."
    yield f"“{host[:60]}” is not a valid host."


def _find_path_problems(path: str, start: int) -> Iterator[str]:
    for part in path.split("/"):
        if not part:
            yield f"A part of the name is missing: two slashes, or one at an end (character {start + 1})."
        if not _NAME_PART_PATTERN.fullmatch(part):
            yield (
                f"“{part[:60]}” cannot be part of an image's name (character {start + 1}): letters and digits, "
                "with “.”, “-”, “_” or “__” only between them."
            )
        start += len(part) + 1


GROUP_PREFIX = "group:"
_POLICY_HOST_REGEX = r"[a-z0-9*]([a-z0-9.*-]*[a-z0-9*])?|\[[0-9a-f:.]{2,45}\]"
_POLICY_PATTERN = re.compile(rf"({_POLICY_HOST_REGEX})(:[0-9]{{1,5}})?(/[a-z0-9*]([a-z0-9._*/-]*[a-z0-9*])?)?")
_MAX_POLICY_PATTERN_LENGTH = 300


@dataclass(frozen=True, kw_only=True)
class ImagePolicy:
    """The admin's image policy.

    Patterns are `host` or `host/path`; `*` matches any characters, but no slash in the host, so that no path
    can pass for a host. `denied` applies to all users; those in `outside` (user names and `group:<name>`) are
    not bound to `allowed`. `hosts` and `plain_http` are `host` or `host:port`: registries in `hosts` may have
    private addresses and other ports, those in `plain_http` have no TLS.

    Raises:
        InvalidInputError: a pattern is not valid; the message names it.
    """

    allowed: tuple[str, ...] = ("*",)
    denied: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    plain_http: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in (*self.allowed, *self.denied):
            _check_policy_pattern(pattern)

    @property
    def allows_all(self) -> bool:
        """True if every image is allowed that is not denied."""
        return "*" in self.allowed or "*/*" in self.allowed

    def is_denied(self, image: ImageReference) -> bool:
        """Return whether *image* is forbidden to all users; images of a project's own CI are checked for this only."""
        return _matches_any_pattern(self.denied, image)

    def is_permitted(self, image: ImageReference, person: Person) -> bool:
        """Return whether *person* may use *image*."""
        if self.is_denied(image):
            return False
        return _matches_any_pattern(self.allowed, image) or self._is_exempt(person)

    def _is_exempt(self, person: Person) -> bool:
        names = {person.name, *(f"{GROUP_PREFIX}{group}" for group in person.groups)}
        return not names.isdisjoint(self.outside)


def _check_policy_pattern(pattern: str) -> None:
    if (
        len(pattern) > _MAX_POLICY_PATTERN_LENGTH
        or not _POLICY_PATTERN.fullmatch(pattern)
        or ".." in pattern
        or "//" in pattern
    ):
        raise InvalidInputError(
            f"{pattern[:_MAX_POLICY_PATTERN_LENGTH]!r} is not a pattern such as quay.io, *.example.org or "
            "quay.io/jupyter/*: in lower "
            "case, without https://, tag or digest."
        )


def _matches_any_pattern(patterns: Iterable[str], image: ImageReference) -> bool:
    return any(_matches_pattern(pattern, image) for pattern in patterns)


def _matches_pattern(pattern: str, image: ImageReference) -> bool:
    host, slash, path = pattern.partition("/")
    return _matches_wildcard(host, image.host) and (not slash or _matches_wildcard(path, image.path))


def _matches_wildcard(pattern: str, text: str) -> bool:
    """Match like `fnmatch`, with `*` only, in time linear in the text."""
    first, *parts = pattern.split("*")
    if not parts:
        return text == pattern
    last = parts.pop()
    rest = text.removeprefix(first)
    if len(rest) + len(first) != len(text) or len(rest) < len(last) or not rest.endswith(last):
        return False
    rest = rest[: len(rest) - len(last)]
    for part in parts:
        _, found, rest = rest.partition(part) if part else ("", "*", rest)
        if not found:
            return False
    return True
