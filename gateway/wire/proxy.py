"""The header that a proxy puts before a client's bytes: PROXY protocol, version 2, and no other.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.2. A pure function of what
has come so far. It asks for no byte beyond the header: those behind it are the client's.

    signature (12) | version 2, command | family, transport | length (u16) | addresses | TLVs
"""

import struct
from typing import Final, NamedTuple

from gateway.networks import from_packed

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
FIXED_BYTES: Final = 16
BYTES_MAX: Final = 4096
"""Of a header. The largest usual one, with the names of a client's certificate, has some 1 KiB."""

_LOCAL: Final = 0
_PROXY: Final = 1
_ADDRESSES: Final = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}
"""Bytes of both ends' addresses by family and transport: none, TCP over IPv4, over IPv6, a Unix
stream. The other transports are datagrams, which no listener of ours has."""
_TLV: Final = struct.Struct("!BH")


class Proxied(NamedTuple):
    """A whole header.

    Attributes:
        address: the client's; empty where the proxy speaks for itself (LOCAL, as its health check
            does) or tells no address: then the connection's own is the client's.
        port: the client's, 0 where it has none.
        unix: the client came to the proxy by a Unix socket.
    """

    address: str = ""
    port: int = 0
    unix: bool = False


class Needed(NamedTuple):
    """Not whole yet: so many bytes may be read, and belong to the header."""

    more: int


class Wrong(NamedTuple):
    """No header of ours, whatever follows."""

    why: str


def parse(data: bytes) -> Proxied | Needed | Wrong:
    """What the first bytes of a connection say, which are no more than were asked for."""
    if data[: len(SIGNATURE)] != SIGNATURE[: len(data)]:
        return Wrong("it does not begin with the signature of version 2")
    if len(data) < FIXED_BYTES:
        return Needed(FIXED_BYTES - len(data))
    version, command = data[12] >> 4, data[12] & 15
    family = data[13]
    length = int.from_bytes(data[14:16], "big")
    if version != 2:
        return Wrong(f"version {version}, expected 2")
    if command not in (_LOCAL, _PROXY):
        return Wrong(f"command {command}, expected LOCAL or PROXY")
    if FIXED_BYTES + length > BYTES_MAX:
        return Wrong(f"a header of {FIXED_BYTES + length} bytes, at most {BYTES_MAX}")
    if command == _PROXY:
        if family not in _ADDRESSES:
            return Wrong(f"family and transport 0x{family:02x}, expected a stream")
        if length < _ADDRESSES[family]:
            return Wrong(f"{length} bytes of addresses, expected {_ADDRESSES[family]}")
    whole = FIXED_BYTES + length
    if len(data) < whole:
        return Needed(whole - len(data))
    # Of LOCAL the rest is skipped, whatever it is.
    return Proxied() if command == _LOCAL else _proxied(family, data[FIXED_BYTES:whole])


def _proxied(family: int, rest: bytes) -> Proxied | Wrong:
    if why := _wrong_tlvs(rest[_ADDRESSES[family] :]):
        return Wrong(why)
    if family == 0x11:
        return Proxied(from_packed(rest[:4]), int.from_bytes(rest[8:10], "big"))
    if family == 0x21:
        return Proxied(from_packed(rest[:16]), int.from_bytes(rest[32:34], "big"))
    return Proxied(unix=family == 0x31)


def _wrong_tlvs(data: bytes) -> str:
    """What is wrong with how the fields behind the addresses are laid out; they say nothing."""
    at = 0
    while at < len(data):
        if len(data) - at < _TLV.size:
            return "a field is cut off behind its type"
        _, length = _TLV.unpack_from(data, at)
        at += _TLV.size
        if length > len(data) - at:
            return f"a field of {length} bytes, {len(data) - at} are left"
        at += length
    return ""
