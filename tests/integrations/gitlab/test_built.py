"""Which images of a project's CI can be chosen, and what a session gets of them."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from renku_spawner.domain.ci_images import CiState
from renku_spawner.domain.environments import EnvironmentKind
from renku_spawner.domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    LaunchRefusedError,
    NotFoundError,
    UnavailableError,
)
from renku_spawner.domain.image_checks import InspectionResult
from renku_spawner.domain.images import ImagePolicy
from renku_spawner.domain.projects import Repository
from renku_spawner.domain.sessions import LaunchSpec, Session
from renku_spawner.integrations.net.guarded_http import EgressGuard
from renku_spawner.integrations.registry.client import RegistryClient
from renku_spawner.usecases.admission import admit_launch
from renku_spawner.usecases.ci_images import (
    check_ci_image,
    expire_ci_image_status,
    list_commits_of_update,
    list_gitlab_repositories,
    load_ci_image_choices,
    require_gitlab_repository,
)
from renku_spawner.usecases.instances import prepare_launch_spec
from renku_spawner.usecases.session_queries import load_installed_software
from renku_spawner.usecases.sessions import choose_revision, dismiss_image_update
from tests.fakes.gitlab import FakeGitLab
from tests.fixtures import images as made_images
from tests.fixtures.fair import Stopwatch
from tests.integrations.gitlab.building import Building, building


@pytest.fixture(scope="module")
def lab() -> Iterator[FakeGitLab]:
    with FakeGitLab() as made:
        yield made


@pytest.fixture
async def ci(lab: FakeGitLab, tmp_path: Path) -> AsyncIterator[Building]:
    lab.world.projects.clear()
    lab.faults.own.clear()
    lab.mode = "ok"
    async with building(lab, tmp_path) as made:
        yield made


# ---- what counts -------------------------------------------------------------------------------


async def test_images_are_listed_by_commit_the_newest_first(ci: Building) -> None:
    old, bare, new = ci.commit(), ci.commit(built=False), ci.commit()
    found = await ci.look()
    assert [each.commit.sha for each in found.images] == [new, old]
    assert [commit.sha for commit in found.commits] == [new, bare, old]
    assert (found.branch.name, found.state) == ("main", CiState.BUILT)


async def test_each_branch_shows_its_newest_image(ci: Building) -> None:
    main = ci.commit()
    gpu = ci.commit("gpu/cuda-12")
    ci.commit("gpu/cuda-12", built=False)
    found = await ci.look()
    assert {name: each.commit.sha for name, each in found.newest.items()} == {"main": main, "gpu/cuda-12": gpu}
    assert await ci.images("gpu/cuda-12") == [f":{gpu[:8]}", f":{main[:8]}"]


async def test_tags_that_are_no_commit_count_for_nothing(ci: Building) -> None:
    ci.commit(built=False)
    for tag in ("latest", "main", "v1.2.0", "deadbeef", "12345678"):
        ci.code.image(tag)
    assert await ci.images() == []


async def test_a_commit_of_another_branch_is_not_one_of_this(ci: Building) -> None:
    ci.commit()
    other = ci.commit("other")
    assert f":{other[:8]}" not in await ci.images("main")


async def test_an_image_whose_commit_ci_never_saw_does_not_count(ci: Building) -> None:
    sha = ci.code.push("main", {"a": "b"})
    ci.code.image(sha[:8])
    assert await ci.images() == []
    assert (await ci.look()).state is CiState.NOT_CONFIGURED


async def test_a_merge_request_builds_nothing_that_counts(ci: Building) -> None:
    sha = ci.code.push("main", {"a": "b"})
    ci.code.pipeline(sha, ref="refs/merge-requests/7/head", source="merge_request_event")
    ci.code.image(sha[:8])
    assert await ci.images() == []


async def test_a_pipeline_of_another_branch_of_the_project_counts_too(ci: Building) -> None:
    sha = ci.code.push("main", {"a": "b"})
    ci.code.pipeline(sha, ref="feature")
    ci.code.image(sha[:8])
    assert await ci.images() == [f":{sha[:8]}"]


async def test_a_forks_image_is_not_the_projects(ci: Building, lab: FakeGitLab) -> None:
    """The same commit, built in a fork, lies in the fork's registry."""
    sha = ci.code.push("main", {"a": "b"})
    ci.code.pipeline(sha)
    fork = lab.project("mallory/spectra-fork", visibility="public")
    fork.image(sha[:8])
    assert await ci.images() == []
    with pytest.raises(InvalidInputError) as refused:
        await ci.add(image=f"{fork.image_prefix}:{sha[:8]}")
    assert refused.value.fields.keys() == {"image"}


