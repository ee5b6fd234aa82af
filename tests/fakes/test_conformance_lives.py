"""Pods of the fake cluster live as pods of a real Kubernetes 1.33 did, step by step and event by event."""

import json
import re
from typing import Any

import pytest

from tests.fakes.compact import differences, unpacked
from tests.fakes.conformance import Client, cases, data, normal
from tests.fakes.kube import FakeCluster
from tests.fakes.kubelet import ScriptedKubelet
from tests.fakes.pod_life import lives, statuses


def recorded_life(case: str) -> tuple[list, list]:
    """Return the statuses and deletion marks of a life, and its events, as they would be told again."""
    steps = [step for step in lives()[case]["steps"] if step[1] == "status"]
    told = [(status, step[4].get("grace"), step[2]) for status, step in zip(statuses(case), steps, strict=True)]
    return told, [step[2] for step in lives()[case]["steps"] if step[1] == "event"]


def tokens_of(status: dict, pod: dict) -> str:
    """Fill a recorded status as the fake does."""
    name, image = pod["metadata"]["name"], pod["spec"]["containers"][0]["image"]
    text = json.dumps(status)
    for token, shown in (
        ("uid", "<uid>"),
        ("name", name),
        ("namespace", "sessions"),
        ("ip", "127.0.0.3"),
        ("ip 2", "127.0.0.4"),
        ("image", image),
    ):
        text = text.replace(f"<{token}>", shown)
    return text


def comparable(text: str) -> Any:
    text = re.sub(r"<\+?-?\d+>", "<time>", json.dumps(normal(json.loads(text))))
    return json.loads(re.sub(r"<run \d+>", "<container>", text))


@pytest.mark.parametrize("case", cases("lives"))
async def test_pods_live_the_recorded_lives(case, client, cluster):
    cluster.speed = 200
    kubelet = ScriptedKubelet(cluster)
    life = lives()[case]
    wanted = unpacked(data("base")["request"], life["request"])
    name = wanted["metadata"]["name"]
    kubelet.plan(case, name)
    path = "/api/v1/namespaces/sessions/pods"
    made = await client.send("POST", path, wanted)
    assert not differences(normal(unpacked(data("base")["answer"], life["answer"])), normal(made["body"]))
    told, events = recorded_life(case)
    if life["by_client"]:
        await delete_as_recorded(cluster, client, f"{path}/{name}", told)
    history = cluster.store.history["pods"]
    await cluster.until(lambda: len(history) >= len(told))
    assert [mark(change.object) for change in history] == [(grace, scheduled) for _, grace, scheduled in told]
    for change, (status, _, _) in zip(history, told, strict=True):
        assert not differences(comparable(tokens_of(status, wanted)), comparable(json.dumps(change.object["status"])))
    wanted_events = [event_of(event, wanted) for event in events]
    await cluster.until(lambda: [shown(event) for event in in_order(cluster)] == wanted_events)


async def test_a_pod_whose_sandbox_is_made_again_keeps_its_uid_and_gets_another_address(client, cluster):
    """Until it has that, its status says that it is ready where nothing is any more."""
    cluster.speed = 200
    ScriptedKubelet(cluster).plan("sandbox-recreated")
    wanted = unpacked(data("base")["request"], lives()["sandbox-recreated"]["request"])
    await client.send("POST", "/api/v1/namespaces/sessions/pods", wanted)
    history = cluster.store.history["pods"]
    await cluster.until(lambda: len(history) == 6)
    pods = [change.object for change in history][-3:]
    assert len({pod["metadata"]["uid"] for pod in pods}) == 1
    first, second, third = (pod["status"]["podIP"] for pod in pods)
    assert first == second != third
    assert [condition(pod, "Ready") for pod in pods] == ["True"] * 3
    assert [condition(pod, "PodReadyToStartContainers") for pod in pods] == ["True", "False", "True"]


def condition(pod: dict, kind: str) -> str:
    return next(one["status"] for one in pod["status"]["conditions"] if one["type"] == kind)


def mark(found: dict) -> tuple:
    return found["metadata"].get("deletionGracePeriodSeconds"), "nodeName" in found["spec"]


def in_order(cluster: FakeCluster) -> list[dict]:
    return sorted(cluster.objects("events"), key=lambda event: event["metadata"]["name"])


def shown(event: dict) -> list:
    """Return of an event what must be as recorded."""
    times = event.get("count") or event.get("series", {}).get("count", 1)
    path = event["involvedObject"].get("fieldPath")
    found = [event[key] for key in ("reason", "message", "type", "reportingComponent")]
    return normal([*found, event.get("action"), path, times, "uid" in event["involvedObject"]])


def event_of(event: dict, pod: dict) -> list:
    event = json.loads(tokens_of(event, pod))
    times = event.get("count", event.get("series", 1))
    found = [event[key] for key in ("reason", "message", "type", "reportingComponent")]
    return normal([*found, event.get("action"), event.get("path"), times, "without_uid" not in event])


async def delete_as_recorded(cluster: FakeCluster, client: Client, path: str, told: list) -> None:
    first = next(place for place, (_, grace, _) in enumerate(told) if grace is not None)
    await cluster.until(lambda: len(cluster.store.history["pods"]) >= first)
    grace = told[first][1]
    gone = await client.send("DELETE", path, {"gracePeriodSeconds": grace})
    assert (gone["status"], gone["body"]["kind"]) == (200, "Pod")
