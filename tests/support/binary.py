"""Binary frames that hold everything that the schema has, and the objects that some of them are."""

import struct
from typing import Any

from gateway.codec import sbe
from gateway.codec.sbe_book import encode_book
from gateway.model.record import CandleRow, InstrumentRow

TOPICS = {7: ("trade", "BTCUSDT.BINANCE"), 8: ("bbo", "币 安.X"), 9: ("candle_1h", "A.X")}
TOPICS |= {10: ("status", "A.X"), 11: ("book", "A.X"), 12: ("instrument", "A.X")}
NOW = 1_723_161_255_342_000_000
TIMES: dict[str, Any] = {"ts_event": NOW, "ts_recv": NOW + 1, "ts_send": NOW + 2}
TRADE_ROW = (0, NOW, "64250.10", "0.015", "sell", "3810000037")
QUOTE_ROW = (0, NOW, "64250.10", "0.01500", None, None)
CANDLE_ROW: CandleRow = (
    *(0, NOW, NOW - 5, "64250.10", "1234567890123456789012345.5", "-0.00", "7", "0.015"),
    *(12, True, True, True),
)
STAMPS: dict[str, int] = {"ts_recv": NOW + 1, "ts_send": NOW + 2}
TRADE = sbe.encode_record("trade", "update", 7, TRADE_ROW, seq=8813, **STAMPS)
QUOTE = sbe.encode_record("bbo", "snapshot", 8, QUOTE_ROW, seq=4, skipped=3, **STAMPS)
CANDLE = sbe.encode_record("candle_1h", "update", 9, CANDLE_ROW, seq=5, **STAMPS)
STATUS_ROW = (0, NOW, "halted", 'news "pending"')
INSTRUMENT_ROWS: list[InstrumentRow] = [
    (0, NOW, "0.01", "0.00001", 2, 8, "BTC", "USDT", True, 900, "trading", "tBTCUSD"),
    (0, NOW, None, "-0.0", None, 0, "", "", False, 0, "", ""),
]
INSTRUMENTS = [
    sbe.encode_record("instrument", "snapshot", 12, INSTRUMENT_ROWS[0], seq=3, skipped=4, **STAMPS),
    sbe.encode_record("instrument", "update", 12, INSTRUMENT_ROWS[1], seq=3, skipped=4, **STAMPS),
]
STATUS = sbe.encode_record("status", "snapshot", 10, STATUS_ROW, seq=2, **STAMPS)
BIDS = [("64250.09", "0"), ("64250.10", "1.500"), ("64249", "9" * 38)]
ASKS = [("-0.5", "123456789012345678901234567890.12345678"), ("64250.1100", "1" + "0" * 60)]
BOOK_SAID: dict[str, Any] = {"depth": 10, "checksum": 2**32 - 1, "first_id": "12", "last_id": "19"}
BOOK = encode_book("update", 11, BIDS, ASKS, seq=7, skipped=2, **TIMES, **BOOK_SAID)
BOOK_PART = encode_book(
    "snapshot", 11, BIDS[1:], [], seq=8, **TIMES, depth=0, maybe_bad=True, part=(1, 3)
)

OBJECTS: list[dict[str, Any]] = [
    {"channel": "heartbeat", "n": 42, "ts_send": NOW},
    *(
        {"channel": "system", "type": kind, "data": rows}
        for kind, rows in [
            (
                "gap",
                [{"channel": "trade", "symbol": "A.X", "from": 1, "to": 9, "reason": "lapped"}],
            ),
            ("gap", [{"channel": "trade", "symbol": "A.X", "lost": 0, "reason": "feed"}]),
            ("gap", [{"channel": "bbo", "symbol": "币.X", "reason": "refused"}]),
            ("gap", [{"channel": "health", "symbol": "A.X", "reason": "reset"}]),
            (
                "gap",
                [{"channel": "candle", "symbol": "A.X", "reason": "reset", "interval": "15m"}],
            ),
            (
                "gap",
                [{"channel": "bbo", "symbol": "A.X", "from": 2, "to": 2, "reason": "failover"}],
            ),
            ("epoch", [{"epoch": "mwp2b06e"}]),
            ("epoch", [{"epoch": "k3f9.4", "venue": "BINANCE", "continues": True}]),
            ("epoch", [{"epoch": "k3f9.4", "venue": "BINANCE", "continues": False}]),
            ("retired", [{"channel": "bbo", "symbol": "A.X"}]),
            ("retired", [{"channel": "candle", "symbol": "A.X", "interval": "1d"}]),
            ("replay_completed", [{"channel": "trade", "symbol": "A.X", "from": 8813, "to": 9120}]),
            ("replay_completed", [{"channel": "trade", "symbol": "*.X"}]),
            ("slow", [{"level": 1, "was": 0, "action": "live", "interval_ms": 0, "age_ms": 153}]),
            (
                "slow",
                [{"level": 2, "was": 1, "action": "conflate", "interval_ms": 20, "age_ms": 9}],
            ),
            ("slow", [{"level": 3, "was": 2, "action": "snapshot", "interval_ms": 9, "age_ms": 1}]),
            ("conflation", [{"class": 2, "interval_ms": 20, "was_ms": 10, "step": 4}]),
            (
                "conflation",
                [
                    {"class": 2, "interval_ms": 0, "was_ms": None, "step": 1},
                    {"class": 3, "interval_ms": None, "was_ms": 0, "step": 1},
                ],
            ),
            ("conflation", []),
            ("limit_exceeded", [{"limit": "topics", "value": 65536, "subscription": "~*.X"}]),
            ("limit_exceeded", [{"limit": "notices", "value": 4096, "refused": 3}]),
            ("auth_expiring", [{"expires_at": NOW}]),
            ("shutdown", [{"reconnect_after_ms": 1830}]),
        ]
    ),
]
ANNOUNCED = sbe.encode_topic(7, "trade", "BTCUSDT.BINANCE")
FRAMES = [
    *(TRADE, QUOTE, CANDLE, *INSTRUMENTS, STATUS, BOOK, BOOK_PART),
    *(ANNOUNCED, ANNOUNCED + TRADE, *map(sbe.encode, OBJECTS)),
]


def head(block: int, template: int, version: int = 2, schema: int = 1) -> bytes:
    """A message's header."""
    return struct.pack("<HHHH", block, template, schema, version)


def longer(frame: bytes) -> bytes:
    """The frame's first message as a newer version would send it: with three bytes more."""
    block, template = struct.unpack_from("<HH", frame)
    return head(block + 3, template, 9) + frame[8 : 8 + block] + b"new" + frame[8 + block :]
