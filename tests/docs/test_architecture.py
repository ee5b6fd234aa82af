"""The architecture page agrees with the code: layers, folders, files, functions; and each decision is in the list."""

import ast
import builtins
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from inspect import getsource
from pathlib import Path

import pytest
from jupyterhub import orm

from tests.docs.test_documents import AMERICAN, LINK, ROOT

PACKAGE = ROOT / "renku_spawner"
PAGE = ROOT / "docs" / "architecture.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
REFLECTION = ("getattr", "hasattr", "setattr", "delattr")
FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SUFFIXES = ("py", "md", "html", "json", "yaml", "toml", "txt")
FILE = re.compile(rf"`([\w./-]+\.(?:{'|'.join(SUFFIXES)}))(?:::(\w+))?`")
HUB_OBJECTS = PACKAGE / "hub" / "jupyterhub.py"  # the only module with private attributes of JupyterHub
UPSTREAM = ("jupyterhub", "kubespawner", "oauthenticator", "tornado")
PLACES = ("docs", "tests", "templates", "helm", "extension", "renku_spawner")


def section(text: str, heading: str) -> str:
    """What follows *heading*, as far as the next one of its level."""
    level, _, _ = heading.partition(" ")
    found = re.search(rf"^{re.escape(heading)}$(.*?)(?=^{level} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/architecture.md has no heading {heading!r}"
    return found[1]


def block(heading: str) -> list[str]:
    """The lines of the first fenced block below *heading*."""
    found = FENCE.search(section(PAGE.read_text(), heading))
    assert found, f"There is no fenced block below {heading!r}"
    return found[1].splitlines()


def folders(lines: Iterable[str]) -> Iterator[str]:
    """The paths of a tree that is drawn with two spaces for each level."""
    parents: list[str] = []
    for line in lines:
        depth = (len(line) - len(line.lstrip())) // 2
        parents = [*parents[:depth], line.split()[0].rstrip("/")]
        yield "/".join(parents)


def resolve(name: str) -> Path:
    """A file as the page names it: below the package, unless it begins with another folder of the repository."""
    own = name.partition("/")[0] in PLACES or (ROOT / name).is_file()
    return ROOT / name if own else PACKAGE / name


@cache
def source(package: str) -> str:
    folder = Path(find_spec(package).origin).parent  # type: ignore[union-attr, arg-type]
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*.py")) if "tests" not in path.parts[-3:])


def named_seams() -> list[tuple[str, str, str]]:
    """Each function or class of `hub/jupyterhub.py` with an upstream file and an attribute that it stands for."""
    nodes = (node for node in ast.parse(HUB_OBJECTS.read_text()).body if isinstance(node, DEFINITIONS))
    return [
        (node.name, file, attribute)
        for node in nodes
        for file, attribute in re.findall(r"Upstream: (\S+) `(\w+)`", ast.get_docstring(node) or "")
    ]


def defined_names(tree: ast.AST) -> set[str]:
    """Names that *tree* defines or assigns, also as attributes."""
    nodes = list(ast.walk(tree))
    names = {node.name for node in nodes if isinstance(node, DEFINITIONS)}
    names |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}


def private_names(tree: ast.AST) -> set[str]:
    """Private attributes that *tree* reads, sets or defines, also by `getattr` and its like."""
    nodes = list(ast.walk(tree))
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    calls = (node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFLECTION)
    names |= {part.value for call in calls for part in call.args if isinstance(part, ast.Constant)}
    return {name for name in names if isinstance(name, str) and re.match(r"_[a-z]", name)}


def contract() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [each["layers"] for each in contracts if each["name"] == "Imports point downwards"]
    return [line.replace("renku_spawner.", "") for line in layers]


def test_the_page_has_the_layers_of_the_contract() -> None:
    assert block("## The layers") == contract()


