"""What would be lost is counted, and a hostile repository makes us run nothing and look nowhere else."""

import contextlib
import os
import subprocess

import pytest

from renku_spawner.spawners.in_pod.contents import (
    UnsavedWork,
    count_loose_files,
    list_repositories,
    list_unsaved_work,
)
from tests.fixtures.fair import Stopwatch

from .conftest import git


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def code(work, upstream):
    """A clean clone with one committed file."""
    upstream.commit("code", **{"a": "1\n", "b": "1\n", ".gitignore": "*.tmp\n"})
    git(work, "clone", "--quiet", upstream.url("code"), "code")
    return work / "code"


def look(work, **more) -> UnsavedWork:
    (found,) = list_unsaved_work(work, ["code"], **more)
    return found


def commit(code, message="mine"):
    git(code, "commit", "--quiet", "--all", "--allow-empty", "--message", message)


def test_a_fresh_clone_loses_nothing(work, code):
    assert look(work) == UnsavedWork(directory="code", branch="main")
    assert not look(work).lost


def test_everything_that_no_other_place_has_is_counted(work, code):
    (code / "a").write_text("stashed")
    git(code, "stash", "--quiet")
    (code / "b").write_text("stashed too")
    git(code, "stash", "--quiet")
    commit(code)
    git(code, "branch", "forgotten")
    git(code, "reset", "--quiet", "--hard", "HEAD^")
    (code / "a").write_text("changed")
    (code / "b").unlink()
    (code / "new").mkdir()
    for name in ("new/1", "new/2", "ignored.tmp", "name with\nnewline"):
        (code / name).write_text("x")
    (code / "staged").write_text("x")
    git(code, "add", "staged")
    found = look(work)
    assert (found.changed, found.untracked, found.unpushed, found.stashes) == (3, 3, 1, 2)
    assert (found.branch, found.problem, found.lost) == ("main", None, True)


def test_a_pushed_commit_is_not_lost(work, code, upstream):
    commit(code)
    git(code, "remote", "set-url", "origin", str(upstream.folder / "code.git"))
    assert look(work).unpushed == 1
    git(code, "push", "--quiet", "origin", "main")
    assert not look(work).lost


def test_commits_without_a_branch_are_counted(work, code):
    git(code, "checkout", "--quiet", "--detach")
    commit(code)
    assert (look(work).unpushed, look(work).branch) == (1, None)


def test_packed_refs_and_garbage_collection_change_nothing(work, code):
    commit(code)
    git(code, "pack-refs", "--all")
    git(code, "gc", "--quiet")
    assert look(work).unpushed == 1


@pytest.mark.parametrize("options", [[], ["--object-format=sha256"], ["--ref-format=reftable"]])
def test_a_repository_of_ones_own_is_all_unpushed(work, options):
    git(work, "init", "--quiet", "--initial-branch=trunk", *options, "code")
    assert look(work) == UnsavedWork(directory="code", branch="trunk")
    (work / "code" / "a").write_text("x")
    git(work / "code", "add", "a")
    commit(work / "code")
    commit(work / "code")
    assert look(work) == UnsavedWork(directory="code", branch="trunk", unpushed=2)


@pytest.mark.parametrize("options", [["--depth=1"], ["--filter=blob:none"]])
def test_partial_clones_are_read(work, upstream, options):
    for number in range(3):
        upstream.commit("code", a=f"{number}")
    git(upstream.folder / "code.git", "config", "uploadpack.allowFilter", "true")
    git(work, "clone", "--quiet", *options, upstream.url("code"), "code")
    assert not look(work).lost
    commit(work / "code")
    assert look(work).unpushed == 1


def test_a_split_index_is_read(work, code):
    git(code, "update-index", "--split-index")
    assert not look(work).lost


def test_line_endings_are_no_changes(work, code):
    git(code, "config", "core.autocrlf", "true")
    (code / "a").unlink()
    git(code, "checkout", "--quiet", "a")
    os.utime(code / "a", (1, 1))  # so that git has to compare
    assert (code / "a").read_bytes() == b"1\r\n"
    assert look(work).changed == 0


def test_submodules_are_mentioned(work, code, upstream):
    upstream.commit("part", p="1")
    git(code, "submodule", "--quiet", "add", upstream.url("part"), "part")
    found = look(work)
    assert (found.problem, found.lost) == ("It has submodules, which are not looked into.", True)
    assert found.changed == 1  # .gitmodules


