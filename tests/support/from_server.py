"""RFC 6455 from a server to a client: the cases of `support.conformance` the other way, and others
that only a server can be wrong in. `ClientSide` and the load test's swarm are held to them.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from support.conformance import CASES, Closed, Pong, Reply, parts, sliced
from support.wire import BINARY, CLOSE, CONT, MASK, PING, PONG, TEXT, frame, mask

MESSAGE_BYTES_MAX = 20_000
FRAGMENTS_MAX = 200
"""What the client under test takes; the swarm counts no fragments, but their bytes."""

_GOODBYE = re.compile(r"7\.(1|3\.[1345]|7)[. ]|5\.6 close")
_BINARY = re.compile(r"1\.2 ")
# Neither is the swarm's: it looks for fields in a text, and finds them whatever stands around.
_ABOUT_UTF8 = re.compile(r"6\.[34] |7\.5 ")

# Bytes of a server's header, by its second one.
_HEADER = dict.fromkeys(range(126), 2) | {126: 4, 127: 10}


@dataclass(frozen=True)
class Case:
    """What a server sends, and what a client makes of it.

    Attributes:
        name: begins with Autobahn's number, where it has one.
        frames: one after the other.
        messages: those that a client gets; of texts of ours the `req_id`.
        pongs: payloads that have to be sent; of several in a read the last one is enough.
        code: of the close frame that the client sends; 0: none, it stays open.
        goodbye: the close is the server's; else it has broken a rule.
        reason: the server's.
        swarm: the code that the swarm sends; None: it takes no part, since what decides is not its.
    """

    name: str
    frames: Sequence[bytes]
    messages: Sequence[str | bytes] = ()
    pongs: frozenset[bytes] = frozenset()
    code: int = 0
    goodbye: bool = False
    reason: str | None = None
    swarm: int | None = 0


def unmasked(whole: bytes) -> bytes:
    """A client's frame as a server sends it."""
    second = whole[1] & 127
    head = _HEADER[second]
    start = head + len(MASK)
    assert whole[1] & 128
    assert whole[head:start] == MASK
    return bytes((whole[0], second)) + whole[2:head] + mask(whole[start:])


def said(message: str | bytes) -> str | bytes:
    """A message as a case has it."""
    return json.loads(message)["req_id"] if isinstance(message, str) else message


def _turned(name: str, frames: Sequence[bytes], expected: Sequence[object]) -> Case:
    """One of a client's cases, with the sides exchanged."""
    served = [unmasked(one) for one in frames]
    if _BINARY.match(name):  # a client takes it
        (message,) = served
        return Case(name, served, messages=[message[_HEADER[message[1]] :]])
    last = expected[-1]
    code = last.code if isinstance(last, Closed) else 0
    return Case(
        name,
        served,
        messages=[one.req_id for one in expected if isinstance(one, Reply)],
        pongs=frozenset(one.payload for one in expected if isinstance(one, Pong)),
        code=code,
        goodbye=_GOODBYE.match(name) is not None,
        reason=last.reason if isinstance(last, Closed) else None,
        swarm=None if _ABOUT_UTF8.match(name) else code,
    )


def served(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    length: int | None = None,
    width: int | None = None,
) -> bytes:
    """A server's frame, as `support.wire.frame` makes a client's."""
    return frame(opcode, payload, fin=fin, masked=False, length=length, width=width)


def _broken(name: str, *frames: bytes, code: int = 1002, swarm: int | None = None) -> Case:
    return Case(name, frames, code=code, swarm=code if swarm is None else swarm)


def _too_long(length: int, opcode: int = BINARY) -> Case:
    # To the swarm the highest bit is a broken rule, and so is a length in a control frame.
    strict = opcode == PING or length >> 63
    whole = served(opcode, length=length, width=8)
    return _broken(
        f"length {length:#x}, opcode {opcode}", whole, code=1009, swarm=1002 if strict else 1009
    )


def _not_the_shortest(width: int) -> Case:
    # RFC 6455 section 5.2 forbids it, and the swarm is strict; the library reads what it says.
    whole = served(BINARY, b"x", width=width)
    return Case(f"length of 1 in {width} bytes", [whole], [b"x"], swarm=1002)


MOST = b"x" * MESSAGE_BYTES_MAX
PARTS = sliced(MOST, MESSAGE_BYTES_MAX // 4)

SERVERS_OWN = [
    *(
        _broken(f"masked frame, opcode {opcode}", frame(opcode, b"\x03\xe8"))
        for opcode in (CONT, TEXT, BINARY, CLOSE, PING, PONG)
    ),
    *map(_too_long, (1 << 63, (1 << 64) - 1, (1 << 63) + 5, (1 << 63) - 1, 1 << 40, 1 << 32)),
    _too_long(1 << 63, PING),
    _not_the_shortest(2),
    _not_the_shortest(8),
    Case("as large as may be", [served(BINARY, MOST)], [MOST]),
    Case(
        "as large as may be, in parts",
        [unmasked(one) for one in parts(*PARTS, opcode=BINARY)],
        [MOST],
    ),
    _broken("one byte too large", served(BINARY, MOST + b"x"), code=1009),
    _broken(
        "too large in all",
        *[unmasked(one) for one in parts(*PARTS, b"x", opcode=BINARY)],
        code=1009,
    ),
    Case(
        "binary in parts with a ping between",
        [unmasked(one) for one in parts(b"\xff", b"", between=frame(PING, b"p"), opcode=BINARY)],
        [b"\xff"],
        frozenset({b"p"}),
    ),
    Case(
        "as many fragments as may be",
        [unmasked(one) for one in parts(*[b"x"] * FRAGMENTS_MAX, opcode=BINARY)],
        [b"x" * FRAGMENTS_MAX],
    ),
    Case(
        "a fragment too many",
        [unmasked(one) for one in parts(*[b""] * (FRAGMENTS_MAX + 1), opcode=BINARY)],
        code=1009,
        swarm=None,
    ),
    Case(
        "a fault behind messages and a ping",
        [served(BINARY, b"1"), served(PING, b"p"), served(BINARY, b"2"), served(3), served(TEXT)],
        [b"1", b"2"],
        code=1002,
        swarm=1002,
    ),
]

SERVER_CASES = [*(_turned(*case) for case in CASES), *SERVERS_OWN]
