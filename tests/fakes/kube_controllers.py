"""What a cluster does by itself: bind claims, keep those in use, remove what has lost its owner, write events."""

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import csi_rclone
from .kube_store import KINDS, Change, stamp

if TYPE_CHECKING:
    from .kube import FakeCluster

Object = dict[str, Any]
PROVISIONER = "kubernetes.io/host-path"
CLAIMS = "persistentvolumeclaims"
FINALIZER = "kubernetes.io/pvc-protection"
BINDING = (0.06, 0.15, 0.02)  # seconds between the steps of a claim until it is bound
CLEANING = 0.05  # seconds until a controller has noticed


class Controllers:
    """Listens to the store of a cluster; its seconds are divided by the cluster's speed."""

    def __init__(self, cluster: "FakeCluster") -> None:
        self.cluster, self.store = cluster, cluster.store
        self.store.listeners.append(self.heard)

    def heard(self, change: Change) -> None:
        if change.resource == CLAIMS:
            self.heard_claim(change)
        elif change.resource == "pods":
            self.heard_pod(change)
        if change.type == "DELETED":
            self.cluster.spawn(self.collect(change.object["metadata"]["uid"]))
        elif change.type == "ADDED" and change.object["metadata"].get("ownerReferences"):
            self.cluster.spawn(self.collect(""))

    def heard_claim(self, change: Change) -> None:
        if change.type == "ADDED":
            self.cluster.spawn(self.provision(change.object))
        elif change.type == "MODIFIED":
            self.cluster.spawn(self.look_after(change))

    def heard_pod(self, change: Change) -> None:
        for name in claims(change.object):
            self.cluster.spawn(self.pod_changed(change, name))

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.cluster.speed)

    def newest(self, claim: Object) -> Object | None:
        """Return a claim as it is now, None when it has gone or is another one."""
        found = self.store.find(CLAIMS, claim["metadata"]["namespace"], claim["metadata"]["name"])
        return found if found and found["metadata"]["uid"] == claim["metadata"]["uid"] else None

    async def provision(self, claim: Object) -> None:
        name = claim["spec"]["storageClassName"]
        can = self.cluster.api.classes.get(name)
        if can is None:
            text = f'storageclass.storage.k8s.io "{name}" not found'
            self.event(claim, "ProvisioningFailed", text, "Warning", component="persistentvolume-controller")
        elif can.get("wait"):
            text = "waiting for first consumer to be created before binding"
            self.event(claim, "WaitForFirstConsumer", text, component="persistentvolume-controller")
        else:
            if can.get("secret"):
                await self.wait_for_secret(claim)
            await self.wait_for_provisioner(claim)
            await self.bind(claim, {})

    async def wait_for_provisioner(self, claim: Object) -> None:
        if self.cluster.provisioning is not None:
            text = f"Waiting for a volume to be created either by the external provisioner '{PROVISIONER}' or manually"
            text += " by the system administrator. If volume creation is delayed, please verify that the provisioner is"
            text += " running and correctly registered."
            self.event(claim, "ExternalProvisioning", text, component="persistentvolume-controller")
            await self.cluster.provisioning.wait()

    async def wait_for_secret(self, claim: Object) -> None:
        """As the external provisioner of csi-rclone, whose class takes the Secret from the claim's annotation."""
        namespace, name, told = claim["metadata"]["namespace"], csi_rclone.secret_name(claim) or "", False
        while self.newest(claim) and self.store.find("secrets", namespace, name) is None:
            if not told:
                text = f'error getting secret {name} in namespace {namespace}: secrets "{name}" not found'
                self.event(claim, "ProvisioningFailed", text, "Warning", component="csi-rclone")
                told = True
            await self.pause(0.5)

    async def bind(self, claim: Object, annotations: dict[str, str]) -> None:
        volume = f"pvc-{claim['metadata']['uid']}"
        by = {f"volume.{kind}kubernetes.io/storage-provisioner": PROVISIONER for kind in ("beta.", "")}
        done = {f"pv.kubernetes.io/{key}": "yes" for key in ("bind-completed", "bound-by-controller")}
        await self.pause(BINDING[0])
        self.change(claim, annotations | by, {})
        await self.pause(BINDING[1])
        text = f"Successfully provisioned volume {volume} using {PROVISIONER}"
        self.event(claim, "ProvisioningSucceeded", text, component="persistentvolume-controller")
        self.change(claim, done, {"volumeName": volume})
        await self.pause(BINDING[2])
        self.bound(claim)

    def change(self, claim: Object, annotations: dict[str, str], spec: Object) -> None:
        if found := self.newest(claim):
            metadata = found["metadata"] | {"annotations": found["metadata"].get("annotations", {}) | annotations}
            self.store.put(CLAIMS, found | {"metadata": metadata, "spec": found["spec"] | spec})

    def bound(self, claim: Object) -> None:
        if found := self.newest(claim):
            status = {
                "phase": "Bound",
                "accessModes": found["spec"].get("accessModes", []),
                "capacity": {"storage": found["spec"]["resources"]["requests"]["storage"]},
            }
            self.store.put(CLAIMS, found | {"status": status})

    async def look_after(self, change: Change) -> None:
        """Let a claim grow that has asked for more, and go that nobody uses."""
        claim = change.object
        asked = claim["spec"]["resources"]["requests"]["storage"]
        if claim["status"]["phase"] == "Bound" and claim["status"]["capacity"]["storage"] != asked:
            await self.pause(CLEANING)
            self.bound(claim)
        await self.release(claim)

    async def release(self, claim: Object) -> None:
        if "deletionTimestamp" not in claim["metadata"]:
            return
        await self.pause(CLEANING)
        found = self.newest(claim)
        if found and not self.used(found):
            kept = [one for one in found["metadata"].get("finalizers", []) if one != FINALIZER]
            self.cluster.api.written(CLAIMS, found | {"metadata": found["metadata"] | {"finalizers": kept}})

    def used(self, claim: Object) -> bool:
        namespace, name = claim["metadata"]["namespace"], claim["metadata"]["name"]
        pods = self.store.objects("pods", namespace)
        return any("nodeName" in pod["spec"] and name in claims(pod) for pod in pods)

    async def pod_changed(self, change: Change, name: str) -> None:
        claim = self.store.find(CLAIMS, change.key[0], name)
        if claim is None:
            return
        waits = self.cluster.api.classes.get(claim["spec"]["storageClassName"], {}).get("wait")
        if change.type == "ADDED" and waits and "volumeName" not in claim["spec"]:
            node = {"volume.kubernetes.io/selected-node": self.cluster.node}
            self.change(claim, node, {})
            await self.bind(claim, node)
        if change.type == "DELETED":
            await self.release(claim)

    async def collect(self, gone: str) -> None:
        """Remove objects whose owners have all gone; `gone`: the uid of one that has just (empty: look at all)."""
        await self.pause(CLEANING)
        living = {one.object["metadata"]["uid"] for found in self.store.now.values() for one in found.values()}
        for resource, found in self.store.now.items():
            for change in list(found.values()):
                owners = {one["uid"] for one in change.object["metadata"].get("ownerReferences", [])}
                if owners and not owners & living and (not gone or gone in owners):
                    self.cluster.api.delete(resource, change.object, {})

    def event(
        self,
        about: Object,
        reason: str,
        message: str,
        kind: str = "Normal",
        *,
        component: str = "kubelet",
        path: str = "",
        **more: Any,
    ) -> Object:
        """Write a v1 Event as the kubelet and controllers do, or (`action` given) as the scheduler does."""
        metadata = about["metadata"]
        now = datetime.now(UTC)
        resource = "pods" if "containers" in about.get("spec", {}) else CLAIMS
        involved = {key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")}
        involved |= {"kind": KINDS[resource], "apiVersion": "v1"} | ({"fieldPath": path} if path else {})
        if more.pop("without_uid", False):
            involved = {key: involved[key] for key in ("kind", "namespace", "name")}
        found = {
            "metadata": {"name": f"{metadata['name']}.{time.time_ns():x}", "namespace": metadata["namespace"]},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": kind,
            "reportingComponent": component,
        }
        if "action" in more:
            times = {"source": {}, "firstTimestamp": None, "lastTimestamp": None, "eventTime": stamp(now, micro=True)}
            host = f"{component}-node"
        else:
            host = self.cluster.node if component == "kubelet" else ""
            source = {"component": component} | ({"host": host} if host else {})
            times = {"source": source, "firstTimestamp": stamp(now), "lastTimestamp": stamp(now)}
            times |= {"eventTime": None, "count": 1}
        return self.store.create("events", found | times | {"reportingInstance": host} | more)

    def again(self, event: Object, **fields: Any) -> Object:
        """Count an event up: the object stays the same one."""
        namespace, name = event["metadata"]["namespace"], event["metadata"]["name"]
        found = self.store.find("events", namespace, name) or event
        return self.store.put("events", found | fields)


def claims(pod: Object) -> list[str]:
    """Return the names of the claims that a pod mounts."""
    volumes = pod["spec"].get("volumes", [])
    return [one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one]
