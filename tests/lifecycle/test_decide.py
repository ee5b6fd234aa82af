"""The table of steps is complete, each of its rules decides something, and the architecture page shows it."""

import itertools
import re

import pytest

from renku_spawner.domain.instances import DesiredState, Instance, ObservedState
from renku_spawner.lifecycle.decide import (
    RULES,
    ActualState,
    RecordedState,
    Rule,
    ServerState,
    Step,
    decide,
    get_recorded_state,
)
from tests.docs.test_architecture import PAGE, section

COMBINATIONS = list(itertools.product(RecordedState, ActualState, ServerState))
STEPS_THAT_STOP = {Step.STOP_SERVER, Step.STOP_SESSION, Step.FAIL_LOST, Step.DELETE_DATA}


@pytest.mark.parametrize(("recorded", "actual", "server"), COMBINATIONS)
def test_a_rule_decides_each_combination(recorded: RecordedState, actual: ActualState, server: ServerState) -> None:
    assert decide(recorded, actual, server) in Step


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{'-'.join(rule.recorded)}-{rule.step}")
def test_each_rule_is_the_first_for_a_combination(rule: Rule) -> None:
    first = {next(each for each in RULES if each.matches(*states)) for states in COMBINATIONS}
    assert rule in first, "an earlier rule hides it"


def test_each_step_is_decided_by_a_rule() -> None:
    assert {rule.step for rule in RULES} == set(Step)


@pytest.mark.parametrize("server", [state for state in ServerState if state is not ServerState.NONE])
@pytest.mark.parametrize("recorded", [RecordedState.LAUNCHING, RecordedState.RUNNING])
def test_an_outage_stops_nothing_that_is_wanted(recorded: RecordedState, server: ServerState) -> None:
    assert decide(recorded, ActualState.UNKNOWN, server) not in STEPS_THAT_STOP


@pytest.mark.parametrize(("actual", "server"), itertools.product(ActualState, ServerState))
def test_data_are_deleted_only_where_the_record_says_so(actual: ActualState, server: ServerState) -> None:
    deleting = {state for state in RecordedState if decide(state, actual, server) is Step.DELETE_DATA}
    assert deleting <= {RecordedState.DELETED}


@pytest.mark.parametrize("recorded", [RecordedState.STOPPING, RecordedState.DELETED])
@pytest.mark.parametrize("actual", ActualState)
def test_what_shall_end_ends_whatever_the_hub_knows(recorded: RecordedState, actual: ActualState) -> None:
    """Follow the steps as their effects are, until nothing is left to do."""
    for start in (ServerState.NONE, ServerState.READY, ServerState.CHECKING, ServerState.STOPPING):
        state, server = recorded, start
        for _ in range(6):
            match decide(state, actual, server):
                case Step.NOTHING:
                    break
                case Step.STOP_SERVER:
                    server = ServerState.STOPPING
                case Step.WAIT:  # JupyterHub calls the spawner's `stop`, and forgets the server
                    server = ServerState.NONE
                    state = RecordedState.DELETED if recorded is RecordedState.DELETED else RecordedState.AT_REST
                case Step.RECORD_STOPPED | Step.STOP_SESSION:
                    state, server = RecordedState.AT_REST, ServerState.NONE
                case Step.DELETE_DATA:
                    state = RecordedState.AT_REST
                case other:
                    pytest.fail(f"{other} from {state}, {actual}, {server}")
        else:
            pytest.fail(f"it does not end from {start}")


@pytest.mark.parametrize(
    ("desired", "observed", "turn", "state"),
    [
        (DesiredState.STOPPED, ObservedState.ABSENT, None, RecordedState.AT_REST),
        (DesiredState.DELETED, ObservedState.ABSENT, None, RecordedState.DELETED),
        (DesiredState.RUNNING, ObservedState.QUEUED, 3, RecordedState.QUEUED),
        (DesiredState.RUNNING, ObservedState.CREATING, None, RecordedState.LAUNCHING),
        (DesiredState.RUNNING, ObservedState.WAITING, None, RecordedState.LAUNCHING),
        (DesiredState.RUNNING, ObservedState.READY, None, RecordedState.RUNNING),
        (DesiredState.RUNNING, ObservedState.UNKNOWN, None, RecordedState.RUNNING),
        (DesiredState.STOPPED, ObservedState.TERMINATING, None, RecordedState.STOPPING),
        (DesiredState.DELETED, ObservedState.TERMINATING, None, RecordedState.STOPPING),
    ],
)
def test_a_row_has_one_state_of_the_table(
    desired: DesiredState, observed: ObservedState, turn: int | None, state: RecordedState
) -> None:
    row = Instance(
        id="i", session="s", username="ada", project="p", environment="e", desired=desired, observed=observed, turn=turn
    )
    assert get_recorded_state(row) is state


def test_no_row_has_a_state_too() -> None:
    assert get_recorded_state(None) is RecordedState.NONE


def test_the_architecture_page_shows_the_table() -> None:
    text = section(PAGE.read_text(), "### The table of steps")
    shown = [
        tuple(cell.strip().strip("`") for cell in line.strip("|").split("|"))
        for line in text.splitlines()
        if "`" in line
    ]
    rules = [
        (
            ", ".join(rule.recorded) or "*",
            ", ".join(rule.actual) or "*",
            ", ".join(rule.server) or "*",
            str(rule.step),
            rule.reason,
        )
        for rule in RULES
    ]
    assert [row for row in shown if len(row) == 5 and re.fullmatch(r"\w+", row[3])] == rules
