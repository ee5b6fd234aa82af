"""The policies in helm/networkpolicy.yaml let sessions and the hub reach what they need, and nothing private."""

import ipaddress
from pathlib import Path
from typing import Any

import pytest
import yaml

from renku_spawner.spawners.kubernetes.image_probe import build_session_probe_pod
from renku_spawner.spawners.kubernetes.pvc_reader import DOWNLOAD_PORT, build_reader_labels
from tests.spawners.kubernetes import made

SESSIONS, PROBES, LOOKS, DOWNLOADS, HUB = yaml.safe_load_all(
    (Path(__file__).parents[2] / "helm" / "networkpolicy.yaml").read_text()
)
PEERS = {
    "hub": ("jupyter", {"app": "jupyterhub", "component": "hub"}),
    "proxy": ("jupyter", {"app": "jupyterhub", "component": "proxy"}),
    "dns": ("kube-system", {"k8s-app": "kube-dns"}),
    "database": ("jupyter", {"app": "postgresql"}),
    "another pod": ("default", {"app": "web"}),
    "a false hub": ("sessions", {"component": "hub"}),
    "a session": ("sessions", made.pod(made.spec())["metadata"]["labels"]),
    "a look into an image": (
        "sessions",
        made.sent(build_session_probe_pod({}, made.spec(), made.SETTINGS))["metadata"]["labels"],
    ),
    "a look at files": ("sessions", build_reader_labels("look", made.SETTINGS, "work-claimaaaaaaa")),
    "a download": ("sessions", build_reader_labels("download", made.SETTINGS, "work-claimaaaaaaa")),
}
PRIVATE = [
    "169.254.169.254", "10.0.0.1", "10.96.0.10", "172.31.255.254", "192.168.1.1", "100.100.100.200", "127.0.0.1",
    "0.0.0.0", "224.0.0.251", "255.255.255.255", "198.18.0.1", "::1", "fd00:ec2::254", "fe80::1", "fc00::1",
    "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001:0:1::1", "168.63.129.16",
]  # fmt: skip
PUBLIC = ["140.82.121.3", "8.8.8.8", "2a00:1450:4001:800::200e"]


