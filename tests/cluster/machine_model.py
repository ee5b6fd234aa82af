"""What may have become of each person's run of each session, said in sets: `running`, `paused`, `failed:<reason>`."""

from collections.abc import Callable, Iterable
from itertools import permutations

Key = tuple[str, str]  # user, session
Outcomes = frozenset[str]
Effect = Callable[[Outcomes], Outcomes]

INACTIVE = frozenset({"inactive"})
# What a pod meets that runs: what its owner reads of it, as tests/cluster/test_running.py has it.
ENDS = {
    "evicted-by-api": "failed:node_drained",
    "evicted-ephemeral-storage": "failed:ephemeral_storage_full",
    "preempted": "failed:preempted",
    "node-drain": "failed:node_drained",
    "node-lost-taint-eviction": "failed:node_lost",
    "active-deadline": "failed:deadline_exceeded",
    "removed": "failed:pod_removed",
    "memory": "failed:crash_oom",
    "exit 1": "failed:crash_exit",
    "exit 0": "paused",
}
# What a pod meets that starts; `launching` waits for room.
FATES = {
    "image-invalid-name": "failed:image_invalid",
    "image-missing-tag": "failed:image_not_found",
    "secret-missing-env": "failed:config_error",
    "start-command-not-found": "failed:command_not_found",
    "nonroot-image-root": "failed:image_root",
    "unschedulable-cpu": "launching",
}
CUT = frozenset({"failed:lost"})  # a start whose hub went
REFUSED = frozenset({"failed:env_archived", "failed:not_found"})  # a start that may not go on with the next hub
NO_ANSWER = frozenset({"failed:cluster_unavailable", "failed:start_timeout"})


def ended(before: Outcomes) -> Outcomes:
    """What has ended stays so."""
    return frozenset(one for one in before if one.startswith("failed") or one in {"inactive", "paused"})


def started(fates: Iterable[str]) -> Effect:
    """A start was accepted: what runs goes on, else it comes to one of *fates*."""
    coming = frozenset(fates)
    return lambda before: coming | (before & {"running"}) | (before & {"launching"})


def paused(before: Outcomes) -> Outcomes:
    """What was about to fail may have failed before."""
    return ended(before) | ({"paused"} if before - INACTIVE else frozenset())


def deleted(before: Outcomes) -> Outcomes:
    """A start that was refused before it had any data has none that could go."""
    return INACTIVE | (before & {"failed:not_found"})


def still_deleting(before: Outcomes) -> Outcomes:
    return paused(before) | INACTIVE


def in_some_order(effects: Iterable[Effect], before: Outcomes) -> Outcomes:
    """Requests that met: the result is that of one order or another."""
    found: frozenset[str] = frozenset()
    for order in permutations(effects):
        after = before
        for effect in order:
            after = effect(after)
        found |= after
    return found