async def test_images_below_the_projects_own_count_but_for_caches(ci: Building) -> None:
    sha = ci.commit()
    ci.code.image(sha[:8], name="gpu")
    ci.code.image(sha[:8], name="gpu/cache")
    assert await ci.images() == [f":{sha[:8]}", f"/gpu:{sha[:8]}"]


async def test_a_repository_that_is_being_deleted_has_no_images(ci: Building) -> None:
    ci.commit()
    ci.code.registry().status = "delete_ongoing"
    assert await ci.images() == []


async def test_only_protected_branches_count_where_an_admin_says_so(ci: Building) -> None:
    ci.commit()
    ci.code.protected.clear()
    assert len(await ci.images()) == 1
    ci.rules(protected_only=True)
    assert await ci.images() == []
    ci.code.protected.add("main")
    ci.later(seconds=60)
    assert len(await ci.images()) == 1


async def test_an_admin_may_name_further_tags(ci: Building) -> None:
    sha = ci.commit(built=False)
    ci.code.image(f"build-2026-11-24-{sha[:13]}")
    assert await ci.images() == []
    ci.rules(pattern=re.compile(r"build-[0-9-]{10}-(?P<commit>[0-9a-f]{7,40})"))
    assert await ci.images() == [f":build-2026-11-24-{sha[:13]}"]


# ---- what CI does ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", CiState.BUILDING),
        ("running", CiState.BUILDING),
        ("success", CiState.NO_IMAGE),
        ("skipped", CiState.NO_IMAGE),
        ("failed", CiState.FAILED),
    ],
)
async def test_the_state_of_the_newest_commit_is_told_and_the_old_image_stays(
    ci: Building, status: str, state: CiState
) -> None:
    old = ci.commit()
    ci.commit(built=False, status=status)
    found = await ci.look()
    assert found.state is state
    assert [each.commit.sha for each in found.images] == [old]


async def test_a_failure_leads_to_the_log_of_its_job(ci: Building) -> None:
    sha = ci.code.push("main", {"a": "b"})
    jobs = [{"name": "lint", "status": "success"}, {"name": "image", "status": "failed"}]
    pipeline = ci.code.pipeline(sha, "failed", jobs=jobs)
    assert (await ci.look()).job.endswith(f"/-/jobs/{pipeline.jobs[1].id}")


@pytest.mark.parametrize(
    ("children", "state"),
    [
        ({"success": "own"}, CiState.NO_IMAGE),
        ({"failed": "own", "running": "own"}, CiState.BUILDING),
        ({"success": "own", "failed": "own"}, CiState.FAILED),
        ({"failed": "another project's"}, CiState.NO_IMAGE),
    ],
    ids=str,
)
async def test_a_pipeline_that_begins_others_is_told_by_them(
    ci: Building, lab: FakeGitLab, children: dict[str, str], state: CiState
) -> None:
    sha = ci.commit(built=False)
    elsewhere = lab.project("astro/other", owner="root")
    for status, whose in children.items():
        project = ci.code if whose == "own" else elsewhere
        project.pipeline(sha, status, source="parent_pipeline", parent=ci.code.pipelines[0])
    found = await ci.look()
    assert found.state is state
    failed = next((one for one in ci.code.pipelines if one.status == "failed"), None)
    assert found.job.endswith(f"/-/jobs/{failed.jobs[0].id}" if failed and state is CiState.FAILED else "")


