"""Manifests, indexes and statements: what is read, and that nothing else ever comes out than a refusal."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.registry import manifest
from renku_spawner.registry.manifest import Index, Manifest, Unreadable
from tests.fixtures import images

D = "sha256:" + "a" * 64
KEYS = st.sampled_from(
    ["manifests", "config", "layers", "digest", "size", "platform", "annotations", "mediaType", "os", "architecture", D]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(D) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=5),
    max_leaves=20,
)


def read(**document: Any) -> Index | Manifest:
    return manifest.read(json.dumps(document).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"<html></html>",
        b"[" * 10_000,
        b'{"manifests": [' + b"{}," * 100_000 + b"{}]}",
        b'{"a": [' + b"1," * 300_000 + b"1]}",
        b'{"manifests": [], "layers": []}',
        b'{"manifests": {}}',
        b'{"manifests": [null]}',
        b'{"manifests": [{"digest": "sha256:1"}]}',
        b'{"layers": []}',
        b'{"config": {"digest": "sha256:../x"}, "layers": []}',
        b'{"config": 1}',
        b'{"size": ' + b"9" * 5000 + b"}",
        json.dumps({"manifests": [{"digest": D}] * 201}).encode(),
    ],
)
def test_what_is_no_manifest_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        manifest.read(body)


def test_sizes_are_added_and_nonsense_counts_nothing() -> None:
    layers = [{"digest": D, "size": size} for size in (5, 7, -1, True, "9", None)]
    one = read(config={"digest": D}, layers=layers)
    assert isinstance(one, Manifest)
    assert one.size == 12
    empty = read(config={"digest": D})
    assert isinstance(empty, Manifest)
    assert empty.size == 0


def test_attestations_and_unknown_platforms_are_no_variants() -> None:
    made = images.image(platforms=["linux/arm64", "windows/amd64"], sbom=images.spdx({}))
    index = manifest.read(made.manifests[made.top][0])
    assert isinstance(index, Index)
    assert len(index.entries) == 4
    assert index.platforms == ("linux/arm64", "windows/amd64")
    assert index.choose(["linux/amd64"]) is None
    chosen = index.choose(["linux/amd64", "linux/arm64"])
    assert chosen and chosen.platform == "linux/arm64"
    assert index.attestation(chosen.digest) is not None
    assert index.attestation(D) is None


def test_a_lone_entry_without_a_platform_is_looked_into() -> None:
    index = read(manifests=[{"digest": D}])
    assert isinstance(index, Index)
    assert index.choose(["linux/amd64"]) == index.entries[0]
    two = read(manifests=[{"digest": D}, {"digest": D}])
    assert isinstance(two, Index)
    assert two.choose(["linux/amd64"]) is None


@pytest.mark.parametrize(
    ("fields", "platform"),
    [
        ({"os": "linux", "architecture": "amd64"}, "linux/amd64"),
        ({"os": "linux", "architecture": "arm64", "variant": "v8"}, "linux/arm64"),
        ({"os": "linux", "architecture": "arm", "variant": "v7"}, "linux/arm/v7"),
        ({"os": "linux", "architecture": "amd64", "variant": None}, "linux/amd64"),
        ({"os": "linux"}, None),
        ({"os": 1, "architecture": ["amd64"]}, None),
    ],
)
def test_a_platform_has_one_spelling(fields: dict[str, Any], platform: str | None) -> None:
    assert manifest.platform_of(fields) == platform


def test_a_digest_names_one_content() -> None:
    manifest.check(b"x", images.digest_of(b"x"))
    with pytest.raises(Unreadable):
        manifest.check(b"y", images.digest_of(b"x"))


@given(JSON | st.dictionaries(KEYS, JSON))
def test_any_json_is_read_or_refused(value: Any) -> None:
    body = json.dumps(value).encode()
    with contextlib.suppress(Unreadable):
        found = manifest.read(body)
        if isinstance(found, Index):
            found.choose(["linux/amd64"])
            assert not any("unknown" in platform for platform in found.platforms)
        else:
            assert found.size >= 0


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(Unreadable):
        manifest.read(body)