def test_the_tree_has_the_folders_that_exist() -> None:
    found = (path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*") if path.is_dir())
    there = {"renku_spawner", *(path for path in found if "__pycache__" not in path)}
    assert set(folders(block("## The tree"))) == there


def test_every_folder_at_the_top_is_described() -> None:
    described = set(re.findall(r"`(\w+)/`", section(PAGE.read_text(), "## The tree")))
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} <= described


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_plan_stands_on_one_page_and_others_link_to_it(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "docs/architecture.md" in LINK.findall(text)
    layers = {layer.split(".")[0] for line in contract() for layer in line.split(" | ")}
    for fenced in FENCE.findall(text):
        assert len(layers & {line.split()[0] for line in fenced.splitlines() if line.strip()}) < 3, fenced


@pytest.mark.parametrize("page", [PAGE, ROOT / "CONTRIBUTING.md", *DECISIONS], ids=lambda path: path.name)
def test_every_file_and_function_that_a_page_names_exists(page: Path) -> None:
    wrong = []
    for name, function in FILE.findall(page.read_text()):
        path = resolve(name)
        if "/" not in name and not (ROOT / name).exists():  # a file of any noun, such as `pages.py`
            path = next(PACKAGE.rglob(name), path)
        code = path.read_text() if path.is_file() else None
        if code is None or (function and not re.search(rf"^ *(?:async def|def|class) {function}\b", code, re.M)):
            wrong.append(f"{name}::{function}" if function else name)
    assert wrong == [], f"{page.name} names what does not exist"


def test_every_function_of_the_diagrams_exists() -> None:
    named = set(re.findall(r"\b(\w+)\(", "".join(FENCE.findall(PAGE.read_text()))))
    code = "\n".join(source(each) for each in ("renku_spawner", *UPSTREAM))
    defined = set(re.findall(r"def (\w+)\(", code)) | set(re.findall(r"^ *class (\w+)", code, re.MULTILINE))
    assert sorted(named - defined) == [], "docs/architecture.md draws functions that do not exist"


def test_every_seam_is_still_there_upstream() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", section(PAGE.read_text(), "## Seams to JupyterHub and KubeSpawner"), re.M)
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(names) > 50
    words = set().union(*(re.findall(r"\w+", source(each)) for each in UPSTREAM))
    assert sorted(names - words) == [], "an upgrade took away what docs/architecture.md lists as a seam"


@pytest.mark.parametrize(("user", "file", "attribute"), named_seams())
def test_a_private_attribute_of_jupyterhub_is_still_there_upstream(user: str, file: str, attribute: str) -> None:
    package, _, name = file.partition("/")
    path = Path(find_spec(package).origin).parent / name  # type: ignore[union-attr, arg-type]
    there = path.is_file() and attribute in defined_names(ast.parse(path.read_text()))
    release = f"{package} {version(package)}"
    assert there, f"{release} has no {attribute} in {file} any more, on which hub/jupyterhub.py::{user} relies"


def protocols() -> list[tuple[str, set[str]]]:
    """Each class of JupyterHub that a Protocol of `hub/jupyterhub.py` stands for, with the members of the Protocol."""
    nodes = (node for node in ast.parse(HUB_OBJECTS.read_text()).body if isinstance(node, ast.ClassDef))
    named = ((re.match(r"`(jupyterhub\.[\w.]+)`", ast.get_docstring(node) or ""), node) for node in nodes)
    return [
        (found[1], {part.target.id if isinstance(part, ast.AnnAssign) else part.name for part in node.body[1:]})
        for found, node in named
        if found
    ]


@pytest.mark.parametrize(("upstream", "members"), protocols(), ids=[name for name, _ in protocols()])
def test_jupyterhub_has_what_a_protocol_promises(upstream: str, members: set[str]) -> None:
    module, _, name = upstream.rpartition(".")
    bases = getattr(import_module(module), name).__mro__[:-1]
    modules = {sys.modules[each.__module__] for each in (*bases, orm.User)} - {builtins}  # a user has its row's columns
    names = {member for base in bases for member in vars(base)}
    names |= set().union(*(defined_names(ast.parse(getsource(each))) for each in modules))
    assert members, f"the Protocol of {upstream} has no members"
    missing = sorted(members - names)
    assert missing == [], f"jupyterhub {version('jupyterhub')}: {upstream} has no {', '.join(missing)} any more"


def test_every_private_attribute_in_the_module_of_seams_names_its_upstream_file() -> None:
    named, own, missing = named_seams(), {"_find_known_user"}, []
    for node in ast.parse(HUB_OBJECTS.read_text()).body:
        if isinstance(node, DEFINITIONS):
            known = {attribute for user, _, attribute in named if user == node.name}
            missing += [f"{node.name}: {name}" for name in sorted(private_names(node) - known - own)]
    assert missing == [], "hub/jupyterhub.py uses what no line `Upstream:` of its docstrings names"
    page = section(PAGE.read_text(), "## Seams to JupyterHub and KubeSpawner")
    rows = [line for line in page.splitlines() if "| private | `hub/jupyterhub.py` |" in line]
    assert {name for _, _, name in named} == {name for row in rows for name in re.findall(r"`(_\w+)`", row)}


def test_private_attributes_of_jupyterhub_are_used_in_one_module() -> None:
    seams, found = {attribute for _, _, attribute in named_seams()}, []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != HUB_OBJECTS:
            tree = ast.parse(path.read_text())
            found += [
                f"{path.relative_to(PACKAGE)}: {name}" for name in seams & private_names(tree) - defined_names(tree)
            ]
    assert found == [], "call a function of hub/jupyterhub.py instead"


def test_every_decision_is_in_the_list() -> None:
    listed = LINK.findall((ROOT / "docs/decisions/index.md").read_text())
    assert sorted(link for link in listed if re.match(r"\d", link)) == [path.name for path in DECISIONS[:-1]]
    assert [path.name[:4] for path in DECISIONS[:-1]] == [f"{number:04}" for number in range(1, len(DECISIONS))]


@pytest.mark.parametrize("page", DECISIONS, ids=lambda path: path.name)
def test_a_decision_is_short_and_its_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    assert all((page.parent / link.partition("#")[0]).is_file() for link in LINK.findall(text))
    prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)
    assert AMERICAN.findall(prose) == []
    if page.stem != "index":
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_a_tree_is_read_by_its_indentation() -> None:
    assert list(folders(["a/", "  b/   what", "    c/", "  d/"])) == ["a", "a/b", "a/b/c", "a/d"]
