# ruff: noqa: E501, RUF001 - tables with one case a row, of characters that look like others on purpose
"""Names of images mean what `docker pull` takes them to mean."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.errors import InvalidInputError
from renku_spawner.domain.images import ImageReference, parse_image_reference
from tests.fixtures.fair import least_processor_seconds

HEX = "0123456789abcdef" * 4
DIGEST, LONG_DIGEST = f"sha256:{HEX}", f"sha512:{HEX * 2}"
EXAMPLE = "quay.io/jupyter/scipy-notebook:2026-11-02"
PART = "cannot be part of an image's name"
FOREIGN = "is not allowed in image names"


def refusal(typed: str) -> str:
    with pytest.raises(InvalidInputError) as refused:
        parse_image_reference(typed)
    assert refused.value.fields == {"image": refused.value.message}
    return refused.value.message


# The rows of the security reference: (row, what is typed, what the sentence says)
REFUSED = [
    ("H1", "", f"Please give the name of an image, such as {EXAMPLE}."),
    ("H2", " nginx", "Please leave out the blank at the beginning."),
    ("H3", "nginx ", "Please leave out the blank at the end."),
    ("H4", "nginx\n", "Please leave out the line break at the end."),
    ("H5", "nginx\x00", f"The invisible character U+0000 {FOREIGN} (character 6)."),
    ("H6", "NGINX:latest", "Upper-case letters are not allowed in image names (character 1)."),
    ("H7", "nginx:-x", "A tag has letters, digits, “_”, “.” and “-”, and starts with none of the last two."),
    ("H8", "nginx:" + "a" * 129, "A tag has at most 128 characters; this one has 129."),
    (
        "H9",
        "nginx@sha256:zzzz",
        "A sha256 digest has 64 digits of 0-9 and a-f after the colon; this one has 4 characters.",
    ),
    (
        "H10",
        "nginx@sha256:" + HEX[:31],
        "A sha256 digest has 64 digits of 0-9 and a-f after the colon; this one has 31 characters.",
    ),
    ("H11", "repo@md5:" + HEX[:32], "A digest starts with @sha256: or @sha512:."),
    ("H12", "a/b c", f"A blank {FOREIGN} (character 4)."),
    ("H13", "https://ghcr.io/x/y", "Please leave out https://: the name as for docker pull"),
    ("H14", "docker://x", "Please leave out docker://: the name as for docker pull"),
    ("H15", "../../etc/passwd", f"“..” {PART} (character 4)"),
    ("H16", "10.0.0.1/../x", f"“..” {PART} (character 10)"),
    ("H17", "docker///docker", "A part of the name is missing: two slashes, or one at an end (character 8)."),
    ("H18", "-docker/x", f"“-docker” {PART} (character 1)"),
    ("H19", HEX, "This is the id of an image, not its name"),
    ("H20", "[fe80::1%eth0]:5000/r", f"“%” {FOREIGN} (character 9)."),
    ("H21", "nginx:1:2", "There is more than one tag (:)."),
    ("H22", f"x@{DIGEST}@{DIGEST}", "There is more than one digest (@)."),
    ("H23", "éxample.com/x", f"“é” {FOREIGN} (character 1)."),
    ("H23 wide", "ｅxample.com/x", f"“ｅ” {FOREIGN} (character 1)."),
    ("H24", "user:pass@ghcr.io/x", "Please leave out user name and password"),
    ("H25", "a" * 256, "An image's name has at most 255 characters; this one has 256."),
    ("H26", "quay.io/x;rm -rf /", f"“;” {FOREIGN} (character 10)."),
    ("H27", "$(id)/x", f"“$” {FOREIGN} (character 1)."),
    ("H28", "{{7*7}}/x", f"“{{” {FOREIGN} (character 1)."),
    ("H28 name", "{username}/x", f"“{{” {FOREIGN} (character 1)."),
    ("H29", "nginx:latest#frag?x=1", f"“#” {FOREIGN} (character 13)."),
    ("H30", "a/" * 500_000, "This is too long for the name of an image: at most 500 characters, this has 1000000."),
]
ACCEPTED = [
    ("H46", "nginx", ImageReference(repository="docker.io/library/nginx", tag="latest")),
    (
        "H47",
        f"quay.io/jupyter/base-notebook:x@{DIGEST}",
        ImageReference(repository="quay.io/jupyter/base-notebook", tag="x", digest=DIGEST),
    ),
    ("H48", "localhost:5000/x", ImageReference(repository="localhost:5000/x", tag="latest")),
    ("H49", "registry.k8s.io/pause:3.9", ImageReference(repository="registry.k8s.io/pause", tag="3.9")),
    ("H50", "xn--n3h.com/img", ImageReference(repository="xn--n3h.com/img", tag="latest")),
    ("H51", "docker-rules/docker", ImageReference(repository="docker.io/docker-rules/docker", tag="latest")),
    ("H51 underscores", "dock__er/docker", ImageReference(repository="docker.io/dock__er/docker", tag="latest")),
    (
        "H52",
        f"[2001:db8::1]:5000/r:tag@{DIGEST}",
        ImageReference(repository="[2001:db8::1]:5000/r", tag="tag", digest=DIGEST),
    ),
]


@pytest.mark.parametrize(("row", "typed", "says"), REFUSED, ids=[row for row, *_ in REFUSED])
def test_what_docker_would_not_pull_is_refused_with_what_is_wrong_with_it(row: str, typed: str, says: str) -> None:
    sentence = refusal(typed)
    assert least_processor_seconds(lambda: refusal(typed)) < 0.05
    assert sentence.startswith(says)
    assert sentence.endswith(".")
    assert len(sentence) < 300


@pytest.mark.parametrize(("row", "typed", "meant"), ACCEPTED, ids=[row for row, *_ in ACCEPTED])
def test_what_docker_would_pull_is_accepted(row: str, typed: str, meant: ImageReference) -> None:
    assert parse_image_reference(typed) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "user:hunter2@ghcr.io/x", "https://user:hunter2@ghcr.io/x", "user:hunter2@ghcr.io", "user:hun/ter2@ghcr.io/x",
        "user:hunter2;@ghcr.io/x", "ghcr.io/user:hunter2@x",
    ],
)  # fmt: skip
def test_a_password_is_not_repeated(typed: str) -> None:
    sentence = refusal(typed)
    assert "hunter2" not in sentence
    assert "ter2" not in sentence


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("a\tb", f"A blank {FOREIGN} (character 2)."),
        ("\u2003nginx", "Please leave out the blank at the beginning."),
        ("a\u200bb", f"The invisible character U+200B {FOREIGN} (character 2)."),
        ("nginx:", "The tag after the colon is missing."),
        ("nginx@", "A digest starts with @sha256: or @sha512:."),
        (f"nginx@{LONG_DIGEST[:-1]}", "A sha512 digest has 128 digits"),
        (f"nginx@sha256:{HEX.upper()}", "A sha256 digest has 64 digits of 0-9 and a-f"),
        (f"sha256:{HEX}", "This is the id of an image, not its name"),
        ("quay.io/Jupyter/x", "Upper-case letters are not allowed in image names (character 9)."),
        ("test:5000/Upper/lower:tag", "Upper-case letters are not allowed in image names (character 11)."),
        ("docker/", "A part of the name is missing"),
        ("quay.io/", "A part of the name is missing"),
        (":tag", f"The name is missing, such as {EXAMPLE}."),
        (f"@{DIGEST}", f"The name is missing, such as {EXAMPLE}."),
        ("[fc00::1]:5000", f"The name is missing, such as {EXAMPLE}."),
        ("-docker.io/a/b", "“-docker.io” is not a valid host."),
        ("a.example:x/b", "“a.example:x” is not a valid host."),
        ("a." * 127 + "example.com/x", "“a.a."),
        ("quay.io/" + "a" * 256, "An image's name has at most 255 characters; this one has 256."),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_wrong_and_where(typed: str, says: str) -> None:
    assert refusal(typed).startswith(says)


# What the grammar's own project tests, there as Go: https://github.com/distribution/reference
# (normalize_test.go and reference_test.go, as names for `docker pull`).
VALID = [
    "docker/docker", "library/debian", "debian", "docker.io/docker/docker", "docker.io/library/debian", "docker.io/debian",
    "index.docker.io/docker/docker", "index.docker.io/library/debian", "index.docker.io/debian",
    "127.0.0.1:5000/docker/docker", "127.0.0.1:5000/library/debian", "127.0.0.1:5000/debian", "192.168.0.1",
    "192.168.0.1:80", "192.168.0.1:8/debian", "192.168.0.2:25000/debian",
    "thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev", "[fc00::1]:5000/docker",
    "[fc00::1]:5000/docker/docker", "[fc00:1:2:3:4:5:6:7]:5000/library/debian",
    "docker.io/1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a", "Docker/docker", "DOCKER/docker",
    "docker-rules/docker", "docker---rules/docker", "doc/docker", "d/docker", "jess/t", "dock__er/docker", "test_com",
    "test.com:tag", "test.com:5000", "test.com/repo:tag", "test:5000/repo", "test:5000/repo:tag",
    f"test:5000/repo@{DIGEST}", f"test:5000/repo:tag@{DIGEST}", "lowercase:Uppercase", "a/" * 127 + "a:tag-puts-this-over-max",
    "sub-dom1.foo.com/bar/baz/quux", "sub-dom1.foo.com/bar/baz/quux:some-long-tag",
    "b.gcr.io/test.example.com/my-app:test.example.com", "xn--n3h.com/myimage:xn--n3h.com",
    f"xn--7o8h.com/myimage:xn--7o8h.com@{LONG_DIGEST}", "foo_bar.com:8080", "foo/foo_bar.com:8080", "192.168.1.1:tag",
    "192.168.1.1/repo", "192.168.1.1:5000/repo:5050", "[2001:db8::1]/repo", "[2001:db8:1:2:3:4:5:6]/repo:tag",
    "[2001:db8::1]:5000/repo:tag", f"[2001:db8::1]:5000/repo@{DIGEST}", "[2001:db8::]:5000/repo", "[::1]:5000/repo",
    "Foo/bar",
]  # fmt: skip
INVALID = [
    "https://github.com/docker/docker", "docker/Docker", "-docker", "-docker/docker", "-docker.io/docker/docker",
    "docker///docker", "docker.io/docker/Docker", "docker.io/docker///docker", "[fc00::1]", "[fc00::1]:5000",
    "fc00::1:5000/debian", "[fe80::1%eth0]:5000/debian", "[2001:db8:3:4::192.0.2.33]:5000/debian",
    "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a", "docker-/docker", "-docker-/docker", "____/____",
    "_docker/_docker", "dock..er/docker", "dock_.er/docker", "dock-.er/docker", "docker/", "too_long_" * 30 + "x/docker", "",
    ":justtag", f"@{DIGEST}", "repo@sha256:ffffffffffffffffffffffffffffffffff", f"validname@invaliddigest:{HEX}",
    "Uppercase:tag", "test:5000/Uppercase/lowercase:tag", "a/" * 128 + "a:tag", "aa/asdf$$^/aa", "[2001:db8::1]",
    "[2001:db8::1]:tag", "[fe80::1%@invalidzone]:5000/repo",
]  # fmt: skip


@pytest.mark.parametrize("typed", VALID)
def test_the_grammars_valid_names_are_accepted(typed: str) -> None:
    parsed = parse_image_reference(typed)
    assert parsed.repository.endswith(typed.partition("@")[0].rpartition("/")[2].partition(":")[0])


@pytest.mark.parametrize("typed", INVALID)
def test_the_grammars_invalid_names_are_refused_with_a_reason(typed: str) -> None:
    assert refusal(typed) != f"This is not the name of an image, such as {EXAMPLE}."


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "nginx",
            "nginx:latest",
            "library/nginx",
            "docker.io/nginx",
            "index.docker.io/library/nginx:latest",
            "Docker.IO/nginx",
        ),
        ("quay.io/a/b", "Quay.io/a/b", "QUAY.IO:443/a/b:latest"),
        ("[2001:db8::a]/x", "[2001:DB8::A]:443/x"),
        (f"quay.io/a/b:1@{DIGEST}", f"quay.io:443/a/b:1@{DIGEST}"),
    ],
)
def test_spellings_of_one_image_are_equal(spellings: tuple[str, ...]) -> None:
    assert len({parse_image_reference(typed) for typed in spellings}) == 1


@pytest.mark.parametrize(
    ("typed", "canonical", "pinned"),
    [
        ("jupyter/base", "docker.io/jupyter/base:latest", None),
        ("quay.io/jupyter/scipy-notebook:2026-11-02", "quay.io/jupyter/scipy-notebook:2026-11-02", None),
        (f"quay.io/a/b@{DIGEST}", "quay.io/a/b", f"quay.io/a/b@{DIGEST}"),
        (f"quay.io/a/b:1@{DIGEST}", "quay.io/a/b:1", f"quay.io/a/b@{DIGEST}"),
    ],
)
def test_an_image_has_one_canonical_form_and_runs_by_its_digest(typed: str, canonical: str, pinned: str | None) -> None:
    parsed = parse_image_reference(typed)
    assert (parsed.canonical_reference, parsed.pinned_reference) == (canonical, pinned)


@pytest.mark.parametrize(
    ("typed", "host", "path"),
    [
        ("nginx", "docker.io", "library/nginx"),
        ("quay.io/jupyter/base", "quay.io", "jupyter/base"),
        ("localhost:5000/x", "localhost:5000", "x"),
        ("localhost/x", "localhost", "x"),
        ("[::1]:5000/x/y", "[::1]:5000", "x/y"),
    ],
)
def test_a_name_is_the_host_of_a_registry_and_a_path_in_it(typed: str, host: str, path: str) -> None:
    parsed = parse_image_reference(typed)
    assert (parsed.host, parsed.path) == (host, path)


@pytest.mark.parametrize(
    ("typed", "floating"),
    [
        ("nginx", True),
        ("nginx:stable", True),
        ("ghcr.io/a/b:main", True),
        ("nginx:1.27", False),
        (f"nginx@{DIGEST}", False),
        ("a/b:2026-11-02", False),
    ],
)
def test_a_tag_that_usually_moves_is_known(typed: str, floating: bool) -> None:
    assert parse_image_reference(typed).has_floating_tag is floating


HOSTS = st.sampled_from(["", "quay.io/", "localhost:5000/", "[::1]:5000/", "Ghcr.IO:443/", "10.0.0.1/"])
PARTS = st.from_regex(r"\A[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z").filter(lambda part: len(part) < 60)
TAGS = st.from_regex(r"\A(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?\Z")
DIGESTS = st.sampled_from(["", f"@{DIGEST}", f"@{LONG_DIGEST}"])
SPACES = PARTS.filter(lambda part: "." not in part)  # with a dot it would be a host
GRAMMATICAL = st.builds("{}{}/{}{}{}".format, HOSTS, SPACES, PARTS, TAGS, DIGESTS).filter(
    lambda typed: len(typed) <= 500
)


@given(GRAMMATICAL)
def test_what_the_grammar_makes_is_accepted_and_its_canonical_form_stays_itself(typed: str) -> None:
    parsed = parse_image_reference(typed)
    again = parse_image_reference(
        f"{parsed.canonical_reference}@{parsed.digest}" if parsed.digest else parsed.canonical_reference
    )
    assert again == parsed
    assert parse_image_reference(parsed.pinned_reference or parsed.canonical_reference).repository == parsed.repository
    assert parsed.tag or parsed.digest
    assert "/" in parsed.repository


@given(
    st.text(max_size=80) | st.text(alphabet="aZ0._-/:@sha256[]", max_size=80) | st.text(string.printable, max_size=600)
)
def test_nothing_but_the_one_error_is_raised(typed: str) -> None:
    try:
        parsed = parse_image_reference(typed)
    except InvalidInputError as refused:
        assert list(refused.fields) == ["image"]
        assert refused.message.isprintable()
    else:
        assert (
            parse_image_reference(parsed.pinned_reference or parsed.canonical_reference).repository == parsed.repository
        )
        assert len(parsed.repository) < 520
        assert parsed.repository.isascii()


@pytest.mark.parametrize("end", ["", "!", "/", ":", "@", "]"])
@pytest.mark.parametrize("piece", ["a/", "a.", "a__", "a-", "a:", "a@", "[", "0:", "A", "sha256:", "a--b__"])
def test_the_longest_name_that_is_looked_at_takes_no_time(end: str, piece: str) -> None:
    assert least_processor_seconds(lambda end=end: parsed_or_refused((piece * 500)[: 500 - len(end)] + end)) < 0.05


def parsed_or_refused(typed: str) -> None:
    try:
        parse_image_reference(typed)
    except InvalidInputError as refused:
        assert refused.fields
