"""`renku-spawner images`: attestations, reports, and what an admin has to type for those that have neither."""

import subprocess
from pathlib import Path

import pytest

from renku_spawner.domain.software import ImageSoftware, SoftwareOrigin
from renku_spawner.persistence.database import Database
from tests.cli.test_cli import refusal, run
from tests.fixtures import images
from tests.fixtures.registry import Registry

REPORT = "renku-probe 1\ninterpreter\tPython\t3.12.4\npython\tnumpy\t2.1\nend\n"


@pytest.fixture
def folder(tmp_path: Path, registry: Registry) -> Path:
    """A hub's configuration with an image that lists its packages, one that does not, and one that is not there."""
    registry.push("cli-listed", sbom=images.spdx({"numpy": "2.1.0", "scipy": "1.14"}))
    registry.push("cli-silent")
    entries = [
        {"key": key, "name": key, "image": f"{registry.host}/cli-{key}"} for key in ("listed", "silent", "absent")
    ]
    (tmp_path / "jupyterhub_config.py").write_text(
        "from renku_spawner import install\n"
        f"c.Renku.environments = {entries}\n"
        f"c.Renku.image_policy = {{'plain_http': [{registry.host!r}]}}\n"
        "install(c)\n"
    )
    return tmp_path


def known(folder: Path, digest: str) -> ImageSoftware | None:
    database = Database(f"sqlite:///{folder / 'jupyterhub.sqlite'}")
    with database.read() as tx:
        found = tx.software.get(digest)
    database.dispose()
    return found


def test_what_an_image_lists_is_taken_and_for_others_it_is_said_what_to_type(folder: Path, registry: Registry) -> None:
    done = run("images", "probe", "listed", "silent", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    listed, silent, script, keep = done.stdout.splitlines()
    assert listed == "listed: 2 packages known from the image's own list"
    assert silent.startswith("silent: the image has no list of its packages. ")
    digest = script.split()[-3].rpartition("@")[2]
    assert f"{registry.host}/cli-silent@sha256:" in script
    assert keep == f"  renku-spawner images probe silent --digest {digest} --report report.txt"


def test_a_report_is_kept_as_a_look_of_the_admins(folder: Path, registry: Registry) -> None:
    digest = registry.push("cli-silent")
    (folder / "report.txt").write_text(REPORT)
    done = run(*f"images probe silent --digest {digest} --report report.txt".split(), folder=folder)
    assert done.stdout == "silent: 1 package known from a probe of the image\n"
    found = known(folder, digest)
    assert found
    assert (found.origin, [one.name for one in found.packages]) == (SoftwareOrigin.PROBE, ["numpy"])
    assert run("images", "probe", "silent", folder=folder).stdout == done.stdout


def test_a_registry_without_the_image_is_told_and_the_others_are_looked_at(folder: Path) -> None:
    done = run("images", "probe", folder=folder)
    assert done.returncode == 1
    assert done.stderr.startswith("absent: ImageNotFound: ")
    assert "listed: 2 packages" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["odd"], "Renku.environments has no entry with the key 'odd'."),
        (["--report", "x"], "A report is about one environment; please name it."),
        (["silent", "--report", "half.txt"], "The report is incomplete: it must be the whole output of the script."),
        (["--pod"], "Sessions of this hub are not pods (c.JupyterHub.spawner_class is RenkuLocalSpawner)."),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(folder: Path, arguments: list[str], sentence: str) -> None:
    (folder / "half.txt").write_text(REPORT.removesuffix("end\n"))
    assert refusal(run("images", "probe", *arguments, folder=folder)) == sentence


def test_the_script_runs_from_standard_input() -> None:
    script = run("images", "script", folder=Path("/")).stdout
    done = subprocess.run(["/bin/sh"], input=script, capture_output=True, check=True, text=True, timeout=300)
    assert done.stdout.startswith("renku-probe 1\n")
    assert done.stdout.splitlines()[-1] in ("end", "late")
    assert "\ndebian\tlibc6\t" in done.stdout
