"""WebSocket frames, to either side: the events are the same however the bytes are cut, each end is
a documented one, and nothing raises.

The first byte says which side reads and whether binary messages are taken, the second how the bytes
are cut; frames follow, of a client's, whose masks are best zero, or of a server's.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Final

from support.meaning import documented, meaning
from support.sans import Sans, cut, endpoint
from support.sans_client import SansClient
from support.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT

from gateway.options import LimitsOptions

CLIENT, IS_BINARY = 1, 2
LIMITS: Final = LimitsOptions(message_bytes=300, fragments_max=4, control_frames_per_s=6)
CLIENTS_CODES: Final = frozenset({0, 1002, 1005, 1007, 1009, *range(1000, 5000)})
JSON_AT: Final = None


def head(opcode: int, size: int, *, fin: bool = True, masked: bool = True) -> bytes:
    """The header of a frame, with a mask that changes nothing."""
    first = bytes((128 * fin | opcode, 128 * masked | min(size, 126)))
    return first + (size.to_bytes(2, "big") if size > 125 else b"") + bytes(4 * masked)


TOKENS: Final = [
    head(opcode, size, fin=fin, masked=masked) + b"x" * size
    for opcode in (CONT, TEXT, BINARY, CLOSE, PING, PONG, 3)
    for size in (0, 1, 2, 125, 126)
    for fin in (True, False)
    for masked in (True, False)
] + [b"\xe2\x82\xac", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\x03\xe8", b"\x03\xed", b"\xff" * 8]
_GREETING: Final = (
    head(TEXT, 2) + b"{}" + head(TEXT, 1, fin=False) + b"a" + head(PING, 1) + b"p" + head(CONT, 0)
)
SEEDS: Sequence[bytes] = [
    bytes((mode, at)) + frames
    for mode in (0, IS_BINARY)
    for at in (0, 3)
    for frames in (_GREETING, head(CLOSE, 5) + b"\x03\xe8bye", head(BINARY, 3) + b"\0\1\2")
] + [bytes((CLIENT, 1)) + head(TEXT, 2, masked=False) + b"{}" + head(PING, 1, masked=False) + b"p"]


def run(data: bytes) -> Iterable[Hashable]:
    if len(data) < 2:
        return ()
    mode, step, whole = data[0], data[1] % 30, data[2:600]
    places = range(step, len(whole), step) if step else ()
    return _client(whole, places) if mode & CLIENT else _server(whole, places, mode)


def _server(whole: bytes, places: Sequence[int], mode: int) -> Iterable[Hashable]:
    def sent(*pieces: bytes) -> Sans:
        return Sans(endpoint(LIMITS, binary=bool(mode & IS_BINARY))).open().send(*pieces)

    once = sent(whole)
    documented(once)
    assert meaning(sent(*cut(whole, places))) == meaning(once)
    sizes = [len(one if isinstance(one, bytes) else one.encode()) for one in once.messages]
    assert max(sizes, default=0) <= LIMITS.message_bytes
    assert len(once.controls) <= LIMITS.control_frames_per_s + 1, "the one too many is told"
    kinds = [type(event).__name__ for event in once.events]
    return tuple(kinds[:3]), once.closed[0]


def _client(whole: bytes, places: Sequence[int]) -> Iterable[Hashable]:
    once, other = SansClient().open().get(whole), SansClient().open().get(*cut(whole, places))
    assert other.messages == once.messages
    assert {*once.pongs} <= {*other.pongs}
    assert (other.end is None) == (once.end is None)
    if once.end is not None and other.end is not None:
        assert other.end._replace(frame=b"") == once.end._replace(frame=b"")
    assert once.closed in CLIENTS_CODES
    return ("client", len(once.messages), len(once.pongs), once.closed > 0), ("client", once.closed)
