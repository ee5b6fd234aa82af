"""Which addresses are the same repository, and which are no repository at all."""

import pytest

from renku_spawner.domain.git_credentials import (
    SessionGitIdentity,
    build_git_config_variables,
    build_git_settings,
    filter_gitlab_repositories,
    get_commit_identity,
    normalize_repository_address,
    normalize_repository_url,
)
from renku_spawner.integrations.gitlab.projects import parse_gitlab_project

GITLAB = "https://gitlab.example.org"
OURS = f"{GITLAB}/astro/lab/spectra"


@pytest.mark.parametrize(
    ("protocol", "host", "path"),
    [
        ("https", "gitlab.example.org", "astro/lab/spectra"),
        ("https", "gitlab.example.org", "astro/lab/spectra.git"),
        ("https", "gitlab.example.org", "astro/lab/spectra.git/"),
        ("https", "gitlab.example.org", "astro/lab/spectra/"),
        ("https", "GitLab.Example.ORG", "astro/lab/spectra"),
        ("https", "gitlab.example.org:443", "astro/lab/spectra"),
    ],
)
def test_a_repository_is_known_in_every_spelling(protocol, host, path):
    assert normalize_repository_address(protocol, host, path) == OURS


HOSTILE = [
    ("http", "gitlab.example.org", "astro/lab/spectra"),
    ("ssh", "gitlab.example.org", "astro/lab/spectra"),
    ("HTTPS", "gitlab.example.org", "astro/lab/spectra"),
    ("", "gitlab.example.org", "astro/lab/spectra"),
    ("https\nhost=evil", "gitlab.example.org", "astro/lab/spectra"),
    ("https", "gitlab.example.org:8443", "astro/lab/spectra"),
    ("https", "gitlab.example.org:", "astro/lab/spectra"),
    ("https", "gitlab.example.org.", "astro/lab/spectra"),
    ("https", "gitlab.example.org.evil.org", "astro/lab/spectra"),
    ("https", "evil-gitlab.example.org", "astro/lab/spectra"),
    ("https", "gitlab.example.org@evil.org", "astro/lab/spectra"),
    ("https", "user:pass@gitlab.example.org", "astro/lab/spectra"),
    ("https", "gitlab.example.org/astro", "lab/spectra"),
    ("https", "gitlab.example.org\n", "astro/lab/spectra"),
    ("https", "gitlab.example.org\x00", "astro/lab/spectra"),
    ("https", "gitlab.example.org#", "astro/lab/spectra"),
    ("https", "gitlab\u3002example.org", "astro/lab/spectra"),
    ("https", "", "astro/lab/spectra"),
    ("https", "gitlab.example.org", ""),
    ("https", "gitlab.example.org", "astro"),
    ("https", "gitlab.example.org", "astro/lab"),
    ("https", "gitlab.example.org", "astro/lab/"),
    ("https", "gitlab.example.org", "astro/lab/spectra2"),
    ("https", "gitlab.example.org", "astro/lab/spectra.wiki.git"),
    ("https", "gitlab.example.org", "astro/lab/spectra/more"),
    ("https", "gitlab.example.org", "astro/lab/spectra.git/more"),
    ("https", "gitlab.example.org", "astro/lab/spectra.git.git"),
    ("https", "gitlab.example.org", "astro/lab/Spectra"),
    ("https", "gitlab.example.org", "/astro/lab/spectra"),
    ("https", "gitlab.example.org", "astro/lab/spectra//"),
    ("https", "gitlab.example.org", "astro//lab/spectra"),
    ("https", "gitlab.example.org", "astro/x/../lab/spectra"),
    ("https", "gitlab.example.org", "astro/./lab/spectra"),
    ("https", "gitlab.example.org", "astro/lab/spectra/.."),
    ("https", "gitlab.example.org", "astro/lab/x/%2e%2e/spectra"),
    ("https", "gitlab.example.org", "astro%2Flab%2Fspectra"),
    ("https", "gitlab.example.org", "astro\\lab\\spectra"),
    ("https", "gitlab.example.org", "astro/lab/spectra\n"),
    ("https", "gitlab.example.org", "astro/lab/spectra\nhost=evil"),
    ("https", "gitlab.example.org", "astro/lab/spectra?x"),
    ("https", "gitlab.example.org", "astro/lab/spectra#x"),
    ("https", "gitlab.example.org", "astro/lab/spectra "),
    ("https", "gitlab.example.org", "x/" * 600),
]


@pytest.mark.parametrize(("protocol", "host", "path"), HOSTILE)
def test_nothing_above_beside_or_disguised_is_the_repository(protocol, host, path):
    assert normalize_repository_address(protocol, host, path) != OURS


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{OURS}.git", OURS),
        ("HTTPS://GitLab.example.org:443/astro/lab/spectra", OURS),
        ("http://127.0.0.1:8080/a/b.git", "http://127.0.0.1:8080/a/b"),
        ("http://[::1]:8080/a/b.git", "http://[::1]:8080/a/b"),
        (f"{GITLAB}/astro/.git", f"{GITLAB}/astro/.git"),
        (f"{OURS}.git?x=1", None),
        (f"{OURS}.git#x", None),
        ("https://ada:secret@gitlab.example.org/a/b", None),
        ("https://[gitlab/a/b", None),
        ("https://gitlab.example.org/a/b\n", None),
        ("git@gitlab.example.org:a/b.git", None),
        ("/a/b", None),
    ],
)
def test_a_url_has_one_address_or_none(url, expected):
    assert normalize_repository_url(url) == expected


