"""Frames as the gateway's own codecs write them, in both encodings, for clients' tests.

What a client reads of a binary frame must be what it reads of the JSON beside it.
"""

import json
import random
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from gateway._native import Book, Row, Template
from gateway.codec import sbe
from gateway.codec.formats import JSON, SBE, programs
from gateway.codec.sbe_book import encode_book
from support.binary import (
    BOOK,
    BOOK_PART,
    CANDLE,
    INSTRUMENTS,
    NOW,
    OBJECTS,
    STATUS,
    TOPICS,
    longer,
)

Case = dict[str, str]
Channel = Literal["trade", "bbo"]

SYMBOLS = ("BTCUSDT.BINANCE", "BRK.B.XNAS", "币 安.X", "BAC-I*.XNAS")
NUMBERS = (
    "0", "0.00", "-0", "-0.00", "-0.015", "64250.10", str(2**53), str(2**53 + 1), str(2**64),
    "-" + str(2**63), "9" * 38, "-" + "9" * 38, "0." + "0" * 126 + "7", "1" + "0" * 60,
)  # fmt: skip
IDS = ("", "3810000037", '"\\~ }', "x" * 80)
RANDOM_CASES = 300
SEED = 7


def cases() -> list[Case]:
    """Each a name, the frame in hexadecimal, and the same as JSON."""
    return [*_notices(), *_records(), *_made(), *_books()]


def _notices() -> Iterator[Case]:
    for message in OBJECTS:
        frame = sbe.encode(message)
        text = json.dumps(message)
        name = f"{message.get('type', message['channel'])} {text}"
        yield {"name": name, "sbe": frame.hex(), "json": text}
        if message.get("type") != "conflation":  # whose rows may be longer, too
            yield {"name": f"newer {name}", "sbe": longer(frame).hex(), "json": text}


def _made() -> Iterator[Case]:
    """Records that the gateway makes itself, as our own decoder tells them."""
    for number, frame in ((9, CANDLE), (10, STATUS), *((12, one) for one in INSTRUMENTS)):
        announced = sbe.encode_topic(number, *TOPICS[number]) + frame
        (message,) = sbe.Decoder().decode(announced)
        text = msgspec.json.encode(message).decode()
        yield {"name": text, "sbe": announced.hex(), "json": text}


