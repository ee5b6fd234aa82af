"""A cluster whose pods live recorded lives and answer over HTTP as long as their container runs."""

import asyncio
import base64
import os
from itertools import pairwise
from typing import Any

from tests.fakes import kubelet_status
from tests.fakes.kube import FakeCluster
from tests.fakes.kubelet import ScriptedKubelet
from tests.fakes.pod_life import Life

Object = dict[str, Any]
# Nobody else listens here, also while a hub is away that comes back to its port.
ADDRESSES = [f"127.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}.{number}" for number in range(1, 5)]
HERE = ADDRESSES[0]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Kubelet(ScriptedKubelet):
    """All its pods begin at one address, and have one port."""

    def address(self) -> str:
        return HERE


class Cluster(FakeCluster):
    """With a kubelet, and somebody who answers for the pods."""

    def __init__(self, pod_port: int) -> None:
        super().__init__(speed=2)
        self.pod_port = pod_port
        self.scripted = Kubelet(self)
        self.answering: asyncio.Server | None = None
        self.moving: set[str] = set()  # uids of pods whose sandbox is gone

    async def __aenter__(self) -> "Cluster":
        await self.start()
        self.answering = await asyncio.start_server(self.answer, ADDRESSES, self.pod_port)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self.answering is not None
        self.answering.close()
        await self.answering.wait_closed()
        await self.stop()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Below the prefix of a session that runs; else the connection ends, as where nobody listens."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path, address = head.split()[1].decode(), writer.get_extra_info("sockname")[0]
            if any(f"/{self.session(pod)}/" in path for pod in self.pods() if self.answers(pod, address)):
                writer.write(ANSWER)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def answers(self, pod: Object, address: str) -> bool:
        there = pod["metadata"]["uid"] not in self.moving and pod["status"].get("podIP") == address
        return there and runs(pod)

    def pods(self) -> list[Object]:
        return self.objects("pods", "sessions")

    def claims(self) -> list[Object]:
        return self.objects("persistentvolumeclaims", "sessions")

    @staticmethod
    def session(pod: Object) -> str:
        return str(pod["metadata"]["labels"]["renku.io/session"])

    def ready(self) -> list[Object]:
        """The pods that run and do not end, in an order that is the same in every run."""
        found = [pod for pod in self.pods() if runs(pod) and "deletionTimestamp" not in pod["metadata"]]
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    def tells(self, pod: Object, words: str) -> None:
        """Let its program print something, and the token that it was given."""
        name = f"{pod['metadata']['name']}-{pod['metadata']['labels']['renku.io/launch']}"
        secret = self.find("secrets", name) or {"data": {"JUPYTERHUB_API_TOKEN": ""}}
        token = base64.b64decode(secret["data"]["JUPYTERHUB_API_TOKEN"]).decode()
        self.write_log(pod["metadata"]["name"], f"{words} {token}\n")

    def dies(self, pod: Object, case: str) -> None:
        """Let a pod end in one of the ways of machine_model.ENDS."""
        if case == "removed":
            self.api.delete_pod(pod, 0)
        elif case == "memory":
            self.put_status(pod, **ended(pod, 137, "OOMKilled"))
        elif case.startswith("exit"):
            code = int(case.split()[1])
            self.put_status(pod, **ended(pod, code, "Error" if code else "Completed"))
        else:
            self.meets(pod, case)

    async def moves(self, pod: Object) -> None:
        """Make its sandbox again, as recorded in sandbox-recreated: for six seconds it is ready where nothing is."""
        uid, status = pod["metadata"]["uid"], pod["status"]
        self.moving.add(uid)
        self.put_status(pod, conditions=[gone_sandbox(one) for one in status["conditions"]])
        await asyncio.sleep(6 / self.speed)
        self.moving.discard(uid)
        present = self.find("pods", pod["metadata"]["name"])
        if present is None or present["metadata"]["uid"] != uid or not runs(present):
            return
        (one,) = present["status"]["containerStatuses"]
        begun = one["state"]["running"]["startedAt"]
        last = kubelet_status.terminated(137, "Error", begun, one.get("containerID", ""))
        one = one | {"state": kubelet_status.running(), "lastState": last, "restartCount": one["restartCount"] + 1}
        address = ADDRESSES[(ADDRESSES.index(status["podIP"]) + 1) % len(ADDRESSES)]
        self.put_status(
            present, podIP=address, podIPs=[{"ip": address}], containerStatuses=[one],
            conditions=[*map(back_sandbox, present["status"]["conditions"])],
        )  # fmt: skip

    def meets(self, pod: Object, case: str) -> None:
        """Let a running pod meet what the recorded one met after it had become ready."""
        life = Life(self, pod, case, {}, pod["status"]["podIP"])
        ready = next(place for place, step in enumerate(life.steps) if is_ready(step))
        first, *rest = life.steps[ready:]
        life.before = hurried([first, *rest])
        life.after = []
        uid = pod["metadata"]["uid"]
        _, before = self.scripted.living[uid]
        before.cancel()
        self.scripted.living[uid] = life, self.spawn(life.play())


def gone_sandbox(condition: Object) -> Object:
    return condition | ({"status": "False"} if condition["type"] == "PodReadyToStartContainers" else {})


def back_sandbox(condition: Object) -> Object:
    return condition | ({"status": "True"} if condition["type"] == "PodReadyToStartContainers" else {})


def ended(pod: Object, code: int, reason: str) -> Object:
    """The status of a pod whose container has ended for good."""
    one = pod["status"]["containerStatuses"][0]
    started = one["state"]["running"]["startedAt"]
    state = kubelet_status.terminated(code, reason, started, one.get("containerID", ""))
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [one | {"ready": False, "state": state}]}


def hurried(steps: list[list[Any]]) -> list[list[Any]]:
    """The steps from now on, without the longest waits between them."""
    found, at = [steps[0]], 0.0
    for before, step in pairwise(steps):
        at += min(step[0] - before[0], 2.0)
        found.append([at, *step[1:]])
    return found


def runs(pod: Object) -> bool:
    """Whether its container runs."""
    shown = pod["status"].get("containerStatuses") or [{"state": {}}]
    return "running" in shown[0]["state"]


def is_ready(step: list[Any]) -> bool:
    return step[1] == "status" and step[3].get("phase") == "Running"
