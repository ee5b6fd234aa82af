"""The fake cluster answers as a real Kubernetes 1.33 did, request by request."""

from typing import Any

import pytest

from tests.fakes.compact import differences
from tests.fakes.conformance import (
    ELSEWHERE,
    NOT_IMITATED,
    Client,
    body_of,
    cases,
    data,
    expected,
    furnish,
    make_list,
    normal,
    pod,
    schedule,
)
from tests.fakes.kube import FakeCluster

HUGE = {"413-body-too-large": 3_300_000, "500-etcd-too-large": 1_800_000}


def test_every_recording_is_imitated_or_left_out_with_a_reason():
    folders = {"errors": "json", "list": "json", "logs": "json", "watch": "ndjson", "lives": "json"}
    names = {"lives": "pods"}
    tested = {f"{names.get(name, name)}/{case}.{end}" for name, end in folders.items() for case in cases(name)}
    assert set(data("index")) - tested == (NOT_IMITATED.keys() | ELSEWHERE.keys()) - tested
    assert NOT_IMITATED.keys() | ELSEWHERE.keys() <= set(data("index"))


def token_for(case: str) -> str | None:
    if case.startswith("401"):
        return "wrong"
    if case == "403-anonymous":
        return None
    return "hub-token" if case.startswith("403-rbac") else "admin-token"


def body_for(case: str, cluster: FakeCluster) -> Any:
    request = data("errors")[case]["request"]
    if case in HUGE:
        return pod("jupyter-huge", containers=[{"name": "notebook", "image": "x", "args": ["x" * HUGE[case]]}])
    body = body_of(request)
    if case == "422-annotation-too-large":
        body["metadata"]["annotations"]["big"] = "x" * 262_200
    if request["method"] == "PUT" and request["path"].endswith("jupyter-dup"):
        now = cluster.find("pods", "jupyter-dup")["metadata"]
        body["metadata"]["uid"] = now["uid"]
        if not case.startswith("409"):
            body["metadata"]["resourceVersion"] = now["resourceVersion"]
    return body.encode() if isinstance(body, str) else body


@pytest.mark.parametrize("case", cases("errors"))
async def test_refusals_and_acceptances_are_the_recorded_ones(case, cluster, client):
    await furnish(cluster, client, case)
    recorded = data("errors")[case]
    wanted = expected(recorded["response"])
    if case.startswith("200-pod"):
        cluster.put_status(cluster.find("pods", "jupyter-dup"), **wanted["body"]["status"])
    if case.startswith("429-too"):
        cluster.fault(status=429)
    request = recorded["request"]
    accept = "application/xml" if case == "406-accept" else ""
    body = body_for(case, cluster)
    path, kind = request["path"], request.get("contentType", "")
    got = await client.send(request["method"], path, body, token=token_for(case), kind=kind, accept=accept)
    assert not differences(normal(wanted), normal(got))


def with_tokens(path: str, tokens: list[str], version: str) -> str:
    """Put this cluster's versions and tokens where the recorded ones are."""
    path = path.replace("resourceVersion=1599", f"resourceVersion={version}")
    if "continue=e" in path:
        path = path[: path.index("continue=")] + f"continue={tokens[-1]}"
    return path


@pytest.mark.parametrize("case", cases("list"))
async def test_lists_are_the_recorded_ones(case, cluster, client):
    await make_list(cluster, client)
    version = str(cluster.store.version)
    recorded = data("list")[case]
    tokens = []
    pages = {"pods-page-2": 1, "pods-page-3": 2, "410-continue-expired": 1}.get(case, 0)
    first = "/api/v1/namespaces/sessions-list/pods?limit=" + ("1" if case.startswith("410") else "2")
    for _ in range(pages):
        page = await client.send("GET", first + (f"&continue={tokens[-1]}" if tokens else ""))
        tokens.append(page["body"]["metadata"]["continue"])
    if case.startswith("410"):
        cluster.compact()
    got = await client.send("GET", with_tokens(recorded["request"]["path"], tokens, version))
    names = [item["metadata"]["name"] for item in got["body"].pop("items", [])]
    assert normal(got) == normal(expected(recorded["response"]))
    assert names == recorded["names"]


