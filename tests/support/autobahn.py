"""The cases of the Autobahn test suite's sections 1 to 7 and 10, by its numbers, as values.

They are ours, written from its descriptions. A case is what a client sends to an echo, and what it
must hear, in this order. Where the suite tolerates another end, that is none here, but in 6.4.3 and
6.4.4: text that can't become UTF-8 any more is refused at the end of its frame, not inside of it.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from support.sans import cut
from support.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, close, frame

NORMAL, NO_STATUS, PROTOCOL_ERROR, NO_TEXT = 1000, 1005, 1002, 1007


class Pong(NamedTuple):
    """With this payload."""

    payload: bytes


Heard = str | bytes | Pong


class Case(NamedTuple):
    """One of them.

    Attributes:
        number: the suite's, and words.
        frames: the client's.
        heard: messages and pongs.
        code: of the close frame that comes; 0: none, the connection goes on.
    """

    number: str
    frames: Sequence[bytes]
    heard: Sequence[Heard] = ()
    code: int = 0

    @property
    def goodbye(self) -> bool:
        """Whether it is the client that closes; else it has broken a rule."""
        return self.number.startswith(("7.1.", "7.3.1", "7.3.3", "7.3.4", "7.3.5", "7.7"))


def fragments(payloads: Iterable[bytes], opcode: int = TEXT) -> list[bytes]:
    """A message in frames of these payloads."""
    parts = list(payloads)
    last = len(parts) - 1
    return [
        frame(CONT if index else opcode, part, fin=index == last)
        for index, part in enumerate(parts)
    ]


def sliced(payload: bytes, size: int) -> list[bytes]:
    """In pieces of this size; the last may be shorter."""
    return cut(payload, range(size, len(payload), size))


def numbered(
    section: str, cases: Iterable[tuple[Sequence[bytes], Sequence[Heard], int]]
) -> list[Case]:
    """Cases of a section in its order."""
    return [Case(f"{section}.{n}", *case) for n, case in enumerate(cases, 1)]


# --- 1 to 5: frames -------------------------------------------------------------------------------

HELLO = "Hello, world!"
SAID, PINGED = frame(TEXT, HELLO.encode()), frame(PING)
SIZES = (0, 125, 126, 127, 128, 65535, 65536, 65536)

FRAMING = [
    *numbered("1.1", (([frame(TEXT, b"*" * size)], ["*" * size], 0) for size in SIZES)),
    *numbered("1.2", (([frame(BINARY, b"\xfe" * n)], [b"\xfe" * n], 0) for n in SIZES)),
]

PAYLOADS = (b"", b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125)
TEN = [b"payload-%d" % number for number in range(10)]
PINGS = [
    *numbered("2", (([frame(PING, payload)], [Pong(payload)], 0) for payload in PAYLOADS)),
    Case("2.5", [frame(PING, b"\xfe" * 126)], code=PROTOCOL_ERROR),
    Case("2.6", [frame(PING, b"\xfe" * 125)], [Pong(b"\xfe" * 125)]),
    Case("2.7", [frame(PONG)]),
    Case("2.8", [frame(PONG, b"unsolicited")]),
    Case("2.9", [frame(PONG, b"unsolicited"), frame(PING, b"ping")], [Pong(b"ping")]),
    *(Case(f"2.{n}", [*(frame(PING, one) for one in TEN)], [*map(Pong, TEN)]) for n in (10, 11)),
]


def behind_a_text(*frames: bytes) -> tuple[Sequence[bytes], Sequence[Heard], int]:
    """A rule is broken between a text and a ping."""
    return [SAID, *frames, PINGED], [HELLO], PROTOCOL_ERROR


RESERVED_BITS = [
    Case("3.1", [frame(TEXT, b"x", rsv=1)], code=PROTOCOL_ERROR),
    *(Case(f"3.{rsv}", *behind_a_text(frame(TEXT, b"x", rsv=rsv))) for rsv in (2, 3, 4)),
    Case("3.5", [frame(BINARY, b"\x00\xff", rsv=5)], code=PROTOCOL_ERROR),
    Case("3.6", [frame(PING, b"x", rsv=6)], code=PROTOCOL_ERROR),
    Case("3.7", [frame(CLOSE, rsv=7)], code=PROTOCOL_ERROR),
]

OPCODES = [
    case
    for section, first in (("4.1", 3), ("4.2", 11))
    for case in (
        Case(f"{section}.1", [frame(first)], code=PROTOCOL_ERROR),
        Case(f"{section}.2", [frame(first + 1, b"reserved")], code=PROTOCOL_ERROR),
        Case(f"{section}.3", *behind_a_text(frame(first + 2))),
        Case(f"{section}.4", *behind_a_text(frame(first + 3, b"reserved"))),
        Case(f"{section}.5", *behind_a_text(frame(first + 4, b"reserved"))),
    )
]

HALVES = fragments([b"fragment1", b"fragment2"])
WHOLE = "fragment1fragment2"
BETWEEN = [HALVES[0], frame(PING, b"ping"), HALVES[1]]
FIVE = fragments(b"fragment%d" % number for number in range(1, 6))
FIVE_PINGED = [*FIVE[:2], frame(PING, b"1"), *FIVE[2:4], frame(PING, b"2"), FIVE[4]]
FIVE_HEARD: list[Heard] = [
    Pong(b"1"),
    Pong(b"2"),
    "".join(f"fragment{number}" for number in range(1, 6)),
]


def loose(*, fin: bool) -> list[bytes]:
    """A continuation of nothing."""
    return [frame(CONT, b"non-continuation payload", fin=fin), SAID]


FRAGMENTATION = [
    Case("5.1", fragments([b"frag", b"ment"], PING), code=PROTOCOL_ERROR),
    Case("5.2", fragments([b"frag", b"ment"], PONG), code=PROTOCOL_ERROR),
    *(Case(f"5.{number}", HALVES, [WHOLE]) for number in (3, 4, 5)),
    *(Case(f"5.{number}", BETWEEN, [Pong(b"ping"), WHOLE]) for number in (6, 7, 8)),
    *(Case(f"5.{number}", loose(fin=True), code=PROTOCOL_ERROR) for number in (9, 10, 11)),
    *(Case(f"5.{number}", loose(fin=False), code=PROTOCOL_ERROR) for number in (12, 13, 14)),
    Case("5.15", [*HALVES, frame(CONT, b"3", fin=False), SAID], [WHOLE], PROTOCOL_ERROR),
    Case("5.16", [frame(CONT, b"1", fin=False), *HALVES] * 2, code=PROTOCOL_ERROR),
    Case("5.17", [frame(CONT, b"1"), *HALVES] * 2, code=PROTOCOL_ERROR),
    Case("5.18", [HALVES[0], frame(TEXT, b"fragment2", fin=False)], code=PROTOCOL_ERROR),
    Case("5.19", FIVE_PINGED, FIVE_HEARD),
    Case("5.20", FIVE_PINGED, FIVE_HEARD),
]

# --- 6: UTF-8 -------------------------------------------------------------------------------------

GREEK = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()
MIXED = "Hello-\xb5@\xdf\xf6\xe4\xfc\xe0\xe1-UTF-8!!".encode()
EDITED = GREEK + b"\xed\xa0\x80edited"
BEYOND = b"\xf4\x90\x80\x80"

UNFINISHED = (
    b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80",
    b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf",
)  # fmt: skip
LEADS = ((0xC0, 0xE0), (0xE0, 0xF0), (0xF0, 0xF8), (0xF8, 0xFC), (0xFC, 0xFE))
ANY_CONTINUATION = bytes(range(0x80, 0xC0))
SURROGATES = [b"\xed" + bytes((byte, end)) for byte, end in (
    (0xA0, 0x80), (0xAD, 0xBF), (0xAE, 0x80), (0xAF, 0xBF), (0xB0, 0x80), (0xBE, 0x80), (0xBF, 0xBF)
)]  # fmt: skip
HIGH, LOW = SURROGATES[:4], (SURROGATES[4], SURROGATES[6])
PLANES = [chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)]

# By section of the suite: payloads, in its order.
UTF8: dict[str, Sequence[bytes]] = {
    "6.5": [GREEK[: 2 + 2 * n] if n == 0 else GREEK[: 3 + 2 * n] for n in range(5)],
    "6.6": [GREEK[:size] for size in range(1, len(GREEK) + 1)],
    "6.7": [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
    "6.8": [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    "6.9": [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
    "6.10": [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
    "6.11": [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", BEYOND],
    "6.12": [b"\x80", b"\xbf", *((b"\x80\xbf" * 3)[:size] for size in range(2, 7)),
             ANY_CONTINUATION],
    "6.13": [b"".join(bytes((lead, 0x20)) for lead in range(*leads)) for leads in LEADS],
    "6.14": UNFINISHED,
    "6.15": [b"".join(UNFINISHED)],
    "6.16": [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    "6.17": [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf",
             b"\xfc\x80\x80\x80\x80\xaf"],
    "6.18": [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf",
             b"\xfc\x83\xbf\xbf\xbf\xbf"],
    "6.19": [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80",
             b"\xfc\x80\x80\x80\x80\x80"],
    "6.20": SURROGATES,
    "6.21": [high + low for high in HIGH for low in LOW],
    "6.22": [char.encode() for char in PLANES],
    "6.23": [chr(point).encode() for point in range(0xFFF9, 0x10000)],
}  # fmt: skip


def text_of(payload: bytes) -> tuple[Sequence[Heard], int]:
    """What an echo says to a text, and the code with which it ends where it is none."""
    try:
        return [payload.decode()], 0
    except UnicodeDecodeError:
        return [], NO_TEXT


def texts(section: str, payloads: Sequence[bytes]) -> Iterable[Case]:
    """Each in one frame, and in frames of a byte."""
    for number, payload in enumerate(payloads, 1):
        yield Case(f"{section}.{number}", [frame(TEXT, payload)], *text_of(payload))
        bytewise = fragments(sliced(payload, 1))
        yield Case(f"{section}.{number} in fragments", bytewise, *text_of(payload))


# The message is not finished: it has to fail before.
FAST = [GREEK, BEYOND, b"edited"]
TEXTS = [
    Case("6.1.1", [frame(TEXT)], [""]),
    Case("6.1.2", fragments([b""] * 3), [""]),
    Case("6.1.3", fragments([b"", b"middle", b""]), ["middle"]),
    Case("6.2.1", [frame(TEXT, MIXED)], [MIXED.decode()]),
    Case("6.2.2", fragments(cut(MIXED, [12])), [MIXED.decode()]),
    Case("6.2.3", fragments(sliced(MIXED, 1)), [MIXED.decode()]),
    Case("6.2.4", fragments(sliced(GREEK, 1)), [GREEK.decode()]),
    Case("6.3.1", [frame(TEXT, EDITED)], code=NO_TEXT),
    Case("6.3.2", fragments(sliced(EDITED, 1)), code=NO_TEXT),
    Case("6.4.1", fragments(FAST)[:2], code=NO_TEXT),
    Case("6.4.2", fragments([GREEK + b"\xf4", b"\x90", b"\x80\x80edited"])[:2], code=NO_TEXT),
    *(Case(f"6.4.{number}", [frame(TEXT, b"".join(FAST))], code=NO_TEXT) for number in (3, 4)),
    *(case for section, payloads in UTF8.items() for case in texts(section, payloads)),
]

# --- 7 and 10 -------------------------------------------------------------------------------------

CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
NO_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
LONG = "BAsd7&jh23" * 26_214
BYE = close(NORMAL)
CLOSING = [
    Case("7.1.1", [SAID, BYE], [HELLO], NORMAL),
    Case("7.1.2", [BYE, BYE], code=NORMAL),
    Case("7.1.3", [BYE, PINGED], code=NORMAL),
    Case("7.1.4", [BYE, SAID], code=NORMAL),
    Case("7.1.5", [HALVES[0], BYE, HALVES[1]], code=NORMAL),
    Case("7.1.6", [frame(TEXT, LONG.encode()), SAID, BYE, PINGED], [LONG, HELLO], NORMAL),
    Case("7.3.1", [close(None)], code=NO_STATUS),
    Case("7.3.2", [frame(CLOSE, b"a")], code=PROTOCOL_ERROR),
    Case("7.3.3", [BYE], code=NORMAL),
    Case("7.3.4", [close(NORMAL, b"Hello World!")], code=NORMAL),
    Case("7.3.5", [close(NORMAL, b"*" * 123)], code=NORMAL),
    Case("7.3.6", [close(NORMAL, b"*" * 124)], code=PROTOCOL_ERROR),
    Case("7.5.1", [close(NORMAL, EDITED)], code=NO_TEXT),
    *(Case(f"7.7.{n}", [close(code)], code=code) for n, code in enumerate(CODES, 1)),
    *(Case(f"7.9.{n}", [close(code)], code=PROTOCOL_ERROR) for n, code in enumerate(NO_CODES, 1)),
    Case("7.13.1", [close(5000)], code=PROTOCOL_ERROR),
    Case("7.13.2", [close(65535)], code=PROTOCOL_ERROR),
]
AUTO = b"*" * 65536
FRAGMENTED = [Case("10.1.1", fragments(sliced(AUTO, 1300)), [AUTO.decode()])]

CASES = [
    *FRAMING,
    *PINGS,
    *RESERVED_BITS,
    *OPCODES,
    *FRAGMENTATION,
    *TEXTS,
    *CLOSING,
    *FRAGMENTED,
]

CHOPS = dict.fromkeys(("1.1.8", "1.2.8"), 997) | dict.fromkeys(
    ("2.6", "2.11", "3.4", "4.1.5", "4.2.5", "5.5", "5.8", "5.11", "5.14", "5.20"), 1
)
"""Bytes of each write, where the suite writes so; it writes frames otherwise."""

# --- 9: size --------------------------------------------------------------------------------------

KIB, MIB = 1 << 10, 1 << 20


class Load(NamedTuple):
    """Messages that are large or many.

    Attributes:
        number: the suite's.
        opcode: of the message.
        size: of each message.
        fragment: of its frames.
        chop: of the writes.
        times: how often, each when the one before has come back.
    """

    number: str
    opcode: int
    size: int
    fragment: int
    chop: int
    times: int = 1


def _loads() -> Iterable[Load]:
    sizes = (64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB)
    cuts = (64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB)
    for opcode, first in ((TEXT, 1), (BINARY, 2)):
        for n, size in enumerate(sizes, 1):
            yield Load(f"9.{first}.{n}", opcode, size, size, 64 * MIB)
        for n, fragment in enumerate(cuts, 1):
            yield Load(f"9.{first + 2}.{n}", opcode, 4 * MIB, fragment, 64 * MIB)
        for n, chop in enumerate((64, 128, 256, 512, KIB, 2 * KIB), 1):
            yield Load(f"9.{first + 4}.{n}", opcode, MIB, MIB, chop)
        for n, size in enumerate((0, 16, 64, 256, KIB, 4 * KIB), 1):
            yield Load(f"9.{first + 6}.{n}", opcode, size, max(size, 1), 64 * MIB, 1000)


LOADS = list(_loads())
