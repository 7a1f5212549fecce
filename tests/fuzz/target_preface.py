"""What a trusted proxy says of its client: PROXY headers in front of a stream, and the headers of a
request that name addresses.

The first byte is how many bytes come at once (0: all), or `FORWARDED`. Of a stream, no byte behind
its header is read, and what the header says is read again here, by the letter of the protocol.
"""

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Hashable, Iterable
from typing import Final, cast

from websockets.datastructures import Headers

from gateway.networks import Networks, canonical, shared_by
from gateway.server.preface import Owner, Preface
from gateway.wire.forwarded import client_of
from gateway.wire.proxy import BYTES_MAX, FIXED_BYTES, SIGNATURE, Needed, Proxied, parse

JSON_AT: Final = None
FORWARDED: Final = 0xFF
PROXY: Final = "10.0.0.1"
_TRUSTED: Final = Networks(["10.0.0.0/8", "fd00::/8"])
_ROOMS: Final = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}
"""Bytes of both ends' addresses, by family and transport."""
_LOOP: Final = asyncio.new_event_loop()
_TIMEOUT_S: Final = 3600.0


class _Readers:
    """Who waits for a socket; both calls are counted."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def add_reader(self, _fd: int, _reader: object) -> None:
        self.calls.append("add")

    def remove_reader(self, _fd: int) -> None:
        self.calls.append("remove")


class _Owner:
    """What a listener is told."""

    def __init__(self) -> None:
        self.readers = _Readers()
        self.begun: list[str] = []
        self.failed: list[tuple[str, str]] = []
        self.released = 0

    def begin(self, _sock: socket.socket, peer: str) -> None:
        self.begun.append(peer)

    def preface_failed(self, peer: str, result: str, why: str) -> None:
        assert peer == PROXY
        assert len(why) < 100
        assert why.isprintable()
        self.failed.append((result, why))

    def release(self) -> None:
        self.released += 1

    @property
    def over(self) -> bool:
        return bool(self.begun or self.failed)


def run(data: bytes) -> Iterable[Hashable]:
    if not data:
        return ()
    if data[0] == FORWARDED:
        return _forwarded(data[1:])
    told = _LOOP.run_until_complete(_stream(data[1:], data[0]))
    at_once = _LOOP.run_until_complete(_stream(data[1:], 0))
    assert told == at_once
    return (told,)


# --- PROXY ----------------------------------------------------------------------------------------


async def _stream(stream: bytes, piece: int) -> Hashable:
    """How it ends: with an address, a reason, or not at all."""
    theirs, ours = socket.socketpair()
    owner = _Owner()
    with theirs, ours:
        preface = Preface(cast(Owner, owner), ours, PROXY, _TIMEOUT_S, owner.release)
        sent = 0
        while sent < len(stream) and not owner.failed:
            # Behind the header all at once: a socket holds few small pieces that nobody reads.
            more = stream[sent:] if owner.begun or not piece else stream[sent : sent + piece]
            sent += theirs.send(more)
            # Each asks for what it needs, so that a piece may take several.
            for _ in range(3):
                if not owner.over:
                    preface.readable()
        waits = not owner.over
        if waits:
            theirs.shutdown(socket.SHUT_WR)
            preface.readable()
            assert owner.failed == [("closed", "")]
            assert (
                len(stream) < FIXED_BYTES or _expected(stream) is not None
            )  # it said at once why not
        assert owner.readers.calls == ["add", "remove"]
        assert owner.released == 1
        assert len(owner.begun) + len(owner.failed) == 1
        assert (ours.fileno() == -1) == bool(owner.failed)
        expected = _expected(stream)
        if not owner.begun:
            assert expected is None or (waits and len(stream) < expected[1])
            return None if waits else owner.failed[0]
        assert expected is not None
        address, taken = expected
        assert _same(owner.begun[0], PROXY if address is None else address)
        # What is the client's is left to it.
        theirs.shutdown(socket.SHUT_WR)
        assert _rest(ours) == stream[taken:]
    _address(owner.begun[0])
    return (address is None, address == "", ":" in (address or ""))


def _same(one: str, other: str) -> bool:
    """Numbers have several texts in IPv6."""
    if not one or not other:
        return one == other
    return ipaddress.ip_address(one) == ipaddress.ip_address(other)


def _rest(sock: socket.socket) -> bytes:
    rest = b""
    while more := sock.recv(1 << 16):
        rest += more
    return rest


def _expected(stream: bytes) -> tuple[str | None, int] | None:
    """The client's address (None: the proxy's own) and the header's bytes; None: it is none."""
    if len(stream) < FIXED_BYTES or not stream.startswith(b"\r\n\r\n\0\r\nQUIT\n"):
        return None
    head, family, length = struct.unpack_from("!BBH", stream, 12)
    size = FIXED_BYTES + length
    if head not in (0x20, 0x21) or size > BYTES_MAX:
        return None
    if head == 0x20:
        return None, size
    room = _ROOMS.get(family)
    if room is None or length < room or not _fields_end(stream, FIXED_BYTES + room, size):
        return None
    return _client(family, stream), size


def _fields_end(stream: bytes, at: int, size: int) -> bool:
    """Whether the fields end with the header, as far as they are there."""
    while at + 3 <= size <= len(stream):
        at += 3 + int.from_bytes(stream[at + 1 : at + 3], "big")
    return at == size or size > len(stream)


