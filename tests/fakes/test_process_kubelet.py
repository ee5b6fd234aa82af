"""Containers as processes behave as containers: variables, mounts, restarts, signals, exit codes, logs."""

import aiohttp
import pytest

from tests.fakes.conformance import Client, claim
from tests.fakes.process_kubelet import ProcessKubelet

PODS = "/api/v1/namespaces/sessions/pods"
MOUNT = {"volumeMounts": [{"name": "work", "mountPath": "/work"}]}
VOLUMES = [{"name": "work", "persistentVolumeClaim": {"claimName": "claim-ada"}}]
SERVER = (
    "import http.server, os, signal, sys; signal.signal(15, lambda *_: sys.exit(0)); os.chdir('/work'); "
    "http.server.HTTPServer(('0.0.0.0', 8888), http.server.SimpleHTTPRequestHandler).serve_forever()"
)


@pytest.fixture
async def kubelet(cluster, tmp_path):
    cluster.speed = 20
    return ProcessKubelet(cluster, tmp_path)


def python(code: str, **fields) -> dict:
    return {"name": "notebook", "image": "k8s.local/singleuser:1", "command": ["python", "-uc", code], **fields}


async def run(client: Client, main: dict, name: str = "jupyter-ada", **spec) -> None:
    wanted = {"restartPolicy": "OnFailure", "containers": [main], **spec}
    made = await client.send("POST", PODS, {"metadata": {"name": name}, "spec": wanted})
    assert made["status"] == 201, made["body"]


def state(cluster, name: str = "jupyter-ada", part: str = "containerStatuses") -> dict:
    """Return what the first container does, with phase and restarts of its pod."""
    pod = cluster.find("pods", name) or {"status": {}}
    shown = pod["status"].get(part, [{"state": {"": {}}, "restartCount": 0}])[0]
    (kind, details), *_ = shown["state"].items()
    ended = {key: value for key, value in details.items() if key in {"reason", "exitCode", "message"}}
    return {"phase": pod["status"].get("phase"), "kind": kind, "restarts": shown["restartCount"], **ended}


async def log(client: Client, query: str = "") -> str:
    return (await client.send("GET", f"{PODS}/jupyter-ada/log{query}"))["body"]


async def test_a_server_runs_on_its_own_address_with_its_claim(cluster, client, kubelet):
    await client.send("POST", "/api/v1/namespaces/sessions/persistentvolumeclaims", claim("claim-ada"))
    clone = python("open('/work/a.txt', 'w').write('cloned'); print('into /work')") | {"name": "clone"} | MOUNT
    probe = {"readinessProbe": {"httpGet": {"port": 8888}}}
    await run(client, python(SERVER, **MOUNT, **probe), volumes=VOLUMES, initContainers=[clone])
    await cluster.until(lambda: ready(cluster))
    ip = cluster.find("pods", "jupyter-ada")["status"]["podIP"]
    async with aiohttp.ClientSession() as session, session.get(f"http://{ip}:8888/a.txt") as response:
        assert await response.text() == "cloned"
    assert await log(client, "?container=clone") == "into /work\n"

    folder = kubelet.claim_of(cluster.find("pods", "jupyter-ada"))
    await client.send("DELETE", f"{PODS}/jupyter-ada", {"gracePeriodSeconds": 5})
    await cluster.until(lambda: not cluster.find("pods", "jupyter-ada"))
    last = cluster.store.history["pods"][-1].object["status"]
    assert (last["phase"], last["containerStatuses"][0]["state"]["terminated"]["exitCode"]) == ("Succeeded", 0)
    assert (folder / "a.txt").read_text() == "cloned"


def ready(cluster) -> bool:
    conditions = cluster.find("pods", "jupyter-ada")["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


async def test_secrets_become_variables_and_wait_until_they_are_there(cluster, client, kubelet):
    variable = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "launch", "key": "token"}}}
    url = {"name": "URL", "value": "http://0.0.0.0:8888/$(TOKEN)/"}
    await run(client, python("import os; print(os.environ['URL'])", env=[variable, url]))
    told = await cluster.until(lambda: (found := state(cluster)).get("message") and found)
    assert told["reason"] == "CreateContainerConfigError"
    assert told["message"] == 'secret "launch" not found'
    secret = {"metadata": {"name": "launch"}, "stringData": {"token": "s3cret"}}
    await client.send("POST", "/api/v1/namespaces/sessions/secrets", secret)
    await cluster.until(lambda: state(cluster)["phase"] == "Succeeded")
    ip = cluster.find("pods", "jupyter-ada")["status"]["podIP"]
    assert await log(client) == f"http://{ip}:8888/s3cret/\n"


async def test_the_tests_own_variables_stay_outside(cluster, client, kubelet, monkeypatch):
    monkeypatch.setenv("CANARY", "of the tests")
    await run(client, python("import os; print(os.environ.get('CANARY'), os.environ['HOME'] == os.getcwd())"))
    await cluster.until(lambda: state(cluster)["phase"] == "Succeeded")
    assert await log(client) == "None True\n"


