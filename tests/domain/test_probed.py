"""The report of a probe is read, whatever a stranger's image prints."""

from datetime import UTC, datetime
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.software import (
    MAX_PACKAGES,
    ImageSoftware,
    PackageKind,
    SoftwareOrigin,
    SoftwarePackage,
    parse_probe_report,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LINES = st.lists(
    st.lists(
        st.sampled_from([*map(str, PackageKind), "interpreter", "cuda", "more", "end", "9"]) | st.text(max_size=9)
    ).map("\t".join),
    max_size=9,
)


def read(*lines: str) -> ImageSoftware | None:
    return parse_probe_report("\n".join(lines) + "\n", origin=SoftwareOrigin.IMAGE, found_at=NOW)


def test_a_report_is_read() -> None:
    found = read(
        "some words of a wrapper", "renku-probe 1", "interpreter\tPython\t3.12.4", "cuda\t12.4.1",
        "python\tnumpy\t2.1", "r\tdplyr\t1.1", "more\t12", "end",
    )  # fmt: skip
    assert found == ImageSoftware(
        packages=(
            SoftwarePackage(name="dplyr", version="1.1", kind=PackageKind.R),
            SoftwarePackage(name="numpy", version="2.1", kind=PackageKind.PYTHON),
        ),
        interpreters={"Python": "3.12.4"},
        cuda="12.4.1",
        more=12,
        origin=SoftwareOrigin.IMAGE,
        found_at=NOW,
    )


def test_a_report_whose_time_was_up_says_so() -> None:
    found = read("renku-probe 1", "python\tnumpy\t2.1", "late")
    assert found
    assert not found.complete


@pytest.mark.parametrize(
    "lines",
    [
        (), ("",), ("end",), ("renku-probe 1",), ("renku-probe 2", "end"), ("renku-probe 1", "python\tnumpy\t2.1"),
        ("sh: not found",), ("renku-probe 1", "end", "Segmentation fault"), ("<html>",), ("\0" * 99,),
    ],
)  # fmt: skip
def test_what_is_no_whole_report_is_none(lines: tuple[str, ...]) -> None:
    assert read(*lines) is None


def test_lines_of_another_form_are_left_out() -> None:
    found = read(
        "renku-probe 1", "python", "python\ta", "python\ta\tb\tc", "npm\ta\t1", "more\t-1", "more\t²", "x", "end"
    )
    assert found == ImageSoftware(origin=SoftwareOrigin.IMAGE, found_at=NOW)


@given(LINES)
def test_no_report_breaks_the_reader(lines: list[str]) -> None:
    found = read("renku-probe 1", *lines, "end")
    assert found is None or all(one.name.isprintable() for one in found.packages)


def test_a_million_packages_are_cut_off_at_once() -> None:
    report = "renku-probe 1\n" + "".join(f"python\tp{n}\t1\n" for n in range(1_000_000)) + "end\n"
    began = process_time()
    assert parse_probe_report(report, origin=SoftwareOrigin.IMAGE, found_at=NOW) is None  # cut off
    assert process_time() - began < 1


def test_the_longest_honest_report_is_read() -> None:
    rows = [f"python\t{n:05}{'n' * 60}\t{'1' * 20}" for n in range(MAX_PACKAGES)]
    found = read("renku-probe 1", *rows, "more\t7", "end")
    assert found
    assert (len(found.packages), found.more) == (MAX_PACKAGES, 7)
