"""RFC 6455, case by case, in the order of Autobahn's sections 1 to 7.

The gateway is no echo server: what is text comes back as the `req_id` of a request, what is control
as a pong. A case is what the client sends and what has to come back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from support.sans import cut
from support.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, close, frame


def ask(name: str, size: int = 0) -> bytes:
    """The text of a request that is answered by this name."""
    start = b'{"method":"ping","req_id":"' + name.encode() + b'"'
    return start.ljust(size - 1) + b"}"


@dataclass(frozen=True)
class Reply:
    """To the request of this name."""

    req_id: str


@dataclass(frozen=True)
class Pong:
    """With this payload."""

    payload: bytes


@dataclass(frozen=True)
class Closed:
    """With this code, and this reason where one is given."""

    code: int
    reason: str | None = None


Expected = Reply | Pong | Closed
Case = tuple[str, Sequence[bytes], Sequence[Expected]]

FAILED = Closed(1002)
NO_TEXT = Closed(1007)
SIZES = (64, 125, 126, 127, 128, 1000, 4096, 16383, 16384)
PING_A, PONG_A = frame(PING, b"a"), Pong(b"a")


def parts(*payloads: bytes, between: bytes = b"", opcode: int = TEXT) -> list[bytes]:
    """A message in fragments, of text; `between` stands after each but the last."""
    last = len(payloads) - 1
    frames = []
    for index, payload in enumerate(payloads):
        frames.append(frame(CONT if index else opcode, payload, fin=index == last))
        if between and index < last:
            frames.append(between)
    return frames


def sliced(payload: bytes, size: int) -> list[bytes]:
    """The bytes in pieces of this size; the last may be shorter."""
    return cut(payload, range(size, len(payload), size))


FRAMING: list[Case] = [
    *((f"1.1 text of {n} bytes", [frame(TEXT, ask("x", n))], [Reply("x")]) for n in SIZES),
    ("1.1 text, two messages", [frame(TEXT, ask("x")), frame(TEXT, ask("y"))],
     [Reply("x"), Reply("y")]),
    *((f"1.2 binary of {n} bytes", [frame(BINARY, b"\0" * n)], [Closed(1003)])
      for n in (0, 125, 126, 16384)),
]  # fmt: skip

PINGS: list[Case] = [
    ("2.1 empty", [frame(PING)], [Pong(b"")]),
    ("2.2 text", [frame(PING, b"Hello, world!")], [Pong(b"Hello, world!")]),
    ("2.3 binary", [frame(PING, b"\x00\xff\xfe\xfd")], [Pong(b"\x00\xff\xfe\xfd")]),
    ("2.4 of 125 bytes", [frame(PING, b"\xfe" * 125)], [Pong(b"\xfe" * 125)]),
    ("2.5 of 126 bytes", [frame(PING, b"\xfe" * 126)], [FAILED]),
    ("2.7 pong that nobody asked for", [frame(PONG), frame(TEXT, ask("x"))], [Reply("x")]),
    ("2.8 the same with payload", [frame(PONG, b"z"), PING_A], [PONG_A]),
    ("2.9 between two pings", [frame(PONG, b"z"), PING_A, frame(PONG, b"a")], [PONG_A]),
    ("2.10 ten", [frame(PING, b"%d" % n) for n in range(10)], [Pong(b"9")]),
]

STOPS: list[Expected] = [Reply("x"), FAILED]
RESERVED_BITS: list[Case] = [
    (f"3 bits {rsv} in opcode {opcode}",
     [frame(TEXT, ask("x")), frame(opcode, b"", rsv=rsv), PING_A], STOPS)
    for rsv in range(1, 8) for opcode in (TEXT, BINARY, PING, CLOSE)
]  # fmt: skip

OPCODES: list[Case] = [
    (f"4 opcode {opcode} {payload!r}",
     [frame(TEXT, ask("x")), frame(opcode, payload), PING_A], STOPS)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15) for payload in (b"", b"reserved")
]  # fmt: skip

HALVES = tuple(sliced(ask("xyz"), 20))
FRAGMENTS: list[Case] = [
    ("5.1 ping in two", [frame(PING, b"a", fin=False), frame(CONT, b"b")], [FAILED]),
    ("5.2 pong in two", [frame(PONG, b"a", fin=False), frame(CONT, b"b")], [FAILED]),
    ("5.3 text in two", parts(*HALVES), [Reply("xyz")]),
    ("5.6 ping between", parts(*HALVES, between=PING_A), [PONG_A, Reply("xyz")]),
    ("5.6 pong between", parts(*HALVES, between=frame(PONG, b"z")), [Reply("xyz")]),
    ("5.6 close between", parts(*HALVES, between=close(1000)), [Closed(1000)]),
    ("5.9 continuation of nothing, the last", [frame(CONT, b"x"), PING_A], [FAILED]),
    ("5.10 the same in its own segment", [frame(CONT, b"x")], [FAILED]),
    ("5.12 continuation of nothing, not the last", [frame(CONT, b"x", fin=False)], [FAILED]),
    ("5.15 continuation after the end", [*parts(*HALVES), frame(CONT, b"x")],
     [Reply("xyz"), FAILED]),
    ("5.18 text inside of text", [frame(TEXT, b"a", fin=False), frame(TEXT, b"b")], [FAILED]),
    ("5.18 binary inside of text", [frame(TEXT, b"a", fin=False), frame(BINARY, b"b")], [FAILED]),
    ("5.19 pings between many", parts(*sliced(ask("xyz"), 10), between=PING_A),
     [PONG_A, Reply("xyz")]),
    ("5.20 empty fragments", parts(b"", *HALVES, b"", b""), [Reply("xyz")]),
    ("5.20 byte by byte", parts(*sliced(ask("x"), 1)), [Reply("x")]),
]  # fmt: skip

VALID = {
    "greek": "\u03ba\u1f79\u03c3\u03bc\u03b5",
    "first of one byte": "\x7f",
    "first of two bytes": "\x80",
    "first of three bytes": "\u0800",
    "first of four bytes": "\U00010000",
    "last of two bytes": "\u07ff",
    "before the surrogates": "\ud7ff",
    "after the surrogates": "\ue000",
    "replacement": "\ufffd",
    "no character, plane 0": "\ufffe\uffff",
    "no character, plane 16": "\U0010fffe\U0010ffff",
    "last of all": "\U0010ffff",
    "byte order mark": "\ufeffx",
}
INVALID = {
    "continuation alone": b"\x80",
    "continuations alone": b"\x80\xbf\x80",
    "two bytes cut": b"\xc3",
    "three bytes cut": b"\xe2\x82",
    "four bytes cut": b"\xf0\x9f\x98",
    "start, then space": b"\xe2 ",
    "overlong slash in two": b"\xc0\xaf",
    "overlong slash in three": b"\xe0\x80\xaf",
    "overlong slash in four": b"\xf0\x80\x80\xaf",
    "overlong nul": b"\xc0\x80",
    "longest overlong": b"\xf0\x8f\xbf\xbf",
    "first surrogate": b"\xed\xa0\x80",
    "last surrogate": b"\xed\xbf\xbf",
    "surrogates in a pair": b"\xed\xa0\x80\xed\xb0\x80",
    "above the last": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
}
UTF8: list[Case] = [
    *((f"6.2 {name}", [frame(TEXT, ask(chars))], [Reply(chars)]) for name, chars in VALID.items()),
    *((f"6.2 {name}, in fragments of a byte", parts(*sliced(ask(chars), 1)), [Reply(chars)])
      for name, chars in VALID.items()),
    *((f"6.3 {name}", [frame(TEXT, b'{"a":"' + bad + b'"}'), PING_A], [NO_TEXT])
      for name, bad in INVALID.items()),
    *((f"6.3 {name}, in fragments of a byte", parts(*sliced(b'{"a":"' + bad + b'"}', 1)), [NO_TEXT])
      for name, bad in INVALID.items()),
    # Failing before the message ends: nothing that follows could mend it.
    *((f"6.4 {name}, unfinished", [frame(TEXT, bad + b"x", fin=False)], [NO_TEXT])
      for name, bad in INVALID.items()),
]  # fmt: skip

CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
         4999)  # fmt: skip
NO_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
CLOSING: list[Case] = [
    ("7.1.1 a message, then close", [frame(TEXT, ask("x")), close(1000)],
     [Reply("x"), Closed(1000)]),
    ("7.1.2 two closes", [close(1000), close(1000)], [Closed(1000)]),
    ("7.1.3 ping after close", [close(1000), PING_A], [Closed(1000)]),
    ("7.1.4 text after close", [close(1000), frame(TEXT, ask("x"))], [Closed(1000)]),
    ("7.1.5 close inside of a message", [frame(TEXT, b"a", fin=False), close(1000),
                                         frame(CONT, b"b")], [Closed(1000)]),
    ("7.3.1 empty", [close(None)], [Closed(1005)]),
    ("7.3.2 one byte", [frame(CLOSE, b"\x03")], [FAILED]),
    ("7.3.3 code alone", [close(1000)], [Closed(1000, "")]),
    ("7.3.4 with reason", [close(1000, b"Hello")], [Closed(1000, "Hello")]),
    ("7.3.5 longest reason", [close(1000, b"*" * 123)], [Closed(1000, "*" * 123)]),
    ("7.3.6 reason too long", [close(1000, b"*" * 124)], [FAILED]),
    *((f"7.5 reason: {name}", [close(1000, bad)], [NO_TEXT]) for name, bad in INVALID.items()),
    *((f"7.7 code {code}", [close(code)], [Closed(code)]) for code in CODES),
    *((f"7.9 code {code}", [close(code)], [FAILED]) for code in NO_CODES),
    ]  # fmt: skip

CASES = [*FRAMING, *PINGS, *RESERVED_BITS, *OPCODES, *FRAGMENTS, *UTF8, *CLOSING]