def test_only_what_lives_below_that_very_gitlab_lives_there():
    urls = [f"{OURS}.git", OURS, f"{GITLAB}/other", "https://github.com/astro/lab", "https://gitlab.example.org.evil/a"]
    assert filter_gitlab_repositories(GITLAB, urls) == (OURS, f"{GITLAB}/other")
    assert filter_gitlab_repositories(f"{GITLAB}/", urls) == (OURS, f"{GITLAB}/other")
    assert filter_gitlab_repositories(f"{GITLAB}/astro", urls) == (OURS,)
    assert filter_gitlab_repositories(f"{GITLAB}/ast", urls) == ()
    assert filter_gitlab_repositories(f"{GITLAB}:8443", urls) == ()
    assert filter_gitlab_repositories("no address", urls) == ()


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"commit_email": "a@commits.org", "email": "a@home.org"}, ("Ada", "a@commits.org")),
        ({"commit_email": None, "email": "a@home.org"}, ("Ada", "a@home.org")),
        ({"commit_email": "", "email": ""}, ("Ada", "7-ada@users.noreply.gitlab.example.org")),
        ({"email": "a@b.org>\nx"}, ("Ada", "7-ada@users.noreply.gitlab.example.org")),
        ({"email": 3, "name": ""}, ("ada", "7-ada@users.noreply.gitlab.example.org")),
        ({"email": "a@b.org", "name": "A\nda\x00"}, ("A\ufffdda\ufffd", "a@b.org")),
    ],
)
def test_commits_carry_the_name_and_the_address_that_the_user_has_chosen(user, expected):
    assert get_commit_identity({"id": 7, "username": "ada", "name": "Ada", **user}, GITLAB) == expected


def test_without_credentials_git_knows_its_user_and_nothing_else():
    git = SessionGitIdentity(gitlab=GITLAB, name="Ada", email="a@b.org", repositories=(OURS,))
    assert build_git_settings(git, "!x") == [("user.name", "Ada"), ("user.email", "a@b.org")]
    nobody = SessionGitIdentity(gitlab=GITLAB, name="", email="")
    assert build_git_config_variables(build_git_settings(nobody, "!x"), {}) == {}


@pytest.mark.parametrize(
    ("ssh", "more"),
    [
        ("", []),
        ("git@host.org:", []),
        ("gl@alt.org:", ["gl@alt.org:", "ssh://gl@alt.org/"]),
        ("ssh://git@host.org:2222/", ["ssh://git@host.org:2222/"]),
        ("ssh://git@alt.org:22/", ["ssh://git@alt.org:22/", "git@alt.org:", "ssh://git@alt.org/"]),
    ],
)
@pytest.mark.parametrize("gitlab", ["https://host.org", "https://host.org:8443", "https://HOST.org:443/git/lab/"])
def test_ssh_addresses_have_neither_the_port_nor_the_folder_of_gitlabs_pages(gitlab, ssh, more):
    (ours,) = filter_gitlab_repositories(gitlab, [f"{gitlab.rstrip('/')}/astro/lab/spectra.git"])
    git = SessionGitIdentity(gitlab=gitlab, name="", email="", credentials=True, repositories=(ours,), ssh=ssh)
    rewritten = [(key, short) for key, short in build_git_settings(git, "!x") if key.startswith("url.")]
    begins = ["git@host.org:", "ssh://git@host.org/", *more]
    assert rewritten == [(f"url.{ours}.insteadOf", f"{begin}astro/lab/spectra") for begin in begins]


@pytest.mark.parametrize(
    ("address", "ssh"),
    [
        ("git@host.org:astro/spectra.git", "git@host.org:"),
        ("ssh://git@host.org:2222/astro/spectra.git", "ssh://git@host.org:2222/"),
        ("ssh://git@host.org/astro/spectra.git", "ssh://git@host.org/"),
        ("git@host.org:other/spectra.git", ""),
        ("git@host.org\n:astro/spectra.git", ""),
        ("https://host.org/astro/spectra.git", ""),
        ("ext::sh -c x@y:astro/spectra.git", ""),
        ("astro/spectra.git", ""),
        ("", ""),
        (None, ""),
        (42, ""),
    ],
)
def test_gitlab_says_where_its_ssh_is(address, ssh):
    body = {"id": 42, "path_with_namespace": "astro/spectra", "ssh_url_to_repo": address}
    assert parse_gitlab_project(body).ssh == ssh


@pytest.mark.parametrize("counted", ["", "x", "-1", "99999", "1e3"])
def test_a_count_that_is_none_is_no_reason_to_skip_any(counted):
    said = build_git_config_variables([("a.b", "c")], {"GIT_CONFIG_COUNT": counted})
    assert said == {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"}
