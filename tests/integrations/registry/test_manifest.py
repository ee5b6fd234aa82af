"""Manifests, indexes and statements: what is read, and that nothing else ever comes out than a refusal."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.integrations.registry.manifests import (
    ImageIndex,
    ImageManifest,
    InvalidManifest,
    parse_manifest,
    parse_platform,
    verify_digest,
)
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


def read(**document: Any) -> ImageIndex | ImageManifest:
    return parse_manifest(json.dumps(document).encode())


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
    with pytest.raises(InvalidManifest):
        parse_manifest(body)


def test_sizes_are_added_and_nonsense_counts_nothing() -> None:
    layers = [{"digest": D, "size": size} for size in (5, 7, -1, True, "9", None)]
    one = read(config={"digest": D}, layers=layers)
    assert isinstance(one, ImageManifest)
    assert one.compressed_size == 12
    empty = read(config={"digest": D})
    assert isinstance(empty, ImageManifest)
    assert empty.compressed_size == 0


def test_attestations_and_unknown_platforms_are_no_variants() -> None:
    made = images.image(platforms=["linux/arm64", "windows/amd64"], sbom=images.spdx({}))
    index = parse_manifest(made.manifests[made.top][0])
    assert isinstance(index, ImageIndex)
    assert len(index.entries) == 4
    assert index.platforms == ("linux/arm64", "windows/amd64")
    assert index.choose_entry(["linux/amd64"]) is None
    chosen = index.choose_entry(["linux/amd64", "linux/arm64"])
    assert chosen and chosen.platform == "linux/arm64"
    assert index.find_attestation(chosen.digest) is not None
    assert index.find_attestation(D) is None


def test_a_lone_entry_without_a_platform_is_looked_into() -> None:
    index = read(manifests=[{"digest": D}])
    assert isinstance(index, ImageIndex)
    assert index.choose_entry(["linux/amd64"]) == index.entries[0]
    two = read(manifests=[{"digest": D}, {"digest": D}])
    assert isinstance(two, ImageIndex)
    assert two.choose_entry(["linux/amd64"]) is None


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
    assert parse_platform(fields) == platform


def test_a_digest_names_one_content() -> None:
    verify_digest(b"x", images.digest_of(b"x"))
    with pytest.raises(InvalidManifest):
        verify_digest(b"y", images.digest_of(b"x"))


@given(JSON | st.dictionaries(KEYS, JSON))
def test_any_json_is_read_or_refused(value: Any) -> None:
    body = json.dumps(value).encode()
    with contextlib.suppress(InvalidManifest):
        found = parse_manifest(body)
        if isinstance(found, ImageIndex):
            found.choose_entry(["linux/amd64"])
            assert not any("unknown" in platform for platform in found.platforms)
        else:
            assert found.compressed_size >= 0


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidManifest):
        parse_manifest(body)