async def test_a_failure_whose_jobs_are_erased_leads_to_its_pipeline(ci: Building) -> None:
    sha = ci.code.push("main", {"a": "b"})
    pipeline = ci.code.pipeline(sha, "failed", jobs=())
    assert (await ci.look()).job.endswith(f"/-/pipelines/{pipeline.id}")


async def test_hidden_pipelines_leave_the_state_unknown_and_no_image_counts(ci: Building) -> None:
    ci.commit()
    ci.code.more["builds_access_level"] = "disabled"
    found = await ci.look()
    assert (found.state, list(found.images)) == (CiState.UNKNOWN, [])


async def test_an_empty_repository_has_no_branch(ci: Building) -> None:
    found = await ci.look()
    assert (found.branch, list(found.images)) == (None, [])


async def test_there_is_no_other_branch(ci: Building) -> None:
    ci.commit()
    with pytest.raises(InvalidInputError) as refused:
        await ci.look("none")
    assert refused.value.fields.keys() == {"branch"}


# ---- who asks ----------------------------------------------------------------------------------


async def test_it_is_asked_with_the_rights_of_who_looks(ci: Building) -> None:
    ci.commit()
    assert (await ci.look()).images
    with pytest.raises(NotFoundError):
        await ci.look(name="zoe")


async def test_a_page_loaded_twice_asks_once(ci: Building, lab: FakeGitLab) -> None:
    ci.commit()
    before = len(lab.calls)
    await ci.look()
    asked = len(lab.calls) - before
    await ci.look()
    assert (asked, len(lab.calls) - before) == (6, 6)


async def test_the_tab_says_what_gitlab_refuses(ci: Building, lab: FakeGitLab) -> None:
    ci.commit()
    lab.fault(f"/api/v4/projects/{ci.code.id}/registry", "500")
    tab = await load_ci_image_choices(ci.parts, ci.person(), ci.project, "", "")
    assert (tab.problem, tab.builds, len(tab.repositories)) == ("GitLab does not answer at the moment.", None, 1)


async def test_only_repositories_of_this_gitlab_are_offered(ci: Building, lab: FakeGitLab) -> None:
    other = lab.project("jane/tools")
    more = (
        Repository(directory="tools", url=f"{lab.url}/jane/tools.git"),
        Repository(directory="far", url="https://gitlab.example.org/jane/tools.git"),
        Repository(directory="evil", url=f"{lab.url}.evil.example.org/jane/tools.git"),
    )
    project = replace(ci.project, repositories=(*ci.project.repositories, *more))
    assert [each.directory for each in list_gitlab_repositories(ci.parts, project)] == ["spectra", "tools"]
    sha = other.push("main", {"a": "b"})
    other.pipeline(sha)
    other.image(sha[:8])
    tab = await load_ci_image_choices(ci.parts, ci.person(), project, "tools", "")
    assert [each.tag.repository for each in tab.builds.images] == [other.image_prefix]
    with pytest.raises(InvalidInputError):
        require_gitlab_repository(ci.parts, project, "far")


# ---- a session of it ---------------------------------------------------------------------------


async def test_a_session_is_pinned_to_digest_and_commit(ci: Building) -> None:
    sha = ci.commit()
    session = await ci.add()
    revision = session.revision
    digest = ci.code.registry().tags[sha[:8]].digest
    assert (revision.repository, revision.tag, revision.digest, revision.commit) == (
        ci.prefix, sha[:8], digest, sha,
    )  # fmt: skip
    assert (revision.built.source, revision.built.ref) == (str(ci.code.id), "main")
    assert revision.built.pipeline == ci.code.pipelines[-1].id
    assert (session.environment.kind, session.environment.project) == (EnvironmentKind.REPOSITORY, ci.project.id)
    assert session.title == "spectra"


