"""Whatever people, hub and cluster do, in whatever order: after quiet the invariants hold.

`make test` plays a few runs that are always the same; `make machine` many, those of `RENKU_TEST_SEED`, and with
`RENKU_TEST_MACHINE=nightly` still more and never twice the same. The statistics are printed at the end.
"""

import asyncio
import logging
import os
import shutil
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.cluster import machine_model as model
from tests.cluster.machine_clock import Loop, clock
from tests.cluster.machine_hub import no_configuration
from tests.cluster.machine_model import Key
from tests.cluster.machine_steps import (
    NOTHING,
    add,
    at_once,
    change_member,
    delete_session,
    die,
    edit,
    end,
    end_amid,
    finish,
    go_or_come,
    look,
    move,
    remove_claim,
    restart,
    resume,
    start,
    watch_fault,
)
from tests.cluster.machine_world import ROLES, Lines, Template, World, prepare

NIGHTLY = os.environ.get("RENKU_TEST_MACHINE") == "nightly"
RUNS, STEPS, BATCHES = (500, 50, 10) if NIGHTLY else (54, 30, 3)
FEW, ALWAYS = 14, 7  # runs, and the seed
SEED = int(os.environ.get("RENKU_TEST_SEED", time.time_ns() if NIGHTLY else 0))
RULES = (
    "add", "edit", "delete_session", "start", "pause", "resume", "delete", "click_twice", "second_tab",
    "kill_hub", "stop_hub", "restart_hub", "begin_hub", "api_goes", "api_comes", "api_trouble", "watch_fault",
    "pod_dies", "pod_moves", "next_start_fails", "claim_removed", "clock_ticks", "member_removed", "member_added",
    "somebody_looks", "settle",
)  # fmt: skip
PEOPLE = st.sampled_from(list(ROLES))
WHICH = st.integers(0, 3)
LINES = 200  # of the log that are shown of a run that fails
SOON = st.sampled_from([0.0, 0.0, 0.3, 1.0, 4.0])  # seconds that pass after a step


class Play:
    """What the runs have in common, and what they have done."""

    loop: Loop
    template: Template
    folder: Path
    lines: Lines
    fired: Counter[str]
    runs: int
    steps: int
    tokens: int
    sockets: int
    threads: int
    took: defaultdict[str, float]
    story: list[str]
    failure: BaseException | None


