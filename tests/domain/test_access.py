"""Who may do what in a project, and what those who may not are told."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.domain.access import (
    Person,
    ProjectAction,
    Role,
    Visibility,
    get_effective_role,
    is_action_allowed,
    require_action,
)
from renku_spawner.domain.errors import NOT_FOUND_MESSAGE, ForbiddenError, NotFoundError
from renku_spawner.domain.projects import NewProject, ProjectChange, ProjectMember

from .values import project

PRIVATE, INTERNAL, PUBLIC = Visibility.PRIVATE, Visibility.INTERNAL, Visibility.PUBLIC
VIEWER, EDITOR, OWNER = Role.VIEWER, Role.EDITOR, Role.OWNER
READ, LAUNCH, WRITE, MANAGE = ProjectAction
# All there is; what is not in this table is refused.
ALLOWED = {
    (None, PUBLIC): {READ, LAUNCH},
    (None, PRIVATE): set(),
    (None, INTERNAL): set(),
    (VIEWER, PUBLIC): {READ, LAUNCH},
    (VIEWER, PRIVATE): {READ, LAUNCH},
    (VIEWER, INTERNAL): {READ, LAUNCH},
    (EDITOR, PUBLIC): {READ, LAUNCH, WRITE},
    (EDITOR, PRIVATE): {READ, LAUNCH, WRITE},
    (EDITOR, INTERNAL): {READ, LAUNCH, WRITE},
    (OWNER, PUBLIC): {READ, LAUNCH, WRITE, MANAGE},
    (OWNER, PRIVATE): {READ, LAUNCH, WRITE, MANAGE},
    (OWNER, INTERNAL): {READ, LAUNCH, WRITE, MANAGE},
}
EVERYTHING = list(product([None, *Role], Visibility, ProjectAction))


@pytest.mark.parametrize(("role", "visibility", "action"), EVERYTHING)
def test_a_role_allows_what_the_table_says(role: Role | None, visibility: Visibility, action: ProjectAction) -> None:
    assert is_action_allowed(role, visibility, action) == (action in ALLOWED[role, visibility])


@pytest.mark.parametrize(("role", "visibility", "action"), EVERYTHING)
def test_who_may_not_see_it_is_told_that_it_does_not_exist_and_who_may_why_not(
    role: Role | None, visibility: Visibility, action: ProjectAction
) -> None:
    allowed = ALLOWED[role, visibility]
    if action in allowed:
        require_action(role, visibility, action)
        return
    with pytest.raises(ForbiddenError if READ in allowed else NotFoundError) as refusal:
        require_action(role, visibility, action)
    assert (refusal.value.message == NOT_FOUND_MESSAGE) == (not allowed)


def test_a_public_project_makes_viewers_of_strangers_but_not_of_its_members() -> None:
    assert get_effective_role(None, PUBLIC) is VIEWER
    assert get_effective_role(None, PRIVATE) is None
    assert get_effective_role(EDITOR, PUBLIC) is EDITOR


@pytest.mark.parametrize("role", Role)
def test_a_role_is_the_word_it_is_stored_as(role: Role) -> None:
    assert Role.from_label(role.label) is role


def test_an_unknown_role_is_no_role() -> None:
    with pytest.raises(KeyError):
        Role.from_label("maintainer")


USER, GROUP = ProjectMember(kind="user", name="ada", role=VIEWER), ProjectMember(kind="group", name="ada", role=OWNER)


@pytest.mark.parametrize(
    ("person", "role"),
    [
        (Person(name="ada"), VIEWER),
        (Person(name="bob", groups=frozenset({"ada"})), OWNER),
        (Person(name="ada", groups=frozenset({"ada"})), OWNER),
        (Person(name="bob"), None),
        (Person(name="Ada"), None),
        (Person(name="root", admin=True), None),
    ],
)
def test_somebody_has_the_highest_role_of_their_own_and_their_groups(person: Person, role: Role | None) -> None:
    made = project(members=(USER, GROUP))
    assert made.get_role(person) is role
    assert made.is_allowed(person, MANAGE) == (role is OWNER)
    if role is None:
        with pytest.raises(NotFoundError):
            made.require_action(person, READ)
    else:
        made.require_action(person, LAUNCH)


MEMBERS = st.lists(
    st.builds(
        ProjectMember,
        kind=st.sampled_from(["user", "group"]),
        name=st.sampled_from(["ada", "bob", "ai"]),
        role=st.sampled_from(Role),
    )
)


@given(MEMBERS, st.sampled_from(Visibility))
def test_a_further_membership_never_takes_a_right_away(members: list[ProjectMember], visibility: Visibility) -> None:
    person = Person(name="ada", groups=frozenset({"ai"}))
    before = project(members=tuple(members[1:]), visibility=visibility)
    now = project(members=tuple(members), visibility=visibility)
    assert all(now.is_allowed(person, action) for action in ProjectAction if before.is_allowed(person, action))


def test_a_project_is_private_until_somebody_says_otherwise_and_an_edit_leaves_what_it_does_not_name() -> None:
    assert NewProject(path="ada/x", title="X").visibility is PRIVATE
    change = ProjectChange(version=1)
    assert {key for key, value in vars(change).items() if value is not None} == {"version", "allow_unknown"}
    assert change.allow_unknown is False
