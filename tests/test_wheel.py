"""What is built and published holds all that the package needs at run time."""

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout, built by what the lock file holds."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    [made] = folder.glob("*.whl")
    return zipfile.ZipFile(made)


def test_the_wheel_holds_every_module_and_every_template(wheel: zipfile.ZipFile) -> None:
    modules = [path.relative_to(ROOT) for path in (ROOT / "renku_spawner").rglob("*.py")]
    templates = ["renku_spawner" / path.relative_to(ROOT) for path in (ROOT / "templates").rglob("*.*")]
    assert len(modules) > 20
    assert len(templates) > 5
    assert {path.as_posix() for path in modules + templates} <= set(wheel.namelist())


def test_the_wheel_holds_no_test_and_no_data(wheel: zipfile.ZipFile) -> None:
    assert {name.split("/")[0] for name in wheel.namelist()} == {"renku_spawner", "renku_spawner-0.1.0.dist-info"}


def test_every_entry_point_of_the_wheel_can_be_loaded(wheel: zipfile.ZipFile) -> None:
    text = wheel.read("renku_spawner-0.1.0.dist-info/entry_points.txt").decode()
    parser = configparser.ConfigParser()
    parser.read_string(text)
    places = [place for section in parser.sections() for place in parser[section].values()]
    assert "renku_spawner.cli.main:main" in places
    for place in places:
        module, _, name = place.partition(":")
        code = f"import {module}; {module}.{name}"
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0, place
