"""What goes into a manifest: KubeSpawner's own pod, a session, settings; and what comes out, as JSON."""

import json
from typing import Any

from kubernetes_asyncio.client import V1Pod
from kubespawner.objects import make_pod

from renku_spawner.domain.environments import RunConfiguration
from renku_spawner.domain.projects import Repository
from renku_spawner.domain.resource_classes import ResourceClass, ResourceRequirements
from renku_spawner.domain.sessions import LaunchSpec, SessionConfiguration
from renku_spawner.spawners.kubernetes.pod import build_session_pod
from renku_spawner.spawners.kubernetes.secrets import build_session_secret
from renku_spawner.spawners.kubernetes.settings import PodSettings

TOKEN = "canary-of-the-token"
DIGEST = "sha256:" + "ab" * 32
SETTINGS = PodSettings(clone_image="quay.io/renku/clone:1", hub="blue")
RUN = "runaaaaaaaaa"
SIZE = ResourceClass(name="small", cpu="2", memory="4Gi", disk="100Gi")
GPU = ResourceClass(
    name="gpu",
    cpu="8",
    memory="32Gi",
    gpu=1,
    gpu_resource="amd.com/gpu",
    node_selector={"pool": "gpu"},
    tolerations=({"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},),
)
REPOSITORIES = (
    Repository(directory="code", url="https://git.example.org/ada/code.git", ref="main"),
    Repository(directory="data", url="https://git.example.org/ada/data.git", lfs=True),
)
HUB = {
    "JPY_API_TOKEN": TOKEN,
    "JUPYTERHUB_API_TOKEN": TOKEN,
    "JUPYTERHUB_API_URL": "http://hub:8081/hub/api",
    "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/sessionaaaaa/",
    "JUPYTERHUB_USER": "ada",
    "JUPYTER_IMAGE": "old",
    "MEM_LIMIT": "1",
    "SITE": "$(JUPYTERHUB_USER).example.org",
}


def hub_pod(env: dict[str, str] = HUB, **changed: Any) -> V1Pod:
    """KubeSpawner's pod, as its own function makes it."""
    usual: dict[str, Any] = {
        "name": "jupyter-ada--sessionaaaaa", "cmd": ["jupyterhub-singleuser"], "port": 8888, "image": "old", "env": env,
        "labels": {"component": "singleuser-server"}, "annotations": {"hub.jupyter.org/username": "ada"},
        "volumes": [{"name": "scratch", "emptyDir": {}}], "volume_mounts": [{"name": "scratch", "mountPath": "/tmp"}],
        "extra_pod_config": {"restartPolicy": "OnFailure"},
    }  # fmt: skip
    return make_pod(**usual | changed)


def spec(**changed: Any) -> LaunchSpec:
    usual: dict[str, Any] = {
        "session": "sessionaaaaa", "project": "projectaaaaa", "project_path": "ada/climate",
        "environment": "environmenta", "title": "Ada's notebook", "display_name": "Climate: Ada's notebook",
        "username": "ada", "image": "quay.io/jupyter/scipy-notebook:2026-11-02", "digest": DIGEST,
        "revision": "revisionaaaa", "fingerprint": "0123456789abcdef", "resource_class": SIZE,
        "repositories": REPOSITORIES, "run": RunConfiguration(),
    }  # fmt: skip
    configured = {"needs": ResourceRequirements(disk="10Gi"), "variables": {"LEVEL": "3"}}
    configured |= {name: changed.pop(name) for name in configured if name in changed}
    return LaunchSpec(**usual | changed, configuration=SessionConfiguration(**configured))


def pod(said: LaunchSpec, raw: V1Pod | None = None, *, run: str = RUN, **options: Any) -> dict[str, Any]:
    """The session's pod as it is sent."""
    made = build_session_pod(
        raw or hub_pod(), said, run=run, claim="claim-ada", secret=f"renku-{run}", settings=SETTINGS, **options
    )
    return sent(made)


def secret(said: LaunchSpec, raw: V1Pod | None = None) -> dict[str, Any]:
    return sent(build_session_secret(raw or hub_pod(), said, run=RUN, name=f"renku-{RUN}", settings=SETTINGS))


def sent(model: Any) -> dict[str, Any]:
    """What the client sends for *model*, without what is null."""
    return json.loads(json.dumps(_plain(model)))


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        value = {value.attribute_map[name]: getattr(value, name) for name in value.attribute_map}
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def environment(found: dict[str, Any]) -> dict[str, str | None]:
    """The notebook's variables by name; None where the value is elsewhere."""
    return {variable["name"]: variable.get("value") for variable in found["spec"]["containers"][0]["env"]}


def expanded(text: str, values: dict[str, str]) -> str:
    """*text* after the kubelet's expansion, written after `third_party/forked/golang/expansion/expand.go`."""
    out, at = [], 0
    while at < len(text):
        letter = text[at]
        if letter != "$" or at + 1 == len(text):
            out.append(letter)
            at += 1
        elif text[at + 1] == "$":
            out.append("$")
            at += 2
        elif text[at + 1] == "(" and ")" in text[at + 2 :]:
            end = text.index(")", at + 2)
            name = text[at + 2 : end]
            out.append(values.get(name, f"$({name})"))
            at = end + 1
        else:
            out.append(text[at : at + 2])
            at += 2
    return "".join(out)
