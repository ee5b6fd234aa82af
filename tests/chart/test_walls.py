"""The chart's NetworkPolicies are those that the documents give as an example, whose reach is tried there."""

import ipaddress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from renku_spawner.integrations.net.guarded_http import FORBIDDEN_NETWORKS, is_public_address
from tests.chart.rendered import CHART, HELMS, SETS, changed, rendered

EXAMPLE = {
    policy["metadata"]["name"].removeprefix("renku-"): policy
    for policy in yaml.safe_load_all((CHART.parent / "networkpolicy.yaml").read_text())
}


def policies(done):
    """By what they are for: the name of the release comes first."""
    found = [one for one in done.objects() if one["kind"] == "NetworkPolicy"]
    return {one["metadata"]["name"].removeprefix("try-"): one for one in found}


def test_they_are_those_of_the_example():
    made = policies(rendered(HELMS[0], "own-namespace"))
    assert {which: one["spec"] for which, one in made.items() if which != "prepuller"} == {
        which: one["spec"] for which, one in EXAMPLE.items()
    }
    places = {which: one["metadata"].get("namespace", "jupyter") for which, one in made.items()}
    assert places == {"prepuller": "sessions"} | {which: one["metadata"]["namespace"] for which, one in EXAMPLE.items()}


def test_the_prepuller_reaches_nobody():
    made = policies(rendered(HELMS[0], "trying-out"))["prepuller"]["spec"]
    pod = rendered(HELMS[0], "trying-out").one("DaemonSet", "try-prepuller")["spec"]["template"]["metadata"]
    assert [rule["key"] for rule in made["podSelector"]["matchExpressions"]] == [*pod["labels"]]
    assert made["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & made.keys()


def test_what_an_admin_adds_comes_on_top():
    rule = {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}]}
    lists = {"sessionsEgress": ("sessions", "egress"), "hubEgress": ("hub", "egress"), "hubIngress": ("hub", "ingress")}
    for value, (policy, direction) in lists.items():
        given = {"from": rule["to"]} if direction == "ingress" else rule
        made = policies(changed(HELMS[0], {f"renku.networkPolicies.{value}": [given]}, "own-namespace"))
        assert made[policy]["spec"][direction] == [*EXAMPLE[policy]["spec"][direction], given]


def public_blocks(policy):
    """The rule's peers that stand for the public internet: a block with exceptions."""
    peers = [peer for rule in policy["spec"]["egress"] for peer in rule.get("to", [])]
    return [peer["ipBlock"] for peer in peers if "except" in peer.get("ipBlock", {})]


def lets_through(policy, address):
    return any(
        address in ipaddress.ip_network(block["cidr"])
        and not any(address in ipaddress.ip_network(network) for network in block["except"])
        for block in public_blocks(policy)
    )


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("which", ["hub", "sessions"])
def test_no_network_that_the_hubs_guard_forbids_is_reached(name, which):
    policy = policies(rendered(HELMS[0], name))[which]
    ends = [end for network in FORBIDDEN_NETWORKS for end in (network[0], network[-1])]
    assert [address for address in ends if lets_through(policy, address)] == []
    assert lets_through(policy, ipaddress.ip_address("140.82.121.3"))
    assert lets_through(policy, ipaddress.ip_address("2a00:1450:4001:800::200e"))


@given(st.ip_addresses())
def test_no_address_that_the_hubs_guard_refuses_is_reached(address):
    assert is_public_address(address) or not any(lets_through(EXAMPLE[which], address) for which in ("hub", "sessions"))


@pytest.mark.parametrize(
    ("values", "ports"),
    [
        (
            {"renku.images.policy.hosts": ["registry.example.org:5000", "[fd00::1]:5001", "other.example.org"]},
            {5000, 5001},
        ),
        ({"renku.images.policy.allowed": ["registry.example.org:5000/*", "quay.io/*", "python:3"]}, {5000}),
        ({"renku.images.policy.plain_http": ["registry.example.org"]}, {80}),
        ({"renku.images.registry": "registry.example.org:5000/renku"}, {5000}),
        ({"renku.images.registryProxy": "http://proxy:3128"}, {3128}),
        ({"renku.environments": [{"key": "a", "name": "A", "image": "registry.example.org:5000/a:8080"}]}, {5000}),
        ({"renku.environments": [{"key": "a", "name": "A", "image": "python:3128"}]}, set()),
        ({"renku.gitlab.url": "https://gitlab.example.org:8443/path"}, {8443}),
        ({"renku.repositoryHosts": ["git.example.org:3000", "fd00::1"]}, {3000}),
        ({"renku.storages.hosts": ["minio.example.org:9000"]}, {9000}),
    ],
    ids=str,
)
@pytest.mark.parametrize("helm", HELMS)
def test_the_hub_reaches_what_the_values_name_by_the_port_that_they_name(helm, values, ports):
    made = policies(changed(helm, values | {"renku.networkPolicies.privateHosts": ["10.1.2.3/32"]}))["hub"]
    rules = made["spec"]["egress"]
    public = [rule for rule in rules if any("except" in to.get("ipBlock", {}) for to in rule.get("to", []))]
    private = [rule for rule in rules if rule.get("to") == [{"ipBlock": {"cidr": "10.1.2.3/32"}}]]
    for (rule,) in (public, private):
        assert {one["port"] for one in rule["ports"]} == {443} | ports


def test_sessions_clone_from_private_hosts_by_the_port_that_the_values_name():
    values = {"renku.networkPolicies.privateHosts": ["10.1.2.3/32"], "renku.repositoryHosts": ["git.example.org:3000"]}
    made = policies(changed(HELMS[0], values | {"renku.images.policy.hosts": ["registry.example.org:5000"]}))
    (rule,) = [
        one for one in made["sessions"]["spec"]["egress"] if one.get("to") == [{"ipBlock": {"cidr": "10.1.2.3/32"}}]
    ]
    assert {one["port"] for one in rule["ports"]} == {443, 3000}


@pytest.mark.parametrize("which", ["hub", "sessions"])
def test_private_hosts_are_for_the_hub_and_sessions_by_https(which):
    made = policies(changed(HELMS[0], {"renku.networkPolicies.privateHosts": ["10.1.2.3/32"]}, "own-namespace"))
    rule = {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"port": 443}]}
    assert made[which]["spec"]["egress"] == [*EXAMPLE[which]["spec"]["egress"], rule]


@pytest.mark.parametrize("one", ["hub", "sessions"])
def test_a_cache_of_names_on_each_node_is_reached(one):
    more = {"renku.networkPolicies.dns.addresses": ["169.254.20.10/32"]}
    names = policies(changed(HELMS[0], more))[one]["spec"]["egress"][0]
    assert names["to"][1:] == [{"ipBlock": {"cidr": "169.254.20.10/32"}}]


def test_without_its_address_the_hub_finds_the_clusters_api_anywhere_and_the_notes_say_so():
    done = rendered(HELMS[0], "trying-out")
    rules = policies(done)["hub"]["spec"]["egress"]
    assert {"ports": [{"port": 443}, {"port": 6443}]} in rules
    assert "renku.networkPolicies.apiServer" in done.notes()
    assert "renku.networkPolicies.apiServer" not in rendered(HELMS[0], "own-namespace").notes()
