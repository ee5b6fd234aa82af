"""The cache of verdicts, whatever order GitLab's answers come in (T11)."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from renku_spawner.domain.access import Action
from renku_spawner.projects.verdicts import DENIED_SECONDS, NEEDS, STALE_SECONDS, Need, Sight, Verdicts

USERS, PROJECTS = (7, 8), (42, 43)
SIGHT = Sight(archived=False, repository=True)


class Cache(RuleBasedStateMachine):
    """GitLab changes its mind, questions overtake each other, answers come late or as errors.

    The model is GitLab's own history: what it said to each question, and when that was asked.
    """

    flights = Bundle("flights")

    @initialize()
    def begin(self) -> None:
        self.now = 1000.0
        self.cache = Verdicts(lambda: self.now)
        self.truth: dict[tuple[int, int], int | None] = {(u, p): None for u in USERS for p in PROJECTS}
        self.said: dict[tuple[int, int], list[tuple[float, int | None]]] = {key: [] for key in self.truth}
        self.purged = dict.fromkeys(USERS, 0.0)

    @rule(seconds=st.floats(0.001, 400))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(user=st.sampled_from(USERS), project=st.sampled_from(PROJECTS), level=st.none() | st.integers(0, 60))
    def gitlab_decides(self, user: int, project: int, level: int | None) -> None:
        self.truth[user, project] = level

    @rule(target=flights, user=st.sampled_from(USERS), project=st.sampled_from(PROJECTS))
    def somebody_asks(self, user: int, project: int) -> tuple[tuple[int, int], float, int | None]:
        self.now += 0.001
        return (user, project), self.now, self.truth[user, project]

    @rule(flight=flights)
    def an_answer_comes(self, flight: tuple[tuple[int, int], float, int | None]) -> None:
        key, begun, level = flight
        if self.now - begun > 10:  # calls end in 5 s
            return
        self.said[key].append((begun, level))
        if level is None:
            self.cache.deny(key, begun=begun)
            return
        self.cache.sees(key, SIGHT, begun=begun)
        self.cache.has(key, level, begun=begun)

    @rule(user=st.sampled_from(USERS))
    def a_token_is_refused(self, user: int) -> None:
        self.cache.purge(user)
        self.purged[user] = self.now

    @invariant()
    def nothing_is_allowed_that_gitlab_has_not_last_said(self) -> None:
        for key, answers in getattr(self, "said", {}).items():
            for need in (*NEEDS.values(), Need(seconds=STALE_SECONDS, level=False)):
                self.check(key, answers, need)

    def check(self, key: tuple[int, int], answers: list[tuple[float, int | None]], need: Need) -> None:
        found = self.cache.access(key, need)
        counting = [answer for answer in answers if answer[0] > self.purged[key[0]]]
        last = max(counting, key=lambda answer: (answer[0], answer[1] is None), default=None)
        if last is None or last[1] is None or self.now - last[0] > need.seconds:
            assert found is None
        else:
            assert found is not None
            assert found.level == last[1]
            assert 0 <= found.age <= need.seconds
        no = last is not None and last[1] is None and self.now - last[0] <= DENIED_SECONDS
        assert self.cache.denied(key) == no


TestCache = Cache.TestCase
TestCache.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


@given(seconds=st.floats(0, 1000), action=st.sampled_from(Action))
def test_a_verdict_is_no_older_than_its_action_allows(seconds, action):
    now = 0.0
    cache = Verdicts(lambda: now)
    cache.sees((7, 42), SIGHT, begun=0.0)
    cache.has((7, 42), 30, begun=0.0)
    now = seconds
    assert (cache.access((7, 42), NEEDS[action]) is not None) == (seconds <= (300 if action is Action.READ else 60))


def test_the_verdict_of_one_is_not_anothers():
    cache = Verdicts(lambda: 0.0)
    cache.sees((7, 42), SIGHT, begun=0.0)
    cache.has((7, 42), 50, begun=0.0)
    cache.purge(8)
    assert cache.access((7, 42), NEEDS[Action.LAUNCH]) is not None
    assert cache.access((8, 42), NEEDS[Action.LAUNCH]) is None
    assert cache.access((7, 43), NEEDS[Action.LAUNCH]) is None
