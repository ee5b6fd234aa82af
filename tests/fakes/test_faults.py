"""What goes wrong on demand goes wrong exactly as asked: before or after the commit, on the wire, in a watch."""

import asyncio
import json
import time

import aiohttp
import pytest

from tests.fakes.conformance import pod
from tests.fakes.kube import FakeCluster

PODS = "/api/v1/namespaces/sessions/pods"


def creating(request) -> bool:
    return (request.verb, request.resource) == ("create", "pods")


async def test_a_refusal_comes_so_often_and_changes_nothing(cluster, client):
    cluster.fault(creating, status=503, message="etcd is away", times=2)
    answers = [await client.send("POST", PODS, pod("jupyter-a")) for _ in range(3)]
    assert [answer["status"] for answer in answers] == [503, 503, 201]
    assert answers[0]["body"]["reason"] == "ServiceUnavailable"
    assert len(cluster.objects("pods")) == 1


async def test_429_is_plain_text_with_a_time_to_wait(cluster, client):
    cluster.fault(status=429)
    answer = await client.send("GET", PODS)
    assert answer["body"] == "Too many requests, please try again later.\n"
    assert ["Retry-After", "1"] in answer["headers"]


@pytest.mark.parametrize(("fault", "made"), [({"delay": 60}, 0), ({"delay_after": 60}, 1), ({"hang": True}, 0)])
async def test_an_answer_that_is_late_may_have_done_its_work(cluster, client, fault, made):
    cluster.fault(creating, **fault)
    sending = asyncio.create_task(client.send("POST", PODS, pod("jupyter-a")))
    await cluster.until(lambda: [each for each in cluster.requests if each.verb == "create"])
    await cluster.until(lambda: len(cluster.objects("pods")) == made)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await sending
    assert len(cluster.objects("pods")) == made


async def test_a_connection_breaks_after_the_commit(cluster, client):
    cluster.fault(creating, reset=True)
    with pytest.raises(aiohttp.ClientError):
        await client.send("POST", PODS, pod("jupyter-a"))
    assert len(cluster.objects("pods")) == 1


async def test_an_answer_is_cut_off(cluster, client):
    cluster.fault(truncate=20)
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.send("GET", PODS)


async def lines_until_broken(client, query: str = "") -> list[str]:
    """Watch until the stream ends; returns the types of its lines, and `broken` when it broke off."""
    found = []
    headers = {"Authorization": "Bearer admin-token"}
    try:
        url = f"{client.cluster.url}{PODS}?watch=true{query}"
        async with client.session.get(url, headers=headers) as response:
            async for line in response.content:
                told = json.loads(line)
                found.append(told["type"] if "code" not in told["object"] else str(told["object"]["code"]))
    except aiohttp.ClientPayloadError:
        found.append("broken")
    return found


async def begin_watch(cluster, client, query: str = "") -> asyncio.Task:
    task = asyncio.create_task(lines_until_broken(client, query))
    await cluster.until(lambda: cluster.handler.watches)
    return task


async def test_an_outage_refuses_connections_and_breaks_watches(cluster, client):
    watch = await begin_watch(cluster, client)
    async with cluster.outage():
        assert await watch == ["broken"]
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.send("GET", PODS)
    assert (await client.send("GET", PODS))["status"] == 200


async def test_after_a_restart_the_hub_is_refused_for_a_moment(cluster, client):
    url = cluster.url
    await cluster.restart(confused=0.2)
    assert cluster.url == url
    assert (await client.send("GET", PODS, token="hub-token"))["status"] == 403
    assert (await client.send("GET", PODS))["status"] == 200
    await cluster.until(lambda: time.monotonic() and asyncio.get_running_loop().time() > cluster.handler.loading_until)
    assert (await client.send("GET", PODS, token="hub-token"))["status"] == 200


async def test_open_watches_are_told_410_on_demand(cluster, client):
    watch = await begin_watch(cluster, client)
    cluster.expire_watches()
    assert await watch == ["410"]
    version = cluster.store.version
    assert await lines_until_broken(client, f"&resourceVersion={version - 1}&timeoutSeconds=1") == ["410"]
    assert await lines_until_broken(client, f"&resourceVersion={version}&timeoutSeconds=1") == []


@pytest.mark.parametrize(
    ("effect", "wanted"),
    [
        ("drop", ["b", "c"]),
        ("duplicate", ["a", "a", "b", "c"]),
        ("reorder", ["b", "a", "c"]),
        ("late", ["a", "b", "c"]),
    ],
)
async def test_lines_of_a_watch_are_lost_doubled_swapped_or_late(cluster, client, effect, wanted):
    fault = cluster.watch_fault(effect, lambda change: change.object["metadata"]["name"] == "a", seconds=0.3)
    task = asyncio.create_task(client.watch(f"{PODS}?watch=true&timeoutSeconds=10"))
    await cluster.until(lambda: cluster.handler.watches)
    start = time.monotonic()
    for name in "abc":
        await client.send("POST", PODS, pod(name))
    assert [line["object"]["metadata"]["name"] for line in await task] == wanted
    assert fault.seen == 1
    assert time.monotonic() - start >= (0.3 if effect == "late" else 0)


async def test_requests_and_bytes_are_counted(cluster, client):
    before = cluster.sent()
    await client.send("POST", PODS, pod("jupyter-a"))
    await client.watch(f"{PODS}?watch=true&timeoutSeconds=1")
    assert cluster.counts() == {"create pods": 1, "watch pods": 1}
    assert cluster.sent("watch", "pods") > 1000
    assert cluster.sent() - before == cluster.sent("watch") + cluster.sent("create")


async def test_what_fails_behind_the_scenes_fails_the_test():
    cluster = await FakeCluster().start()

    async def fail() -> None:
        raise ValueError("behind the scenes")

    await asyncio.gather(cluster.spawn(fail()), return_exceptions=True)
    with pytest.raises(ValueError, match="behind the scenes"):
        await cluster.stop()