@pytest.mark.parametrize(
    ("policy", "code", "phase", "reason"),
    [
        ("Never", 3, "Failed", "Error"),
        ("OnFailure", 0, "Succeeded", "Completed"),
        ("Never", 0, "Succeeded", "Completed"),
    ],
)
async def test_an_end_is_told_with_its_code(cluster, client, kubelet, policy, code, phase, reason):
    await run(client, python(f"raise SystemExit({code})"), restartPolicy=policy)
    await cluster.until(lambda: state(cluster)["phase"] in {"Failed", "Succeeded"})
    wanted = {"phase": phase, "kind": "terminated", "restarts": 0, "reason": reason, "exitCode": code}
    assert state(cluster) == wanted


async def test_a_failing_container_falls_into_a_crash_loop(cluster, client, kubelet):
    await run(client, python("print('boom'); raise SystemExit(1)"))
    told = await cluster.until(lambda: (found := state(cluster)).get("reason") == "CrashLoopBackOff" and found)
    uid = cluster.find("pods", "jupyter-ada")["metadata"]["uid"]
    text = f"back-off 10s restarting failed container=notebook pod=jupyter-ada_sessions({uid})"
    assert told == {
        "phase": "Running", "kind": "waiting", "restarts": 1, "reason": "CrashLoopBackOff", "message": text,
    }  # fmt: skip
    assert await log(client, "?previous=true") == "boom\n"
    await cluster.until(lambda: state(cluster)["restarts"] == 2)


async def test_a_failing_init_container_keeps_the_pod_pending(cluster, client, kubelet):
    clone = python("print('fatal: repository not found'); raise SystemExit(128)") | {"name": "clone"}
    await run(client, python("pass"), initContainers=[clone])
    await cluster.until(lambda: state(cluster, part="initContainerStatuses").get("reason") == "CrashLoopBackOff")
    assert state(cluster)["reason"] == "PodInitializing"
    assert state(cluster)["phase"] == "Pending"
    assert await log(client, "?container=clone") == "fatal: repository not found\n"


async def test_a_missing_program_is_a_start_error(cluster, client, kubelet):
    await run(client, {"name": "notebook", "image": "x", "command": ["/no/such/binary"]})
    told = await cluster.until(lambda: (found := state(cluster)).get("reason") == "RunContainerError" and found)
    assert told["message"].endswith('exec: "/no/such/binary": stat /no/such/binary: no such file or directory: unknown')
    last = cluster.find("pods", "jupyter-ada")["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"]) == ("StartError", 128)


async def test_too_much_memory_kills_and_restarts_in_place(cluster, client, kubelet):
    hungry = "import time, sys; x = bytearray(80_000_000); time.sleep(60)"
    await run(client, python(hungry, resources={"limits": {"memory": "40Mi"}}))
    shown = await cluster.until(lambda: last_state(cluster))
    assert (shown["reason"], shown["exitCode"]) == ("OOMKilled", 137)


def last_state(cluster) -> dict:
    shown = cluster.find("pods", "jupyter-ada")["status"].get("containerStatuses", [{}])[0]
    return shown.get("lastState", {}).get("terminated", {})


async def test_who_does_not_listen_is_killed_after_the_grace_period(cluster, client, kubelet):
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(60)"
    await run(client, python(deaf))
    await cluster.until(lambda: cluster.logs.of(cluster.find("pods", "jupyter-ada"), "notebook").runs[-1])
    await client.send("DELETE", f"{PODS}/jupyter-ada", {"gracePeriodSeconds": 1})
    await cluster.until(lambda: not cluster.find("pods", "jupyter-ada"))
    last = cluster.store.history["pods"][-1].object["status"]
    assert (last["phase"], last["containerStatuses"][0]["state"]["terminated"]["exitCode"]) == ("Failed", 137)


async def test_a_forced_deletion_leaves_no_process(cluster, client, kubelet):
    await run(client, python("import time; print('up'); time.sleep(60)"))
    await cluster.until(lambda: state(cluster)["kind"] == "running")
    process = kubelet.pod("jupyter-ada").mains[0].process
    await client.send("DELETE", f"{PODS}/jupyter-ada", {"gracePeriodSeconds": 0})
    await cluster.until(lambda: process.returncode is not None)
    assert process.returncode in (-9, 255)  # 255 where asyncio could not learn it: somebody else had reaped it


async def test_planned_pods_live_recorded_lives_beside_processes(cluster, client, kubelet):
    kubelet.plan("image-missing-tag", "jupyter-bad")
    await run(client, python("pass"), "jupyter-bad")
    await run(client, python("pass"))
    await cluster.until(lambda: state(cluster, "jupyter-bad").get("reason") == "ImagePullBackOff")
    await cluster.until(lambda: state(cluster)["phase"] == "Succeeded")