async def test_an_expired_token_leads_to_the_inconsistent_rest(cluster, client):
    await make_list(cluster, client)
    path = "/api/v1/namespaces/sessions-list/pods?limit=2"
    page = await client.send("GET", path)
    cluster.compact()
    expired = await client.send("GET", f"{path}&continue={page['body']['metadata']['continue']}")
    rest = await client.send("GET", f"{path}&continue={expired['body']['metadata']['continue']}")
    assert expired["status"] == 410
    assert [item["metadata"]["name"] for item in rest["body"]["items"]] == ["jupyter-u2", "jupyter-u3"]


RUNNING = {"running": {"startedAt": "2026-11-24T07:00:00Z"}}
ENDED = {"terminated": {"exitCode": 1, "reason": "Error"}}
LINES = "".join(f"[I 2026-11-24 07:00:00.{number} SingleUserLabApp] line {number}\n" for number in range(40))
FAILED = "Traceback\nboom: cannot start\n"
# pod: (state of the notebook, its last state, its log, log of the init container clone)
LOGS: dict[str, tuple[dict, dict, str, str]] = {
    "jupyter-log": (RUNNING, {}, LINES, ""),
    "jupyter-logend": (ENDED, {}, "done\n", ""),
    "jupyter-logfail": ({"waiting": {"reason": "CrashLoopBackOff"}}, ENDED, FAILED, ""),
    "jupyter-loginit": ({"waiting": {"reason": "PodInitializing"}}, {}, "", "cloning\n"),
    "jupyter-initfail2": ({"waiting": {"reason": "PodInitializing"}}, {}, "", "fatal: repository not found\n"),
    "jupyter-logimg": ({"waiting": {"reason": "ErrImagePull"}}, {}, "", ""),
    "jupyter-logsecret": ({"waiting": {"reason": "CreateContainerConfigError"}}, {}, "", ""),
    "jupyter-logunsch": ({}, {}, "", ""),
    "jupyter-two": (RUNNING, {}, "", ""),
}


async def make_logs(cluster: FakeCluster, client: Client, name: str, case: str) -> None:
    state, last, log, init_log = LOGS[name]
    if case == "waiting-image-backoff":
        state = {"waiting": {"reason": "ImagePullBackOff"}}
    wanted = pod(name)
    main = wanted["spec"]["containers"][0]
    if init_log:
        wanted["spec"]["initContainers"] = [{"name": "clone", "image": main["image"]}]
    if name == "jupyter-two":
        wanted["spec"]["containers"] = [main, main | {"name": "sidecar"}]
    await client.send("POST", "/api/v1/namespaces/sessions/pods", wanted)
    if not state:
        return
    schedule(cluster, name)
    shown = [{"name": "notebook", "state": state, "lastState": last, "ready": True, "restartCount": 0}]
    init = [{"name": "clone", "state": RUNNING, "lastState": {}, "ready": False, "restartCount": 0}] if init_log else []
    cluster.put_status(cluster.find("pods", name), containerStatuses=shown, initContainerStatuses=init)
    cluster.write_log(name, log)
    cluster.write_log(name, init_log, "clone")


@pytest.mark.parametrize("case", cases("logs"))
async def test_logs_are_the_recorded_ones(case, cluster, client):
    recorded = data("logs")[case]
    path = recorded["request"]["path"]
    await make_logs(cluster, client, path.split("/pods/")[1].partition("/")[0], case)
    if case == "since-seconds":
        output = next(iter(cluster.logs.outputs.values()))
        output.runs[-1] = [(at.replace(year=2020), text) for at, text in output.runs[-1]]
    assert normal(await client.send("GET", path)) == normal(expected(recorded["response"]))
