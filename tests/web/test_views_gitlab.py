"""What pages offer of a project that lives in GitLab: nothing that only GitLab can do, nothing it must first allow."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from renku_spawner.domain.access import Person, Role, Visibility
from renku_spawner.domain.policy import Policy
from renku_spawner.domain.project import Member, Project, ProjectEntry
from renku_spawner.domain.repository import Repository
from renku_spawner.services.looks import ProjectPage
from renku_spawner.web import views_gitlab, views_projects
from renku_spawner.web.urls import Urls
from renku_spawner.web.views_frame import Frame
from tests.domain.values import project

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ADA = Person(name="ada")
WEB = "https://gitlab.example.org/klima/alpen/daily"
FRAME = Frame(urls=Urls(base="/hub/"), now=NOON, gitlab="https://gitlab.example.org")
OWN = Repository(directory="daily", url=f"{WEB}.git", fixed=True)
EXTRA = Repository(directory="tools", url="https://git.example.org/ada/tools.git")


def in_gitlab(role: Role, **fields: object) -> Project:
    """As Ada sees it, who is *role* there."""
    shown = {"source": "gitlab", "source_id": "42", "path": "klima/alpen/daily", "web": WEB}
    members = (Member(kind="user", name="ada", role=role),)
    return replace(project(members=members, repositories=(OWN, EXTRA)), **{**shown, **fields})


def page(found: Project) -> views_projects.View:
    shown = ProjectPage(
        project=found, role=found.role_of(ADA) or Role.VIEWER, sessions=[], next=None, total=0, default=None
    )
    return views_projects.page(shown, [], None, ADA, FRAME, {"search": "", "back": "", "share": ""})


@pytest.mark.parametrize("role", Role)
def test_settings_are_its_repositories_and_its_own_one_stays(role: Role) -> None:
    view = views_projects.settings(in_gitlab(role), [], ADA, FRAME)
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
    assert views_gitlab.acts(found, Policy(git_credentials=given_to)) == (what and told.format("read"))
    pushing = views_gitlab.acts(found, Policy(git_credentials=given_to, push=True))
    assert pushing == (what and told.format("read and push"))
    assert views_gitlab.acts(project(), Policy(git_credentials=given_to)) is None


@pytest.mark.parametrize("unverified", [False, True])
def test_while_gitlab_is_away_nothing_can_be_changed_and_the_page_says_of_when_it_is(unverified: bool) -> None:
    away = in_gitlab(Role.OWNER, stale=NOON, unverified=unverified)
    view = page(away)
    assert [view[key] for key in ("add_url",)] + [view["project"][key] for key in ("settings_url", "new_url")] == [
        None, None, None
    ]  # fmt: skip
    assert "as it was at 12:00 UTC" in view["project"]["away"]
    assert ("Start, Open and Pause work" in view["project"]["away"]) != unverified
    assert views_projects.settings(away, [], ADA, FRAME)["repositories_action"] is None


@pytest.mark.parametrize(
    ("visibility", "words"),
    [
        (Visibility.PRIVATE, "members only"),
        (Visibility.INTERNAL, "everybody who is logged in at GitLab, except external users"),
        (Visibility.PUBLIC, "everybody on this hub"),
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
    now = views_projects.listed([(fresh, None)], {}, "", None, None, FRAME)
    then = views_projects.listed([(stale, None)], {}, "", None, None, FRAME)
    assert (now["away"], now["new_url"], now["gitlab"]) == (None, None, "https://gitlab.example.org")
    assert "as they were at 12:00 UTC" in then["away"]
    assert (bool(now["rows"][0]["new_url"]), then["rows"][0]["new_url"]) == (True, None)
