"""A session lives under the configuration that the chart and Zero to JupyterHub's chart make together."""

from typing import Any

from renku_spawner.domain.instances import InstanceStatus
from tests.chart.rendered import HELMS, changed
from tests.cluster.test_rights import named

# Where Zero to JupyterHub's configuration finds what it sets KubeSpawner's traits to, below `singleuser`.
SINGLE_USER = {
    "allow_privilege_escalation": "allowPrivilegeEscalation",
    "uid": "uid",
    "fs_gid": "fsGid",
    "start_timeout": "startTimeout",
    "events_enabled": "events",
    "extra_labels": "extraLabels",
    "extra_annotations": "extraAnnotations",
    "lifecycle_hooks": "lifecycleHooks",
    "init_containers": "initContainers",
    "extra_containers": "extraContainers",
    "extra_pod_config": "extraPodConfig",
    "profile_list": "profileList",
    "node_selector": "nodeSelector",
    "environment": "extraEnv",
}
PURPOSE = {"key": "hub.jupyter.org/node-purpose", "operator": "In", "values": ["user"]}


def kubespawner(given: dict[str, Any]) -> dict[str, Any]:
    """What that configuration makes of the values that it was given."""
    user = given["singleuser"]
    return {trait: user[value] for trait, value in SINGLE_USER.items()} | {
        "namespace": "jupyter",
        "image": f"{user['image']['name']}:{user['image']['tag']}",
        "mem_guarantee": user["memory"]["guarantee"],
        "common_labels": {"app": "jupyterhub", "heritage": "jupyterhub", "release": "try"},
        "tolerations": [*given["scheduling"]["userPods"]["tolerations"], *user["extraTolerations"]],
        "node_affinity_preferred": [{"weight": 100, "preference": {"matchExpressions": [PURPOSE]}}],
    }


async def test_a_session_lives_in_a_restricted_namespace_with_the_rights_of_the_chart(on_cluster):
    chart = changed(HELMS[0], {"renku.sessions.namespace": "renku-sessions"}, "own-namespace")
    settings = chart.settings()
    own = {name: value for name, value in settings["RenkuSpawner"].items() if name != "clone_image"}
    it = await on_cluster(RenkuSpawner=own, KubeSpawner=kubespawner(chart.given()))
    it.cluster.add_namespace("renku-sessions", **chart.one("Namespace", "renku-sessions")["metadata"]["labels"])
    role = chart.one("Role", "try-hub")
    it.cluster.rules["hub"] = {
        role["metadata"]["namespace"]: {
            named(name, rule): set(rule["verbs"]) for rule in role["rules"] for name in rule["resources"]
        }
    }
    session = await it.hub.session(await it.hub.project())
    below = f"projects/{session.project}/sessions/{session.id}"
    await it.hub.client("alice").post(f"api/renku/{below}/start")
    await it.hub.becomes(session, InstanceStatus.RUNNING)
    (pod,) = it.cluster.objects("pods", "renku-sessions")
    labels, spec = pod["metadata"]["labels"], pod["spec"]
    assert (labels["hub.jupyter.org/network-access-hub"], labels["component"]) == ("true", "singleuser-server")
    assert spec["containers"][0]["image"].startswith("quay.io/jupyter/")
    assert [volume["name"] for volume in spec["volumes"]] == ["renku-work", "renku-shm"]
    assert {one["key"] for one in spec["tolerations"]} >= {"hub.jupyter.org/dedicated"}
    await it.hub.client("alice").post(f"api/renku/sessions/{session.id}/pause")
    await it.hub.becomes(session, InstanceStatus.PAUSED)
    await it.hub.client("alice").delete(f"api/renku/sessions/{session.id}/instance")
    await it.hub.becomes(session, InstanceStatus.INACTIVE)
    assert [(one.verb, one.resource) for one in it.cluster.requests if one.status == 403] == []
    assert it.cluster.objects("persistentvolumeclaims", "renku-sessions") == []
