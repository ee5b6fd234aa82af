"""The checker of the standard *restricted* accepts good pods and names what is wrong in bad ones."""

import copy
from typing import Any

import pytest

from .pss import offences

GOOD_CONTEXT = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
GOOD: dict[str, Any] = {
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [{"name": "clone", "securityContext": GOOD_CONTEXT}],
        "containers": [{"name": "notebook", "securityContext": GOOD_CONTEXT, "ports": [{"containerPort": 8888}]}],
        "volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": "x"}}],
    }
}


def test_a_good_pod_has_nothing_that_offends() -> None:
    assert offences(GOOD) == []


@pytest.mark.parametrize(
    "context",
    [
        {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
        {"runAsUser": 1000},
        {"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}},
        {"seLinuxOptions": {"type": "container_t"}},
        {"appArmorProfile": {"type": "RuntimeDefault"}},
        {"procMount": "Default"},
    ],
)
def test_what_the_standard_allows_is_allowed(context: dict[str, Any]) -> None:
    pod = copy.deepcopy(GOOD)
    pod["spec"]["containers"][0]["securityContext"] = GOOD_CONTEXT | context
    assert offences(pod) == []


@pytest.mark.parametrize("kind", ["initContainers", "containers"])
@pytest.mark.parametrize(
    ("context", "offence"),
    [
        ({"privileged": True}, "privileged"),
        ({"allowPrivilegeEscalation": True}, "allowPrivilegeEscalation"),
        ({"allowPrivilegeEscalation": None}, "allowPrivilegeEscalation"),
        ({"capabilities": {"drop": ["NET_RAW"]}}, "capabilities.drop"),
        ({"capabilities": None}, "capabilities.drop"),
        ({"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}, "capabilities.add"),
        ({"procMount": "Unmasked"}, "procMount"),
        ({"runAsNonRoot": False}, "runAsNonRoot"),
        ({"runAsUser": 0}, "runAsUser"),
        ({"seccompProfile": {"type": "Unconfined"}}, "seccompProfile"),
        ({"appArmorProfile": {"type": "Unconfined"}}, "appArmorProfile"),
        ({"seLinuxOptions": {"type": "spc_t"}}, "seLinuxOptions"),
        ({"seLinuxOptions": {"user": "root"}}, "seLinuxOptions"),
        ({"windowsOptions": {"hostProcess": True}}, "hostProcess"),
    ],
)
def test_a_bad_container_is_named_with_what_is_bad(kind: str, context: dict[str, Any], offence: str) -> None:
    pod = copy.deepcopy(GOOD)
    container = pod["spec"][kind][0]
    container["securityContext"] = GOOD_CONTEXT | context
    assert set(offences(pod)) == {f"{container['name']}: {offence}"}


@pytest.mark.parametrize(
    ("change", "offence"),
    [
        ({"hostNetwork": True}, "pod: hostNetwork"),
        ({"hostPID": True}, "pod: hostPID"),
        ({"hostIPC": True}, "pod: hostIPC"),
        ({"volumes": [{"name": "h", "hostPath": {"path": "/"}}]}, "volume h: ['hostPath']"),
        ({"volumes": [{"name": "h", "nfs": {"path": "/"}}]}, "volume h: ['nfs']"),
    ],
)
def test_a_bad_pod_is_named_with_what_is_bad(change: dict[str, Any], offence: str) -> None:
    assert offences({"spec": GOOD["spec"] | change}) == [offence]


@pytest.mark.parametrize(
    ("context", "found"),
    [
        ({}, {"runAsNonRoot", "seccompProfile"}),
        ({"runAsNonRoot": True}, {"seccompProfile"}),
        ({"seccompProfile": {"type": "RuntimeDefault"}}, {"runAsNonRoot"}),
    ],
)
def test_what_the_pod_does_not_say_each_container_must(context: dict[str, Any], found: set[str]) -> None:
    names = ("clone", "notebook")
    assert set(offences({"spec": GOOD["spec"] | {"securityContext": context}})) == {
        f"{name}: {one}" for name in names for one in found
    }


@pytest.mark.parametrize("context", [{"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}, {"runAsUser": 0}])
def test_the_pods_own_context_is_looked_at_too(context: dict[str, Any]) -> None:
    spec = GOOD["spec"] | {"securityContext": GOOD["spec"]["securityContext"] | context}
    (offence,) = offences({"spec": spec})
    assert offence.startswith("pod: ")


@pytest.mark.parametrize(
    "change",
    [
        {"ports": [{"containerPort": 80, "hostPort": 80}]},
        {"livenessProbe": {"httpGet": {"host": "10.0.0.1"}}},
        {"lifecycle": {"postStart": {"tcpSocket": {"host": "10.0.0.1"}}}},
    ],
)
def test_ports_and_probes_of_the_machine_are_seen(change: dict[str, Any]) -> None:
    pod = copy.deepcopy(GOOD)
    pod["spec"]["containers"][0] |= change
    assert len(offences(pod)) == 1