class Machine(RuleBasedStateMachine):
    world: World
    failed = False
    steps = 0  # since all was quiet
    down = 0  # steps for which there is no hub

    def do(self, work: Coroutine[Any, Any, Any], rule: str, *said: object, then: float = 0) -> None:
        """Take a step, let some time pass, and look at what must hold always."""

        async def step() -> None:
            Play.fired[rule] += await work is not NOTHING
            await asyncio.sleep(then)
            self.world.always()

        self.steps += 1
        self.down = 0 if self.up else self.down + 1
        Play.steps += rule in RULES
        Play.story.append(f"{Play.loop.time():.2f} {rule} {said} then {then}")
        began = time.process_time()
        try:
            Play.loop.run_until_complete(step())
        except BaseException as failure:
            self.failed = True
            Play.failure = Play.failure or failure
            print("\n".join(["", *Play.story, *Play.lines.lines[-LINES:]]))
            raise
        finally:
            Play.took[rule] += time.process_time() - began

    @initialize(
        running=st.lists(st.tuples(PEOPLE, st.integers(0, 1)), max_size=4, unique=True),
        strangers=st.sets(st.sampled_from(["bob", "carol"])),
    )
    def begin(self, running: list[tuple[str, int]], strangers: set[str]) -> None:
        Play.runs += 1
        self.world = World(Play.folder / f"run-{Play.runs}", Play.template, Play.lines.lines)
        Play.lines.lines.clear()
        Play.story.clear()
        self.do(self.world.begin(), "begin")
        for who, which in running:
            self.do(start(self.world, self.key(who, which)), "start", who, which)
        for who in sorted(strangers):  # so that somebody can come back
            self.do(change_member(self.world, who), "member_removed", who)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                if not self.failed:
                    self.do(finish(self.world), "finish")
            finally:
                Play.tokens += len(self.world.secrets)
                Play.loop.run_until_complete(self.world.end())
                shutil.rmtree(self.world.folder, ignore_errors=True)
            if not self.failed:
                left_over()

    async def at_once(self, step: Callable[[], Any]) -> None:
        step()

    @property
    def up(self) -> bool:
        return self.world.hub.app is not None

    @property
    def patient(self) -> bool:
        """No hub is away for long."""
        return self.up or self.down < 3

    def key(self, who: str, which: int) -> Key:
        return who, self.world.sessions[which % len(self.world.sessions)].id

    # ---- sessions ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.up)
    @rule(who=st.sampled_from(["alice", "bob"]), environment=st.sampled_from(["python", "r"]))
    def add(self, who: str, environment: str) -> None:
        self.do(add(self.world, who, environment), "add", who, environment)

    @precondition(lambda self: self.up)
    @rule(who=PEOPLE, which=WHICH, memory=st.sampled_from(["1Gi", "3Gi", "20Gi"]), then=SOON)
    def edit(self, who: str, which: int, memory: str, then: float) -> None:
        self.do(edit(self.world, self.key(who, which), memory), "edit", who, which, memory, then=then)

    @precondition(lambda self: self.up and sum(not known.deleted for known in self.world.sessions) > 1)
    @rule(which=WHICH, then=SOON)
    def delete_session(self, which: int, then: float) -> None:
        self.do(delete_session(self.world, self.key("alice", which)), "delete_session", which, then=then)

    # ---- instances --------------------------------------------------------------------------------------

    @precondition(lambda self: self.up)
    @rule(who=PEOPLE, which=WHICH, then=SOON)
    def start(self, who: str, which: int, then: float) -> None:
        self.do(start(self.world, self.key(who, which)), "start", who, which, then=then)

    @precondition(lambda self: self.up)
    @rule(who=PEOPLE, which=WHICH, then=SOON)
    def pause(self, who: str, which: int, then: float) -> None:
        self.do(end(self.world, self.key(who, which), "pause"), "pause", who, which, then=then)

    @precondition(lambda self: self.up)
    @rule(who=PEOPLE, which=WHICH, then=SOON)
    def resume(self, who: str, which: int, then: float) -> None:
        self.do(resume(self.world, self.key(who, which)), "resume", who, which, then=then)

    @precondition(lambda self: self.up)
    @rule(who=PEOPLE, which=WHICH, then=SOON)
    def delete(self, who: str, which: int, then: float) -> None:
        self.do(end(self.world, self.key(who, which), "delete"), "delete", who, which, then=then)

    @precondition(lambda self: self.up)
    @rule(who=PEOPLE, which=WHICH, what=st.sampled_from(["start", "pause"]), then=SOON)
    def click_twice(self, who: str, which: int, what: str, then: float) -> None:
        self.do(at_once(self.world, self.key(who, which), [what, what]), "click_twice", who, which, what, then=then)

    @precondition(lambda self: self.up)
    @rule(
        who=PEOPLE, which=WHICH, then=SOON,
        what=st.lists(st.sampled_from(["start", "start", "pause", "delete"]), min_size=2, max_size=3),
    )  # fmt: skip
    def second_tab(self, who: str, which: int, what: list[str], then: float) -> None:
        self.do(at_once(self.world, self.key(who, which), what), "second_tab", who, which, what, then=then)

    # ---- the hub ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.up)
    @rule(who=PEOPLE, which=WHICH, amid=st.sampled_from(["", "start", "start", "pause", "delete"]), after=SOON)
    def kill_hub(self, who: str, which: int, amid: str, after: float) -> None:
        work = end_amid(self.world, self.key(who, which), amid, after, kill=True)
        self.do(work, "kill_hub", who, which, amid, after)

    @precondition(lambda self: self.up)
    @rule(who=PEOPLE, which=WHICH, amid=st.sampled_from(["", "start", "start", "pause", "delete"]), after=SOON)
    def stop_hub(self, who: str, which: int, amid: str, after: float) -> None:
        work = end_amid(self.world, self.key(who, which), amid, after, kill=False)
        self.do(work, "stop_hub", who, which, amid, after)

    @precondition(lambda self: self.up)
    @rule(offered=st.sampled_from([{"python", "r"}, {"python", "r"}, {"python"}]), then=SOON)
    def restart_hub(self, offered: set[str], then: float) -> None:
        """It may come back with an environment that is offered no more: one that is archived."""
        self.do(restart(self.world, offered), "restart_hub", offered, then=then)

    @precondition(lambda self: not self.up)
    @rule(then=SOON)
    def begin_hub(self, then: float) -> None:
        self.do(self.world.hub.start(), "begin_hub", then=then)

    # ---- the cluster ------------------------------------------------------------------------------------

    @precondition(lambda self: self.patient)
    @rule(then=st.sampled_from([0.0, 1.0, 20.0]))
    def api_goes_or_comes(self, then: float) -> None:
        self.do(go_or_come(self.world), "api_goes" if not self.world.away else "api_comes", then=then)

    @precondition(lambda self: self.patient)
    @rule(
        verb=st.sampled_from(["create", "create", "get", "delete"]),
        resource=st.sampled_from(["pods", "pods", "persistentvolumeclaims", "secrets"]),
        how=st.sampled_from(
            [{"status": 429}, {"status": 503}, {"status": 500}, {"reset": True}, {"hang_after": True}, {"delay": 2.0}]
        ),
    )
    def api_trouble(self, verb: str, resource: str, how: dict[str, Any]) -> None:
        """Of a kind that one more try mends."""
        about = lambda request: (request.verb, request.resource) == (verb, resource)  # noqa: E731
        self.do(self.at_once(lambda: self.world.cluster.fault(about, **how)), "api_trouble", verb, resource, how)

    @precondition(lambda self: self.patient)
    @rule(how=st.sampled_from(["410", "broken", "duplicate", "late"]), then=SOON)
    def watch_fault(self, how: str, then: float) -> None:
        self.do(watch_fault(self.world, how), "watch_fault", how, then=then)

    @precondition(lambda self: self.patient)
    @rule(which=st.integers(0, 5), case=st.sampled_from(list(model.ENDS)), then=SOON)
    def pod_dies(self, which: int, case: str, then: float) -> None:
        self.do(die(self.world, which, case), "pod_dies", case, then=then)

    @precondition(lambda self: self.patient)
    @rule(which=st.integers(0, 5), then=SOON)
    def pod_moves(self, which: int, then: float) -> None:
        self.do(move(self.world, which), "pod_moves", which, then=then)

    @precondition(lambda self: self.patient)
    @rule(who=PEOPLE, which=WHICH, case=st.sampled_from(list(model.FATES)))
    def next_start_fails(self, who: str, which: int, case: str) -> None:
        self.do(self.at_once(lambda: self.world.doom(self.key(who, which), case)), "next_start_fails", who, which, case)

    @precondition(lambda self: self.patient)
    @rule(which=st.integers(0, 5), then=SOON)
    def claim_removed(self, which: int, then: float) -> None:
        self.do(remove_claim(self.world, which), "claim_removed", which, then=then)

    @precondition(lambda self: self.patient)
    @rule(seconds=st.sampled_from([0.1, 2.0, 15.0, 60.0]))
    def clock_ticks(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds), "clock_ticks", seconds)

    # ---- people -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.up)
    @rule(who=st.sampled_from(["bob", "carol"]), then=SOON)
    def membership_changes(self, who: str, then: float) -> None:
        rule = "member_removed" if who in self.world.members else "member_added"
        self.do(change_member(self.world, who), rule, who, then=then)

    @precondition(lambda self: self.up and len(self.world.members) < len(ROLES))
    @rule(then=SOON)
    def member_comes_back(self, then: float) -> None:
        who = next(name for name in ROLES if name not in self.world.members)
        self.do(change_member(self.world, who), "member_added", who, then=then)

    @precondition(lambda self: self.up)
    @rule(who=PEOPLE, which=WHICH)
    def somebody_looks(self, who: str, which: int) -> None:
        self.do(look(self.world, self.key(who, which)), "somebody_looks", who, which)

    @precondition(lambda self: self.steps > 6)
    @rule()
    def settle(self) -> None:
        self.steps = 0
        self.do(self.world.quiet(), "settle")


