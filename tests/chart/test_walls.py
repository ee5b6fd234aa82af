"""The chart's NetworkPolicies are those that the documents give as an example, whose reach is tried there."""

import yaml

from tests.chart.rendered import CHART, HELMS, changed, rendered

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


def test_private_hosts_are_for_the_hub_and_sessions_by_https():
    made = policies(changed(HELMS[0], {"renku.networkPolicies.privateHosts": ["10.1.2.3/32"]}, "own-namespace"))
    rule = {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"port": 443}]}
    for which in ("hub", "sessions"):
        assert made[which]["spec"]["egress"] == [*EXAMPLE[which]["spec"]["egress"], rule]


def test_a_cache_of_names_on_each_node_is_reached():
    more = {"renku.networkPolicies.dns.addresses": ["169.254.20.10/32"]}
    for one in ("hub", "sessions"):
        names = policies(changed(HELMS[0], more))[one]["spec"]["egress"][0]
        assert names["to"][1:] == [{"ipBlock": {"cidr": "169.254.20.10/32"}}]


def test_without_its_address_the_hub_finds_the_clusters_api_anywhere_and_the_notes_say_so():
    done = rendered(HELMS[0], "trying-out")
    rules = policies(done)["hub"]["spec"]["egress"]
    assert {"ports": [{"port": 443}, {"port": 6443}]} in rules
    assert "renku.networkPolicies.apiServer" in done.notes()
    assert "renku.networkPolicies.apiServer" not in rendered(HELMS[0], "own-namespace").notes()
