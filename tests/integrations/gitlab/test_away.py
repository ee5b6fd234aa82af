"""What is still to be seen, and what may still be done, while GitLab does not answer."""

import asyncio
from datetime import timedelta

import pytest

from renku_spawner.domain.access import Person, ProjectAction, Role
from renku_spawner.domain.errors import UnavailableError
from renku_spawner.integrations.gitlab import projects
from renku_spawner.integrations.gitlab.client import GitLabForbidden, GitLabLoginRequired, GitLabUnavailable
from tests.fixtures.fair import Stopwatch
from tests.integrations.gitlab.worlds import NOON

READ, LAUNCH, WRITE, MANAGE = ProjectAction
MODES = ["500", "502", "html", "bad json", "reset", "truncated", "429:86400", "429:soon"]

VIEW_TIMEOUT_SECONDS = projects.VIEW_TIMEOUT_SECONDS  # before a fixture changes it


@pytest.fixture
async def spectra(world):
    """A project that alice and bob have just looked at."""
    project = world.lab.project("astro/spectra", owner="alice")
    world.lab.member(project, "bob", 20)
    for name in ("alice", "bob"):
        await world.get(name, "astro/spectra")
        await world.listed(name)
    world.lab.mode = "500"
    return project


@pytest.mark.parametrize("mode", MODES)
async def test_a_project_is_shown_from_what_was_said_up_to_15_minutes_ago(mode, world, spectra):
    world.lab.mode = mode
    world.ahead += 301
    project = await world.get("alice", "astro/spectra")
    assert project.stale is not None
    assert abs(project.stale - NOON) < timedelta(seconds=30)
    assert project.get_role(Person(name="alice")) is Role.OWNER
    world.ahead += 585
    assert (await world.get("alice", spectra.id)).unverified
    world.ahead += 30
    assert await world.may("alice", "astro/spectra", READ) == "gitlab_unavailable"


@pytest.fixture
def impatient(world, monkeypatch):
    """Pages wait for GitLab as long as they do, and not as long as a busy machine wants."""
    monkeypatch.setattr(projects, "VIEW_TIMEOUT_SECONDS", VIEW_TIMEOUT_SECONDS)


@pytest.mark.parametrize("mode", ["hang", "drip"])
async def test_a_page_waits_less_than_two_seconds_for_a_gitlab_that_hangs_and_only_once(
    mode, world, spectra, impatient
):
    assert VIEW_TIMEOUT_SECONDS < 2
    world.lab.mode = mode
    world.ahead += 301
    took = Stopwatch()
    project = await world.get("alice", "astro/spectra")
    first = took()
    assert project.stale is not None
    again = Stopwatch()
    await world.get("alice", project.id)
    assert again() < 1.5
    assert first < 6  # 1.5 s, and a busy machine


async def test_a_list_is_shown_from_what_was_said_up_to_15_minutes_ago(world, spectra):
    world.ahead += 301
    entries, _ = await world.listed("alice")
    assert [entry.path for entry in entries] == ["astro/spectra"]
    assert entries[0].stale is not None
    world.ahead += 601
    with pytest.raises(GitLabUnavailable):
        await world.listed("alice")


async def test_starting_and_changing_need_a_yes_that_is_five_minutes_old_at_most(world, spectra):
    world.ahead += 290
    assert await world.may("alice", spectra.id, LAUNCH) is True
    assert await world.may("alice", spectra.id, WRITE) is True
    world.ahead += 20
    for action in (LAUNCH, WRITE, MANAGE):
        assert await world.may("alice", spectra.id, action) == "access_unverified"


async def test_the_window_is_an_admins_to_choose(world):
    project = world.lab.project("astro/spectra", owner="alice")
    world.again(window=0.0)
    await world.get("alice", project.id)
    world.lab.mode = "500"
    world.ahead += 30
    assert await world.may("alice", project.id, LAUNCH) is True  # of the last minute
    world.ahead += 31
    assert await world.may("alice", project.id, LAUNCH) == "access_unverified"


async def test_who_was_never_let_in_is_not_let_in_now(world, spectra):
    assert await world.may("carol", spectra.id, READ) == "gitlab_unavailable"
    assert await world.may("carol", spectra.id, LAUNCH) == "access_unverified"
    assert await world.may("bob", spectra.id, WRITE) == "permission_denied"


