"""Sockets by the addresses of the configuration, for every listener and feed alike.

A host is a name or an address, of which the first meaning is taken. `::` is all addresses of this
host, IPv4 too, whatever net.ipv6.bindv6only says; `0.0.0.0` is those of IPv4. A datagram socket on
a multicast address has joined the group.
"""

import errno
import ipaddress
import os
import re
import socket
import stat
import struct
from typing import Any

BACKLOG = 4096
"""Connections that wait in the kernel; the kernel caps it by net.core.somaxconn."""
IP_MULTICAST_ALL = 49
"""linux/in.h; 0: only what comes on an interface on which this very socket has joined the group."""
USUAL_PORTS = {"http": ("80",), "https": ("443",), "ws": ("80",), "wss": ("443",)}
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)"
    r"(?::(?P<port>\*|[0-9]{1,5}))?",
    re.IGNORECASE | re.ASCII,
)

Address = tuple[Any, ...]


def is_multicast(host: str) -> bool:
    """Whether the host is a literal multicast address."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_multicast
    except ValueError:
        return False


def host_problem(host: str) -> str:
    """Why no host has this name or address, whoever is asked; empty where one may."""
    if "\0" in host:
        return "expected no NUL in the name of a host"
    try:
        host.encode("idna")
    except UnicodeError:
        return "expected a name of parts between dots, of 1 to 63 characters each"
    return ""


def origin_problem(origin: str) -> str:
    """Why no browser's Origin header is ever this entry of an allow-list; empty where one may be.

    A browser writes scheme, host and port, and leaves a usual port out (RFC 6454 section 6.2). `:*`
    at the end is any port, `*` alone every origin, `null` pages without one.
    """
    if origin in ("*", "null"):
        return ""
    expected = "expected scheme://host, scheme://host:port or scheme://host:*, as browsers say it"
    parts = _ORIGIN.fullmatch(origin)
    if parts is None:
        return f"{expected}{_origin_hint(origin)}"
    scheme, host, port = parts["scheme"].lower(), parts["host"], parts["port"]
    if port in USUAL_PORTS.get(scheme, ()):
        return f'{expected}; they leave the usual port out: "{scheme}://{host}"'
    return ""


def _origin_hint(origin: str) -> str:
    if origin.lower().startswith("file:"):
        return '; pages opened from a file say "null"'
    if "://" not in origin:
        return f'; did you mean "https://{origin}"?'
    scheme, _, rest = origin.partition("://")
    if "/" in rest:
        return f'; did you mean "{scheme}://{rest.partition("/")[0]}"?'
    if not rest.isascii():
        return "; a host of other letters is xn--... there"
    return "; a * within a host matches nothing" if "*" in rest.removesuffix(":*") else ""


def resolve(host: str, port: int, kind: socket.SocketKind) -> tuple[int, Address]:
    """(family, address) of a host's first meaning.

    Raises:
        OSError: it has none.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
    return family, address


def bound(family: int, kind: socket.SocketKind, address: Address, *options: int) -> socket.socket:
    """A socket bound to the address, with these socket options set before.

    Raises:
        OSError: the address is not to be had.
    """
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        for option in options:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """So many listening sockets on one port: the kernel spreads connections over them.

    Raises:
        OSError: the address is not to be had, or another process listens there.
    """
    family, address = resolve(host, port, socket.SOCK_STREAM)
    # With SO_REUSEPORT alone a second gateway of the same user would take half our clients;
    # without it, this bind finds any listener that is there.
    bound(family, socket.SOCK_STREAM, address, socket.SO_REUSEADDR).close()
    reuse = (socket.SO_REUSEADDR, *([socket.SO_REUSEPORT] if count > 1 else []))
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            listener = bound(family, socket.SOCK_STREAM, address, *reuse)
            sockets.append(listener)
            listener.listen(BACKLOG)
            listener.setblocking(False)
            address = listener.getsockname()  # where port 0 was asked for: the one we got
    except OSError:
        for listener in sockets:
            listener.close()
        raise
    return sockets


def unix_listener(path: str, mode: int) -> socket.socket:
    """A listening socket at a path of this host, which only users that `mode` names may open.

    Raises:
        OSError: the path is not to be had, or another process listens there.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        before = os.umask(0o777)  # nobody comes in before the mode is set
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        os.chmod(path, mode)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _clear(path: str) -> None:
    """Removes a socket that nobody listens at any more."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def datagrams(host: str, port: int, interface: str = "") -> socket.socket:
    """A bound datagram socket, which has joined the group where the host is one.

    Args:
        interface: where the group is joined, a name (`eth1`) or an IPv4 address of it; empty: by
            the routing table.

    Raises:
        OSError: the address, the interface or the group is not to be had.
    """
    family, address = resolve(host, port, socket.SOCK_DGRAM)
    if not is_multicast(host):
        return bound(family, socket.SOCK_DGRAM, address)
    # Every process of this host that joined the group gets its own copy, a second gateway too.
    index, local = _interface(interface)
    if family == socket.AF_INET6 and index:
        address = (*address[:3], index)
    sock = bound(family, socket.SOCK_DGRAM, address, socket.SO_REUSEADDR)
    try:
        group = socket.inet_pton(family, address[0].partition("%")[0])
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
            request = struct.pack("4s4si", group, local, index)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        else:
            request = struct.pack("16si", group, index or address[3])
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
    except OSError as error:
        sock.close()
        where = f"on {interface}" if interface else "on the interface that the routes name"
        raise OSError(error.errno, f"cannot join the group {where}: {error.strerror}") from None
    return sock


def _interface(name: str) -> tuple[int, bytes]:
    """(index, IPv4 address) of an interface by its name or address; (0, all zero): any."""
    if not name:
        return 0, bytes(4)
    try:
        return 0, socket.inet_pton(socket.AF_INET, name)
    except OSError:
        pass
    try:
        return socket.if_nametoindex(name), bytes(4)
    except OSError as error:
        raise OSError(error.errno, f"there is no interface {name} (udp interface)") from None


def shown(sock: socket.socket) -> tuple[str, int]:
    """Host and port of a bound socket, as in a URL."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]" if ":" in host else host, port