def test_looking_changes_nothing(work, code):
    (code / "a").touch()
    before = {path: path.lstat().st_mtime_ns for path in code.rglob("*")}
    look(work)
    assert {path: path.lstat().st_mtime_ns for path in code.rglob("*")} == before


# Each line of configuration makes ordinary git run the canary in one of `status`, `diff`, `log`, `stash` or `fetch`.
VECTORS = {
    "fsmonitor": "[core]\nfsmonitor = {run}",
    "hooks": "[core]\nhooksPath = {hooks}",
    "pager": "[core]\npager = {run}\n[pager]\nstatus = {run}\nrev-list = {run}\nconfig = {run}",
    "ssh": '[core]\nsshCommand = {run}\n[remote "origin"]\nurl = ssh://x@127.0.0.1/x',
    "external diff": "[diff]\nexternal = {run}",
    "textconv": '[diff "evil"]\ntextconv = {run}\ncommand = {run}\n',
    "clean filter": '[filter "evil"]\nclean = {run}\nsmudge = {run}\nrequired = true',
    "process filter": '[filter "evil"]\nprocess = {run}\nrequired = true',
    "filter with dots": '[filter "e.v=i l"]\nclean = {run}\nprocess = {run}',
    "alias": "[alias]\nstatus = !{run}\nrev-list = !{run}\nconfig = !{run}",
    "include": "[include]\npath = {included}",
    "include by folder": '[includeIf "gitdir:/"]\npath = {included}',
    "include by branch": '[includeIf "onbranch:**"]\npath = {included}',
    "merge driver": '[merge "evil"]\ndriver = {run}',
    "signatures": '[gpg]\nprogram = {run}\n[log]\nshowSignature = true\n[gpg "ssh"]\nprogram = {run}',
    "credentials": "[credential]\nhelper = !{run}\n[core]\naskPass = {run}",
    "editor": "[core]\neditor = {run}\n[sequence]\neditor = {run}",
    "alternates command": "[core]\nalternateRefsCommand = {run}",
    "lazy fetch": '[extensions]\npartialClone = origin\n[remote "origin"]\npromisor = true\nuploadpack = {run}\n'
    "url = ext::{run}\n[protocol]\nallow = always",
    "worktree": "[core]\nworktree = /\n[extensions]\nworktreeConfig = true",
    "trace": "[trace2]\neventTarget = {canary}\nnormalTarget = {canary}",
    "submodule": '[submodule "x"]\nupdate = !{run}\n[status]\nsubmoduleSummary = true',
}


@pytest.fixture
def trap(tmp_path):
    """A program that leaves a canary, its folder of hooks, and a configuration that runs it."""
    canary, run, hooks = tmp_path / "canary", tmp_path / "run", tmp_path / "hooks"
    run.write_text(f"#!/bin/sh\ntouch {canary}\ncat\n")
    run.chmod(0o755)
    hooks.mkdir()
    names = ("post-index-change", "fsmonitor-watchman", "pre-auto-gc", "reference-transaction", "post-checkout")
    for name in names:
        (hooks / name).symlink_to(run)
    included = tmp_path / "included"
    included.write_text(f'[core]\nfsmonitor = {run}\n[filter "evil"]\nclean = {run}\nprocess = {run}\n')
    return {"canary": canary, "run": run, "hooks": hooks, "included": included}


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_a_hostile_configuration_runs_nothing(work, code, trap, vector):
    with open(code / ".git" / "config", "a") as file:
        file.write(vector.format(**trap))
    for attributes in (code / ".gitattributes", code / ".git" / "info" / "attributes"):
        attributes.parent.mkdir(exist_ok=True)
        attributes.write_text('a filter=evil diff=evil merge=evil\nb filter="e.v=i l"\n')
    (code / "a").write_text("2\n")
    (code / "b").touch()
    found = look(work)
    assert (found.changed, found.untracked, found.problem) == (1, 1, None)
    assert not trap["canary"].exists()


@pytest.mark.parametrize("vector", ["fsmonitor", "clean filter", "process filter", "include", "include by folder"])
def test_the_trap_snaps_for_ordinary_git(code, trap, vector):
    with open(code / ".git" / "config", "a") as file:
        file.write(VECTORS[vector].format(**trap))
    (code / ".gitattributes").write_text("a filter=evil diff=evil\n")
    os.utime(code / "a", (1, 1))
    with contextlib.suppress(subprocess.CalledProcessError):
        git(code, "status")
    assert trap["canary"].exists()