def _client(family: int, stream: bytes) -> str | None:
    if family not in (0x11, 0x21):
        return None if family == 0x00 else ""
    packed = stream[FIXED_BYTES : FIXED_BYTES + (4 if family == 0x11 else 16)]
    try:
        address = ipaddress.ip_address(packed)
    except ValueError:
        return "not whole yet"
    return str(getattr(address, "ipv4_mapped", None) or address)


def _address(text: str) -> None:
    """It is in the one form that addresses are counted in."""
    if not text:
        return
    assert canonical(text) == text
    assert shared_by(text) in (text, shared_by(shared_by(text).partition("/")[0]))
    assert (text in _TRUSTED) == any(
        ipaddress.ip_address(text) in ipaddress.ip_network(one)
        for one in ("10.0.0.0/8", "fd00::/8")
    )
    address = ipaddress.ip_address(text)
    family = 0x11 if address.version == 4 else 0x21
    both = address.packed + bytes(len(address.packed)) + struct.pack("!HH", 7, 443)
    head = SIGNATURE + struct.pack("!BBH", 0x21, family, len(both))
    assert parse(head + both) == Proxied(text, 7)
    assert parse(head) == Needed(len(both))


# --- headers of a request -------------------------------------------------------------------------


def _forwarded(data: bytes) -> Iterable[Hashable]:
    """Lines, of which those that begin with a tab are `Forwarded`, the others `X-Forwarded-For`."""
    headers = Headers()
    for line in data.decode("latin-1").splitlines()[:64]:
        name = "Forwarded" if line.startswith("\t") else "X-Forwarded-For"
        headers.set_insecure(name, line.strip())
    address = client_of(headers, _TRUSTED, PROXY)
    _address(address)
    # The last one that is no proxy is believed: what the client itself writes changes nothing.
    if address != PROXY and address not in _TRUSTED:
        for forged in ("198.51.100.66", "unknown", "10.0.0.9", '";for=x'):
            _behind(forged, address)
    return ((address == PROXY, address in _TRUSTED, ":" in address),)


def _behind(forged: str, address: str) -> None:
    """A client that sends a list of its own: its proxy appends to that."""
    headers = Headers()
    headers.set_insecure("X-Forwarded-For", f"{forged}, {address}")
    assert client_of(headers, _TRUSTED, PROXY) == address


# --- inputs ---------------------------------------------------------------------------------------


def _header(family: int, rest: bytes, head: int = 0x21, length: int | None = None) -> bytes:
    count = len(rest) if length is None else length
    return SIGNATURE + struct.pack("!BBH", head, family, count) + rest


_V4: Final = ipaddress.IPv4Address("203.0.113.7").packed + bytes(4) + struct.pack("!HH", 5, 443)
_V6: Final = ipaddress.IPv6Address("2001:db8::7").packed + bytes(16) + struct.pack("!HH", 9, 443)
_MAPPED: Final = bytes(10) + b"\xff\xff\xcb\x00\x71\x07" + bytes(20)
_FIELDS: Final = b"\x01\x00\x02h2\x03\x00\x04abcd\x20\x00\x05\x01\0\0\0\0\x04\x00\x00"
_REQUEST: Final = b"GET /v1 HTTP/1.1\r\n"
SEEDS: Final = [
    *(
        bytes((piece,)) + header + _REQUEST
        for piece in (0, 1, 7)
        for header in (
            _header(0x11, _V4),
            _header(0x21, _V6 + _FIELDS),
            _header(0x21, _MAPPED),
            _header(0x31, bytes(216) + _FIELDS),
            _header(0x00, b"", 0x20),
            _header(0x99, b"anything", 0x20),
            _header(0x00, _FIELDS),
        )
    ),
    b"\0" + _header(0x11, _V4 + b"\x04\x00\x09abc"),
    b"\5" + _header(0x11, _V4, length=0xFFFF),
    b"\0" + _header(0x12, _V4),
    b"\0PROXY TCP4 203.0.113.7 192.0.2.1 5 443\r\n" + _REQUEST,
    bytes((FORWARDED,)) + b"203.0.113.7, 10.1.2.3\n10.0.0.2:443",
    bytes((FORWARDED,)) + b'\tfor=192.0.2.60;proto=http, for="[2001:db8::7]:47011"\n[2001:db8::7]',
    bytes((FORWARDED,)) + b'::ffff:203.0.113.7\n\tFor="203.0.113.7:_x";by=10.0.0.1',
]
TOKENS: Final = [
    *(SIGNATURE, SIGNATURE[:6], _V4, _V6, _MAPPED, _FIELDS, _REQUEST, b"PROXY TCP4 "),
    *(bytes((0x21, family)) for family in (0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32, 0x41)),
    *(
        b"\x20\x00",
        b"\x22\x11",
        b"\x11\x11",
        b"\x04\x00\x00",
        b"\x0f\xf0",
        b"\x0f\xf1",
        b"\x00\x0c",
    ),
    *(
        b"for=",
        b'for="',
        b'"',
        b"\\",
        b";",
        b",",
        b"\n\t",
        b"[",
        b"]:",
        b":443",
        b"unknown",
        b"_hidden",
    ),
    *(b"10.0.0.1", b"203.0.113.7", b"fd00::1", b"2001:db8::7", b"::ffff:10.0.0.1", b"%eth0"),
]
