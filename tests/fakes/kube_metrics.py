"""What pods use, as metrics-server tells it, where a cluster has one.

There is no recording of it: this follows the documents of Kubernetes
(https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/) and the type `PodMetrics`.
"""

from typing import TYPE_CHECKING, Any

from .kube_errors import plain
from .kube_faults import Request
from .kube_selectors import selector
from .kube_store import stamp

if TYPE_CHECKING:
    from .kube import FakeCluster

Object = dict[str, Any]
GROUP = "metrics.k8s.io"
RESOURCE = f"pods.{GROUP}"


class Metrics:
    """*cpu* is what each container of a pod uses, by the pod's name; without a server there is no such API."""

    def __init__(self, cluster: "FakeCluster") -> None:
        self.cluster = cluster
        self.served = False
        self.cpu: dict[str, str] = {}

    def answer(self, request: Request) -> Object:
        """Raises ApiError(404): nobody has registered such an API; or something is asked that nobody needs."""
        if not self.served or request.verb != "list":
            raise plain(404, "404 page not found")
        return self.listed(request.namespace, request.query)

    def listed(self, namespace: str, query: dict[str, str]) -> Object:
        matches = selector("pods", query.get("labelSelector", ""), "")
        pods = [pod for pod in self.cluster.objects("pods", namespace) if matches(pod)]
        running = [pod for pod in pods if pod["status"].get("phase") == "Running"]
        return {
            "kind": "PodMetricsList", "apiVersion": f"{GROUP}/v1beta1", "metadata": {},
            "items": [self.of(pod) for pod in running],
        }  # fmt: skip

    def of(self, pod: Object) -> Object:
        metadata = {key: pod["metadata"][key] for key in ("name", "namespace", "labels") if key in pod["metadata"]}
        usage = {"cpu": self.cpu.get(metadata["name"], "1250117n"), "memory": "72380Ki"}
        return {
            "metadata": metadata | {"creationTimestamp": stamp()}, "timestamp": stamp(), "window": "15.123s",
            "containers": [{"name": one["name"], "usage": usage} for one in pod["spec"]["containers"]],
        }  # fmt: skip
