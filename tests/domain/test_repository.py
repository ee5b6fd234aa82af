"""Addresses and refs of repositories: the public web and what git itself allows, nothing else."""

import ipaddress
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.projects import (
    NewRepository,
    Repository,
    check_git_ref,
    check_repository_url,
    remove_url_credentials,
)

from .hostile import HOSTILE

HOSTS = frozenset({"git.internal", "127.0.0.1:3000", "gitea:3000"})
SCHEMES = st.sampled_from(["https", "http", "HTTPS", "ext", ""])
URLS = (
    st.text()
    | st.text(alphabet="https:/@.[]?#\\%0aA9-_~", max_size=60)
    | st.builds("{}://{}{}".format, SCHEMES, st.text(max_size=30), st.text(max_size=20))
)


def accepted(url: str) -> bool:
    try:
        assert check_repository_url(url) == url
    except InvalidInputError as refusal:
        assert list(refusal.fields) == ["url"]
        return False
    return True


@given(URLS)
def test_an_address_is_accepted_as_it_is_or_refused_at_its_field(url: str) -> None:
    if accepted(url):
        assert url.lower().startswith("https://")
        assert "@" not in url.split("/")[2]


@given(st.ip_addresses())
def test_no_address_in_numbers_is_a_public_host(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    literal = f"[{address}]" if address.version == 6 else str(address)
    assert not accepted(f"https://{literal}/x.git")


@given(st.ip_addresses(v=4), st.sampled_from(["{:d}", "{:#x}", "{:#o}", "0{:o}", "0x{:08X}"]))
def test_no_other_spelling_of_an_address_is_a_public_host(address: ipaddress.IPv4Address, spelling: str) -> None:
    assert not accepted(f"https://{spelling.format(int(address))}/x.git")
    dotted = ".".join(spelling.format(byte) for byte in address.packed)
    assert not accepted(f"https://{dotted}/x.git")
    assert not accepted(f"https://{dotted}./x.git")
    assert not accepted(f"https://[::ffff:{address}]/x.git")


@pytest.mark.parametrize("url", ["http://git.internal/a/b", "https://git.internal/a", "https://git.internal:8443/a",
                                 "http://127.0.0.1:3000/a/b.git", "http://gitea:3000/a"])  # fmt: skip
def test_a_host_that_the_admin_lists_may_be_anything(url: str) -> None:
    assert check_repository_url(url, hosts=HOSTS) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1/a", "that start with https://"),
        ("https://127.0.0.1/a", "127.0.0.1 are not allowed here"),
        ("http://127.0.0.1:3001/a", "that start with https://"),
        ("https://gitea/a", "gitea are not allowed here"),
        ("https://ada:secret@git.internal/a", "Leave out user name and password"),
        ("ext::sh", "that start with https://"),
        ("http://git.internal/a?b", "leave out everything after"),
        ("http://other.example/a", "that start with https://"),
    ],
)
def test_a_listed_host_opens_no_other_port_host_or_form(url: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        check_repository_url(url, hosts=HOSTS)


def _git_would_take(ref: str) -> bool:
    """The rules of git-check-ref-format(1) with --allow-onelevel, by hand; and none that looks like an option."""
    parts = ref.split("/")
    return (
        all(part and not part.startswith(".") and not part.endswith(".lock") for part in parts)
        and not any(bad in ref for bad in ("..", "@{"))
        and not any(c in " ~^:?*[\\" or ord(c) < 32 or ord(c) == 127 for c in ref)
        and not ref.endswith(".")
        and ref != "@"
        and not ref.startswith("-")
    )


@given(st.text() | st.text(alphabet="aZ0._/+#@{}~^:-lock", max_size=40))
def test_a_ref_is_accepted_only_if_git_would_take_it(ref: str) -> None:
    try:
        assert check_git_ref(ref) == ref
    except InvalidInputError as refusal:
        assert list(refusal.fields) == ["ref"]
    else:
        assert _git_would_take(ref)


@given(st.text(alphabet="aZ0._/+#@-lock", min_size=1, max_size=40))
def test_a_ref_of_the_usual_characters_is_refused_only_if_git_would_or_it_starts_oddly(ref: str) -> None:
    if _git_would_take(ref) and ref[0] not in "+#@":
        assert check_git_ref(ref) == ref


@pytest.mark.parametrize("ref", [row.value for row in HOSTILE if row.kind == "repository_ref" and row.accepted])
def test_git_itself_takes_what_is_accepted(ref: str) -> None:
    git = shutil.which("git")
    assert git, "git is needed"
    subprocess.run([git, "check-ref-format", "--allow-onelevel", ref], check=True)


def test_a_repository_gets_no_large_files_and_no_submodules_unless_asked() -> None:
    new = NewRepository(url="https://github.com/a/b")
    stored = Repository(directory="b", url=new.url)
    assert not any((new.lfs, new.submodules, stored.lfs, stored.submodules))
    assert new.ref is new.directory is stored.ref is None


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("https://ada:s3cret@git.example.org/a", "https://git.example.org/a"),
        ("https://s3cret@git.example.org/a\nhttps://:p@q@b.org/c@d", "https://git.example.org/a\nhttps://b.org/c@d"),
        ("ada:s3cret@ghcr.io/x/y@sha256:abc", "ghcr.io/x/y@sha256:abc"),
        ("git@git.example.org:a/b", "git@git.example.org:a/b"),
        ("https://git.example.org/@ada/x", "https://git.example.org/@ada/x"),
        ("ghcr.io/x:1@sha256:abc", "ghcr.io/x:1@sha256:abc"),
    ],
)
def test_what_stands_before_the_host_of_an_address_is_not_shown_again(typed, shown):
    assert remove_url_credentials(typed) == shown
