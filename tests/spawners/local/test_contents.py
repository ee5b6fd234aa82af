"""What lies in a working directory is told by a program that needs nothing of us, and read only if it is that."""

import json
import os
import subprocess
import sys

import pytest

from renku_spawner.spawners.in_pod import build_program_command
from renku_spawner.spawners.in_pod.contents import (
    MAX_REPOSITORIES,
    inspect_contents,
    list_unsaved_work,
    parse_contents,
)

from .conftest import git


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    git(tmp_path, "init", "--quiet", "work/code")
    (folder / "code" / "new").write_text("x")
    (folder / "note").write_text("x" * 5000)
    return folder


def test_it_is_told_the_same_where_the_package_is_not(work):
    done = subprocess.run(
        build_program_command("contents.py", str(work), python=sys.executable),
        capture_output=True,
        check=True,
        cwd="/",
        timeout=300,
    )
    assert done.stderr == b""
    assert parse_contents(done.stdout.decode()) == inspect_contents(work)
    assert [each.untracked for each in inspect_contents(work).unsaved] == [1]
    assert (inspect_contents(work).loose.files, inspect_contents(work).more) == (1, 0)


def test_what_file_systems_and_pip_keep_is_nobodys_work(work):
    for name in (".local", "lost+found"):
        (work / name).mkdir()
        (work / name / "x").write_text("x")
    assert inspect_contents(work).loose.files == 1


def test_names_that_are_no_text_are_shown_as_well_as_they_can_be(work):
    os.rename(work / "code", os.fsencode(work) + b"/c\xffde")
    found = inspect_contents(work)
    assert [(each.directory, each.untracked) for each in found.unsaved] == [("c\ufffdde", 1)]
    json.dumps(found.unsaved[0].directory).encode()


def test_there_are_bounds_for_how_many_are_looked_at_and_for_how_long(work):
    for number in range(MAX_REPOSITORIES):
        (work / f"r{number}" / ".git").mkdir(parents=True)
    assert (len(inspect_contents(work).unsaved), inspect_contents(work).more) == (MAX_REPOSITORIES, 1)
    (late,) = list_unsaved_work(work, ["code"], in_all=0)
    assert (late.problem, late.lost) == ("There was no time left to look at it.", True)


TOTAL = {"files": 1, "bytes": 1, "complete": True}
GOOD = {"unsaved": [{"directory": "code"}], "loose": TOTAL, "total": TOTAL, "more": 0}


@pytest.mark.parametrize(
    "said",
    [
        "", "renku", "[]", "{}", "1", "[" * 100_000, json.dumps(GOOD)[:-1],
        *(json.dumps(GOOD | change) for change in (
            {"unsaved": 1}, {"unsaved": [1]}, {"unsaved": [{}]}, {"unsaved": [{"directory": 1}]},
            {"unsaved": [{"directory": "a", "evil": 1}]}, {"loose": None}, {"more": None},
            {"total": TOTAL | {"bytes": "1"}},
        )),
    ],
)  # fmt: skip
def test_what_is_something_else_is_not_believed(said):
    assert parse_contents(json.dumps(GOOD)) is not None
    assert parse_contents(said) is None
