"""The house keeps its rules, and each rule is one that can be broken."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from renku_spawner.integrations.rclone import can_mount_remotes
from tests.fixtures import browser, house, postgresql, skips

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "renku_spawner"

# rule: (path, what breaks it, what looks alike and is allowed)
CASES = {
    "trait_without_help": (
        "config/renku.py",
        "x = Unicode('', config=True)",
        "x = Unicode('', config=True, help='It.')",
    ),
    "await_in_transaction": (
        "usecases/a.py",
        "async def f(db):\n    with db.write() as tx:\n        x = tx\n        await x()\n",
        "async def f(db):\n    with db.write() as tx:\n        x = tx\n    await x()\n",
    ),
    "async_unit_of_work": (
        "usecases/a.py",
        "async def f(db):\n    async def work(t): ...\n    await write_transaction(db, work)\n",
        "async def f(db):\n    def work(tx): ...\n    await write_transaction(db, work)\n",
    ),
    "hub_database": ("web/a.py", "def f(self):\n    return self.db\n", "def f(self):\n    return self.renku.db\n"),
    "environment": ("web/a.py", "import os\nx = os.environ['A']\n", "import os\nx = os.sep\n"),
    "sql": ("web/a.py", "def f():\n    from sqlalchemy import text\n", "from ..persistence import sqlalchemy\n"),
    "absolute_import": ("web/a.py", "from renku_spawner.domain import names\n", "from ..domain import names\n"),
    "dataclass_of_domain": (
        "domain/a.py",
        "@dataclass(frozen=True)\nclass A: ...\n",
        "@dataclass(frozen=True, kw_only=True)\nclass A: ...\n",
    ),
    "try_in_handler": (
        "web/a.py",
        "class A:\n    async def get(self):\n        try:\n            x()\n        except ValueError: ...\n",
        "class A:\n    async def read(self):\n        try:\n            x()\n        except ValueError: ...\n",
    ),
}
PROGRAMS = [
    "configurable-http-proxy",
    "docker-registry",
    "git",
    "helm-3",
    "helm-4",
    "jupyter-lab",
    "jupyterhub",
    "node",
    "prometheus",
    "promtool",
    "skopeo",
    "umoci",
]
INNER = ["-p", skips.__name__, "-o", "asyncio_default_fixture_loop_scope=function"]
MACHINE = ["/work/" + "main", "/work/" + "shared", "/opt/" + "wheels", "/tmp/" + "plan", "/ro" + "ot/"]
REGISTRIES = ["pypi" + ".org", "python" + "hosted", "npm" + "js", "yarn" + "pkg"]


def offences(rule: str) -> list[str]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        file = house.File(path=path.relative_to(PACKAGE).as_posix(), text=path.read_text())
        found += [f"renku_spawner/{file.path}:{offence}" for offence in house.RULES[rule](file)]
    return found


def private_words(text: str) -> list[str]:
    """Paths of one machine and hosts of package registries that stand in *text*."""
    return [word for word in MACHINE + REGISTRIES if word in text]


@pytest.mark.parametrize("rule", house.RULES)
def test_the_package_keeps_the_rule(rule: str) -> None:
    assert offences(rule) == []


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == set(house.RULES)


@pytest.mark.parametrize("rule", CASES)
def test_the_rule_can_be_broken(rule: str) -> None:
    path, bad, _ = CASES[rule]
    assert list(house.RULES[rule](house.File(path=path, text=bad)))


@pytest.mark.parametrize("rule", CASES)
def test_the_rule_lets_through_what_only_looks_alike(rule: str) -> None:
    path, _, good = CASES[rule]
    assert list(house.RULES[rule](house.File(path=path, text=good))) == []


def test_a_rule_knows_where_it_does_not_hold() -> None:
    text = "import os\nimport sqlalchemy\nx = os.environ\n"
    assert list(house.sql(house.File(path="persistence/tables.py", text=text))) == []
    assert list(house.environment(house.File(path="cli/main.py", text=text))) == []
    assert (
        list(house.trait_without_help(house.File(path="config/renku.py", text="self.trait_names(config=True)\n"))) == []
    )


def test_the_other_way_to_write_a_setting_is_known_too() -> None:
    text = "x = Unicode('').tag(config=True)\ny = Unicode('', help='It.').tag(config=True)\n"
    assert list(house.trait_without_help(house.File(path="config/renku.py", text=text))) == [
        "1: a setting without help"
    ]


@pytest.mark.parametrize(
    ("path", "line", "contract"),
    [
        ("domain/ids.py", "from ..usecases import projects", "Imports point downwards"),
        ("domain/ids.py", "import sqlalchemy", "The domain knows nothing but Python"),
        ("usecases/projects.py", "import tornado.web", "Use cases and what they stand on know no web and no hub"),
        ("usecases/projects.py", "from ..persistence import tables", "Rows stay in persistence"),
        ("persistence/projects.py", "from ..integrations import rclone", "Imports point downwards"),
        ("usecases/projects.py", "import gitlab", "Only one package asks GitLab"),
    ],
)
def test_the_plan_of_the_house_is_checked(path: str, line: str, contract: str, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "renku_spawner")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "renku_spawner" / path).open("a") as file:
        file.write(f"\n{line}\n")
    done = subprocess.run(["lint-imports", "--no-cache"], cwd=tmp_path, capture_output=True, check=False, text=True)
    assert done.returncode == 1
    assert f"{contract} BROKEN" in done.stdout


def test_no_tracked_file_names_a_machine_or_a_package_registry() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    paths = [path for path in (ROOT / name for name in listed.split("\0") if name) if path.is_file()]
    texts = {path: path.read_bytes().decode("utf-8", "ignore") for path in paths}
    assert len(texts) > 20
    assert {str(path): words for path, text in texts.items() if (words := private_words(text))} == {}


def test_a_machine_path_and_a_registry_are_recognised() -> None:
    assert private_words(f"see {MACHINE[0]}/x and https://{REGISTRIES[0]}/simple") == [MACHINE[0], REGISTRIES[0]]


def test_the_lock_files_give_a_digest_for_everything_and_no_address() -> None:
    python, node = (ROOT / "requirements.lock").read_text(), (ROOT / "package-lock.json").read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==[^\n]*\\\n    --hash=sha256:", python, re.MULTILINE)
    assert len(pinned) > 100
    assert len(pinned) == len(re.findall(r"^[a-z]", python, re.MULTILINE))
    assert node.count('"integrity"') == node.count('"node_modules/')
    assert '"resolved"' not in node


def imported_packages(code: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def distribution_name(requirement: str) -> str:
    """The name in a requirement such as `PyYAML>=6`, as PEP 503 normalises it."""
    return re.sub("[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0].lower())


def test_every_package_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {distribution_name(each) for each in (project["name"], *project["dependencies"])}
    assert {"requests", "pyyaml", "renku-spawner"} <= declared
    distributions = packages_distributions()
    for file in PACKAGE.rglob("*.py"):
        for package in imported_packages(file.read_text()):
            names = {distribution_name(name) for name in distributions.get(package, ())}
            assert not names or names & declared, f"{file}: {package} is not in pyproject.toml"


def test_what_the_tests_need_is_installed() -> None:
    assert Path(browser.chromium()).exists()
    assert (postgresql.programs() / "postgres").exists()
    assert browser.AXE.exists()
    assert all(map(shutil.which, PROGRAMS))
    assert can_mount_remotes(), "rclone, fusermount3 and /dev/fuse"
    assert (Path(sys.prefix) / "moto").is_dir()


def test_a_skip_that_nobody_allowed_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\ndef test_a(): pytest.skip('no')\n@pytest.mark.skip\ndef test_b(): ...\n")
    result = pytester.runpytest_inprocess(*INNER)
    result.assert_outcomes(failed=1, errors=1)


def test_a_file_that_skips_itself_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\npytest.importorskip('no_such_module')\n")
    pytester.runpytest_inprocess(*INNER).assert_outcomes(errors=1)


def test_an_expected_failure_is_no_skip(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.xfail\ndef test_a(): assert False\n")
    pytester.runpytest_inprocess(*INNER).assert_outcomes(xfailed=1)


def test_an_allowed_skip_needs_a_reason() -> None:
    assert skips.allowed("# note\n\ntests/test_a.py::test_b[x]: it rains\n") == {
        "tests/test_a.py::test_b[x]": "it rains"
    }
    with pytest.raises(ValueError, match="no reason"):
        skips.allowed("tests/test_a.py::test_b\n")
