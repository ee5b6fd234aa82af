"""Which names and addresses count as public, what an admin may list, and the wall at the socket."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from renku_spawner.integrations.net.errors import ConnectionNotAllowed, RemoteUnreachable
from renku_spawner.integrations.net.guarded_http import EgressGuard, is_public_address, is_public_name
from tests.fixtures.network import Network

GOOD = [
    "registry.example.org",
    "ghcr.io",
    "registry.k8s.io",
    "xn--n3h.com",
    "a.b.c.d.example",
    "my_host.example.org",
    "1.example.org",
]
BAD = [
    "hub",
    "localhost",
    "a.localhost",
    "x.svc",
    "x.svc.cluster.local",
    "x.local",
    "x.internal",
    "router.lan",
    "x.home.arpa",
    "1.2.3.4",
    "1.2.3",
    "a.1",
    "a.0x1f",
    "a.0x",
    "-a.example.org",
    "a..example.org",
    ".example.org",
    "example.org..",
    "a b.example.org",
    "a%.example.org",
    "é.example.org",
    "a" * 64 + ".example.org",
    "a." * 127 + "example",
    "",
]


@pytest.mark.parametrize("host", GOOD)
def test_a_public_name_is_let_through(host: str) -> None:
    assert is_public_name(host)
    EgressGuard().check_url(URL(f"https://{host}/v2/"))
    EgressGuard().check_url(URL(f"https://{host.upper()}.:443/v2/"))


@pytest.mark.parametrize("host", BAD)
def test_a_name_of_an_office_or_a_cluster_is_not(host: str) -> None:
    assert not is_public_name(host)


@pytest.mark.parametrize(
    ("address", "answer"), [("93.184.215.14", True), ("2606:2800:21f:cb07::1", True), ("168.63.129.16", False)]
)
def test_an_address_is_public_or_not(address: str, answer: bool) -> None:
    assert is_public_address(ipaddress.ip_address(address)) is answer


@given(st.ip_addresses())
def test_no_address_that_python_calls_private_is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert not is_public_address(address) or (address.is_global and not address.is_multicast and not address.is_private)


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_comes_in_the_clothes_of_another(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for start, shift in (
        ("::", 0),
        ("::ffff:0:0", 0),
        ("64:ff9b::", 0),
        ("2002::", 80),
        ("2001::", 0),
        ("64:ff9b:1::", 0),
    ):
        assert not is_public_address(ipaddress.IPv6Address(int(ipaddress.IPv6Address(start)) | number << shift))


@pytest.mark.parametrize("listed", ["10.0.0.5", "10.0.0.5:5000", "[fd00::1]:5000", "registry", "registry.svc:5000"])
async def test_a_listed_host_may_be_inside(listed: str, network: Network) -> None:
    network.names = {"registry": [["10.1.1.1"]], "registry.svc": [["10.1.1.2"]]}
    guard = EgressGuard(hosts=[listed], resolve=network.resolve)
    url = URL(f"https://{listed}/v2/")
    guard.check_url(url)
    assert all(
        ipaddress.ip_address(a).is_private
        for a in await guard.resolve_allowed_addresses(url.raw_host or "", url.port or 443)
    )
    with pytest.raises(ConnectionNotAllowed):
        guard.check_url(url.with_scheme("http"))
    for other in ("https://10.0.0.6:5000/", "https://hub/", f"https://{url.raw_host}x:5000/"):
        with pytest.raises(ConnectionNotAllowed):
            guard.check_url(URL(other.replace("fd00::1x", "[fd00::2]")))


@pytest.mark.parametrize(
    "url", ["https://registry/", "https://registry:5001/", "http://registry:5000/", "http://other.example.org/"]
)
def test_a_listed_port_is_no_other_port(url: str) -> None:
    with pytest.raises(ConnectionNotAllowed):
        EgressGuard(hosts=["registry:5000"], plain_http=["plain.example.org"]).check_url(URL(url))


def test_plain_http_is_for_listed_hosts() -> None:
    guard = EgressGuard(hosts=["registry:5000"], plain_http=["plain.example.org"])
    guard.check_url(URL("http://plain.example.org/"))
    guard.check_url(URL("http://plain.example.org:8080/"))
    assert (guard.get_scheme("plain.example.org"), guard.get_scheme("registry:5000")) == ("http", "https")
    assert EgressGuard(plain_http=["r:80"]).get_scheme("r") == "http"


@pytest.mark.parametrize(
    "entry", ["", "https://a.example.org", "a.example.org/x", "a:0", "a:99999", "a b", "*", "10.0.0.0/8", "::1"]
)
def test_an_entry_that_is_no_host_stops_the_hub(entry: str) -> None:
    with pytest.raises(ValueError, match="host"):
        EgressGuard(hosts=[entry])


async def test_a_repository_host_is_vetted_like_a_registry(network: Network) -> None:
    network.names = {"git.example.org": [["93.184.215.20", "10.0.0.1"]], "inside.example.org": [["10.0.0.1"]]}
    guard = EgressGuard(resolve=network.resolve)
    assert await guard.resolve_allowed_addresses("git.example.org") == ("93.184.215.20",)
    assert await guard.resolve_allowed_addresses("93.184.215.20") == ("93.184.215.20",)
    for host in ("inside.example.org", "gitlab", "127.0.0.1", "169.254.169.254", "::1"):
        with pytest.raises(ConnectionNotAllowed):
            await guard.resolve_allowed_addresses(host)
    with pytest.raises(RemoteUnreachable):
        await guard.resolve_allowed_addresses("unknown.example.org")
    with pytest.raises(ConnectionNotAllowed):
        await guard.resolve_allowed_addresses("git.example.org", 22)


def test_the_wall_stops_what_came_by_another_way() -> None:
    guard = EgressGuard(hosts=["127.0.0.1:5000"])
    inside = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 5001))
    with pytest.raises(PermissionError):
        guard.create_socket(inside)
    with pytest.raises(PermissionError):
        guard.create_socket((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::ffff:93.184.215.14", 443, 0, 0)))
    guard.create_socket((*inside[:4], ("127.0.0.1", 5000))).close()
    guard.create_socket((*inside[:4], ("93.184.215.14", 443))).close()


async def test_the_systems_resolver_is_asked_in_threads_of_our_own() -> None:
    guard = EgressGuard(hosts=["localhost"])
    assert set(await guard.resolve_allowed_addresses("localhost")) <= {"127.0.0.1", "::1"}
    guard.close()
