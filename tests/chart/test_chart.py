"""The chart renders alike with both Helms, and what it renders is what Kubernetes and JupyterHub's chart take."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

import renku_spawner
from tests.chart.rendered import (
    CHART,
    HELMS,
    ROOT,
    SETS,
    Z2JH,
    Done,
    changed,
    chart,
    fetch_dependency,
    rendered,
    run,
    values_of,
)
from tests.spawners.kubernetes.pss import offences

GOLDEN = Path(__file__).parent / "golden"
KUBERNETES = ["1.32", "1.37"]  # the oldest that the chart is for, and the newest that there is
BOTH = pytest.mark.parametrize("helm", HELMS)
ALL = pytest.mark.parametrize("name", SETS)


def ours(done: Done) -> list[dict[str, Any]]:
    """What is sent to the cluster, without what the tests have added, in an order of its own."""
    sent = [one for one in done.objects() if one["metadata"]["name"] not in ("given-to-jupyterhub", "the-notes")]
    return sorted(sent, key=lambda one: (one["kind"], one["metadata"]["name"]))


def without_chance(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        one | {"data": dict.fromkeys(one["data"], "generated")} if one["kind"] == "Secret" else one for one in objects
    ]


def without_nulls(value: Any) -> Any:
    """Values that are null are kept by one Helm and left out by the other."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return value


def test_its_version_is_the_packages() -> None:
    said = yaml.safe_load((CHART / "Chart.yaml").read_text())
    image = yaml.safe_load((CHART / "values.yaml").read_text())["jupyterhub"]["hub"]["image"]
    assert {said["version"], said["appVersion"], image["tag"]} == {renku_spawner.__version__}


@pytest.mark.parametrize("name", SETS)
@BOTH
def test_it_has_no_faults_that_helm_knows(name: str, helm: str) -> None:
    done = run(helm, "lint", "--strict", str(chart()), "-f", str(values_of(name)))
    assert done.ok, done.out + done.err


@ALL
def test_both_helms_render_the_same(name: str) -> None:
    three, four = (rendered(helm, name) for helm in HELMS)
    assert three.ok, three.err
    assert without_chance(ours(three)) == without_chance(ours(four))
    assert without_nulls(three.given()) == without_nulls(four.given())
    assert three.notes() == four.notes()


@ALL
def test_what_is_rendered_is_as_before(name: str) -> None:
    """`RENKU_UPDATE_GOLDEN=1` writes what is rendered now; the difference is reviewed."""
    done = rendered(HELMS[0], name)
    objects = without_chance(ours(done))
    for one in objects:
        if one["kind"] == "ConfigMap":
            one["data"] |= {"renku.json": f"as in {name}.json"}
        if one["kind"] == "Role":
            one["rules"] = "as in helm/role.yaml"
    texts = {
        "yaml": yaml.safe_dump_all(objects, width=120, sort_keys=False),
        "json": json.dumps(done.settings(), indent=2) + "\n",
        "txt": done.notes(),
    }
    for kind, text in texts.items():
        file = GOLDEN / f"{name}.{kind}"
        if os.environ.get("RENKU_UPDATE_GOLDEN"):
            file.write_text(text)
        assert text == file.read_text()


@ALL
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(name: str, version: str) -> None:
    for one in ours(rendered(HELMS[0], name)):
        kubernetes_validate.validate(one, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_noticed() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [], "volume": []}}
    with pytest.raises(kubernetes_validate.ValidationError, match="volume"):
        kubernetes_validate.validate(pod, KUBERNETES[0], strict=True)


@ALL
def test_the_chart_of_jupyterhub_takes_what_it_is_given(name: str) -> None:
    schema = json.loads((Z2JH / "values.schema.json").read_text())
    jsonschema.Draft7Validator(schema).validate(rendered(HELMS[0], name).given())


def test_what_is_given_to_jupyterhub_keeps_sessions_as_they_are_meant() -> None:
    given = rendered(HELMS[0], "trying-out").given()
    hub, user = given["hub"], given["singleuser"]
    assert (user["storage"]["type"], user["cloudMetadata"]["blockWithIptables"]) == ("none", False)
    assert not given["cull"]["enabled"]
    assert not given["rbac"]["create"]
    assert not any(given["prePuller"][which]["enabled"] for which in ("hook", "continuous"))
    assert max(hub["extraConfig"]) == "zz-renku"
    compile(hub["extraConfig"]["zz-renku"], "zz-renku", "exec")


def test_secrets_are_made_once_and_only_where_somebody_has_to() -> None:
    trying, production = (rendered(HELMS[0], name) for name in ("trying-out", "production"))
    made = trying.one("Secret", "renku-hub")["data"]
    assert set(made) == {"SharedPasswordAuthenticator.user_password", "SharedPasswordAuthenticator.admin_password"}
    assert set(production.one("Secret", "renku-hub")["data"]) == {"Renku.webhook_secret"}
    none = changed(HELMS[0], {"renku.generateSecrets": False})
    assert "Secret" not in {one["kind"] for one in none.objects()}


