"""What the chart has generated is kept by an upgrade: Helm looks it up at a stand-in for the cluster's API."""

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendered import HELMS, chart, run

# What of Kubernetes Helm looks for, by version: names and kinds.
KINDS = {
    "v1": {"configmaps": "ConfigMap", "secrets": "Secret"},
    "apps/v1": {"daemonsets": "DaemonSet"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "rbac.authorization.k8s.io/v1": {"roles": "Role", "rolebindings": "RoleBinding"},
}
CONFIG = """
apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "http://127.0.0.1:%d"}}]
users: [{name: a, user: {}}]
"""
OWNED = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {"meta.helm.sh/release-name": "try", "meta.helm.sh/release-namespace": "jupyter"},
}
USER, ADMIN = (f"SharedPasswordAuthenticator.{who}_password" for who in ("user", "admin"))


def group(version: str) -> dict[str, Any]:
    name, _, number = version.partition("/")
    said = {"groupVersion": version, "version": number}
    return {"name": name, "versions": [said], "preferredVersion": said}


def resources(version: str) -> dict[str, Any]:
    found = [
        {"name": name, "kind": kind, "namespaced": True, "verbs": ["get"]} for name, kind in KINDS[version].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": found}


def answers(present: dict[str, str]) -> dict[str, Any]:
    """By path, of a cluster that has the Secret of the release with *present*, if there is any."""
    groups = [group(version) for version in KINDS if "/" in version]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "renku-hub", **OWNED}, "data": present}
    return {
        "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
        **{f"/{'apis' if '/' in version else 'api'}/{version}": resources(version) for version in KINDS},
        **({"/api/v1/namespaces/jupyter/secrets/renku-hub": secret} if present else {}),
    }


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], str]]:
    """A function that says what the Secret holds, and returns the path of a configuration."""
    served: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = served.get(self.path.partition("?")[0])
            gone = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = json.dumps(found or gone).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said: Any) -> None:
            """Helm's questions are nobody's business."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        (tmp_path / "config").write_text(CONFIG % server.server_port)

        def has(present: dict[str, str]) -> str:
            served.clear()
            served.update(answers(present))
            return str(tmp_path / "config")

        yield has
        server.shutdown()
        thread.join()


def generated(helm: str, config: str) -> dict[str, str]:
    there = ("--dry-run=server", "--disable-openapi-validation", "--kubeconfig", config)
    done = run(helm, "template", "try", str(chart()), "-n", "jupyter", *there)
    assert done.ok, done.err
    return done.one("Secret", "renku-hub")["data"]


@pytest.mark.parametrize("helm", HELMS)
def test_an_upgrade_keeps_what_was_generated_and_makes_what_is_missing(helm, cluster):
    first = generated(helm, cluster({}))
    assert set(first) == {USER, ADMIN}
    assert generated(helm, cluster({})) != first
    assert generated(helm, cluster(first)) == first
    kept = {USER: b64encode(b"chosen by hand").decode()}
    added = generated(helm, cluster(kept))
    assert added[USER] == kept[USER]
    assert set(added) == {USER, ADMIN}