async def test_what_is_hidden_and_what_is_absent_are_the_same_now_too(world, spectra):
    ours = (await world.get("alice", spectra.id)).id
    for ref in ("astro/spectra", spectra.id, ours, "astro/never", 999_999, "a" * 12):
        assert await world.may("carol", ref, READ) == "gitlab_unavailable"
        assert await world.may("carol", ref, LAUNCH) == "access_unverified"


async def test_no_error_is_remembered_as_a_yes_or_a_no(world):
    project = world.lab.project("astro/spectra", owner="alice")
    for mode in ("500", "html", "reset"):
        world.lab.mode = mode
        assert await world.may("alice", project.id, READ) == "gitlab_unavailable"
        assert await world.may("bob", project.id, READ) == "gitlab_unavailable"
        world.ahead += 3
    world.lab.mode = "ok"
    world.ahead += 16
    assert await world.role("alice", project.id) is Role.OWNER
    assert await world.role("bob", project.id) is None


@pytest.mark.parametrize("mode", ["403", "404"])
async def test_a_definite_no_ends_at_once_what_was_allowed(mode, world, spectra):
    world.lab.mode = mode
    world.ahead += 61
    assert await world.may("alice", spectra.id, LAUNCH) == "not_found"
    world.lab.mode = "500"
    world.ahead += 16
    assert await world.may("alice", spectra.id, READ) == "gitlab_unavailable"


async def test_a_no_is_remembered_for_a_quarter_of_a_minute(world):
    project = world.lab.project("astro/spectra", owner="alice")
    assert await world.role("bob", project.id) is None
    world.lab.member(project, "bob", 30)
    assert await world.role("bob", project.id) is None
    world.ahead += 16
    assert await world.role("bob", project.id) is Role.EDITOR


async def test_a_login_that_gitlab_ends_ends_everything(world, spectra):
    world.lab.mode = "ok"
    world.lab.revoke("alice")
    world.ahead += 61
    with pytest.raises(GitLabLoginRequired):
        await world.get("alice", spectra.id, LAUNCH)
    world.lab.mode = "500"
    with pytest.raises((GitLabLoginRequired, GitLabUnavailable)):
        await world.get("alice", spectra.id)


async def test_a_token_that_lacks_a_scope_is_said_in_words(world):
    project = world.lab.project("astro/spectra", owner="alice")
    world.lab.mode = "scope"
    with pytest.raises(GitLabForbidden):
        await world.get("alice", project.id)


async def test_pages_outlive_a_token_that_cannot_be_renewed_now(world, spectra):
    world.tokens.away = True
    world.ahead += 301
    assert (await world.get("alice", spectra.id)).stale is not None
    assert await world.may("alice", spectra.id, LAUNCH) == "access_unverified"
    with pytest.raises(GitLabUnavailable):
        await world.get("carol", spectra.id)


async def test_gitlab_is_asked_again_when_it_is_back(world, spectra):
    world.ahead += 301
    assert (await world.get("alice", spectra.id)).stale is not None
    world.lab.mode = "ok"
    world.ahead += 16
    assert (await world.get("alice", spectra.id)).stale is None


@pytest.mark.parametrize("skew", [3600, -3600])
async def test_a_clock_that_is_wrong_makes_nothing_older_or_younger(skew, world, spectra):
    world.wall += skew
    project = await world.get("alice", spectra.id, LAUNCH)
    assert project.stale is None
    world.ahead += 310
    assert await world.may("alice", spectra.id, LAUNCH) == "access_unverified"
    stale = (await world.get("alice", spectra.id)).stale
    assert stale is not None
    assert timedelta(seconds=300) < world.now() - stale < timedelta(seconds=400)


async def test_a_refusal_says_when_to_try_again(world, spectra):
    world.lab.mode = "429:86400"
    world.ahead += 400
    with pytest.raises(UnavailableError) as caught:
        await world.get("alice", spectra.id, LAUNCH)
    assert caught.value.code == "access_unverified"
    assert 1 <= caught.value.retry_after <= 30
    assert "GitLab does not answer" in caught.value.message


async def test_many_who_come_while_gitlab_hangs_neither_wait_nor_stop_the_loop(world, spectra, impatient):
    world.lab.mode = "hang"
    world.ahead += 301
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            took = Stopwatch()
            await asyncio.sleep(0.01)
            longest = max(longest, took())

    watching = asyncio.create_task(watch())
    found = await asyncio.gather(*(world.get(name, "astro/spectra") for name in ("alice", "bob") for _ in range(50)))
    watching.cancel()
    assert all(project.stale for project in found)
    assert longest < 1.5  # a call that blocks takes two seconds
