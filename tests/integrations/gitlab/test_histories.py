"""Whatever happens in GitLab and whoever asks meanwhile: each gets what GitLab has lately said to them."""

import asyncio
from bisect import bisect_right
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renku_spawner.domain.access import Person, ProjectAction
from renku_spawner.domain.errors import RenkuError
from renku_spawner.integrations.gitlab.projects import (
    ACCESS_REQUIREMENTS,
    ACTION_ACCESS_MAX_AGE_SECONDS,
    DENIAL_MAX_AGE_SECONDS,
    DEVELOPER_LEVEL,
    OWNER_LEVEL,
    STALE_ACCESS_MAX_AGE_SECONDS,
    to_project_role,
)

USERS, PATHS = ("alice", "bob", "carol"), ("astro/hidden", "astro/open", "dave/notes")
WINDOW = 300.0
ASKED = st.tuples(st.sampled_from(USERS), st.sampled_from(PATHS), st.sampled_from(list(ProjectAction)))
STEPS = st.one_of(
    st.tuples(st.just("later"), st.sampled_from([1.0, 16.0, 45.0, 61.0, 250.0, 301.0])),
    st.tuples(
        st.just("become"),
        st.sampled_from(USERS),
        st.sampled_from(PATHS),
        st.sampled_from([None, 10, 20, 30, 50]),
    ),
    st.tuples(st.just("log_out"), st.sampled_from(USERS)),
    st.tuples(st.just("mode"), st.sampled_from(["ok", "ok", "500"])),
    st.tuples(st.just("list"), st.sampled_from(USERS)),
    st.tuples(st.just("ask"), st.lists(ASKED, min_size=1, max_size=5)),
    st.tuples(st.just("ask"), st.lists(ASKED, min_size=1, max_size=5)),
)


@dataclass
class History:
    """What GitLab would have said to each at each moment: the level, None to whom it does not show the project."""

    world: object
    levels: dict[tuple[str, str], list[tuple[float, int | None]]] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)  # nothing before counts: their token was refused

    async def later(self, seconds: float) -> None:
        self.world.ahead += seconds

    async def mode(self, mode: str) -> None:
        self.world.lab.mode = mode
        if mode == "ok":  # and known to be: it was left alone while it failed
            self.world.ahead += 16
            await self.world.gitlab.get("dave", "/user")

    async def log_out(self, name: str) -> None:
        self.world.lab.revoke(name)

    async def become(self, name: str, path: str, level: int | None) -> None:
        project = self.world.lab.world.project_at(path)
        self.world.lab.remove_member(project, name)
        if level is not None:
            self.world.lab.member(project, name, level)
        seen = level if level is not None or project.visibility == "private" else 0
        self.levels.setdefault((name, path), []).append((self.world.clock(), seen))

    def between(self, name: str, path: str, begin: float, end: float) -> set[int | None]:
        """What was so at any moment of that time."""
        known = self.levels[name, path]
        first = bisect_right([moment for moment, _ in known], max(begin, self.since.get(name, begin))) - 1
        return {level for moment, level in known[max(first, 0) :] if moment <= end}

    async def ask(self, questions: list[tuple[str, str, ProjectAction]]) -> None:
        await asyncio.gather(*(self.ask_for(*each) for each in questions))

    async def ask_for(self, name: str, path: str, action: ProjectAction) -> None:
        begin = self.world.clock()
        try:
            project = await self.world.get(name, path, action)
        except RenkuError as refusal:
            self.check_refusal(refusal.code, name, path, action, begin)
            return
        away = self.world.lab.mode != "ok"
        most = (
            (STALE_ACCESS_MAX_AGE_SECONDS if action is ProjectAction.READ else WINDOW)
            if away
            else ACCESS_REQUIREMENTS[action].seconds
        )
        levels = self.between(name, path, begin - most, self.world.clock()) - {None}
        roles = {to_project_role(level, archived=False) for level in levels}
        if action is ProjectAction.LAUNCH:
            assert roles
        elif away:
            assert max(roles) >= project.get_role(Person(name=name))
        else:
            assert project.get_role(Person(name=name)) in roles

    def check_refusal(self, code: str, name: str, path: str, action: ProjectAction, begin: float) -> None:
        away = self.world.lab.mode != "ok"
        if code == "log_in_again":
            self.since[name] = begin
            self.world.tokens.kept.pop(name, None)
        elif code == "not_found":
            assert None in self.between(name, path, begin - DENIAL_MAX_AGE_SECONDS, self.world.clock())
        elif code == "permission_denied":
            levels = self.between(name, path, begin - ACCESS_REQUIREMENTS[action].seconds, self.world.clock()) - {None}
            assert min(levels) < (DEVELOPER_LEVEL if action is ProjectAction.WRITE else OWNER_LEVEL)
        else:
            assert away, code

    async def list(self, name: str) -> None:
        begin = self.world.clock()
        try:
            entries, _ = await self.world.listed(name)
        except RenkuError as refusal:
            self.check_refusal(refusal.code, name, PATHS[0], ProjectAction.READ, begin)
            return
        most = STALE_ACCESS_MAX_AGE_SECONDS if self.world.lab.mode != "ok" else ACTION_ACCESS_MAX_AGE_SECONDS
        for entry in entries:
            assert self.between(name, entry.path, begin - most, self.world.clock()) - {None, 0}


@pytest.fixture
def projects(world):
    """One that is hidden, one that everybody sees, and one in somebody's own namespace."""
    for path in PATHS:
        world.lab.project(path, visibility="public" if path == "astro/open" else "private", owner="dave")


@given(steps=st.lists(STEPS, min_size=8, max_size=25))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_each_gets_what_gitlab_has_lately_said_to_them(world, projects, steps):
    world.again()
    history = History(world)
    await history.mode("ok")
    for name in USERS:
        for path in PATHS:
            await history.become(name, path, None)
    for what, *about in steps:
        await getattr(history, what)(*about)