def matches(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """As https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ has it; none matches everything."""
    selector = selector or {}
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    assert all(one["operator"] == "Exists" for one in selector.get("matchExpressions", []))
    known = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return known and all(one["key"] in labels for one in selector.get("matchExpressions", []))


def is_there(peer: dict[str, Any], who: str, own: str) -> bool:
    """Whether *who*, an address or a key of PEERS, is meant by a rule's *peer*; *own* is the policy's namespace."""
    if block := peer.get("ipBlock"):
        if who in PEERS:
            return False
        address = ipaddress.ip_address(who)
        inside = address in ipaddress.ip_network(block["cidr"])
        return inside and all(address not in ipaddress.ip_network(cidr) for cidr in block.get("except", []))
    if who not in PEERS:
        return False
    namespace, labels = PEERS[who]
    places = peer.get("namespaceSelector")
    here = namespace == own if places is None else matches(places, {"kubernetes.io/metadata.name": namespace})
    return here and matches(peer.get("podSelector"), labels)


def allows(policy: dict[str, Any], direction: str, who: str, port: int, protocol: str = "TCP") -> bool:
    key, own = {"egress": "to", "ingress": "from"}[direction], policy["metadata"]["namespace"]
    for rule in policy["spec"][direction]:
        ports = rule.get("ports")
        open_ = not ports or any((one["port"], one.get("protocol", "TCP")) == (port, protocol) for one in ports)
        if open_ and any(is_there(peer, who, own) for peer in rule[key]):
            return True
    return False


@pytest.mark.parametrize("policy", [SESSIONS, HUB], ids=["sessions", "hub"])
def test_a_policy_is_one_that_kubernetes_takes(policy):
    assert (policy["apiVersion"], policy["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    blocks = [peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule["to"] if "ipBlock" in peer]
    for block in blocks:  # the API server refuses an exception that is not within its block
        whole = ipaddress.ip_network(block["cidr"])
        assert all(ipaddress.ip_network(cidr).subnet_of(whole) for cidr in block.get("except", []))
    assert len(blocks) >= 2


def test_they_select_the_pods_that_they_are_for():
    assert matches(SESSIONS["spec"]["podSelector"], PEERS["a session"][1])
    assert not matches(SESSIONS["spec"]["podSelector"], PEERS["hub"][1])
    assert matches(HUB["spec"]["podSelector"], PEERS["hub"][1])
    assert not matches(SESSIONS["spec"]["podSelector"], PEERS["a look into an image"][1])
    assert not matches(SESSIONS["spec"]["podSelector"], PEERS["a look at files"][1])
    assert SESSIONS["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert HUB["spec"]["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize("port", [22, 53, 80, 443, 5432, 8888])
def test_sessions_reach_the_internet_and_nothing_private(port):
    assert [who for who in PRIVATE if allows(SESSIONS, "egress", who, port)] == []
    assert [who for who in PUBLIC if not allows(SESSIONS, "egress", who, port)] == []


def test_sessions_reach_names_the_hub_and_the_proxy_and_no_other_pod():
    ports = [(53, "UDP"), (53, "TCP"), (443, "TCP"), (8000, "TCP"), (8001, "TCP"), (8081, "TCP"), (8888, "TCP")]
    found = {(who, *port) for who in PEERS for port in ports if allows(SESSIONS, "egress", who, *port)}
    assert found == {("dns", 53, "UDP"), ("dns", 53, "TCP"), ("hub", 8081, "TCP"), ("proxy", 8000, "TCP")}


def test_only_the_hub_and_the_proxy_reach_sessions():
    assert [who for who in (*PEERS, *PUBLIC, *PRIVATE) if allows(SESSIONS, "ingress", who, 8888)] == ["hub", "proxy"]


def test_only_sessions_and_the_proxy_reach_the_hub():
    everybody = (*PEERS, *PUBLIC, *PRIVATE)
    assert [who for who in everybody if allows(HUB, "ingress", who, 8081)] == ["proxy", "a session"]
    assert [who for who in everybody if allows(HUB, "ingress", who, 8001)] == []


def test_the_hub_reaches_public_hosts_by_https_alone_and_nothing_private():
    assert [who for who in PRIVATE for port in (80, 443, 6443) if allows(HUB, "egress", who, port)] == []
    assert [who for who in PUBLIC for port in (22, 80, 443) if allows(HUB, "egress", who, port)] == PUBLIC
    cluster = [who for who in PEERS if PEERS[who][0] != "sessions"]
    reached = {(who, port) for who in cluster for port in (443, 5432, 8001, 8888) if allows(HUB, "egress", who, port)}
    assert reached == {("proxy", 8001), ("database", 5432)}
    assert allows(HUB, "egress", "a session", 8888)
    assert allows(HUB, "egress", "10.96.0.1", 443)


def test_only_the_hub_reaches_a_download_which_reaches_nobody():
    assert [name for name in PEERS if matches(DOWNLOADS["spec"]["podSelector"], PEERS[name][1])] == ["a download"]
    assert (DOWNLOADS["spec"]["policyTypes"], "egress" in DOWNLOADS["spec"]) == (["Ingress", "Egress"], False)
    for who in (*PEERS, *PUBLIC, *PRIVATE):
        assert allows(DOWNLOADS, "ingress", who, DOWNLOAD_PORT) == (who == "hub"), who
    assert allows(HUB, "egress", "a download", DOWNLOAD_PORT)


@pytest.mark.parametrize(("policy", "who"), [(PROBES, "a look into an image"), (LOOKS, "a look at files")])
def test_a_look_reaches_nobody_and_nobody_reaches_it(policy, who):
    assert policy["metadata"]["namespace"] == SESSIONS["metadata"]["namespace"]
    assert [name for name in PEERS if matches(policy["spec"]["podSelector"], PEERS[name][1])] == [who]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & policy["spec"].keys()  # both are closed: no rule opens anything
