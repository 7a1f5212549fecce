"""PROXY protocol version 2: what is a header, how much of a stream it takes, and what is none."""

import itertools
import random
import socket
import struct

import pytest

from gateway.wire.proxy import BYTES_MAX, FIXED_BYTES, SIGNATURE, Needed, Proxied, Wrong, parse


def header(
    family: int = 0x11, rest: bytes = b"", *, head: int = 0x21, length: int | None = None
) -> bytes:
    count = len(rest) if length is None else length
    return SIGNATURE + struct.pack("!BBH", head, family, count) + rest


V4 = socket.inet_aton("203.0.113.7") + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 5, 443)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16) + struct.pack("!HH", 65535, 443)
MAPPED = (
    socket.inet_pton(socket.AF_INET6, "::ffff:203.0.113.7") + bytes(16) + struct.pack("!HH", 1, 2)
)
TLV = b"\x04\x00\x03abc"

WHOLE = [
    (header(0x11, V4), Proxied("203.0.113.7", 5)),
    (header(0x11, V4 + TLV + b"\x01\x00\x00"), Proxied("203.0.113.7", 5)),
    (header(0x21, V6), Proxied("2001:db8::7", 65535)),
    (header(0x21, MAPPED), Proxied("203.0.113.7", 1)),
    (header(0x31, bytes(216)), Proxied(unix=True)),
    (header(0x00), Proxied()),
    (header(0x00, TLV), Proxied()),
    (header(0x00, head=0x20), Proxied()),
    (header(0x11, V4, head=0x20), Proxied()),
    (header(0x99, b"anything", head=0x20), Proxied()),
    (header(0x11, V4 + b"\x04" + struct.pack("!H", 4065) + bytes(4065)), Proxied("203.0.113.7", 5)),
]

WRONG = [
    (header(0x11, V4, head=0x11), "version 1, expected 2"),
    (header(0x11, V4, head=0x31), "version 3, expected 2"),
    (header(0x11, V4, head=0x22), "command 2, expected LOCAL or PROXY"),
    (header(0x12, V4), "family and transport 0x12, expected a stream"),
    (header(0x22, V6), "family and transport 0x22, expected a stream"),
    (header(0x01), "family and transport 0x01, expected a stream"),
    (header(0x41, V4), "family and transport 0x41, expected a stream"),
    (header(0x11, V4[:-1]), "11 bytes of addresses, expected 12"),
    (header(0x21, V4), "12 bytes of addresses, expected 36"),
    (header(0x31, bytes(215)), "215 bytes of addresses, expected 216"),
    (header(0x11, V4 + b"\x04\x00"), "a field is cut off behind its type"),
    (header(0x11, V4 + b"\x04\x00\x04abc"), "a field of 4 bytes, 3 are left"),
    (header(0x11, V4 + b"\x04\xff\xffabc"), "a field of 65535 bytes, 3 are left"),
    (header(0x11, length=0xFFFF), f"a header of 65551 bytes, at most {BYTES_MAX}"),
    (
        header(0x11, length=BYTES_MAX - 15, head=0x20),
        f"a header of 4097 bytes, at most {BYTES_MAX}",
    ),
]


@pytest.mark.parametrize(("data", "proxied"), WHOLE)
def test_a_header_says_where_a_client_is(data: bytes, proxied: Proxied) -> None:
    assert parse(data) == proxied


@pytest.mark.parametrize(("data", "proxied"), WHOLE)
def test_a_header_may_come_in_any_pieces_and_takes_no_byte_behind_it(
    data: bytes, proxied: Proxied
) -> None:
    for piece in (1, 7, len(data)):
        stream, taken, needed = data + b"GET / HTTP/1.1", b"", FIXED_BYTES
        while isinstance(answer := parse(taken), Needed):
            needed = answer.more
            taken += stream[len(taken) : len(taken) + min(piece, needed)]
        assert answer == proxied
        assert taken == data


@pytest.mark.parametrize(("data", "why"), WRONG)
def test_f60_what_is_no_header_is_refused(data: bytes, why: str) -> None:
    assert parse(data) == Wrong(why)
    assert len(why) < 100


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 5 443\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\r\n\r\n\x00\r\nQUIT\r",
        b"\r\n\r\nX",
        b"\x00",
    ],
)
def test_f60_what_begins_otherwise_is_refused_at_its_first_other_byte(data: bytes) -> None:
    assert parse(data) == Wrong("it does not begin with the signature of version 2")
    same = len(
        list(
            itertools.takewhile(lambda pair: pair[0] == pair[1], zip(data, SIGNATURE, strict=False))
        )
    )
    assert isinstance(parse(data[:same]), Needed)
    assert isinstance(parse(data[: same + 1]), Wrong)


def test_whatever_comes_is_answered_and_asks_for_little() -> None:
    chance = random.Random(7)
    for _ in range(20_000):
        base = bytearray(chance.choice(WHOLE)[0])
        for _ in range(chance.randint(0, 3)):
            base[chance.randrange(len(base))] = chance.randrange(256)
        data = bytes(base[: chance.randint(0, len(base))])
        answer = parse(data)
        if isinstance(answer, Needed):
            assert 0 < answer.more <= BYTES_MAX - len(data)
        else:
            assert isinstance(answer, Proxied | Wrong)
