"""Every regular expression of the package takes linear time, however hostile its text is.

`re` holds the interpreter's lock while it works: one slow pattern stops the whole hub.
"""

import ast
import importlib
import itertools
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from renku_spawner.spawners.in_pod.clone.runner import build_git_failure, clean_text
from renku_spawner.spawners.logs import redact_log
from renku_spawner.web.routes import ALL_ROUTES
from tests.fixtures.fair import slower_now

ROOT = Path(__file__).parents[1]
FOLDERS = ("renku_spawner", "extension")
SIZES = (1024, 8 * 1024, 64 * 1024)  # characters; the small ones find a slow pattern before it takes minutes
LIMIT_SECONDS = 0.02  # of the thread's own CPU time, for a text of any of SIZES
TRIES = 20

CALLS = {"compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn"}
ANCHORED = {"match", "fullmatch"}
# Loops over a table of patterns: file and argument, and the patterns that the argument stands for.
TABLES: dict[tuple[str, str], Callable[[dict[str, Any]], list[str]]] = {
    ("renku_spawner/spawners/kubernetes/diagnosis.py", "self.pattern"): lambda module: [
        row.pattern for row in module["CLUSTER_MESSAGE_RULES"]
    ],
    ("renku_spawner/spawners/in_pod/clone/runner.py", "pattern"): lambda module: [
        pattern for _, pattern in module["ERROR_PATTERNS"]
    ],
    ("renku_spawner/integrations/rclone.py", "words"): lambda module: [words for _, words in module["_ERROR_PATTERNS"]],
    ("renku_spawner/config/images.py", "text"): lambda module: [],  # the admin's own pattern
}


@dataclass(frozen=True)
class Use:
    """One regular expression where it is used; *anchored* if it is only asked about the beginning of a text."""

    place: str
    pattern: str | bytes
    flags: int = 0
    anchored: bool = False

    def __call__(self, text: str) -> None:
        compiled = re.compile(self.pattern, self.flags)
        subject = text.encode("utf-8", "replace") if isinstance(self.pattern, bytes) else text
        if self.anchored:
            compiled.match(subject)
            compiled.fullmatch(subject)
        else:
            compiled.sub(subject[:0], subject)


def namespace(path: Path) -> dict[str, Any]:
    """The names of a module of the package; the scripts that run in a pod of their own import each other by name."""
    relative = path.relative_to(ROOT)
    if relative.parts[0] != "renku_spawner":
        return {}
    sys.path.insert(0, str(path.parent))
    try:
        return vars(importlib.import_module(".".join(relative.with_suffix("").parts).removesuffix(".__init__")))
    finally:
        sys.path.remove(str(path.parent))


