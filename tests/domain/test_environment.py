"""Environments and their revisions."""

import pytest

from renku_spawner.domain.environments import (
    EnvironmentKind,
    EnvironmentState,
    NewEnvironment,
    NewRevision,
    RunConfiguration,
)

from .values import environment, revision


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        (EnvironmentState.DRAFT, False),
        (EnvironmentState.ACTIVE, True),
        (EnvironmentState.DEPRECATED, True),
        (EnvironmentState.ARCHIVED, False),
    ],
)
def test_new_sessions_are_made_from_what_is_active_or_on_its_way_out(state: EnvironmentState, offered: bool) -> None:
    assert environment(state=state).is_offered is offered


def test_a_revision_reads_with_its_tag_where_it_has_one() -> None:
    assert revision().canonical_reference == "docker.io/library/nginx:latest"
    assert revision(tag=None, digest="sha256:0").canonical_reference == "docker.io/library/nginx"


def test_what_is_not_said_is_usual_for_jupyter_and_offered_to_all() -> None:
    assert NewRevision(image="x", repository="docker.io/library/x").run == RunConfiguration()
    run = RunConfiguration()
    assert (run.default_url, run.port, run.working_directory, run.uid) == ("/lab", 8888, "/work", None)
    assert NewEnvironment(name="Python").kind is EnvironmentKind.DEFAULT
