"""The fake cluster's watches tell what those of a real Kubernetes 1.33 told."""

import asyncio
from typing import Any

import pytest

from tests.fakes.conformance import Client, cases, data, make_list, normal, schedule
from tests.fakes.kube import FakeCluster


def summary(line: dict) -> Any:
    """Return a line as the recordings keep it."""
    told = line.get("object", {})
    if "name" not in told.get("metadata", {}):
        return line
    metadata = told["metadata"]
    labels = metadata.get("labels", {}).get("component", "")
    name = metadata["name"].partition(".")[0]
    return [line["type"], name, labels, "deletionTimestamp" in metadata]


def without_versions(lines: list) -> list:
    return [
        [line[0], line[1].partition(".")[0], *line[2:4]] if isinstance(line, list) else normal(line) for line in lines
    ]


async def patch(client: Client, name: str, metadata: dict) -> None:
    path = f"/api/v1/namespaces/sessions-list/pods/{name}"
    await client.send("PATCH", path, {"metadata": metadata}, kind="application/merge-patch+json")


async def change_things(cluster: FakeCluster, client: Client) -> None:
    """Do to the five pods what was done when the watches were recorded."""
    await patch(client, "jupyter-u0", {"annotations": {"a": "b"}})
    await patch(client, "jupyter-u1", {"labels": {"component": None}})
    await patch(client, "jupyter-u4", {"labels": {"component": "singleuser-server"}})
    gone = cluster.find("pods", "jupyter-u2", "sessions-list")
    gone = cluster.api.delete_pod(gone, 1)
    cluster.put_status(gone, phase="Succeeded")
    cluster.api.delete_pod(cluster.find("pods", "jupyter-u2", "sessions-list"), 0)


WATCHED = cases("watch")
REFUSED = [case for case in WATCHED if data("watch")[case]["status"] != 200]
LATER = {"labels-modified-deleted"}  # what is told happens after the watch has begun


async def prepare(case: str, cluster: FakeCluster, client: Client) -> str:
    """Bring about what a watch was recorded on; returns its path with this cluster's version."""
    await make_list(cluster, client)
    for number in range(5):
        schedule(cluster, f"jupyter-u{number}", "sessions-list")
    version = cluster.store.version
    if case not in LATER:
        await change_things(cluster, client)
    if case == "events":
        write_events(cluster, data("watch")[case])
    if case.startswith("410") or case == "old-but-in-cache":
        cluster.compact(caches=case.startswith("410"))
    for letter in "cde" if case == "old-but-in-cache" else "":
        await patch(client, "jupyter-u0", {"annotations": {"a": letter}})
    return data("watch")[case]["request"]["path"].replace("resourceVersion=1600", f"resourceVersion={version}")


@pytest.mark.parametrize("case", REFUSED)
async def test_refused_watches_are_the_recorded_ones(case, cluster, client):
    got = await client.send("GET", await prepare(case, cluster, client))
    recorded = data("watch")[case]
    assert [got["status"], normal(got["body"])] == [recorded["status"], normal(recorded["lines"][0])]


@pytest.mark.parametrize("case", [case for case in WATCHED if case not in REFUSED])
async def test_watches_are_the_recorded_ones(case, cluster, client):
    watch = asyncio.create_task(client.watch(await prepare(case, cluster, client)))
    if case in LATER:
        await cluster.until(lambda: cluster.handler.watches)
        await change_things(cluster, client)
    lines = [summary(line) for line in await watch]
    assert without_versions(lines) == without_versions(data("watch")[case]["lines"])


def write_events(cluster: FakeCluster, recorded: dict) -> None:
    for _, name, *_ in recorded["lines"]:
        owner = name.partition(".")[0]
        cluster.controllers.event(cluster.find("pods", owner, "sessions-list") or named(owner), "Started", "")


def named(name: str) -> dict:
    """Return what an event needs to know of a pod that has gone."""
    metadata = {"name": name, "namespace": "sessions-list", "uid": "1-2", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"containers": []}}