def calls_of_re(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, name = node.func.value, node.func.attr
            if isinstance(owner, ast.Name) and owner.id == "re" and name in CALLS:
                yield node, name


def methods_of(name: str, tree: ast.AST) -> set[str]:
    """The methods of the compiled pattern *name* that a module calls; `search` for any other use."""
    reads = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    reads = [node for node in reads if isinstance(node.ctx, ast.Load)]
    called = [
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.value in reads
    ]
    return {*called, *(["search"] if len(called) < len(reads) or not reads else [])}


def uses_in(path: Path) -> Iterator[Use]:
    tree, module, file = ast.parse(path.read_text()), namespace(path), path.relative_to(ROOT).as_posix()
    compiled = {
        node.value: node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for call, method in calls_of_re(tree):
        written = call.args[0]
        if table := TABLES.get((file, ast.unparse(written))):
            patterns = table(module)
        else:
            patterns = [eval(compile(ast.Expression(written), file, "eval"), {"re": re} | module)]
        given_flags = [arg for arg in call.args[1:] if ast.unparse(arg).startswith("re.")]
        given_flags += [keyword.value for keyword in call.keywords if keyword.arg == "flags"]
        flags = sum(eval(compile(ast.Expression(flag), file, "eval"), {"re": re}) for flag in given_flags)
        methods = methods_of(compiled[call], tree) if call in compiled else {method}
        for pattern in patterns:
            yield Use(f"{file}:{call.lineno}", pattern, flags, methods <= ANCHORED)


FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
USES = [use for path in FILES for use in uses_in(path)]
USES += [Use(f"route {route.name}", rf"/hub/{route.path}$", anchored=True) for route in ALL_ROUTES]


# ---- hostile texts -------------------------------------------------------------------------------


def samples(pattern: str | bytes, flags: int) -> list[str]:
    """Texts that begin to match *pattern*: one for each place at which it could go on, and the pieces they are of."""
    parser = importlib.import_module("re._parser")
    found: list[str] = []

    def letter(items: Any) -> str:
        """A character of a class."""
        choices = []
        negated = False
        for kind, value in items:
            match str(kind):
                case "NEGATE":
                    negated = True
                case "LITERAL":
                    choices.append(chr(value))
                case "RANGE":
                    choices.append(chr(value[0]))
                case "CATEGORY":
                    choices.append({"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " "}.get(str(value), "a"))
        return next(each for each in "a1 -:\n\x00" if each not in choices) if negated else choices[0]

    def text(tree: Any) -> str:
        """A short text that *tree* matches; what it consists of is noted on the way."""
        made = ""
        for kind, value in tree:
            before = made
            match str(kind):
                case "LITERAL":
                    made += chr(value)
                case "NOT_LITERAL":
                    made += "b" if chr(value) == "a" else "a"
                case "ANY":
                    made += "a"
                case "IN":
                    made += letter(value)
                case "BRANCH":
                    branches = [text(branch) for branch in value[1]]
                    found.extend(made + branch for branch in branches)
                    made += branches[0]
                case "SUBPATTERN":
                    made += text(value[-1])
                case "ATOMIC_GROUP":
                    made += text(value)
                case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                    made += text(value[2]) * max(value[0], 1)
                case "ASSERT" | "ASSERT_NOT":
                    text(value[1])
            if str(kind) not in ("LITERAL", "BRANCH"):
                found.extend((before, made))
        found.append(made)
        return made

    text(parser.parse(pattern, flags))
    return list(dict.fromkeys(each for each in found if each))


def hostile(use: Use) -> Iterator[Callable[[int], str]]:
    """Makers of a text of a size, for those that usually bring a pattern with two ways to match to its knees."""
    pieces = samples(use.pattern, use.flags)
    letters = list(dict.fromkeys(letter for piece in pieces for letter in piece))[:12]
    for piece in [*pieces, *letters, "a", "0", " ", "\n", "\x1b", "\\"]:
        yield lambda size, piece=piece: filled("", piece, "!\n", size)
    for begin in pieces:
        yield lambda size, begin=begin: filled(begin, begin[-1], "\x00", size)
        yield lambda size, begin=begin: filled(begin, " ", "\x00", size)
    for one, other in itertools.pairwise(letters):
        yield lambda size, one=one, other=other: one * (size // 2) + other * (size // 2)


def filled(begin: str, piece: str, end: str, size: int) -> str:
    return (begin + piece * (size // len(piece) + 1))[: size - len(end)] + end


def cpu_seconds(work: Callable[[str], object], text: str) -> float:
    """Return the least CPU time of the thread in some tries, as a quiet machine of the usual speed would need it."""
    least = float("inf")
    for _ in range(TRIES):
        began = time.thread_time()
        work(text)
        least = min(least, time.thread_time() - began)
        if not LIMIT_SECONDS <= least < 5 * LIMIT_SECONDS:  # plainly quick, or plainly slow
            return least
    return least / slower_now()


def slow_text(work: Callable[[str], object], makers: Iterable[Callable[[int], str]]) -> str | None:
    """The beginning of a text that takes *work* too long."""
    return next((make(80) for make in makers if not is_quick(work, make)), None)


def is_quick(work: Callable[[str], object], make: Callable[[int], str]) -> bool:
    for size in SIZES:
        seconds = cpu_seconds(work, make(size))
        if seconds >= LIMIT_SECONDS:
            return False
        if seconds * (SIZES[-1] / size) ** 2 < LIMIT_SECONDS:  # however it grows from here
            break
    return True


@pytest.mark.parametrize("use", USES, ids=lambda use: use.place)
def test_no_text_takes_a_pattern_long(use: Use) -> None:
    assert slow_text(use, hostile(use)) is None


ANY_PIECE = st.sampled_from(
    sorted({piece for use in USES for piece in samples(use.pattern, use.flags) if len(piece) < 40})
) | st.text(max_size=3)
ANY_TEXT = st.lists(st.tuples(ANY_PIECE, st.integers(1, 2000)), min_size=1, max_size=6).map(
    lambda parts: lambda size: filled("", "".join(piece * times for piece, times in parts) or "a", "", size)
)
READERS = {
    "redact": redact_log,
    "redact with secrets": lambda text: redact_log(text, ["s3cr3t", "a" * 32, "token="]),
    "git's complaint": lambda text: build_git_failure(128, text),
    "readable": clean_text,
}


@pytest.mark.parametrize("reader", READERS)
def test_no_text_that_is_made_for_its_patterns_takes_a_reader_long(reader: str) -> None:
    own = [use for use in USES if re.search(r"/(logs|runner)\.py:", use.place)]
    assert len(own) > 10
    assert slow_text(READERS[reader], (make for use in own for make in list(hostile(use))[::5])) is None


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(make=ANY_TEXT)
def test_any_64_kilobytes_are_read_quickly(reader: str, make: Callable[[int], str]) -> None:
    assert is_quick(READERS[reader], make)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(make=ANY_TEXT)
def test_any_64_kilobytes_are_searched_quickly_for_every_pattern(make: Callable[[int], str]) -> None:
    assert [use.place for use in USES if not is_quick(use, make)] == []


def test_every_call_of_re_is_found() -> None:
    """Another name for the module, or a function taken out of it, would hide a pattern from these tests."""
    hidden = [
        path.relative_to(ROOT).as_posix()
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and node.module in ("re", "regex"))
        or (isinstance(node, ast.Import) and any(name.name in ("re", "regex") and name.asname for name in node.names))
    ]
    assert hidden == []
    assert len(USES) > 200


@pytest.mark.parametrize("pattern", [r"\w*token", r"->(\S+):\d+: .*not allowed", r"^Name: *(.*?) *$"])
def test_a_slow_pattern_is_found(pattern: str) -> None:
    use = Use("here", pattern, re.MULTILINE)
    assert slow_text(use, hostile(use)) is not None