async def test_an_older_image_can_be_chosen(ci: Building) -> None:
    old, _ = ci.commit(), ci.commit()
    session = await ci.add(image=f"{ci.prefix}:{old[:8]}", branch="main")
    assert session.revision.commit == old


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"image": "docker.io/library/nginx:latest"}, "image"),
        ({"image": ""}, "image"),
        ({"branch": "none"}, "branch"),
        ({"branch": "../../etc"}, "branch"),
    ],
)
async def test_nothing_else_can_be_chosen(ci: Building, said: dict[str, str], field: str) -> None:
    ci.commit()
    with pytest.raises(InvalidInputError) as refused:
        await ci.add(**said)
    assert refused.value.fields.keys() == {field}


async def test_a_viewer_adds_nothing(ci: Building) -> None:
    ci.commit()
    with pytest.raises(ForbiddenError):
        await ci.add("rob")


async def test_nothing_is_added_while_gitlab_is_away(ci: Building, lab: FakeGitLab) -> None:
    ci.commit()
    lab.mode = "500"
    with pytest.raises(UnavailableError):
        await ci.add()


async def test_an_image_that_an_admin_forbids_is_not_added(ci: Building) -> None:
    ci.commit()
    denied = ImagePolicy(denied=(f"{ci.prefix.partition('/')[0].partition(':')[0]}*",))
    ci.parts = replace(ci.parts, policy=replace(ci.parts.policy, images=denied))
    with pytest.raises(InvalidInputError) as refused:
        await ci.add()
    assert refused.value.code == "registry_not_allowed"


async def test_an_allow_list_of_registries_does_not_bind_what_ci_has_built(ci: Building) -> None:
    ci.commit()
    ci.parts = replace(ci.parts, policy=replace(ci.parts.policy, images=ImagePolicy(allowed=("quay.io",))))
    assert (await ci.add()).revision.digest


async def test_whether_it_is_still_there_is_asked_before_a_start(ci: Building) -> None:
    sha = ci.commit()
    revision = (await ci.add()).revision
    assert await check_ci_image(ci.parts, ci.person(), revision) is InspectionResult.OK
    assert await check_ci_image(ci.parts, ci.person("zoe"), revision) is InspectionResult.UNVERIFIED
    del ci.code.registry().tags[sha[:8]]
    ci.later(seconds=60)
    assert await check_ci_image(ci.parts, ci.person(), revision) is InspectionResult.NOT_FOUND


async def start(ci: Building, session: Session, name: str = "jane") -> LaunchSpec:
    """What a start would run, after the last look."""
    spec = await prepare_launch_spec(ci.parts, ci.person(name), session.id)
    return await admit_launch(ci.parts, ci.person(name), spec)


async def test_a_start_runs_the_pinned_content(ci: Building) -> None:
    ci.commit()
    session = await ci.add()
    ci.commit()
    spec = await start(ci, session)
    assert (spec.image, spec.digest) == (session.revision.canonical_reference, session.revision.digest)
    assert (spec.own_image, spec.unverified) == (True, True)  # nobody has said that it is public


async def test_a_start_of_an_image_that_was_cleaned_up_is_refused(ci: Building) -> None:
    sha = ci.commit()
    session = await ci.add()
    del ci.code.registry().tags[sha[:8]]
    ci.later(seconds=60)
    with pytest.raises(LaunchRefusedError) as refused:
        await start(ci, session)
    assert refused.value.code == "image_digest_gone"


async def test_a_start_by_somebody_who_may_not_see_the_images_is_refused(ci: Building) -> None:
    ci.commit()
    session = await ci.add()
    with pytest.raises(LaunchRefusedError) as refused:
        await start(ci, session, "rob")
    assert refused.value.code == "image_denied"


@pytest.mark.parametrize("mode", ["500", "hang", "html", "429:5"])
async def test_a_gitlab_that_gives_no_answer_keeps_nobody_from_starting(
    ci: Building, lab: FakeGitLab, mode: str
) -> None:
    ci.commit()
    session = await ci.add()
    ci.later(seconds=60)
    lab.mode = mode
    took = Stopwatch()
    assert (await start(ci, session)).digest == session.revision.digest
    assert took() < 20  # 7 on a quiet machine: five for the access, two for the tags


