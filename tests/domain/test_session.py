"""A session's configuration, and when a running instance counts as outdated."""

from typing import Any

import pytest

from renku_spawner.domain.projects import Repository
from renku_spawner.domain.resource_classes import ResourceRequirements
from renku_spawner.domain.sessions import NewSession, SessionChange, SessionConfiguration

from .values import NOON, environment, revision, session

A, B = (Repository(directory=name, url=f"https://h.example/{name}") for name in "ab")


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [(None, (A, B)), ((), ()), (("b",), (B,)), (("b", "a"), (A, B)), (("gone",), ())],
)
def test_a_session_gets_all_repositories_or_those_chosen_in_the_projects_order(
    asked: tuple[str, ...] | None, chosen: tuple[Repository, ...]
) -> None:
    assert SessionConfiguration(repositories=asked).select_repositories((A, B)) == chosen


def configured(**fields: Any) -> str:
    return session(configuration=SessionConfiguration(**fields)).fingerprint


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "Renamed"},
        {"description": "Another text."},
        {"version": 7},
        {"position": 3},
        {"deleted_at": NOON},
        {"environment": environment(name="Renamed", revision=revision(id="revisionbbbb", number=2))},
    ],
)
def test_what_changes_nothing_at_the_next_start_leaves_the_fingerprint(fields: dict[str, Any]) -> None:
    assert session(**fields).fingerprint == session().fingerprint


def test_everything_that_takes_effect_at_the_next_start_changes_the_fingerprint() -> None:
    prints = [
        session().fingerprint,
        session(revision=revision(id="revisionbbbb")).fingerprint,
        *(
            configured(needs=ResourceRequirements(**needs))
            for needs in ({"cpu": "2"}, {"memory": "2Gi"}, {"gpu": 1}, {"disk": "2Gi"})
        ),
        *(configured(repositories=chosen) for chosen in ((), ("a",), ("b",), ("a", "b"))),
        *(configured(variables=variables) for variables in ({"A": ""}, {"A": "1"}, {"B": "1"}, {"A": "1", "B": "1"})),
    ]
    assert len(set(prints)) == len(prints)
    assert all(len(each) == 16 for each in prints)


def test_the_order_of_variables_makes_no_difference() -> None:
    assert configured(variables={"A": "1", "B": "2"}) == configured(variables={"B": "2", "A": "1"})


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    assert session().fingerprint == "9f8231019efe3ef1"


def test_a_new_session_needs_an_environment_only_and_an_edit_leaves_what_it_does_not_name() -> None:
    new = NewSession(environment="environmenta")
    assert (new.title, new.description, new.default) == (None, "", False)
    assert new.configuration == SessionConfiguration(needs=ResourceRequirements(), repositories=None, variables={})
    change = SessionChange(version=1)
    assert change.title is change.description is change.configuration is None
