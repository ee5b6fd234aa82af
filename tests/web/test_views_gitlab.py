"""What pages offer of a project that lives in GitLab: nothing that only GitLab can do, nothing it must first allow."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from renku_spawner.domain.access import Person, Role, Visibility
from renku_spawner.domain.policy import HubPolicy
from renku_spawner.domain.projects import Project, ProjectEntry, ProjectMember, Repository
from renku_spawner.usecases.session_queries import ProjectPageData
from renku_spawner.web.page_context import PageContext
from renku_spawner.web.projects.views import (
    ProjectPageView,
    build_project_list_view,
    build_project_page_view,
    build_project_settings_view,
    format_git_permissions,
)
from renku_spawner.web.urls import UrlBuilder
from tests.domain.values import project

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ADA = Person(name="ada")
WEB = "https://gitlab.example.org/klima/alpen/daily"
FRAME = PageContext(urls=UrlBuilder(base="/hub/"), now=NOON, gitlab="https://gitlab.example.org")
OWN = Repository(directory="daily", url=f"{WEB}.git", fixed=True)
EXTRA = Repository(directory="tools", url="https://git.example.org/ada/tools.git")


def in_gitlab(role: Role, **fields: object) -> Project:
    """As Ada sees it, who is *role* there."""
    shown = {"source": "gitlab", "source_id": "42", "path": "klima/alpen/daily", "web": WEB}
    members = (ProjectMember(kind="user", name="ada", role=role),)
    return replace(project(members=members, repositories=(OWN, EXTRA)), **{**shown, **fields})


def page(found: Project) -> ProjectPageView:
    shown = ProjectPageData(
        project=found, role=found.get_role(ADA) or Role.VIEWER, sessions=[], next=None, total=0, default=None
    )
    return build_project_page_view(shown, [], None, ADA, FRAME, {"search": "", "back": "", "share": ""})


@pytest.mark.parametrize("role", Role)
def test_settings_are_its_repositories_and_its_own_one_stays(role: Role) -> None:
    view = build_project_settings_view(in_gitlab(role), [], ADA, FRAME)
    assert [view[part] for part in ("general", "members", "members_action", "leave", "delete_url")] == [
        None, [], None, None, None
    ]  # fmt: skip
    assert [r["remove"] for r in view["repositories"]] == [
        None,
        "/hub/renku/projects/klima/alpen/daily/-/repositories/tools/delete",
    ]
    assert bool(view["repositories_action"]) == (role >= Role.EDITOR)


@pytest.mark.parametrize("role", Role)
def test_settings_are_offered_to_who_can_use_them(role: Role) -> None:
    assert bool(page(in_gitlab(role))["project"]["settings_url"]) == (role >= Role.EDITOR)


ACTS = [("off", True, None), ("off", False, None), ("members", True, "read"), ("members", False, None),
        ("all", True, "read"), ("all", False, "read")]  # fmt: skip


@pytest.mark.parametrize(("given_to", "member", "what"), ACTS)
def test_it_is_said_whose_sessions_can_act_in_gitlab(given_to: str, member: bool, what: str | None) -> None:
    found = in_gitlab(Role.VIEWER, member=member)
    told = "Code in this session can act in GitLab as you ({})."
    assert format_git_permissions(found, HubPolicy(git_credentials=given_to)) == (what and told.format("read"))
    pushing = format_git_permissions(found, HubPolicy(git_credentials=given_to, push=True))
    assert pushing == (what and told.format("read and push"))
    assert format_git_permissions(project(), HubPolicy(git_credentials=given_to)) is None


@pytest.mark.parametrize("unverified", [False, True])
def test_while_gitlab_is_away_nothing_can_be_changed_and_the_page_says_of_when_it_is(unverified: bool) -> None:
    away = in_gitlab(Role.OWNER, stale=NOON, unverified=unverified)
    view = page(away)
    assert [view[key] for key in ("add_url",)] + [view["project"][key] for key in ("settings_url", "new_url")] == [
        None, None, None
    ]  # fmt: skip
    assert "as it was at 12:00 UTC" in view["project"]["away"]
    assert ("Start, Open and Pause work" in view["project"]["away"]) != unverified
    assert build_project_settings_view(away, [], ADA, FRAME)["repositories_action"] is None


@pytest.mark.parametrize(
    ("visibility", "words"),
    [
        (Visibility.PRIVATE, "members only"),
        (Visibility.INTERNAL, "all users who are logged in to GitLab, except external users"),
        (Visibility.PUBLIC, "all users of this hub"),
    ],
)
def test_who_may_see_it_stands_in_words(visibility: Visibility, words: str) -> None:
    assert page(in_gitlab(Role.VIEWER, visibility=visibility))["project"]["visibility"] == words


def test_a_list_that_is_of_earlier_says_so_and_offers_no_change() -> None:
    entry = ProjectEntry(
        id="abcdefghijkl", path="klima/alpen/daily", title="Daily", description="", visibility=Visibility.PRIVATE,
        role=Role.OWNER, default_session=None, default_title=None, sessions=0,
    )  # fmt: skip
    fresh, stale = entry, replace(entry, stale=NOON)
    now = build_project_list_view([(fresh, None)], {}, "", None, None, FRAME)
    then = build_project_list_view([(stale, None)], {}, "", None, None, FRAME)
    assert (now["away"], now["new_url"], now["gitlab"]) == (None, None, "https://gitlab.example.org")
    assert "as they were at 12:00 UTC" in then["away"]
    assert (bool(now["rows"][0]["new_url"]), then["rows"][0]["new_url"]) == (True, None)
