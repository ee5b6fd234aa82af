"""DaemonSets: server-side apply of what each manager says of them, and a pod of each on every node.

There is no recording of them: this follows the documents of Kubernetes
(https://kubernetes.io/docs/reference/using-api/server-side-apply/), and the pods' statuses those of recorded pods.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from .kube_errors import ApiError
from .kube_store import Change, dumps, stamp

if TYPE_CHECKING:
    from .kube import FakeCluster

Object = dict[str, Any]
APPLY, RESOURCE = "application/apply-patch+yaml", "daemonsets"
STEP = 0.1  # seconds from one step of a pod to the next, divided by the cluster's speed


class Daemons:
    """*nodes* are all there are; *trouble* is what a registry says of an image, *held* are images that still come."""

    def __init__(self, cluster: "FakeCluster") -> None:
        self.cluster, self.store = cluster, cluster.store
        self.nodes = [cluster.node]
        self.trouble: dict[str, str] = {}
        self.held: set[str] = set()
        self.owned: dict[str, dict[str, set[str]]] = {}  # by uid and manager: names of init containers
        self.store.listeners.append(self.heard)

    # ---- server-side apply

    def apply(self, old: Object, said: Object, query: dict[str, str]) -> Object:
        """Merge the init containers that a manager says; raises ApiError(400, 409)."""
        manager = query.get("fieldManager")
        if not manager:
            raise ApiError(400, "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value", "BadRequest")
        managers = self.owned.setdefault(old["metadata"]["uid"], {})
        mine = {one["name"]: one for one in containers(said)}
        taken = self.taken(old, mine, managers, manager)
        if taken and query.get("force") not in {"true", "True"}:
            places = "\n".join(f'- .spec.template.spec.initContainers[name="{name}"].image' for name in sorted(taken))
            raise ApiError(409, f"Apply failed with {len(taken)} conflict: conflict:\n{places}", "Conflict")
        left = managers.get(manager, set()) - mine.keys() - self.of_others(managers, manager)
        managers |= {other: names - taken for other, names in managers.items()}
        managers[manager] = set(mine)
        kept = [one | mine.pop(one["name"], {}) for one in containers(old) if one["name"] not in left]
        return self.put(old, [*kept, *mine.values()])

    def taken(self, old: Object, mine: Object, managers: dict[str, set[str]], manager: str) -> set[str]:
        """What somebody else has said otherwise; what nobody has applied is the chart's."""
        present = {one["name"]: one for one in containers(old)}
        strange = present.keys() & mine.keys() - managers.get(manager, set())
        return {name for name in strange if any(present[name].get(key) != value for key, value in mine[name].items())}

    def of_others(self, managers: dict[str, set[str]], manager: str) -> set[str]:
        return {name for other, names in managers.items() if other != manager for name in names}

    def put(self, old: Object, init: list[Object]) -> Object:
        template = old["spec"]["template"]
        spec = old["spec"] | {"template": template | {"spec": template["spec"] | {"initContainers": init}}}
        return old if spec == old["spec"] else self.store.put(RESOURCE, old | {"spec": spec})

    # ---- one pod on every node

    def heard(self, change: Change) -> None:
        if change.resource == RESOURCE and change.type != "DELETED":
            before = change.before
            if before is None or before["spec"]["template"] != change.object["spec"]["template"]:
                self.cluster.spawn(self.roll(change.object))

    async def roll(self, daemon: Object) -> None:
        """All at once: the chart lets none of them stay."""
        await self.pause()
        newest = self.store.find(RESOURCE, daemon["metadata"]["namespace"], daemon["metadata"]["name"])
        if newest != daemon:
            return
        for pod in self.pods(daemon):
            self.store.remove("pods", pod)
        for number, node in enumerate(self.nodes):
            self.cluster.spawn(self.live(self.made(daemon, f"{daemon['metadata']['name']}-{number}"), node))

    def owns(self, pod: Object) -> bool:
        return any(owner["kind"] == "DaemonSet" for owner in pod["metadata"].get("ownerReferences", []))

    def pods(self, daemon: Object) -> list[Object]:
        uid = daemon["metadata"]["uid"]
        found = self.store.objects("pods", daemon["metadata"]["namespace"])
        return [pod for pod in found if uid in {o["uid"] for o in pod["metadata"].get("ownerReferences", [])}]

    def made(self, daemon: Object, name: str) -> Object:
        """As anybody's pod: admission looks at it."""
        template, of = daemon["spec"]["template"], daemon["metadata"]
        owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": of["name"], "uid": of["uid"], "controller": True}
        metadata = template["metadata"] | {"name": name, "ownerReferences": [owner]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        return self.cluster.api.create("pods", of["namespace"], dumps(pod), {})[0]

    async def live(self, pod: Object, node: str) -> None:
        """Its images come one after the other."""
        await self.pause()
        pod = self.store.put("pods", pod | {"spec": pod["spec"] | {"nodeName": node}})
        states = {one["name"]: waiting("PodInitializing") for one in pod["spec"].get("initContainers", [])}
        for one in pod["spec"].get("initContainers", []):
            while (said := self.trouble.get(one["image"])) or one["image"] in self.held:
                states[one["name"]] = waiting("ErrImagePull", said) if said else waiting("PodInitializing")
                if self.tell(pod, states) is None:
                    return
                await self.pause()
            states[one["name"]] = ended()
            if self.tell(pod, states) is None:
                return
            await self.pause()
        self.cluster.put_status(pod, phase="Running")

    def tell(self, pod: Object, states: dict[str, Object]) -> Object | None:
        found = []
        for one in pod["spec"]["initContainers"]:
            state = states[one["name"]]
            there = f"{one['image']}@known" if "terminated" in state else ""
            status = {"name": one["name"], "image": one["image"], "imageID": there, "ready": bool(there)}
            found.append(status | {"restartCount": 0, "started": False, "state": state, "lastState": {}})
        return self.cluster.put_status(pod, initContainerStatuses=found)

    async def pause(self) -> None:
        await asyncio.sleep(STEP / self.cluster.speed)


def containers(daemon: Object) -> list[Object]:
    return list(daemon["spec"].get("template", {}).get("spec", {}).get("initContainers", []))


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def ended() -> Object:
    times = {"startedAt": stamp(), "finishedAt": stamp()}
    return {"terminated": {"exitCode": 0, "reason": "Completed", "containerID": "containerd://it"} | times}
