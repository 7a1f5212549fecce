"""Sockets by the configuration's addresses: all of a host's, a group's, or none."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway import address

GROUP = "239.1.2.3"
IPV6 = socket.has_ipv6


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def needs_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this host has no IPv6: {error.strerror}")


@pytest.mark.parametrize(
    ("host", "multicast"),
    [
        (GROUP, True),
        ("224.0.0.1", True),
        ("ff02::1", True),
        ("ff02::1%lo", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("240.0.0.1", False),
        ("localhost", False),
        ("239.1.2", False),
        ("", False),
    ],
)
def test_multicast(host: str, multicast: bool) -> None:
    assert address.is_multicast(host) == multicast


@pytest.mark.parametrize("count", [1, 3])
def test_all_addresses_take_ipv4_as_well(opened: ExitStack, count: int) -> None:
    needs_ipv6()
    sockets = address.listeners("::", 0, count)
    for sock in sockets:
        opened.callback(sock.close)
    assert len({sock.getsockname()[1] for sock in sockets}) == 1
    port = sockets[0].getsockname()[1]
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port), 5).close()


def test_all_addresses_of_a_datagram_socket_take_ipv4_as_well(opened: ExitStack) -> None:
    needs_ipv6()
    sock = opened.enter_context(address.datagrams("::", 0))
    sock.settimeout(5)
    sender = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sender.sendto(b"x", ("127.0.0.1", sock.getsockname()[1]))
    assert sock.recv(10) == b"x"


def test_ipv4_alone_is_ipv4_alone(opened: ExitStack) -> None:
    (sock,) = address.listeners("0.0.0.0", 0, 1)
    opened.callback(sock.close)
    assert address.shown(sock) == ("0.0.0.0", sock.getsockname()[1])


def test_a_port_that_another_has_is_refused_even_to_many(opened: ExitStack) -> None:
    first = address.listeners("127.0.0.1", 0, 2)
    for sock in first:
        opened.callback(sock.close)
    with pytest.raises(OSError, match="in use"):
        address.listeners("127.0.0.1", first[0].getsockname()[1], 2)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "", "1.2.3.4.5", "192.0.2.77"])
def test_what_is_no_address_of_this_host_is_an_os_error(host: str) -> None:
    with pytest.raises(OSError, match=r"."):
        address.listeners(host, 0, 1)
    with pytest.raises(OSError, match=r"."):
        address.datagrams(host, 0)


# --- groups ---------------------------------------------------------------------------------------


def send_to_group(port: int, group: str = GROUP) -> None:
    """On the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        local = socket.inet_aton("127.0.0.1")
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, local)
        try:
            sender.sendto(b"to all", (group, port))
        except OSError as error:
            pytest.skip(f"no multicast over loopback here: {error.strerror}")


@pytest.mark.parametrize("interface", ["lo", "127.0.0.1"])
def test_a_group_is_joined(opened: ExitStack, interface: str) -> None:
    sock = opened.enter_context(address.datagrams(GROUP, 0, interface))
    sock.settimeout(5)
    send_to_group(sock.getsockname()[1])
    assert sock.recv(10) == b"to all"


def test_two_of_one_host_get_a_copy_each(opened: ExitStack) -> None:
    first = opened.enter_context(address.datagrams(GROUP, 0, "lo"))
    port = first.getsockname()[1]
    second = opened.enter_context(address.datagrams(GROUP, port, "lo"))
    send_to_group(port)
    for sock in (first, second):
        sock.settimeout(5)
        assert sock.recv(10) == b"to all"


def test_a_group_that_others_joined_on_another_interface_is_not_ours(opened: ExitStack) -> None:
    """A host has one such interface for sure, so the option is looked at, and not what it does."""
    sock = opened.enter_context(address.datagrams(GROUP, 0, "lo"))
    assert sock.getsockopt(socket.IPPROTO_IP, address.IP_MULTICAST_ALL) == 0


def test_another_group_of_the_same_port_is_not_ours(opened: ExitStack) -> None:
    sock = opened.enter_context(address.datagrams(GROUP, 0, "lo"))
    port = sock.getsockname()[1]
    opened.enter_context(address.datagrams("239.9.9.9", port, "lo"))
    send_to_group(port, "239.9.9.9")
    send_to_group(port)
    sock.settimeout(5)
    sock.recv(10)
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        sock.recv(10)


@pytest.mark.parametrize(
    ("interface", "words"),
    [
        ("no-such-if0", "no interface no-such-if0"),
        ("192.0.2.77", "cannot join the group on 192.0.2.77"),
        ("lo\0", "."),
    ],
)
def test_an_interface_that_is_not_there_is_named(interface: str, words: str) -> None:
    with pytest.raises((OSError, ValueError), match=words):
        address.datagrams(GROUP, 0, interface)


def test_a_group_of_ipv6(opened: ExitStack) -> None:
    # Not by what comes: hosts have no route for such groups over loopback.
    needs_ipv6()
    opened.enter_context(address.datagrams("ff12::1:3", 0, "lo"))
    joined = Path("/proc/net/igmp6").read_text().split()
    assert "ff120000000000000000000000010003" in joined


@pytest.mark.parametrize(
    "host",
    ["", "a", "localhost", "a" * 63, "a.example.", "b\u00fccher.example", "::", "fe80::1%eth0"],
)
def test_hosts_that_there_may_be(host: str) -> None:
    assert address.host_problem(host) == ""


@pytest.mark.parametrize(
    "host", ["a" * 64, "a..b", ".", "\u00fc" * 60, "a\0b", "x." * 9 + "y" * 64]
)
def test_hosts_that_there_are_not(host: str) -> None:
    assert "expected" in address.host_problem(host)