def _books() -> Iterator[Case]:
    """Books, parts of some among them; those of whole states have the sum of their levels."""
    dice = random.Random(SEED)
    frames = [BOOK, BOOK_PART]
    for seq in range(1, RANDOM_CASES // 3):
        bids, asks = (_side(dice, sign) for sign in (-1, 1))
        book = Book(depth=10)
        book.replace(bids, asks)
        part = (1, 2) if dice.random() < 0.1 else None
        more: dict[str, Any] = {"depth": 10, "part": part, "maybe_bad": dice.random() < 0.1}
        more |= {"checksum": None if part else book.checksum(), "last_id": str(seq)}
        numbers: dict[str, Any] = {"seq": seq, "ts_event": NOW, "ts_recv": NOW, "ts_send": NOW}
        frames.append(encode_book("snapshot", 11, bids, asks, **numbers, **more))
    for frame in frames:
        announced = sbe.encode_topic(11, *TOPICS[11]) + frame
        (message,) = sbe.Decoder().decode(announced)
        said = msgspec.to_builtins(message)
        text = json.dumps({name: one for name, one in said.items() if one is not None})
        yield {"name": text, "sbe": announced.hex(), "json": text}
        newer = sbe.encode_topic(11, *TOPICS[11]) + longer(frame)
        yield {"name": f"newer {text}", "sbe": newer.hex(), "json": text}


def _side(dice: random.Random, sign: int) -> list[tuple[str, str]]:
    """Levels from the best on, a few with quantities of any size."""
    count = dice.randrange(15)
    prices = [f"{100 + sign * (rank + 1) / 8:.{dice.choice((3, 4))}f}" for rank in range(count)]
    usual = [f"{dice.randrange(1, 10**6)}.{dice.randrange(10**4):04}" for _ in range(3)]
    wide = ["9" * 38, "1" + "0" * 60, "0." + "0" * 60 + "7", str(2**63), str(2**63 - 1), "1.500"]
    return [(price, dice.choice([*usual * 3, *wide])) for price in prices]


def _records() -> Iterator[Case]:
    dice = random.Random(SEED)
    texts, frames = (
        {key: Template(program) for key, program in programs(form)[0].items()}
        for form in (JSON, SBE)
    )
    for channel, row in [*_rows(), *(_random_row(dice) for _ in range(RANDOM_CASES))]:
        kind = dice.choice(("update", "snapshot"))
        symbol, number = dice.choice(SYMBOLS), dice.getrandbits(32)
        head: dict[str, int] = {
            "seq": dice.choice((1, 8813, 2**53 - 1)),
            "skipped": dice.choice((0, 0, 1, 2**32, 2**53 - 1)),
            "ts_recv": dice.choice((NOW + 1, 2**63 - 1)),
            "ts_send": NOW + 2,
        }
        frame = frames[channel, kind].encode(channel, symbol, row, topic=number, **head)
        yield {
            "name": f"{channel} {row}",
            "sbe": (sbe.encode_topic(number, channel, symbol) + frame).hex(),
            "json": texts[channel, kind].encode(channel, symbol, row, **head).decode(),
        }


def _rows() -> Iterator[tuple[Channel, Row]]:
    for text in NUMBERS:
        yield "trade", (0, NOW, text, "1", "buy", "1")
        yield "bbo", (0, NOW, None, None, "1", text)
    for trade_id in IDS:
        yield "trade", (0, NOW, "1", text, None, trade_id)
    yield "bbo", (0, NOW, None, None, None, None)


def _random_row(dice: random.Random) -> tuple[Channel, Row]:
    at = dice.randrange(1, 2**63)
    if dice.random() < 0.5:
        side = dice.choice(("buy", "sell", None))
        return "trade", (0, at, _number(dice), _number(dice), side, str(dice.getrandbits(48)))
    bid, ask = (
        (_number(dice), _number(dice)) if dice.random() < 0.8 else (None, None) for _ in "12"
    )
    return "bbo", (0, at, *bid, *ask)


def _number(dice: random.Random) -> str:
    """Up to 38 digits, without leading zeros: binary frames do not carry them."""
    digits = str(dice.randrange(10 ** dice.randrange(1, 20)))
    fraction = dice.randrange(19)
    text = f"{digits}.{dice.randrange(10**fraction):0{fraction}}" if fraction else digits
    return dice.choice(("", "-")) + text


def bench() -> dict[str, Any]:
    """What the program that measures reading takes: one record of each kind."""
    texts = {key: Template(program) for key, program in programs(JSON)[0].items()}
    rows: dict[Channel, Row] = {
        "trade": (0, NOW, "64250.10", "0.01500", "sell", "3810000037"),
        "bbo": (0, NOW, "64250.10", "0.01500", "64250.20", "1.20000"),
    }
    stamps = {"seq": 8813, "ts_recv": NOW + 1, "ts_send": NOW + 2}
    records = {
        channel: {
            "json": texts[channel, "update"].encode(channel, SYMBOLS[0], row, **stamps).decode(),
            "sbe": sbe.encode_record(channel, "update", number, row, **stamps).hex(),
            "announcement": sbe.encode_topic(number, channel, SYMBOLS[0]).hex(),
        }
        for number, (channel, row) in enumerate(rows.items(), 1)
    }
    hello = {"version": "1", "connection_id": "c", "epoch": "e", "now": NOW, "heartbeat_ms": 1000}
    message = {"channel": "system", "type": "hello", "data": [hello | {"slo": {}}]}
    return {"hello": json.dumps(message), "records": records}
