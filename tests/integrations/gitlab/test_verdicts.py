"""The cache of verdicts, whatever order GitLab's answers come in."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from renku_spawner.domain.access import ProjectAction
from renku_spawner.integrations.gitlab.projects import (
    ACCESS_REQUIREMENTS,
    DENIAL_MAX_AGE_SECONDS,
    STALE_ACCESS_MAX_AGE_SECONDS,
    VIEW_ACCESS_MAX_AGE_SECONDS,
    AccessRequirement,
    GitLabAccessCache,
    VisibleProject,
)

Answer = tuple[float, int | None]
Flight = tuple[tuple[int, int], float, int | None, int | None]
USERS, PROJECTS = (7, 8), (42, 43)
ENOUGH = 30


def sight(least: int = 0) -> VisibleProject:
    return VisibleProject(archived=False, repository=True, least=least)


class Cache(RuleBasedStateMachine):
    """GitLab changes its mind, questions overtake each other, answers come late or as errors.

    The model is GitLab's own history: what it said to each question, and when that was asked. One kind of question
    is for the project, and its answer tells the least that somebody has; the other is for their level.
    """

    flights = Bundle("flights")

    @initialize()
    def begin(self) -> None:
        self.now = 1000.0
        self.cache = GitLabAccessCache(lambda: self.now)
        self.truth: dict[tuple[int, int], int | None] = {(u, p): None for u in USERS for p in PROJECTS}
        self.sights: dict[tuple[int, int], list[Answer]] = {key: [] for key in self.truth}
        self.levels: dict[tuple[int, int], list[Answer]] = {key: [] for key in self.truth}
        self.purged = dict.fromkeys(USERS, 0.0)

    @rule(seconds=st.floats(0.001, 400))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(user=st.sampled_from(USERS), project=st.sampled_from(PROJECTS), level=st.none() | st.integers(0, 60))
    def gitlab_decides(self, user: int, project: int, level: int | None) -> None:
        self.truth[user, project] = level

    @rule(
        target=flights,
        user=st.sampled_from(USERS),
        project=st.sampled_from(PROJECTS),
        told=st.none() | st.integers(0, 60),
    )
    def somebody_asks(self, user: int, project: int, told: int | None) -> Flight:
        """For the project, of whose level GitLab tells up to *told*; None: for the level."""
        self.now += 0.001
        return (user, project), self.now, self.truth[user, project], told

    @rule(flight=flights)
    def an_answer_comes(self, flight: Flight) -> None:
        key, begun, level, told = flight
        if self.now - begun > 10:  # calls end in 5 s
            return
        if level is None:
            self.cache.record_denial(key, asked_at=begun)
            self.sights[key].append((begun, None))
            self.levels[key].append((begun, None))
        elif told is None:
            self.cache.record_level(key, level, asked_at=begun)
            self.levels[key].append((begun, level))
        else:
            self.cache.record_visible(key, sight(min(told, level)), asked_at=begun)
            self.sights[key].append((begun, min(told, level)))

    @rule(user=st.sampled_from(USERS))
    def a_token_is_refused(self, user: int) -> None:
        self.cache.invalidate_user(user)
        self.purged[user] = self.now

    @invariant()
    def nothing_is_allowed_that_gitlab_has_not_last_said(self) -> None:
        for key in getattr(self, "sights", {}):
            for need in (
                *ACCESS_REQUIREMENTS.values(),
                AccessRequirement(seconds=VIEW_ACCESS_MAX_AGE_SECONDS, enough=10),
                AccessRequirement(seconds=STALE_ACCESS_MAX_AGE_SECONDS, enough=0),
            ):
                self.check(key, need)

    def last(self, key: tuple[int, int], answers: list[Answer], seconds: float) -> Answer | None:
        """The latest of those that count, if it is young enough."""
        counting = [answer for answer in answers if answer[0] > self.purged[key[0]]]
        last = max(counting, key=lambda answer: (answer[0], answer[1] is None), default=None)
        return last if last is not None and self.now - last[0] <= seconds else None

    def check(self, key: tuple[int, int], need: AccessRequirement) -> None:
        found = self.cache.get_access(key, need)
        seen = self.last(key, self.sights[key], need.seconds)
        level = self.last(key, self.levels[key], need.seconds)
        if seen is None or seen[1] is None:
            assert found is None
        elif level is not None and level[1] is not None:
            assert found is not None
            assert found.level == (level[1] if level[0] > seen[0] else max(seen[1], level[1]))
        else:
            assert (found is not None) == (seen[1] >= need.enough)
            assert found is None or found.level == seen[1]
        assert found is None or 0 <= found.age <= need.seconds
        no = self.last(key, self.sights[key], DENIAL_MAX_AGE_SECONDS)
        assert self.cache.is_denied(key) == (no is not None and no[1] is None)


TestCache = Cache.TestCase
TestCache.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


@given(seconds=st.floats(0, 1000), action=st.sampled_from(ProjectAction))
def test_a_verdict_is_no_older_than_its_action_allows(seconds, action):
    now = 0.0
    cache = GitLabAccessCache(lambda: now)
    cache.record_visible((7, 42), sight(ENOUGH), asked_at=0.0)
    now = seconds
    assert (cache.get_access((7, 42), ACCESS_REQUIREMENTS[action]) is not None) == (
        seconds <= (300 if action is ProjectAction.READ else 60)
    )


def test_the_verdict_of_one_is_not_anothers():
    cache = GitLabAccessCache(lambda: 0.0)
    cache.record_visible((7, 42), sight(), asked_at=0.0)
    cache.record_level((7, 42), 50, asked_at=0.0)
    cache.invalidate_user(8)
    assert cache.get_access((7, 42), ACCESS_REQUIREMENTS[ProjectAction.LAUNCH]) is not None
    assert cache.get_access((8, 42), ACCESS_REQUIREMENTS[ProjectAction.LAUNCH]) is None
    assert cache.get_access((7, 43), ACCESS_REQUIREMENTS[ProjectAction.LAUNCH]) is None
