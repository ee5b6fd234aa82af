"""The probe lists what is installed by reading files, in any image, and never for long."""

import ast
import json
import os
import site
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest

from renku_spawner.domain import software
from renku_spawner.domain.software import MAX_PACKAGES, ImageSoftware, PackageKind, SoftwareOrigin, parse_probe_report

FOLDER = Path(software.__file__).parents[1] / "spawners" / "in_pod"
PYTHON, SHELL = (FOLDER / "packages.py").read_text(), (FOLDER / "packages.sh").read_text()
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def printed(command: list[str], **variables: str) -> str:
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", **variables}
    done = subprocess.run(command, env=env, capture_output=True, check=True, timeout=300)
    assert done.stderr == b""
    return done.stdout.decode()


def read(report: str) -> ImageSoftware:
    found = parse_probe_report(report, origin=SoftwareOrigin.IMAGE, found_at=NOW)
    assert found is not None, report
    return found


def by_python(root: Path, seconds: float = 5, **variables: str) -> ImageSoftware:
    return read(printed([sys.executable, "-I", "-S", "-c", PYTHON, str(root), str(seconds)], **variables))


def by_shell(root: Path, **variables: str) -> ImageSoftware:
    return read(printed(["/bin/sh", "-c", SHELL, "sh", PYTHON, str(root)], RENKU_PROBE_SHELL="1", **variables))


def names(found: ImageSoftware, kind: PackageKind) -> dict[str, str]:
    return {one.name: one.version for one in found.list_packages(kind)}