def left_over() -> None:
    """Nothing is left of a run."""
    assert not asyncio.all_tasks(Play.loop), asyncio.all_tasks(Play.loop)
    assert sockets() == Play.sockets, "sockets are left"
    assert threading.active_count() == Play.threads, threading.enumerate()
    complaints, Play.loop.complaints = Play.loop.complaints, []
    assert not complaints, complaints


def sockets() -> int:
    """How many sockets this process has open."""
    there = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            there.append(os.readlink(each))
    return sum(name.startswith("socket:") for name in there)


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Play]]:
    monkeypatch.chdir(tmp_path)
    # With some rules off in each run, as Hypothesis likes it, the rare ones would happen too seldom in so few runs.
    monkeypatch.setattr(
        "hypothesis.strategies._internal.featureflags.FeatureFlags.is_enabled", lambda flags, name: True
    )
    no_configuration(monkeypatch)
    Play.loop, Play.folder, Play.lines = Loop(), tmp_path, Lines()
    Play.runs = Play.steps = Play.tokens = 0
    Play.fired, Play.took, Play.story, Play.failure = Counter(), defaultdict(float), [], None
    logging.getLogger().addHandler(Play.lines)
    with clock(Play.loop):
        Play.template = Play.loop.run_until_complete(prepare(tmp_path / "template"))
        Play.loop.run_until_complete(Play.loop.run_in_executor(None, int))
        Play.sockets, Play.threads = sockets(), threading.active_count()
        yield Play
    logging.getLogger().removeHandler(Play.lines)
    Play.loop.close()


