"""Which addresses and names belong to the public internet: pure rules, no look-up."""

from __future__ import annotations

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Beyond `is_global`, whose table differs between versions of Python and counts some of these as global.
FORBIDDEN = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # carrier-grade NAT; cloud metadata services live there
        "168.63.129.16/32",  # Azure's metadata and agent address, from a public range
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "64:ff9b::/96",  # NAT64 to any IPv4 address
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/32",  # Teredo
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
    )
)
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)+")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_INSIDE = {
    "corp",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "svc",
}


def literal(host: str) -> Address | None:
    """The address that *host* is (brackets and zone left out), or None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def public(address: Address) -> bool:
    """Whether anybody on the internet may mean the same machine by *address*."""
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return not any(address in network for network in FORBIDDEN if network.version == address.version)


def public_name(host: str) -> bool:
    """Whether *host* (lower case, no trailing dot) is a name with a dot, of letters that DNS
    knows, outside the zones of clusters and offices, and no number in disguise.

    A last label of digits, or 0x and hexadecimal digits, makes resolvers read an IPv4
    address (https://url.spec.whatwg.org/#ends-in-a-number-checker).
    """
    labels = host.split(".")
    if not _NAME.fullmatch(host) or _NUMBER.fullmatch(labels[-1]):
        return False
    return labels[-1] not in _INSIDE and not host.endswith((".home.arpa", ".svc.cluster"))


def normal(host: str) -> str:
    """Lower case, without brackets and one trailing dot; an address in its shortest form."""
    host = host.lower().removesuffix(".")
    address = literal(host)
    return str(address) if address else host