@BOTH
def test_a_namespace_of_sessions_is_made_restricted_and_stays(helm: str) -> None:
    made = rendered(helm, "own-namespace").one("Namespace", "sessions")
    assert made["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert made["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    existing = changed(helm, {"renku.sessions.createNamespace": False}, "own-namespace")
    assert "Namespace" not in {one["kind"] for one in existing.objects()}
    assert "Namespace" not in {one["kind"] for one in rendered(helm, "trying-out").objects()}


def test_the_hub_has_its_rights_where_sessions_are_and_nowhere_else() -> None:
    for name, namespace in {"own-namespace": "sessions", "trying-out": "jupyter"}.items():
        done = rendered(HELMS[0], name)
        rights = [one for one in ours(done) if one["apiVersion"].startswith("rbac.")]
        assert {(one["kind"], one["metadata"]["namespace"]) for one in rights} == {
            ("Role", namespace), ("RoleBinding", namespace),
        }  # fmt: skip
        bound = done.one("RoleBinding", "try-hub")
        assert bound["subjects"] == [{"kind": "ServiceAccount", "name": "hub", "namespace": "jupyter"}]


def test_its_role_is_the_one_that_a_sessions_life_is_tried_with() -> None:
    role = yaml.safe_load((CHART.parent / "role.yaml").read_text())
    done = rendered(HELMS[0], "trying-out").one("Role", "try-hub")
    named = {rule["resources"][0]: rule.pop("resourceNames") for rule in done["rules"] if "resourceNames" in rule}
    assert done["rules"] == role["rules"]
    assert named == {"daemonsets": ["try-prepuller"]}, "of DaemonSets it is given the one alone"


def test_without_a_prepuller_nobody_has_rights_to_one() -> None:
    done = changed(HELMS[0], {"renku.prepuller.enabled": False})
    assert not any("daemonsets" in rule["resources"] for rule in done.one("Role", "try-hub")["rules"])
    assert "prepuller" not in done.settings()["RenkuSpawner"]


def test_where_nobody_asks_what_pods_use_nobody_has_the_right_to() -> None:
    done = changed(HELMS[0], {"renku.idle.processor": 0})
    assert not any("metrics.k8s.io" in rule["apiGroups"] for rule in done.one("Role", "try-hub")["rules"])
    assert done.settings()["Renku"]["idle_processor"] == 0


def test_the_prepuller_has_every_ready_made_image_and_goes_where_classes_do() -> None:
    pod = rendered(HELMS[0], "production").one("DaemonSet", "try-prepuller")["spec"]["template"]
    assert pod["metadata"]["labels"] == {"renku.io/prepuller": "try-prepuller"}
    images = {one["name"]: one["image"] for one in pod["spec"]["initContainers"]}
    assert images == {
        "clone": "registry.example.org:5000/renku/clone:2026-11-20",
        "configured-python": "registry.example.org:5000/renku/python:2026-11-20",
        "configured-rstudio": "registry.example.org:5000/renku/rstudio:2026-11-20",
    }
    tolerated = {one["key"] for one in pod["spec"]["tolerations"]}
    assert {"example.org/gpu", "example.org/sessions", "hub.jupyter.org/dedicated"} <= tolerated
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]


@ALL
def test_pod_security_takes_the_prepuller_as_restricted(name: str) -> None:
    assert offences(rendered(HELMS[0], name).one("DaemonSet", "try-prepuller")["spec"]["template"]) == []


def test_the_notes_warn_of_strangers_images_at_the_hubs_own_address() -> None:
    loud = "PEOPLE MAY BRING IMAGES OF THEIR OWN"
    address = {"renku.address": "https://hub.example.org"}
    assert loud in changed(HELMS[0], address).notes()
    assert loud not in changed(HELMS[0], address | {"renku.userSubdomains": True}).notes()
    assert loud not in changed(HELMS[0], address | {"renku.images.policy.allowed": []}).notes()


def test_the_notes_say_what_is_still_to_do() -> None:
    trying, production = (rendered(HELMS[0], name).notes() for name in ("trying-out", "production"))
    assert "of no registry" in trying
    assert "There is no ready-made environment" in trying
    assert "No user can log in yet" in changed(HELMS[0], {"renku.gitlab.allowedGroups": []}, "production").notes()
    for said in ("of no registry", "no ready-made environment", "No user can log in yet", "The database is a file"):
        assert said not in production


@pytest.mark.parametrize("number", [0, 1])
@BOTH
def test_the_values_of_the_documents_are_taken(helm: str, number: int, tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "cluster.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "values.yaml").write_text(blocks[number])
    done = run(helm, "template", "renku", str(chart()), "-n", "renku", "-f", str(tmp_path / "values.yaml"))
    assert done.ok, done.err
    for warning in ("No user can log in yet", "no ready-made environment", "of no registry"):
        assert warning not in done.notes()


def test_what_can_be_left_out_is_left_out() -> None:
    off = {
        "renku.prepuller.enabled": False,
        "renku.networkPolicies.enabled": False,
        "renku.podDisruptionBudget.enabled": False,
    }
    kinds = {one["kind"] for one in changed(HELMS[0], off).objects()}
    assert kinds == {"ConfigMap", "Secret", "Role", "RoleBinding"}


@pytest.mark.parametrize("packed", [True, False])
def test_the_chart_that_it_depends_on_comes_from_a_folder_that_is_named(packed: bool, tmp_path: Path) -> None:
    charts, ours_there = tmp_path / "charts", tmp_path / "renku-hub"
    charts.mkdir()
    shutil.copytree(CHART, ours_there)
    assert "neither jupyterhub-*.tgz nor jupyterhub" in fetch_dependency(ours_there, str(charts))
    if packed:
        assert run(HELMS[0], "package", str(chart() / "charts" / "jupyterhub"), "-d", str(charts)).ok
    else:
        shutil.copytree(chart() / "charts" / "jupyterhub", charts / "jupyterhub")
    assert fetch_dependency(ours_there, str(charts)) == ""
    for helm in HELMS:
        done = run(helm, "template", "try", str(ours_there), "-f", str(values_of("trying-out")))
        assert done.ok, done.err
        assert done.given()["hub"]["image"]["name"] == "renku-hub"