def test_hooks_in_the_repository_are_not_run(work, code, trap):
    hooks = code / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in trap["hooks"].iterdir():
        (hooks / hook.name).write_bytes(trap["run"].read_bytes())
        (hooks / hook.name).chmod(0o755)
    (code / "a").touch()
    assert not look(work).lost
    assert not trap["canary"].exists()


def test_a_hostile_submodule_runs_nothing(work, code, upstream, trap):
    upstream.commit("part", p="1")
    git(code, "submodule", "--quiet", "add", upstream.url("part"), "part")
    with open(code / ".git" / "modules" / "part" / "config", "a") as file:
        file.write(VECTORS["fsmonitor"].format(**trap))
    git(work / "code", "init", "--quiet", "nested")
    with open(code / "nested" / ".git" / "config", "a") as file:
        file.write(VECTORS["fsmonitor"].format(**trap))
    look(work)
    assert not trap["canary"].exists()


def test_the_hubs_own_git_settings_do_not_count(work, code, trap, tmp_path, monkeypatch):
    (tmp_path / ".gitconfig").write_text(VECTORS["fsmonitor"].format(**trap))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    assert not look(work).lost
    assert not trap["canary"].exists()


@pytest.mark.parametrize("part", ["", ".git", ".git/objects", ".git/refs", ".git/HEAD", ".git/config", ".git/index"])
def test_a_link_to_another_place_is_not_followed(work, code, tmp_path, part):
    (code / part).rename(tmp_path / "outside")
    (work / "code" / part).symlink_to(tmp_path / "outside")
    assert "link" in look(work).problem
    assert look(work).lost


def test_a_git_file_that_points_elsewhere_is_refused(work, code, tmp_path):
    (code / ".git").rename(tmp_path / "outside")
    (code / ".git").write_text(f"gitdir: {tmp_path}/outside\n")
    assert look(work).problem == "Its .git points to another place."


def test_borrowed_contents_are_refused(work, code):
    (code / ".git" / "objects" / "info").mkdir(exist_ok=True)
    (code / ".git" / "objects" / "info" / "alternates").write_text("/elsewhere\n")
    assert look(work).problem == "It borrows its contents from another repository."


def _fifo_for_head(code):
    (code / ".git" / "HEAD").unlink()
    os.mkfifo(code / ".git" / "HEAD")


@pytest.mark.parametrize(
    ("break_it", "problem"),
    [
        (lambda code: (code / ".git" / "HEAD").unlink(), "It is not a whole git repository."),
        (lambda code: (code / ".git" / "config").write_text("[core\n"), "git cannot read it."),
        (lambda code: (code / ".git" / "index").write_text("DIRCx"), "git cannot read it."),
        (lambda code: (code / ".git" / "config").write_bytes(b"#" * 2**21), "Its .git contains unusual files."),
        (_fifo_for_head, "Its .git contains unusual files."),
        (lambda code: (code / ".git").rename(code / "git"), "It is not a git repository."),
    ],
)  # fmt: skip
def test_a_broken_repository_is_a_problem_in_words(work, code, break_it, problem):
    break_it(code)
    found = look(work)
    assert (found.problem, found.lost) == (problem, True)


def test_a_repository_that_never_answers_costs_its_time_only(work, code):
    (code / ".git" / "index").unlink()
    os.mkfifo(code / ".git" / "index")
    took = Stopwatch()
    assert look(work, seconds=0.5).problem == "Looking at it took too long."
    assert took() < 3


def test_names_that_lead_elsewhere_are_left_out(work, code):
    assert list_unsaved_work(work, ["..", ".", "", "code/.git", "../work/code", "missing"]) == []


def test_repositories_are_found_whoever_made_them(work, code, tmp_path):
    git(work, "init", "--quiet", "own")
    (work / "data").mkdir()
    (work / "link").symlink_to(code)
    assert list_repositories(work) == ["code", "own"]
    assert list_repositories(tmp_path / "nowhere") == []


def test_files_outside_repositories_are_counted(work, code):
    (work / "notes").write_bytes(b"x" * 5000)
    (work / "data").mkdir()
    (work / "data" / "table").write_bytes(b"x" * 5000)
    (work / "outside").symlink_to("/usr")
    loose = count_loose_files(work, ["code"])
    assert (loose.files, loose.complete) == (3, True)
    assert loose.bytes >= 10_000
