"""The credential helper asks the hub, whatever programs an image has, and git understands its answer."""

import os
import shutil
import subprocess

import pytest

from renku_spawner.domain.git_credentials import (
    SessionGitIdentity,
    build_git_config_variables,
    build_git_settings,
    to_inline_credential_helper,
)
from renku_spawner.spawners.local.clone import CREDENTIAL_HELPER_PATH
from tests.fixtures.credentials import TOKEN, hub_that_is_asked

NEEDED = ("sh", "sed", "head", "cat", "git")
GITLAB = "https://gitlab.example.org"
QUESTION = "protocol=https\nhost=gitlab.example.org\npath=astro/spectra.git\n"


@pytest.fixture
def asked():
    with hub_that_is_asked() as hub:
        yield hub


@pytest.fixture(params=["python3", "curl"])
def programs(request, tmp_path):
    """A PATH with that one way to speak HTTP."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in (*NEEDED, request.param):
        found = shutil.which(name)
        assert found, f"{name} is not installed"
        (folder / name).symlink_to(os.path.realpath(found))
    return str(folder)


def run(command, stdin=QUESTION, **env):
    done = subprocess.run(command, input=stdin, env=env, capture_output=True, text=True, check=False, timeout=300)
    return done.stdout, done.stderr


def helper(asked, programs, stdin=QUESTION, operation="get"):
    return run(["/bin/sh", str(CREDENTIAL_HELPER_PATH), operation], stdin, PATH=programs, **asked.environment)


def test_it_asks_with_the_servers_own_token_and_gives_the_answer_to_git(asked, programs):
    assert helper(asked, programs) == ("username=oauth2\npassword=fresh-token\n", "")
    ((authorization, path, body),) = asked.questions
    assert (authorization, path) == (f"token {TOKEN}", "/hub/api/renku/git-credential")
    assert body == {"protocol": "https", "host": "gitlab.example.org", "path": "astro/spectra.git"}


def test_a_refusal_is_told_and_is_no_password(asked, programs):
    asked.status, asked.answer = 403, {"status": 403, "code": "git_foreign", "message": 'Not "yours".'}
    assert helper(asked, programs) == ("", 'renku: Not \\"yours\\".\n')


def test_a_hub_that_is_not_there_is_told(programs):
    with hub_that_is_asked() as gone:
        pass
    assert helper(gone, programs) == ("", "renku: The hub does not answer.\n")


def test_what_an_image_lacks_is_told(asked, programs, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in NEEDED:
        (bare / name).symlink_to(os.path.realpath(str(shutil.which(name))))
    said = helper(asked, str(bare))
    assert said == ("", "renku: To ask the hub, this image needs python3 or curl.\n")


@pytest.mark.parametrize("operation", ["store", "erase", ""])
def test_nothing_is_stored_and_nobody_is_asked_for_anything_else(asked, programs, operation):
    assert helper(asked, programs, operation=operation) == ("", "")
    assert asked.questions == []


@pytest.mark.parametrize("path", ['a"b', "a\\b", "$(id)", "`id`", "a b'c", "ü", "%s", "$HOME", "a=b"])
def test_what_git_says_arrives_as_it_is(asked, programs, path):
    helper(asked, programs, f"capability[]=authtype\nprotocol=https\nhost=h\npath={path}\nwwwauth[]=Basic\n")
    assert asked.questions[0][2] == {"protocol": "https", "host": "h", "path": path}


def configured(asked, programs, **beside):
    git = SessionGitIdentity(
        gitlab=GITLAB, name="Ada $HOME Lovelace", email="ada@example.org", credentials=True,
        repositories=(f"{GITLAB}/astro/spectra",), ssh="ssh://git@ssh.example.org:2222/",
    )  # fmt: skip
    script = to_inline_credential_helper(CREDENTIAL_HELPER_PATH.read_text(encoding="utf-8"))
    config = build_git_config_variables(build_git_settings(git, script), beside)
    usual = {"HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    return {"PATH": programs, **usual, **asked.environment, **beside, **config}


def test_git_asks_it_for_its_gitlab_alone_and_with_the_path(asked, programs):
    env = configured(asked, programs)
    said, _ = run(["git", "credential", "fill"], f"url={GITLAB}/astro/spectra.git\n", **env)
    assert "password=fresh-token\n" in said
    assert asked.questions[0][2]["path"] == "astro/spectra.git"
    for other in ("https://github.com/a/b", "https://gitlab.example.org.evil/a/b", "https://gitlab.example.org:8443/a"):
        assert "password" not in run(["git", "credential", "fill"], f"url={other}\n", **env)[0]
    assert len(asked.questions) == 1


def test_git_knows_its_user_and_sends_what_is_written_for_ssh_over_https(asked, programs):
    env = configured(asked, programs)
    assert run(["git", "config", "user.name"], **env)[0] == "Ada $HOME Lovelace\n"
    assert run(["git", "config", "user.email"], **env)[0] == "ada@example.org\n"
    for url in (
        "git@gitlab.example.org:astro/spectra.git",
        "ssh://git@gitlab.example.org/astro/spectra.git",
        "ssh://git@ssh.example.org:2222/astro/spectra.git",
    ):
        assert run(["git", "ls-remote", "--get-url", url], **env)[0] == f"{GITLAB}/astro/spectra.git\n"
    other = "git@gitlab.example.org:astro/lab.git"
    assert run(["git", "ls-remote", "--get-url", other], **env)[0] == f"{other}\n"


def test_what_an_admin_has_configured_the_same_way_stays(asked, programs):
    mine = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.proxy", "GIT_CONFIG_VALUE_0": "http://proxy:3128"}
    env = configured(asked, programs, **mine)
    assert run(["git", "config", "http.proxy"], **env)[0] == "http://proxy:3128\n"
    assert run(["git", "config", "user.email"], **env)[0] == "ada@example.org\n"
