"""What is installed: read from what strangers wrote, searched, and compared."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.software import (
    ImageSoftware,
    PackageKind,
    SoftwareOrigin,
    SoftwarePackage,
    compare_software,
    parse_software_json,
    search_packages,
    to_software_json,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)
NEARLY = st.fixed_dictionaries(
    {"packages": st.dictionaries(st.sampled_from([*map(str, PackageKind), "npm"]), JSON, max_size=4)},
    optional={"interpreters": JSON, "cuda": JSON, "more": JSON},
)


def made(
    *packages: tuple[str, str] | tuple[str, str, PackageKind], origin: SoftwareOrigin = SoftwareOrigin.IMAGE
) -> ImageSoftware:
    found = [
        SoftwarePackage(name=name, version=version, kind=(*kind, PackageKind.PYTHON)[0])
        for name, version, *kind in packages
    ]
    return ImageSoftware(packages=tuple(found), origin=origin, found_at=NOW)


def read(data: object) -> ImageSoftware | None:
    return parse_software_json(data, origin=SoftwareOrigin.IMAGE, found_at=NOW)


def test_what_was_written_is_read_again() -> None:
    before = replace(
        made(("numpy", "2.1"), ("numpy", "2.2"), ("libc6", "2.36-9", PackageKind.DEBIAN)),
        interpreters={"Python": "3.12.4, 3.11.2"}, cuda="12.4.1", more=3,
    )  # fmt: skip
    after = read(json.loads(json.dumps(to_software_json(before))))
    assert after is not None
    assert set(after.packages) == set(before.packages)
    assert replace(after, packages=before.packages) == before


@given(JSON | NEARLY)
def test_whatever_a_stranger_wrote_is_read_or_refused(data: object) -> None:
    found = read(data)
    if found is not None:
        assert all(one.name and one.name.isprintable() and one.version.isprintable() for one in found.packages)
        assert all(map(str.isprintable, [*found.interpreters, *found.interpreters.values(), found.cuda or ""]))
        assert found.more >= 0
        assert read(json.loads(json.dumps(to_software_json(found)))) == found


def test_texts_are_cut_and_cleaned() -> None:
    rows = [["a\x00\x1b[31m\nb", "1\u202e2"], ["n" * 999, "1" * 999], ["e" + "\u0301" * 99, "1"], [" ", "1"]]
    found = read({"packages": {"python": rows}})
    assert found is not None
    by_length = sorted(found.packages, key=lambda one: len(one.name))
    assert [(len(one.name), len(one.version)) for one in by_length] == [(8, 1), (9, 3), (200, 100)]
    assert by_length[1].version == "1\N{REPLACEMENT CHARACTER}2"


def test_no_more_than_5000_packages_are_listed_and_the_others_are_counted() -> None:
    found = read({"packages": {"python": [[f"a{n:05}", "1"] for n in range(7000)]}, "more": 30})
    assert found is not None
    assert (len(found.packages), found.more) == (5000, 2030)


def test_what_is_listed_twice_is_there_once() -> None:
    found = read({"packages": {"r": [["dplyr", "1.1"]] * 3, "conda": [["dplyr", "1.1"]]}})
    assert found is not None
    assert [one.kind for one in found.packages] == [PackageKind.CONDA, PackageKind.R]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["NumPy", "libc6", "numba"]), ("num", ["NumPy", "numba"]), ("  NUM  2 ", ["NumPy"]), ("debian", ["libc6"]),
        ("numpy 9", []), ("%", []), ("x" * 10_000, []),
    ],
)  # fmt: skip
def test_a_search_finds_the_packages_that_have_every_word(text: str, names: list[str]) -> None:
    where = made(("NumPy", "2.1"), ("libc6", "1.0", PackageKind.DEBIAN), ("numba", "0.61"))
    assert [one.name for one in search_packages(where, text)] == names


def test_what_changed_is_told_by_name() -> None:
    old = made(("numpy", "2.1"), ("Jinja_2", "3.1"), ("gone", "1"), ("same", "1"), ("two", "1"), ("two", "2"))
    new = made(("numpy", "2.2"), ("jinja-2", "3.1"), ("came", "1"), ("same", "1"), ("two", "2"), ("two", "3"))
    found = compare_software(old, new)
    assert [one.name for one in found.added] == ["came"]
    assert [one.name for one in found.removed] == ["gone"]
    assert [(one.name, one.old, one.new) for one in found.changed] == [("numpy", "2.1", "2.2"), ("two", "1, 2", "2, 3")]
    assert not compare_software(old, old)
    assert compare_software(old, new)


def test_a_package_of_another_kind_is_another_package() -> None:
    found = compare_software(made(("xml", "1", PackageKind.R)), made(("xml", "2", PackageKind.DEBIAN)))
    assert (len(found.added), len(found.removed), found.changed) == (1, 1, ())


def test_what_only_one_way_of_looking_sees_is_no_change() -> None:
    old = made(("numpy", "2.1"), ("libc6", "1", PackageKind.DEBIAN), origin=SoftwareOrigin.IMAGE)
    new = made(("numpy", "2.2"), ("left-pad", "1", PackageKind.OTHER), origin=SoftwareOrigin.SBOM)
    found = compare_software(old, new)
    assert [(one.name, one.new) for one in found.changed] == [("numpy", "2.2")]
    assert (found.added, found.removed) == ((), ())


def test_an_attestation_is_trusted_more_than_what_the_image_says_of_itself() -> None:
    assert sorted(SoftwareOrigin, key=lambda origin: origin.trust_rank)[::-1] == [
        SoftwareOrigin.SBOM, SoftwareOrigin.PROBE, SoftwareOrigin.IMAGE, SoftwareOrigin.HUB
    ]  # fmt: skip
