"""What the chart has generated is kept by an upgrade: Helm looks it up at a stand-in for the cluster's API."""

import json
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendered import HELMS, Done, chart, run

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


def answers(present: dict[str, str], name: str = "renku-hub") -> dict[str, Any]:
    """By path, of a cluster that has the Secret *name* of the release with *present*, if there is any."""
    groups = [group(version) for version in KINDS if "/" in version]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **OWNED}, "data": present}
    return {
        "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
        **{f"/{'apis' if '/' in version else 'api'}/{version}": resources(version) for version in KINDS},
        **({f"/api/v1/namespaces/jupyter/secrets/{name}": secret} if present else {}),
    }


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[..., str]]:
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

        def has(present: dict[str, str], name: str = "renku-hub") -> str:
            served.clear()
            served.update(answers(present, name))
            return str(tmp_path / "config")

        yield has
        server.shutdown()
        thread.join()


def rendered_there(helm: str, config: str, *more: str) -> Done:
    there = ("--dry-run=server", "--disable-openapi-validation", "--kubeconfig", config)
    done = run(helm, "template", "try", str(chart()), "-n", "jupyter", *there, *more)
    assert done.ok, done.err
    return done


def generated(helm: str, config: str) -> dict[str, str]:
    return rendered_there(helm, config).one("Secret", "renku-hub")["data"]


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


DRAWN = tuple(
    f"hub.config.{trait}"
    for trait in ("ConfigurableHTTPProxy.auth_token", "JupyterHub.cookie_secret", "CryptKeeper.keys")
)
TOKEN = "hub.services.prometheus.apiToken"
DRAWS = ("--set", "jupyterhub.custom.drawsSecrets=true", "--set-json", 'jupyterhub.hub.services={"prometheus": {}}')


def of_jupyterhub(done: Done) -> tuple[dict[str, str], dict[str, str]]:
    """The Secret of the chart of JupyterHub, and the annotations by which its pods are replaced."""
    annotations = done.one("ConfigMap", "annotations-of-jupyterhub")["metadata"]["annotations"]
    return done.one("Secret", "hub")["data"], annotations


@pytest.mark.parametrize("helm", HELMS)
def test_the_first_upgrade_after_an_install_replaces_no_pod(helm, cluster):
    installed, annotations = of_jupyterhub(rendered_there(helm, cluster({}), *DRAWS))
    assert len({installed[key] for key in (*DRAWN, TOKEN)}) == 4
    assert all(len(b64decode(installed[key])) == 64 for key in (*DRAWN, TOKEN))
    assert "renkuGenerated" not in b64decode(installed["values.yaml"]).decode()
    assert of_jupyterhub(rendered_there(helm, cluster({}), *DRAWS))[0] != installed, "another install has others"
    changed = ("--set", "renku.sessions.cloneTimeout=600")
    assert of_jupyterhub(rendered_there(helm, cluster(installed, "hub"), *DRAWS, *changed)) == (installed, annotations)


def test_secrets_that_an_admin_gives_are_taken(cluster):
    given = {
        "jupyterhub.hub.config.JupyterHub.cookie_secret": "ab" * 32,
        "jupyterhub.hub.config.ConfigurableHTTPProxy.auth_token": "cd" * 32,
        "jupyterhub.hub.config.CryptKeeper.keys": ["one", "two"],
        "jupyterhub.hub.services.prometheus.apiToken": "a-token",
    }
    more = [part for path, value in given.items() for part in ("--set-json", f"{path}={json.dumps(value)}")]
    found, _ = of_jupyterhub(rendered_there(HELMS[0], cluster({}), *DRAWS, *more))
    wanted = dict(zip(DRAWN, ("cd" * 32, "ab" * 32, "one;two"), strict=True)) | {TOKEN: "a-token"}
    assert {key: b64decode(found[key]).decode() for key in wanted} == wanted