def write(file: Path, text: str = "") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def distribution(site: Path, name: str, version: str, *, shown: str = "", installer: str = "pip") -> None:
    folder = site / f"{name}-{version}.dist-info"
    write(folder / "METADATA", f"Metadata-Version: 2.1\nName: {shown or name}\nVersion: {version}\n\nName: wrong\n")
    write(folder / "INSTALLER", f"{installer}\n")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The root of an image with a bit of everything."""
    root = tmp_path / "image"
    for program in ("opt/conda/bin/python3.12", "usr/bin/python3.11", "opt/julia-1.10.4/bin/julia"):
        write(root / program)
    write(root / "opt/conda/include/python3.12/patchlevel.h", '#define PY_VERSION "3.12.4"\n')
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "usr/local/bin/julia").symlink_to("../../../opt/julia-1.10.4/bin/julia")
    conda, debian = root / "opt/conda/lib/python3.12/site-packages", root / "usr/lib/python3/dist-packages"
    distribution(conda, "scikit_learn", "1.5.0", shown="scikit-learn")
    distribution(conda, "numpy", "2.1.0", installer="conda")
    distribution(debian, "six", "1.16.0")
    write(debian / "PyYAML-6.0.egg-info/PKG-INFO", "Name: PyYAML\nVersion: 6.0\n")
    write(debian / "lone-1.0-py3.11.egg-info", "Name: lone\nVersion: 1.0\n")
    for file in (
        "numpy-2.1.0-py312h_0",
        "ca-certificates-2026.2.25-hbd8a1cb_0",
        "r-base-4.4.1-h_0",
        "r-rlang-1.1.4-r44_0",
    ):
        write(root / f"opt/conda/conda-meta/{file}.json", "{")
    write(root / "opt/conda/conda-meta/history", "==> ")
    write(root / "opt/conda/envs/geo/conda-meta/gdal-3.9.0-h_1.json")
    for name, version, more in (("base", "4.4.1", "Priority: base\n"), ("rlang", "1.1.4", ""), ("sf", "1.0-16", "")):
        write(root / f"opt/conda/lib/R/library/{name}/DESCRIPTION", f"Package: {name}\nVersion: {version}\n{more}")
    write(
        root / "usr/local/lib/R/site-library/dplyr/DESCRIPTION",
        "Package: dplyr\nTitle: A\n  Version: no\nVersion: 1.1.4\n",
    )
    write(
        root / "var/lib/dpkg/status",
        "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nDescription: x\n Package: no\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
        "Package: python3.11-minimal\nStatus: install ok installed\nVersion: 3.11.2-6\n",
    )
    write(root / "usr/local/cuda/version.json", json.dumps({"cuda": {"name": "CUDA SDK", "version": "12.4.1"}}))
    return root


def test_everything_in_an_image_is_found(image: Path) -> None:
    found = by_python(image)
    assert names(found, PackageKind.PYTHON) == {
        "scikit-learn": "1.5.0",
        "six": "1.16.0",
        "PyYAML": "6.0",
        "lone": "1.0",
    }
    assert names(found, PackageKind.CONDA) == {
        "numpy": "2.1.0", "ca-certificates": "2026.2.25", "r-base": "4.4.1", "r-rlang": "1.1.4", "gdal": "3.9.0"
    }  # fmt: skip
    assert names(found, PackageKind.R) == {"sf": "1.0-16", "dplyr": "1.1.4"}
    assert names(found, PackageKind.DEBIAN) == {"libc6": "2.36-9", "python3.11-minimal": "3.11.2-6"}
    assert found.interpreters == {"Python": "3.12.4, 3.11.2", "R": "4.4.1", "Julia": "1.10.4"}
    assert (found.cuda, found.more, found.complete) == ("12.4.1", 0, True)


@pytest.mark.parametrize("path", ["/usr/bin:/bin", "/nowhere"])
def test_without_python_a_shell_finds_the_packages(image: Path, path: str) -> None:
    found = by_shell(image, PATH=path)
    assert names(found, PackageKind.PYTHON) == {"scikit_learn": "1.5.0", "numpy": "2.1.0", "six": "1.16.0"}
    assert names(found, PackageKind.CONDA) == names(by_python(image), PackageKind.CONDA)
    assert names(found, PackageKind.R) == {"base": "4.4.1", "rlang": "1.1.4", "sf": "1.0-16", "dplyr": "1.1.4"}
    assert names(found, PackageKind.DEBIAN) == {"libc6": "2.36-9", "python3.11-minimal": "3.11.2-6"}


def test_the_shell_hands_over_to_python_where_it_is(image: Path) -> None:
    report = printed(["/bin/sh", "-c", SHELL, "sh", PYTHON, str(image)])
    assert set(read(report).packages) == set(by_python(image).packages)


@pytest.mark.parametrize("probe", [by_python, by_shell])
def test_an_empty_image_has_nothing(probe: Callable[[Path], ImageSoftware], tmp_path: Path) -> None:
    found = probe(tmp_path)
    assert (found.packages, dict(found.interpreters), found.cuda, found.complete) == ((), {}, None, True)


def test_this_machines_own_packages_are_found_in_time() -> None:
    before = getrusage(RUSAGE_CHILDREN)
    found = by_python(Path("/"), 20, PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin")
    after = getrusage(RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5  # whatever else runs here
    here = {(one.metadata["Name"], one.version) for one in distributions(path=site.getsitepackages())}
    assert len(here) > 50
    assert here <= {(one.name, one.version) for one in found.list_packages(PackageKind.PYTHON)}
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package} ${Version}\n"]
    rows = [line.split(" ") for line in printed(query).splitlines()]
    assert {name: version for status, name, version in rows if status == "installed"} == names(
        found, PackageKind.DEBIAN
    )
    assert found.interpreters["Python"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")


def test_a_python_as_old_as_3_6_can_read_it() -> None:
    ast.parse(PYTHON, feature_version=(3, 6))
    assert "annotations" not in PYTHON


def loop(where: Path) -> None:
    (where / "again.dist-info").symlink_to(where)
    (where / "self.dist-info").symlink_to(where / "self.dist-info")


def pipe(where: Path) -> None:
    (where / "pipe-1.dist-info").mkdir()
    os.mkfifo(where / "pipe-1.dist-info" / "METADATA")


def device(where: Path) -> None:
    (where / "zero-1.dist-info").mkdir()
    (where / "zero-1.dist-info" / "METADATA").symlink_to("/dev/zero")


def bytes_that_are_no_text(where: Path) -> None:
    write(where / "raw-1.dist-info" / "METADATA")
    (where / "raw-1.dist-info" / "METADATA").write_bytes(b"Name: r\xff\x00w\x1b[2J\nVersion: 1\t2\r\n")
    os.mkdir(os.fsencode(where) + b"/\xff\xfe-1.dist-info")


def great(where: Path) -> None:
    write(where / "great-1.dist-info" / "METADATA", "Name: " + "n" * 10_000_000)


def lines(where: Path) -> None:
    (where / "two\nend\n-1.dist-info").mkdir()


@pytest.mark.parametrize("trap", [loop, pipe, device, bytes_that_are_no_text, great, lines])
def test_a_hostile_image_hides_only_what_it_breaks(image: Path, trap: Callable[[Path], None]) -> None:
    trap(image / "opt/conda/lib/python3.12/site-packages")
    found = by_python(image)
    assert found.complete
    assert names(found, PackageKind.PYTHON)["scikit-learn"] == "1.5.0"
    assert "libc6" in names(found, PackageKind.DEBIAN)


def test_more_packages_than_are_listed_are_counted(image: Path) -> None:
    stanzas = (f"Package: p{n}\nStatus: install ok installed\nVersion: 1\n" for n in range(MAX_PACKAGES + 500))
    write(image / "var/lib/dpkg/status", "\n".join(stanzas))
    found = by_python(image)
    assert (len(found.packages), found.more) == (MAX_PACKAGES, 511)


def test_when_the_time_is_up_what_was_found_is_told(image: Path) -> None:
    found = by_python(image, 0)
    assert not found.complete
    endless = "Package: p\nStatus: install ok installed\n\n" * 600_000
    write(image / "var/lib/dpkg/status", endless)
    assert not by_python(image, 0.2).complete


def test_a_probe_that_hangs_is_ended(image: Path) -> None:
    hanging = PYTHON.replace("finder.all()", "time.sleep(60)")
    done = subprocess.run([sys.executable, "-I", "-S", "-c", hanging, str(image), "0.2"], check=False, timeout=300)
    assert done.returncode < 0
