"""What is misspelt, impossible or contradicts itself in the values is refused with a sentence that names it."""

import json

import pytest

from tests.chart.rendered import HELMS, changed

BOTH = pytest.mark.parametrize("helm", HELMS)
ENTRY = {"key": "python", "name": "Python", "image": "quay.io/jupyter/scipy-notebook:2026-11-02"}
SIZE = {"name": "small", "cpu": "1", "memory": "2Gi"}
# A value by its path, what names the place, and what names the fault.
SCHEMA = [
    ({"renku.gitlab.clientID": "a"}, "gitlab", "clientID"),
    ({"renku.projcts": "hub"}, "renku", "projcts"),
    ({"renku.projects": "github"}, "projects", "gitlab"),
    ({"renku.address": "hub.example.org"}, "address", "pattern"),
    ({"renku.address": "https://hub.example.org/jupyter"}, "address", "pattern"),
    ({"renku.gitlab.url": "gitlab.example.org"}, "url", "pattern"),
    ({"renku.gitlab.ca": "/etc/ssl/ca.pem"}, "ca", "pattern"),
    ({"renku.gitlab.push": "yes"}, "push", "boolean"),
    ({"renku.gitlab.accessWindow": 901}, "accessWindow", "900"),
    ({"renku.environments": [ENTRY | {"tag": "1"}]}, "0", "tag"),
    ({"renku.environments": [{"key": "python", "name": "Python"}]}, "0", "image"),
    ({"renku.environments": [ENTRY | {"uid": 0}]}, "uid", "000"),
    ({"renku.environments": [ENTRY | {"defaultUrl": "/"}]}, "0", "defaultUrl"),
    ({"renku.environments": ENTRY}, "environments", "array"),
    ({"renku.resourceClasses": [SIZE | {"cpu": 1}]}, "cpu", "string"),
    ({"renku.resourceClasses": [SIZE | {"cpu": "2000"}]}, "cpu", "pattern"),
    ({"renku.resourceClasses": [SIZE | {"memory": "8"}]}, "memory", "pattern"),
    ({"renku.resourceClasses": [SIZE | {"disk": "2Pi"}]}, "disk", "pattern"),
    ({"renku.resourceClasses": [SIZE | {"gpu": 65}]}, "gpu", "64"),
    ({"renku.sessions.apiRate": 3}, "apiRate", "4"),
    ({"renku.resourceClasses": [SIZE | {"tolerations": [{"kei": "a"}]}]}, "tolerations", "kei"),
    ({"renku.resourceClasses": []}, "resourceClasses", "1"),
    ({"renku.limits.runing": 3}, "limits", "runing"),
    ({"renku.limits.running": 0}, "running", "1"),
    ({"renku.images.policy.allow": []}, "policy", "allow"),
    ({"renku.images.platforms": ["amd64"]}, "platforms", "pattern"),
    ({"renku.sessions.namespace": "Sessions"}, "namespace", "pattern"),
    ({"renku.volumes.size": "10Gi"}, "volumes", "size"),
    ({"renku.networkPolicies.apiServer": ["10.96.0.1"]}, "apiServer", "pattern"),
    ({"renku.networkPolicies.dns.labels": {}}, "dns", "labels"),
    ({"hub.config": {}}, "", "hub"),
    ({"jupyterhub.hub.imag": {}}, "hub", "imag"),
]
GITLAB = {
    "renku.projects": "gitlab",
    "renku.address": "https://hub.example.org",
    "renku.gitlab.url": "https://gitlab.example.org",
    "renku.gitlab.clientId": "0123",
}
CONTRADICTIONS = [
    (GITLAB | {"renku.gitlab.clientId": ""}, "renku.gitlab.clientId is needed with renku.projects gitlab."),
    (GITLAB | {"renku.gitlab.url": ""}, "renku.gitlab.url is needed with renku.projects gitlab."),
    (GITLAB | {"renku.address": ""}, "renku.address is needed with renku.projects gitlab."),
    ({"renku.userSubdomains": True}, "renku.userSubdomains needs renku.address"),
    (
        {"jupyterhub.cull.enabled": True, "jupyterhub.cull.removeNamedServers": True},
        "jupyterhub.cull.removeNamedServers has to stay false",
    ),
    ({"jupyterhub.fullnameOverride": "renku"}, "jupyterhub.fullnameOverride has to stay empty"),
    ({"jupyterhub.singleuser.storage.type": "dynamic"}, "jupyterhub.singleuser.storage.type has to stay none"),
    (
        {"jupyterhub.singleuser.cloudMetadata.blockWithIptables": True},
        "jupyterhub.singleuser.cloudMetadata.blockWithIptables has to stay false",
    ),
    ({"jupyterhub.hub.db.password": "a"}, "put it into the Secret renku-hub-credentials"),
    (
        {"jupyterhub.proxy.https.enabled": True, "jupyterhub.proxy.https.type": "letsencrypt"},
        "jupyterhub.rbac.create has to be true",
    ),
    ({"jupyterhub.hub.pdb.enabled": True}, "renku.podDisruptionBudget.enabled are both true"),
    ({"jupyterhub.hub.networkPolicy.enabled": True}, "renku.networkPolicies.enabled are both true"),
    ({"jupyterhub.hub.extraVolumes": []}, "jupyterhub.hub.extraVolumes has lost renku-config or renku-secret"),
    ({"jupyterhub.hub.extraVolumeMounts": []}, "jupyterhub.hub.extraVolumeMounts has lost renku-config"),
    (
        {"jupyterhub.hub.db.type": "sqlite-memory"},
        "jupyterhub.hub.db.type has to be sqlite-pvc or a database of its own",
    ),
    ({"jupyterhub.hub.db.type": "postgres"}, "renku.networkPolicies.database says neither podLabels nor addresses"),
]


@BOTH
@pytest.mark.parametrize(("values", "place", "fault"), SCHEMA, ids=lambda said: json.dumps(said)[:60])
def test_a_value_that_cannot_be_is_named(helm, values, place, fault):
    done = changed(helm, values)
    assert not done.ok
    (said,) = [line for line in done.err.splitlines() if line.startswith("- ")]
    assert place in said
    assert fault in said


@pytest.mark.parametrize(("values", "sentence"), CONTRADICTIONS, ids=lambda said: json.dumps(said)[:60])
def test_what_contradicts_itself_is_refused_with_a_sentence(values, sentence):
    done = changed(HELMS[0], values)
    assert not done.ok
    assert sentence in done.err


@BOTH
def test_what_is_right_by_itself_is_taken(helm):
    assert changed(helm, GITLAB).ok
    assert changed(helm, {"jupyterhub.cull.enabled": True}).ok
    more = {"jupyterhub.rbac.create": True, "jupyterhub.proxy.https.enabled": True}
    assert changed(helm, more).ok
    assert changed(helm, {"jupyterhub.hub.pdb.enabled": True, "renku.podDisruptionBudget.enabled": False}).ok
    assert changed(helm, {"jupyterhub.hub.networkPolicy.enabled": True, "renku.networkPolicies.enabled": False}).ok