@pytest.mark.machine
def test_after_quiet_the_invariants_hold_whatever_has_happened(
    play: type[Play], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        for batch in range(BATCHES):  # what happens often differs from one to the next
            runs(SEED + batch, RUNS // BATCHES, STEPS)
    finally:
        with capsys.disabled():
            print_statistics()
    all_has_happened(RUNS, STEPS, each=20)


@pytest.mark.alone
def test_after_quiet_the_invariants_hold_in_a_few_runs_that_are_always_the_same(play: type[Play]) -> None:
    runs(ALWAYS, FEW, 30)
    all_has_happened(FEW, 30, each=1)


def runs(number: int, count: int, steps: int) -> None:
    rules = settings(
        max_examples=count, stateful_step_count=steps, deadline=None, print_blob=True, database=None,
        suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate),
    )  # fmt: skip
    machine = type(f"Machine{number}", (Machine,), {})
    try:
        run_state_machine_as_test(seed(number)(machine), settings=rules)
    except Exception as failure:  # it may not happen twice, then Hypothesis tells only that
        raise Play.failure or failure from None


def all_has_happened(count: int, steps: int, *, each: int) -> None:
    assert Play.runs >= count
    assert Play.steps >= 0.95 * count * steps  # Hypothesis ends a run early now and then
    few = {name: Play.fired[name] for name in RULES if Play.fired[name] < each}
    assert not few, f"these have happened too seldom: {few}"
    assert Play.tokens >= count, "there was no secret to find"


def print_statistics() -> None:
    print(
        f"\n{Play.runs} runs, {Play.steps} steps, {Play.tokens} tokens to find, {sum(Play.took.values()):.0f} s of work"
    )
    for name, times in sorted(Play.fired.items()):
        print(f"{name:20} {times:5} times {Play.took[name]:8.2f} s")
