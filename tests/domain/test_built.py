"""Which images of a registry count as built by a project's CI, and what CI has made of a commit."""

import re
from datetime import UTC, datetime

import pytest

from renku_spawner.domain.ci_images import (
    BranchImageStatus,
    CiPipeline,
    CiRules,
    CiState,
    GitBranch,
    GitCommit,
    RegistryTag,
    find_newest_branch_images,
    find_tagged_commit,
    get_newest_pipelines,
    is_project_repository,
    is_trusted_pipeline,
    list_reachable_commits,
    resolve_ci_state,
    select_ci_images,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
A, B, C = "a1f03c9d" + "0" * 32, "5c77d2e0" + "1" * 32, "12345678" + "2" * 32
COMMITS = [GitCommit(sha=A, parents=(B,)), GitCommit(sha=B, parents=(C,)), GitCommit(sha=C)]
PREFIX = "registry.example.org/astro/spectra"
PATTERN = CiRules(pattern=re.compile(r"build-[0-9-]+-(?P<commit>[0-9a-f]{7,40})|(?P<none>cache)"))


def tag(name: str, repository: str = PREFIX) -> RegistryTag:
    return RegistryTag(repository=repository, name=name, registry_id=1)


def ran(sha: str, status: str = "success", *, id: int = 1, ref: str = "main", source: str = "push", project: int = 42):
    return CiPipeline(id=id, project=project, sha=sha, ref=ref, status=status, source=source)


ALL = {sha: ran(sha) for sha in (A, B, C)}


@pytest.mark.parametrize(
    ("name", "commit"),
    [
        (A, A),
        (A[:8], A),
        (A[:7], A),
        ("12345678", C),  # only digits, and still a commit
        (A[:9], None),
        (A[:6], None),
        (A[:39], None),
        (A[:8].upper(), None),
        ("f" * 8, None),  # a commit of no branch
        ("main", None),
        ("latest", None),
        ("v1.2.0", None),
        (f"sha-{A[:8]}", None),
        (f"{A[:8]}\n", None),
        ("", None),
        (f"build-2026-11-17-{A[:8]}", None),
    ],
)
def test_a_tag_names_a_commit_by_7_8_or_40_characters(name: str, commit: str | None) -> None:
    assert find_tagged_commit(name, [A, B, C], CiRules()) == commit


@pytest.mark.parametrize(
    ("name", "commit"),
    [
        (f"build-2026-11-17-{A[:13]}", A),
        (f"build-2026-11-17-{A[:7]}", A),
        (A[:8], A),
        (f"build-2026-11-17-{A[:6]}", None),
        (f"x-build-2026-11-17-{A[:8]}", None),
        ("cache", None),  # the pattern fits and names no commit
    ],
)
def test_an_admin_may_name_further_tags(name: str, commit: str | None) -> None:
    assert find_tagged_commit(name, [A, B, C], PATTERN) == commit


def test_a_tag_that_could_be_two_commits_is_none() -> None:
    twin = A[:8] + "f" * 32
    assert find_tagged_commit(A[:8], [A, twin], CiRules()) is None
    assert find_tagged_commit(A, [A, twin], CiRules()) == A


@pytest.mark.parametrize(
    ("repository", "own"),
    [
        (PREFIX, True),
        (f"{PREFIX}/gpu", True),
        (f"{PREFIX}/gpu/cuda", True),
        (f"{PREFIX}-evil", False),
        ("registry.example.org/mallory/spectra", False),  # a fork's
        (f"evil.example.org/{PREFIX}", False),
        ("registry.example.org/astro", False),
        ("", False),
    ],
)
def test_only_a_projects_own_registry_counts(repository: str, own: bool) -> None:
    assert is_project_repository(repository, PREFIX) is own


def test_without_a_registry_nothing_is_its_own() -> None:
    assert not is_project_repository("", "")
    assert not is_project_repository("/x", "")


BRANCHES = [GitBranch(name="main", sha=A, protected=True, default=True), GitBranch(name="try", sha=B)]


@pytest.mark.parametrize(
    ("pipeline", "plain", "protected"),
    [
        (ran(A), True, True),
        (ran(A, "failed"), True, True),  # its state is shown, not required
        (ran(A, ref="try"), True, False),
        (ran(A, ref="v1.2.0"), True, False),
        (ran(A, project=99), False, False),  # a fork's
        (ran(A, ref="refs/merge-requests/7/head", source="merge_request_event"), False, False),
        (ran(A, ref="refs/merge-requests/7/merge"), False, False),
        (ran(A, ref="main", source="merge_request_event"), False, False),
    ],
)
def test_a_pipeline_is_the_projects_own_and_of_its_own_ref(pipeline: CiPipeline, plain: bool, protected: bool) -> None:
    assert is_trusted_pipeline(pipeline, 42, BRANCHES, CiRules()) is plain
    assert is_trusted_pipeline(pipeline, 42, BRANCHES, CiRules(protected_only=True)) is protected


def test_images_stand_in_the_order_of_the_commits() -> None:
    tags = [tag(C[:8]), tag(A[:8]), tag("latest"), tag("f" * 8)]
    assert [each.commit.sha for each in select_ci_images(COMMITS, tags, ALL, CiRules())] == [A, C]


def test_an_image_without_a_pipeline_of_this_project_is_none() -> None:
    assert select_ci_images(COMMITS, [tag(A[:8])], {B: ran(B)}, CiRules()) == []


def test_of_one_commit_the_plain_image_stands_first_and_the_longest_tag_names_it() -> None:
    tags = [tag(A[:8], f"{PREFIX}/gpu"), tag(A), tag(A[:7]), tag(A[:8]), tag(A[:8], f"{PREFIX}/cache")]
    found = [each.tag.reference for each in select_ci_images(COMMITS, tags, ALL, CiRules())]
    assert found == [f"{PREFIX}:{A}", f"{PREFIX}/gpu:{A[:8]}"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("created", CiState.BUILDING),
        ("waiting_for_resource", CiState.BUILDING),
        ("preparing", CiState.BUILDING),
        ("waiting_for_callback", CiState.BUILDING),
        ("pending", CiState.BUILDING),
        ("running", CiState.BUILDING),
        ("canceling", CiState.BUILDING),
        ("scheduled", CiState.BUILDING),
        ("failed", CiState.FAILED),
        ("success", CiState.NO_IMAGE),
        ("canceled", CiState.NO_IMAGE),
        ("skipped", CiState.NO_IMAGE),
        ("manual", CiState.NO_IMAGE),
        ("something new", CiState.NO_IMAGE),
    ],
)
def test_what_ci_has_made_of_a_commit(status: str, expected: CiState) -> None:
    assert resolve_ci_state(ran(A, status), built=False, configured=True) is expected
    assert resolve_ci_state(ran(A, status), built=True, configured=True) is CiState.BUILT


