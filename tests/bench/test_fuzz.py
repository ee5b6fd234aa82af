"""`make bench`: a minute of mutated input for each parser of what strangers write; `make test` tries a moment of it."""

import random
import time
from collections.abc import Callable, Iterable

import pytest

from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.image_metadata import parse_image_config
from renku_spawner.domain.images import parse_image_reference
from renku_spawner.integrations.registry.login import parse_challenges
from renku_spawner.integrations.registry.manifests import (
    ImageIndex,
    InvalidManifest,
    find_spdx_layer,
    parse_manifest,
    parse_platform,
    parse_registry_json,
)
from tests.fixtures import images

SECONDS = 60.0
SLOWEST = 1.0  # seconds of CPU time for one input of a few kilobytes
LONGEST = 4096
MADE = images.image(
    platforms=["linux/amd64", "linux/arm64/v8"], sbom=images.spdx({"numpy": "2"}), config={"Env": ["A=b"]}
)
REFERENCES = (
    b"nginx",
    b"docker.io/library/nginx:latest",
    b"[2001:db8::1]:5000/r:tag@sha256:" + b"a" * 64,
    b"quay.io/jupyter/base-notebook:2026-01-05@sha512:" + b"0" * 128,
    b"xn--n3h.com/dock__er/a-b.c:x_y.z-1",
)
CHALLENGES = (
    b'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
    b'Negotiate a87421000492aa874209af8bc028==, Basic realm="a \\"b\\" c", Bearer x=y',
)
DOCUMENTS = (*(body for body, _ in MADE.manifests.values()), *MADE.blobs.values())
WORDS = (b"\x00", b"\n", b"\xff", b"\xe2\x80\xae", b'"', b"\\", b",", b"=", b":", b"@", b"/", b"[", b"]", b"{", b"}")
WORDS += (b"null", b"-1", b"1e999", b"NaN", b"sha256:", b"..", b"unknown", b'"manifests"', b'"config"', b"[" * 500)


def read_reference(given: bytes) -> None:
    parsed = parse_image_reference(given.decode("utf-8", "replace"))
    again = parse_image_reference(
        f"{parsed.canonical_reference}@{parsed.digest}" if parsed.digest else parsed.canonical_reference
    )
    assert again == parsed


def read_challenge(given: bytes) -> None:
    assert parse_challenges(given.decode("latin-1"))


def read_manifest(given: bytes) -> None:
    value = parse_registry_json(given)
    parse_image_config(value, digest=images.digest_of(given), platforms=[parse_platform(value) or ""])
    found = parse_manifest(given)
    if isinstance(found, ImageIndex):
        found.choose_entry(["linux/amd64"])
    else:
        find_spdx_layer(found)


TARGETS: dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...], type[Exception]]] = {
    "references": (read_reference, REFERENCES, InvalidInputError),
    "challenges": (read_challenge, CHALLENGES, ValueError),
    "manifests": (read_manifest, DOCUMENTS, InvalidManifest),
}


def mutated(given: bytes, others: Iterable[bytes], chance: random.Random) -> bytes:
    """A few bytes changed, cut, doubled, or taken from another input or from `WORDS`."""
    value = bytearray(given)
    for _ in range(chance.randint(0, 6)):
        here, there = sorted(chance.randrange(len(value) + 1) for _ in range(2))
        other = chance.choice((*others, *WORDS, *WORDS))
        change = chance.randrange(5)
        if change == 0 and value:
            value[min(here, len(value) - 1)] = chance.randrange(256)
        elif change == 1:
            del value[here : here + chance.randint(1, 40)]
        elif change == 2:
            value[here:here] = value[here:there]
        elif change == 3:
            value[here:there] = other
        else:
            value[here:here] = other[: chance.randint(1, len(other))]
    return bytes(value[:LONGEST])


def fuzz(target: str, seconds: float, seed: int, least: int = 0) -> tuple[int, int]:
    """Return how many inputs were read and how many refused in so many seconds, but *least* of each at any rate.

    Anything else fails, and shows its input."""
    read, seeds, refusal = TARGETS[target]
    chance, accepted, refused = random.Random(seed), 0, 0
    until = time.monotonic() + seconds
    while time.monotonic() < until or min(accepted, refused) < least:
        began = time.thread_time()
        given = mutated(chance.choice(seeds), seeds, chance)
        try:
            read(given)
            accepted += 1
        except refusal:
            refused += 1
        except Exception as problem:
            raise AssertionError(f"{target}, seed {seed}: {given!r}") from problem
        assert time.thread_time() - began < SLOWEST, f"{target}, seed {seed}: slow: {given!r}"
    return accepted, refused


@pytest.mark.parametrize("target", TARGETS)
def test_a_moment_of_mutated_input_is_read_or_refused(target: str) -> None:
    accepted, refused = fuzz(target, 0.5, seed=4, least=10)
    assert min(accepted, refused) >= 10


@pytest.mark.bench
@pytest.mark.parametrize("target", TARGETS)
def test_a_minute_of_mutated_input_is_read_or_refused(target: str) -> None:
    seed = time.time_ns()
    accepted, refused = fuzz(target, SECONDS, seed)
    print(f"{target}: {accepted} read, {refused} refused, seed {seed}")
    assert min(accepted, refused) > 1000