# ---- news --------------------------------------------------------------------------------------


async def test_a_newer_image_is_told_with_how_many_commits_later(ci: Building) -> None:
    ci.commit()
    session = await ci.add()
    assert (await ci.view(session)).update is None
    ci.commit(built=False)
    ci.commit(built=False, status="failed")
    new = ci.commit()
    assert (await ci.view(session)).update is None  # looked at a moment ago
    ci.later(minutes=11)
    update = (await ci.view(session)).update
    assert (update.commits, update.commit, update.revision, update.stored) == (3, new, 2, False)
    between = await list_commits_of_update(ci.parts, ci.person(), session, update)
    assert between[0].sha == new
    assert len(between) == 3
    assert await list_commits_of_update(ci.parts, ci.person("rob"), session, update) == []


async def test_a_push_without_an_image_changes_nothing(ci: Building) -> None:
    ci.commit()
    session = await ci.add()
    ci.commit(built=False, status="running")
    ci.later(minutes=11)
    assert (await ci.view(session)).update is None
    assert (await ci.view(session)).session.revision == session.revision


async def test_an_image_of_another_branch_is_no_news(ci: Building) -> None:
    ci.commit()
    session = await ci.add()
    ci.commit("other")
    ci.later(minutes=11)
    assert (await ci.view(session)).update is None


async def test_each_image_of_a_branch_has_its_own_news(ci: Building) -> None:
    sha = ci.commit()
    ci.code.image(sha[:8], name="gpu")
    plain, gpu = await ci.add(), await ci.add(image=f"{ci.prefix}/gpu:{sha[:8]}")
    new = ci.commit()
    ci.later(minutes=11)
    assert (await ci.view(plain)).update.image == f"{ci.prefix}:{new[:8]}"
    assert (await ci.view(gpu)).update is None
    ci.code.image(new[:8], name="gpu")
    ci.later(minutes=11)
    assert (await ci.view(gpu)).update.image == f"{ci.prefix}/gpu:{new[:8]}"


async def test_ten_minutes_have_one_look_however_many_pages(ci: Building, lab: FakeGitLab) -> None:
    ci.commit()
    session = await ci.add()
    await ci.view(session)
    await ci.view(session, "rob")
    ci.parts.gitlab_ci.clear_cache()
    before = len(lab.calls)
    for _ in range(5):
        await ci.view(session)
        await ci.view(session, "rob")
    assert len(lab.calls) == before


async def test_an_editor_accepts_and_everybody_runs_it(ci: Building) -> None:
    ci.commit()
    session = await ci.add()
    new = ci.commit()
    ci.later(minutes=11)
    update = (await ci.view(session)).update
    pinned = await choose_revision(ci.parts, ci.person(), ci.project.id, session.id, update.revision, update.digest)
    assert (pinned.revision.number, pinned.revision.commit, pinned.revision.digest) == (2, new, update.digest)
    assert (await ci.view(session, "rob")).update is None
    back = await choose_revision(ci.parts, ci.person(), ci.project.id, session.id, 1)
    assert back.revision.id == session.revision.id


async def test_a_viewer_cannot_accept(ci: Building) -> None:
    ci.commit()
    session = await ci.add()
    ci.commit()
    with pytest.raises(ForbiddenError):
        await choose_revision(ci.parts, ci.person("rob"), ci.project.id, session.id, 2)


async def test_what_was_looked_at_is_accepted_and_nothing_newer(ci: Building) -> None:
    ci.commit()
    session = await ci.add()
    ci.commit()
    ci.later(minutes=11)
    seen = (await ci.view(session)).update
    ci.commit()
    ci.later(seconds=60)
    with pytest.raises(ConflictError) as refused:
        await choose_revision(ci.parts, ci.person(), ci.project.id, session.id, 2, seen.digest)
    assert refused.value.code == "changed"
    assert (await ci.view(session, asks=False)).session.revision.number == 1


