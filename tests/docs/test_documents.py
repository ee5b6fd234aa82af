"""What the documents say is so: settings, links, commands, names of tests."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

import renku_spawner
from renku_spawner.config.gitlab import GitLabSettings
from renku_spawner.config.renku import Renku
from renku_spawner.hub.scopes import CUSTOM_SCOPES
from renku_spawner.persistence.migrate import _load_migration_scripts
from renku_spawner.spawners.kubernetes.spawner import RenkuSpawner
from tests.docs import settings, values

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"(?<!`)\[[^\]\[]*\]\(([^)\s]+)\)")
TEST = re.compile(r"`((?:tests/)[\w/]+\.py)(?:::(\w+))?`")
AMERICAN = re.compile(
    r"\b(behavior|colors?|authoriz\w+|licens(?:e|ed)\b(?!\))|recogniz\w+|initializ\w+|serializ\w+|canceled)", re.I
)


def read(name: str) -> str:
    return (ROOT / name).read_text()


def named_tests(text: str) -> list[tuple[str, str]]:
    """(file, function) of each test that *text* names; a function alone belongs to the file named last."""
    return TEST.findall(text)


def exists(file: str, function: str) -> bool:
    path = ROOT / file
    return path.is_file() and (not function or f"def {function}(" in path.read_text())


def test_the_table_of_settings_in_the_readme_is_up_to_date() -> None:
    text = read("README.md")
    assert text == settings.readme(text), "please run: python -m tests.docs.settings"


def test_the_page_of_settings_is_up_to_date() -> None:
    assert read("docs/settings.md") == settings.page(), "please run: python -m tests.docs.settings"


def test_the_table_of_the_charts_values_is_up_to_date() -> None:
    assert read("docs/cluster.md") == values.page(read("docs/cluster.md")), "please run: python -m tests.docs.values"


def test_every_setting_stands_in_both() -> None:
    for name in Renku.class_trait_names(config=True):
        assert f"| `{name}` |" in read("README.md")
        assert f"## `c.Renku.{name}`" in read("docs/settings.md")


def test_every_setting_of_our_own_spawner_stands_on_the_page() -> None:
    for name in RenkuSpawner.class_own_traits(config=True):
        assert f"## `c.RenkuSpawner.{name}`" in read("docs/settings.md")


def test_a_stale_table_is_noticed() -> None:
    text = read("README.md")
    assert settings.readme(text.replace("| `db_url` |", "| `database` |")) == text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    wrong = []
    for link in LINK.findall(document.read_text()):
        if not re.match(r"https?://|#", link) and not (document.parent / link.partition("#")[0]).exists():
            wrong.append(link)
    assert wrong == []


def test_the_documents_are_linked_from_the_first_page() -> None:
    linked = {link.partition("#")[0] for link in LINK.findall(read("docs/index.md"))}
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"} <= linked
    assert "docs/index.md" in LINK.findall(read("README.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_spelling_is_british(document: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", document.read_text(), flags=re.DOTALL)
    assert AMERICAN.findall(prose) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_setting_that_a_document_names_exists(document: Path) -> None:
    known = set(Renku.class_trait_names(config=True))
    named = set(re.findall(r"\bRenku\.([a-z_]+)", document.read_text()))
    assert named <= known, document.name


def test_every_scope_stands_in_the_page_for_admins() -> None:
    text = read("docs/admins.md")
    assert set(re.findall(r"`(custom:renku:\w+)`", text)) == set(CUSTOM_SCOPES)


@pytest.mark.parametrize("settings_on", [[], ["private_images"], ["push"], ["private_images", "push"]])
def test_the_scopes_for_gitlab_are_those_that_people_are_asked_for(settings_on: list[str]) -> None:
    rows = re.findall(r"^\| (`.+) \| (always|`c\.Renku\.(\w+) = True`) \|", read("docs/gitlab.md"), re.MULTILINE)
    told = {scope: setting for scopes, _, setting in rows for scope in re.findall(r"`(\w+)`", scopes)}
    asked = GitLabSettings(**dict.fromkeys(settings_on, True)).get_login_scopes()
    assert asked.keys() == {scope for scope, setting in told.items() if not setting or setting in settings_on}


def test_every_step_back_of_the_tables_says_what_it_loses() -> None:
    steps = [script.revision for script in _load_migration_scripts().walk_revisions()]
    rows = re.findall(r"^\| `(\d+)` \| `(\d+)` \| .", read("docs/upgrade.md"), re.MULTILINE)
    assert rows == list(pairwise(steps))[::-1]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_a_document_names_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(), re.MULTILINE)) <= targets, document.name


def test_the_version_is_the_same_everywhere() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert version == renku_spawner.__version__
    released = re.findall(r"^## (\S+)$", read("CHANGELOG.md"), re.MULTILINE)  # what is not out yet says so in brackets
    assert released[0] == version


def test_the_configuration_of_the_readme_has_five_lines() -> None:
    [code] = re.findall(r"```python\n(.*?)```", read("README.md"), re.DOTALL)
    assert len(code.strip().splitlines()) <= 5


def test_every_test_that_the_security_page_names_exists() -> None:
    named = named_tests(read("docs/security.md"))
    assert len(named) > 40
    assert [each for each in named if not exists(*each)] == []


def test_every_row_of_this_release_stands_on_the_security_page() -> None:
    """The rows that the releases so far own; the others belong to releases to come."""
    threats = {*range(1, 25)}
    inputs = {*range(1, 96)}
    rows = [line for line in read("docs/security.md").splitlines() if line.startswith("| ")]
    told = {int(number) for row in rows for number in re.findall(r"^\| T(\d+) ", row)}
    assert told == threats
    spans = [re.match(r"\| H(\d+)(?:-H(\d+))? ", row) for row in rows]
    covered = {n for span in spans if span for n in range(int(span[1]), int(span[2] or span[1]) + 1)}
    assert covered == inputs


def test_a_test_that_does_not_exist_is_noticed() -> None:
    assert named_tests("see `tests/cli/test_cli.py::test_nothing` and `tests/cli/test_cli.py`") == [
        ("tests/cli/test_cli.py", "test_nothing"),
        ("tests/cli/test_cli.py", ""),
    ]
    assert not exists("tests/cli/test_cli.py", "test_nothing")
    assert not exists("tests/test_nothing.py", "")
