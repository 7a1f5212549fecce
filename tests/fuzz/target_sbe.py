"""Binary frames to a client: each is read or refused as malformed, by the one that reads frames one
by one as by the one that reads many at once, and nothing raises.

A frame is a length of two bytes and so many bytes.
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import Final

import msgspec
from support.binary import NOW, OBJECTS, QUOTE_ROW, STAMPS, TRADE_ROW
from support.said import hello

from gateway.client.events import Malformed
from gateway.client.frames import FrameReader
from gateway.client.session import ClientSession
from gateway.codec import sbe

FRAMES_MAX: Final = 20
JSON_AT: Final = None


def framed(*frames: bytes) -> bytes:
    """As an input has them."""
    return b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)


def frames_of(data: bytes) -> Iterator[bytes]:
    """The frames of an input."""
    for _ in range(FRAMES_MAX):
        if len(data) < 2:
            return
        size = int.from_bytes(data[:2], "big") % 2048
        yield data[2 : 2 + size]
        data = data[2 + size :]


_TRADE: Final = sbe.encode_record("trade", "update", 7, TRADE_ROW, seq=1, skipped=0, **STAMPS)
_QUOTE: Final = sbe.encode_record("bbo", "snapshot", 8, QUOTE_ROW, seq=4, skipped=2, **STAMPS)
_NAMES: Final = sbe.encode_topic(7, "trade", "BTCUSDT.BINANCE"), sbe.encode_topic(8, "bbo", "A.X")
SEEDS: Final = [
    framed(*_NAMES, _TRADE, _QUOTE),
    framed(_NAMES[0] + _TRADE, _NAMES[1] + _QUOTE, _TRADE),
    framed(sbe.encode_topic(7, "book", "A.X")),
    *(framed(sbe.encode(message)) for message in OBJECTS),
]
TOKENS: Final = [_NAMES[0], _NAMES[1], _TRADE[:8], _QUOTE[:8], bytes(8), b"\xff" * 8, b"\x7f" * 4]


def run(data: bytes) -> Iterable[Hashable]:
    frames = list(frames_of(data))
    session = ClientSession("sbe")
    session.connected(0)
    session.receive(msgspec.json.encode(hello()).decode(), mono_ns=0, real_ns=0)
    session.subscribe("trade", ["*"])
    told = [
        type(event).__name__ if not isinstance(event, Malformed) else event.reason[:20]
        for frame in frames
        for event in session.receive(frame, mono_ns=0, real_ns=NOW)
    ]
    many = ClientSession("sbe")
    many.connected(0)
    list(FrameReader(many).read(frames, mono_ns=0, real_ns=NOW))
    return told
