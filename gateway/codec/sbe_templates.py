"""The messages of `tickgate.v1.sbe` as templates: the bytes of docs/sbe.md, in its order."""

from collections.abc import Sequence
from struct import pack
from typing import Final

from gateway.model.record import BOOK, CANDLES, INSTRUMENT

_SCHEMA, _VERSION = 1, 2
_NULL8: Final = b"\xff"
_NULL64: Final = b"\xff" * 8
_SNAPSHOT: Final = {"update": "flags 0", "snapshot": "flags 1"}


def _header(block: int, template: int) -> bytes:
    return pack("<4H", block, template, _SCHEMA, _VERSION)


_RECORD: Final = (
    "u64 seq",
    "u64 ts_event",
    "u64 ts_recv",
    "u64 ts_send",
    "u64 skipped",
    "u32 topic",
)


_CANDLES: Final[dict[tuple[str, str], Sequence[bytes | str]]] = {
    (channel.key, kind): (
        _header(145, 8),
        *_RECORD[:-1],
        "start",
        "u32 topic",
        "trades",
        flags,
        *("closed 0 1", "revised 0 1", "partial 1 0"),
        *("open", "high", "low", "close", "volume"),
    )
    for channel in CANDLES.values()
    for kind, flags in _SNAPSHOT.items()
}
"""Of candles all channels have one template: the topic says the interval."""

_INSTRUMENTS: Final[dict[tuple[str, str], Sequence[bytes | str]]] = {
    (INSTRUMENT, kind): (
        _header(92, 4),
        *(*_RECORD, "pdigits", "qdigits", "delay_s", flags, "derived 0 1", "tick", "lot"),
        *("status", "base", "quote", "own"),
    )
    for kind, flags in _SNAPSHOT.items()
}

_BOOKS: Final[dict[tuple[str, str], Sequence[bytes | str]]] = {
    (BOOK, kind): (
        _header(55, 3),
        *_RECORD,
        *("u32 checksum", "u16 depth", "u16 part", "u16 parts"),
        f"book_{flags}",
        *("bids", "asks", "wides", "first_id", "last_id"),
    )
    for kind, flags in _SNAPSHOT.items()
}

RECORDS: Final[dict[tuple[str, str], Sequence[bytes | str]]] = (
    {
        (channel, kind): (_header(block, number), *_RECORD, flags, *fields)
        for channel, block, number, fields in (
            ("trade", 80, 1, ("side 255 1 2", "price", "qty", "id")),
            ("bbo", 113, 2, ("bid", "bid_qty", "ask", "ask_qty")),
            ("status", 45, 5, ("status", "reason")),
        )
        for kind, flags in _SNAPSHOT.items()
    }
    | _CANDLES
    | _INSTRUMENTS
    | _BOOKS
)


def _gap(
    reason: int, first: bytes | str, last: bytes | str, lost: bytes | str
) -> Sequence[bytes | str]:
    return (_header(26, 32), first, last, lost, "u8 channel", bytes((reason,)), "symbol")


_REPLAYED: Final = ("u8 channel_number", "subscription")
_CLASS: Final = ("u32 interval_ms", "u32 was_ms", "u32 step", "u8 class")

NOTICES: Final[dict[str, Sequence[bytes | str]]] = {
    "topic": (_header(5, 16), "u32 topic", "u8 channel", "symbol"),
    "heartbeat": (_header(16, 17), "u64 n", "u64 ts_send"),
    "lapped": _gap(1, "u64 from", "u64 to", _NULL64),
    "missed": _gap(2, _NULL64, _NULL64, "u64 lost"),
    "refused": _gap(3, _NULL64, _NULL64, _NULL64),
    "reset": _gap(4, _NULL64, _NULL64, _NULL64),
    "retired": (_header(1, 34), "u8 channel", "symbol"),
    "replayed": (_header(17, 35), "u64 from", "u64 to", *_REPLAYED),
    "replayed_pattern": (_header(17, 35), _NULL64, _NULL64, *_REPLAYED),
    "epoch": (_header(1, 33), _NULL8, "epoch", b"\0"),
    "slow": (
        _header(15, 36),
        "u64 age_ms",
        "u32 interval_ms",
        "u8 level",
        "u8 was",
        "u8 action_number",
    ),
    "conflation": (_header(0, 37), pack("<H", 13), "u16 count"),
    "class": _CLASS,
    "class_more": _CLASS,
    "conflation_end": (),
    "auth_expiring": (_header(8, 39), "u64 expires_at"),
    "shutdown": (_header(4, 40), "u32 reconnect_after_ms"),
    "limit": (_header(16, 38), "u64 value", _NULL64, "limit", "subscription"),
    "limits": (_header(16, 38), "u64 value", "u64 refused", b"\7notices\0"),
}
