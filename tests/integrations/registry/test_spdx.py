"""SPDX documents as BuildKit's scanner writes them, and as somebody hostile would."""

import asyncio
import gc
import json
from datetime import UTC, datetime
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.software import MAX_PACKAGES, ImageSoftware, PackageKind, SoftwareOrigin
from renku_spawner.integrations.registry.manifests import (
    MAX_SPDX_DOCUMENT_BYTES,
    SPDX_PREDICATE_TYPE,
    parse_spdx_software,
)
from tests.domain.test_software import JSON

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def row(name: Any, version: Any, purl: Any = None) -> dict[str, Any]:
    """As syft writes it: two references to lists of vulnerabilities before the one that counts."""
    refs = [{"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:x:x:1"}] * 2
    if purl:
        refs.append({"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl})
    return {
        "name": name, "SPDXID": "SPDXRef-Package-1", "versionInfo": version, "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseDeclared": "NOASSERTION",
        "externalRefs": refs,
    }  # fmt: skip


def document(*rows: Any) -> dict[str, Any]:
    head = {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "sbom"}
    creation = {"created": "2026-11-02T00:00:00Z", "creators": ["Tool: syft-v1.4.1", "Tool: buildkit-v0.16.0"]}
    return {**head, "creationInfo": creation, "packages": list(rows), "files": [], "relationships": []}


def read(data: Any) -> ImageSoftware | None:
    return parse_spdx_software(json.dumps(data).encode(), found_at=NOW)


USUAL = document(
    row("numpy", "2.1.0", "pkg:pypi/numpy@2.1.0"),
    row("libc6", "2.36-9", "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12"),
    row("python3.11-minimal", "3.11.2-6", "pkg:deb/debian/python3.11-minimal@3.11.2-6"),
    row("gdal", "3.9.0", "pkg:conda/gdal@3.9.0"),
    row("cuda-version", "12.4", "pkg:conda/cuda-version@12.4"),
    row("dplyr", "1.1.4", "pkg:cran/dplyr@1.1.4"),
    row("left-pad", "1.3.0", "pkg:npm/left-pad@1.3.0"),
    row("python", "3.12.4", "pkg:generic/python@3.12.4"),
    row("unknown", "7"),
    row("image", "sha256:" + "a" * 64, "pkg:oci/image@sha256%3Aaaa"),
    {"name": "sbom", "SPDXID": "SPDXRef-DocumentRoot-Directory-sbom"},
)


def test_packages_are_read_with_who_installed_them() -> None:
    found = read(USUAL)
    assert found
    assert {(one.name, one.kind) for one in found.packages} == {
        ("numpy", PackageKind.PYTHON),
        ("libc6", PackageKind.DEBIAN),
        ("python3.11-minimal", PackageKind.DEBIAN),
        ("gdal", PackageKind.CONDA),
        ("cuda-version", PackageKind.CONDA),
        ("dplyr", PackageKind.R),
        ("left-pad", PackageKind.OTHER),
        ("python", PackageKind.OTHER),
        ("unknown", PackageKind.OTHER),
    }
    assert dict(found.interpreters) == {"Python": "3.12.4, 3.11.2"}
    assert (found.cuda, found.origin, found.found_at, found.more) == ("12.4", SoftwareOrigin.SBOM, NOW, 0)


def test_a_statement_about_the_image_reads_as_the_document_in_it() -> None:
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document",
        "subject": [{"name": "pkg:docker/image@latest", "digest": {"sha256": "a" * 64}}], "predicate": USUAL,
    }  # fmt: skip
    assert read(statement) == read({"predicate": {"Data": USUAL}}) == read(USUAL)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b"null", b"3", b'"SPDX-2.3"', b"\xff\xfe", b"[" * 100_000, b'{"predicate":' * 50_000,
        b"9" * 10_000, b'{"spdxVersion":"SPDX-2.3"}', b'{"spdxVersion":"SPDX-2.3","packages":{"a":1}}',
        json.dumps({**USUAL, "spdxVersion": "SPDX-3.0"}).encode(), json.dumps({"bomFormat": "CycloneDX"}).encode(),
        json.dumps(document(row(1, 2), row("a", None), row("", "1"), None, [], "a")).encode(),
        b" " * (MAX_SPDX_DOCUMENT_BYTES + 1), json.dumps({"predicateType": SPDX_PREDICATE_TYPE}).encode(),
        json.dumps({"predicateType": "other", "predicate": USUAL}).encode(),
    ],
    ids=range(18),
)  # fmt: skip
def test_what_is_no_document_has_no_packages(raw: bytes) -> None:
    assert parse_spdx_software(raw, found_at=NOW) is None


@given(JSON | st.lists(JSON, max_size=3).map(lambda rows: document(*rows)))
def test_no_document_breaks_the_reader(data: Any) -> None:
    read(data)


@given(st.builds(row, JSON, JSON, JSON) | st.builds(row, st.text(), st.text(), st.text()))
def test_no_package_breaks_the_reader(data: dict[str, Any]) -> None:
    found = read(document(data, row("numpy", "2")))
    assert found
    assert all(one.name.isprintable() and one.version.isprintable() for one in found.packages)


def test_control_characters_do_not_come_through() -> None:
    found = read(document(row("a\x00\x1b[2J\n\u202eb", "1\r\n2", "pkg:pypi/a")))
    assert found
    (one,) = found.packages
    assert (one.name.isprintable(), one.version.isprintable()) == (True, True)


async def longest_wait(raw: bytes) -> float:
    """How long another thread waits at once while *raw* is read, as a part of the whole in this process's CPU time."""
    gc.disable()
    try:
        began = last = process_time()
        longest, reading = 0.0, asyncio.ensure_future(asyncio.to_thread(parse_spdx_software, raw, found_at=NOW))
        while not reading.done():
            await asyncio.sleep(0)
            now = process_time()
            longest, last = max(longest, now - last), now
    finally:
        gc.enable()
    assert await reading
    return longest / (last - began)


async def test_the_hub_goes_on_while_megabytes_are_read() -> None:
    """It is nearly all parsing; the best of a few, since a machine that is busy lets nobody have a turn."""
    files = [{"fileName": f"/usr/lib/{number}", "SPDXID": f"SPDXRef-{number}"} for number in range(60_000)]
    raw = json.dumps(document(row("numpy", "2")) | {"files": files}).encode()
    assert min([await longest_wait(raw) for _ in range(4)]) < 0.45


def test_far_too_many_packages_are_cut_off_in_seconds() -> None:
    raw = b'{"spdxVersion":"SPDX-2.3","packages":[%s]}'
    rows = b",".join(b'{"name":"p%d","versionInfo":"1"}' % number for number in range(200_000))
    began = process_time()
    found = parse_spdx_software(raw % rows, found_at=NOW)
    assert process_time() - began < 5
    assert found
    assert (len(found.packages), found.more) == (MAX_PACKAGES, 95_000)
    assert (
        parse_spdx_software(raw % (rows + b"," + rows * 4), found_at=NOW) is None
    )  # a million: too long to be looked at
