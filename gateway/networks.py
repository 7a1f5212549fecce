"""Networks of addresses: which peers are trusted proxies, and what counts as one address.

An IPv6 host has 2^64 addresses of its own, so that what is counted of an address is counted of its
/64. An IPv4 address that a socket of IPv6 shows as `::ffff:192.0.2.1` is 192.0.2.1. Nothing here
asks a name server.
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final

NETWORKS_MAX: Final = 64
"""Trusted networks: each is tried for each connection."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
_PREFIX_BYTES: Final = 8
"""Of an IPv6 address, what names the network that its host is in."""


def canonical(address: str) -> str:
    """The address as it is shown and counted, whatever form it came in; "" where it is none."""
    if ":" not in address:
        try:
            return socket.inet_ntop(socket.AF_INET, socket.inet_pton(socket.AF_INET, address))
        except (OSError, ValueError):
            return ""
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return ""
    return from_packed(packed)


def from_packed(packed: bytes) -> str:
    """The same of an address' 4 or 16 bytes."""
    if packed.startswith(_MAPPED):
        packed = packed[len(_MAPPED) :]
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def shared_by(address: str) -> str:
    """What the address is counted as: itself, or its /64 where it is one of IPv6."""
    if ":" not in address:
        return address
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return address
    if packed.startswith(_MAPPED):
        return from_packed(packed)
    prefix = packed[:_PREFIX_BYTES] + bytes(len(packed) - _PREFIX_BYTES)
    return f"{socket.inet_ntop(socket.AF_INET6, prefix)}/64"


def is_loopback(host: str) -> bool:
    """Whether a listener on this host is reached from this host alone; names but `localhost` are
    not looked up, and are taken for public.
    """
    if host.lower() in ("localhost", "localhost."):
        return True
    address = canonical(host)
    return bool(address) and ipaddress.ip_address(address).is_loopback


def network_problem(text: str) -> str:
    """Why this is no network, such as `10.0.0.0/8` or `::1`; empty where it is one."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        return f"expected an address or a network such as 10.0.0.0/8: {error}"
    return ""


class Networks:
    """Some networks. An address is in one of them, or it is not.

    Args:
        texts: each passes `network_problem`.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        networks = [ipaddress.ip_network(text) for text in texts]
        self._masks = {
            bits: [
                (int(one.network_address), int(one.netmask))
                for one in networks
                if one.max_prefixlen == bits
            ]
            for bits in (32, 128)
        }
        self._any = bool(networks)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self._any

    def __contains__(self, address: str) -> bool:
        address = canonical(address)
        if not address:
            return False
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        packed = socket.inet_pton(family, address)
        number = int.from_bytes(packed, "big")
        return any(number & mask == net for net, mask in self._masks[8 * len(packed)])