async def test_a_dismissed_image_is_told_no_more_until_there_is_another(ci: Building) -> None:
    ci.commit()
    session = await ci.add()
    ci.commit()
    ci.later(minutes=11)
    first = (await ci.view(session)).update
    await dismiss_image_update(ci.parts, ci.person(), ci.project.id, session.id, first.digest)
    assert (await ci.view(session)).update is None
    ci.commit()
    ci.later(minutes=11)
    second = (await ci.view(session)).update
    assert second.digest != first.digest
    assert second.commits == 2
    with pytest.raises(ForbiddenError):
        await dismiss_image_update(ci.parts, ci.person("rob"), ci.project.id, session.id, second.digest)


async def test_a_commit_built_anew_is_told_as_such(ci: Building) -> None:
    sha = ci.commit()
    session = await ci.add()
    ci.code.image(sha[:8], config={"Labels": {"built": "again"}})
    ci.later(minutes=11)
    update = (await ci.view(session)).update
    assert (update.commits, update.commit) == (0, sha)


async def test_gitlab_away_is_no_news_and_is_asked_again_soon(ci: Building, lab: FakeGitLab) -> None:
    ci.commit()
    session = await ci.add()
    ci.commit()
    ci.later(minutes=11)
    lab.fault(f"/api/v4/projects/{ci.code.id}", "500", 3)
    assert (await ci.view(session)).update is None
    lab.faults.own.clear()
    ci.later(minutes=3)
    assert (await ci.view(session)).update is not None


@pytest.fixture
async def reading(ci: Building, lab: FakeGitLab) -> AsyncIterator[Building]:
    """Registries are asked as well, and the project's images are public."""
    ci.code.visibility = "public"
    client = RegistryClient(EgressGuard(plain_http=[lab.registry_host, f"127.0.0.1:{lab.port}"]), ("linux/amd64",))
    ci.parts = replace(ci.parts, registry=client)
    yield ci
    await client.close()


async def test_of_a_public_image_is_known_what_is_in_it_and_what_a_newer_one_changes(reading: Building) -> None:
    ci, sha = reading, reading.commit(built=False)
    config = {"User": "1001", "ExposedPorts": {"8787/tcp": {}}}
    ci.code.image(sha[:8], made=made_images.image(config=config, sbom=made_images.spdx({"numpy": "2.4.1"})))
    session = await ci.add()
    assert session.revision.facts["user"] == "1001"
    assert session.revision.run.port == 8787
    await ci.view(session)
    new = ci.commit(built=False)
    ci.code.image(new[:8], made=made_images.image(config=config, sbom=made_images.spdx({"numpy": "2.4.3"})))
    ci.later(minutes=11)
    view = await ci.view(session)
    assert view.update.facts["user"] == "1001"
    known = await load_installed_software(ci.parts, view.session, view.update.digest)
    assert [(each.name, each.old, each.new) for each in known.changes.changed] == [("numpy", "2.4.1", "2.4.3")]


async def test_of_a_private_image_nothing_is_known_and_no_token_is_sent(reading: Building) -> None:
    ci = reading
    ci.code.visibility = "private"
    ci.commit()
    session = await ci.add()
    assert (session.revision.digest is not None, session.revision.facts) == (True, {})
    asked = [who for _, path, who in ci.lab.calls if path.startswith(("/v2/", "/jwt/auth"))]
    assert set(asked) == {""}


async def test_a_webhook_makes_the_next_look_immediate(ci: Building) -> None:
    ci.commit()
    session = await ci.add()
    await ci.view(session)
    ci.commit()
    await expire_ci_image_status(ci.parts, "999999")
    assert (await ci.view(session)).update is None
    await expire_ci_image_status(ci.parts, str(ci.code.id))
    assert (await ci.view(session)).update is not None
