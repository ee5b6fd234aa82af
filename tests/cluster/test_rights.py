"""The hub can do all that it does with helm/role.yaml, and needs all that stands there."""

from pathlib import Path

import pytest
import yaml
from kubernetes_asyncio.client import ApiClient, ApiException, CoreV1Api

from renku_spawner.domain.instances import InstanceStatus
from renku_spawner.domain.projects import NewRepository
from renku_spawner.domain.resource_classes import ResourceRequirements
from tests.fakes.kube import FakeCluster
from tests.spawners.test_inside import changed

ROLE = yaml.safe_load((Path(__file__).parents[2] / "helm" / "role.yaml").read_text())


FOR_PRIVATE_IMAGES = {("patch", "secrets")}  # shown to be needed in tests/integrations/gitlab/test_private_images.py
FOR_THE_PREPULLER = {("get", "daemonsets"), ("patch", "daemonsets")}  # likewise in test_prepuller.py

FOR_USE = {("list", "pods.metrics.k8s.io")}  # likewise in test_processor.py


def rights() -> dict[str, set[str]]:
    """Verbs by resource, as the file gives them."""
    return {named(name, rule): set(rule["verbs"]) for rule in ROLE["rules"] for name in rule["resources"]}


def named(resource: str, rule: dict[str, list[str]]) -> str:
    """With its group, where another has a resource of that name."""
    (group,) = rule["apiGroups"]
    return f"{resource}.{group}" if group == "metrics.k8s.io" else resource


def asked(cluster) -> set[tuple[str, str]]:
    """(verb, resource) of every request to the cluster."""
    return {(request.verb, request.resource) for request in cluster.requests}


def refused(cluster) -> set[tuple[str, str, str]]:
    return {(r.verb, r.resource, r.namespace) for r in cluster.requests if r.status == 403}


def with_the_role(cluster) -> None:
    cluster.rules["hub"] = {"sessions": rights()}


async def become(it, session, how: str, status: InstanceStatus):
    below = f"projects/{session.project}/sessions" if how == "start" else "sessions"
    answer = await it.hub.client("alice").post(f"api/renku/{below}/{session.id}/{how}")
    assert answer.status_code in (200, 202), answer.text
    return await it.hub.becomes(session, status)


def test_the_role_is_for_one_namespace_and_names_every_right() -> None:
    assert (ROLE["apiVersion"], ROLE["kind"]) == ("rbac.authorization.k8s.io/v1", "Role")
    groups = {named(name, rule): rule["apiGroups"] for rule in ROLE["rules"] for name in rule["resources"]}
    others = {"daemonsets": ["apps"], "pods.metrics.k8s.io": ["metrics.k8s.io"]}
    assert groups == {name: others.get(name, [""]) for name in rights()}
    assert not {"*"} & (rights().keys() | set().union(*rights().values()))
    assert len(rights()) == sum(len(rule["resources"]) for rule in ROLE["rules"]), "a resource stands there twice"


async def test_a_whole_life_needs_every_right_of_the_role_and_no_other(on_cluster, upstream):
    upstream.commit("code", **{"read.txt": "cloned"})
    host = upstream.server.url.removeprefix("http://")
    it = await on_cluster(Renku={"repository_hosts": {host}}, RenkuSpawner={"storage_class": "growing"})
    with_the_role(it.cluster)
    repositories = tuple(NewRepository(url=upstream.url(name)) for name in ("code", "missing"))
    project = await it.hub.project(repositories=repositories)
    session = await it.hub.session(project)
    it.cluster.fault(lambda request: (request.verb, request.resource) == ("create", "pods"), times=1, reset=True)
    running = await become(it, session, "start", InstanceStatus.RUNNING)
    (pod,) = it.pods()
    assert [(told["code"], "missing" in told["title"]) for told in running.notices] == [("clone_failed", True)]
    assert (it.kubelet.claim_of(pod) / "code" / "read.txt").read_text() == "cloned"
    await it.hub.app.init_spawners()  # as after a restart
    await become(it, session, "pause", InstanceStatus.PAUSED)
    await changed(it.hub, session, needs=ResourceRequirements(disk="2Gi"))
    await become(it, session, "start", InstanceStatus.RUNNING)
    (claim,) = it.claims()
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    it.hub.curator("root")
    seen = (await it.hub.client("root").get("api/renku/admin/claims")).json()
    assert (seen["unknown"], seen["size"]) == (None, str(2 * 1024**3))
    broken = await it.hub.session(project, "Broken", key="r", variables={"TINY_EXIT": "3"})
    await become(it, broken, "start", InstanceStatus.FAILED)
    for one in (session, broken):
        await it.hub.client("alice").delete(f"api/renku/sessions/{one.id}/instance")
        await it.hub.becomes(one, InstanceStatus.INACTIVE)
    assert (it.pods(), it.claims()) == ([], [])
    assert refused(it.cluster) == set()
    given = {(verb, resource) for resource, verbs in rights().items() for verb in verbs}
    assert given - asked(it.cluster) == FOR_PRIVATE_IMAGES | FOR_THE_PREPULLER | FOR_USE, "nobody needs this"
    assert asked(it.cluster) - given == set()


@pytest.mark.parametrize(
    ("call", "names"),
    [
        ("list_namespaced_secret", {"namespace": "sessions"}),
        ("list_namespaced_pod", {"namespace": "default"}),
        ("list_pod_for_all_namespaces", {}),
        ("list_node", {}),
        ("patch_namespaced_pod", {"namespace": "sessions", "name": "a", "body": {}}),
    ],
)
async def test_a_call_outside_the_role_is_noticed(call, names):
    async with FakeCluster() as cluster, ApiClient(cluster.configuration("hub-token")) as client:
        with_the_role(cluster)
        with pytest.raises(ApiException) as caught:
            await getattr(CoreV1Api(client), call)(**names)
        assert caught.value.status == 403
        assert len(refused(cluster)) == 1