@pytest.mark.parametrize(("configured", "expected"), [(True, CiState.NO_IMAGE), (False, CiState.NOT_CONFIGURED)])
def test_without_a_pipeline_it_matters_whether_there_was_ever_one(configured: bool, expected: CiState) -> None:
    assert resolve_ci_state(None, built=False, configured=configured) is expected


def test_the_pipeline_that_was_begun_last_is_the_one() -> None:
    assert get_newest_pipelines([ran(A, "failed", id=9), ran(A, "success", id=7)])[A].status == "failed"


def test_each_branch_has_the_newest_image_of_its_own_commits() -> None:
    side = GitCommit(sha="d" * 40, parents=(C,))
    branches = [*BRANCHES, GitBranch(name="side", sha=side.sha), GitBranch(name="old", sha="e" * 40)]
    commits = [side, *COMMITS]
    found = find_newest_branch_images(
        branches, commits, select_ci_images(commits, [tag(B[:8]), tag(C[:8])], ALL, CiRules())
    )
    assert {name: image.commit.sha for name, image in found.items()} == {"main": B, "try": B, "side": C}


def test_a_circle_of_parents_ends() -> None:
    twisted = {A: GitCommit(sha=A, parents=(B,)), B: GitCommit(sha=B, parents=(A,))}
    assert list_reachable_commits(A, twisted) == [A, B]


@pytest.mark.parametrize(("pinned", "later"), [(C, 2), (B, 1), (A, 0), ("f" * 40, None), (None, None)])
def test_how_many_commits_later(pinned: str | None, later: int | None) -> None:
    newest = BranchImageStatus(source="42", ref="main", image="a", looked_at=NOW, commit=A, shas=(A, B, C))
    assert newest.count_commits_since(pinned) == later


def test_an_older_image_is_not_later() -> None:
    assert (
        BranchImageStatus(
            source="42", ref="main", image="a", looked_at=NOW, commit=C, shas=(A, B, C)
        ).count_commits_since(A)
        == -2
    )
