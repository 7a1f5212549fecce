"""The order books of captures: messages of one instrument, with what the venue says of them.

What a line means is a venue's business (gateway/feeds/venues), so only as much of it is read here
as a book needs.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard

if TYPE_CHECKING:
    from gateway._native import BookRow


@dataclass(frozen=True, slots=True)
class Message:
    """A venue's message of a book; of Binance also its best prices, which have no levels."""

    snapshot: bool
    bids: list[BookRow]
    asks: list[BookRow]
    last: int = 0
    """The venue's number of the state after it."""
    checksum: int | None = None
    top: tuple[BookRow, BookRow] | None = None


def _binance(path: Path) -> Iterator[Message]:
    with gzip.open(path, "rt") as lines:
        for line in lines:
            found = json.loads(line.partition(" ")[2])
            if "lastUpdateId" in found:
                yield Message(True, found["bids"], found["asks"], found["lastUpdateId"])
                continue
            data = found["data"]
            if data.get("e") == "depthUpdate":
                yield Message(False, data["b"], data["a"], data["u"])
            elif "bookTicker" in found["stream"]:
                top = ((data["b"], data["B"]), (data["a"], data["A"]))
                yield Message(False, [], [], data["u"], top=top)


def binance(path: Path) -> list[Message]:
    """Snapshot first, then updates and best prices after it, in the order of the venue's numbers.

    Where an update and best prices have one number, the prices are of the state after the update.
    """
    messages = list(_binance(path))
    snapshot = next(message for message in messages if message.snapshot)
    rest = [m for m in messages if not m.snapshot and (m.last > snapshot.last or m.top)]
    return [snapshot, *sorted(rest, key=lambda m: (m.last, m.top is None))]


def _received(path: Path) -> Iterator[tuple[str, Any]]:
    """(connection, message) of what a venue sent, of a capture that tells both ways."""
    with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as plain:
        for line in io.TextIOWrapper(plain):
            entry = json.loads(line)
            if entry["t"] == "recv":
                yield entry["conn"], json.loads(entry["data"])


def kraken(path: Path) -> Iterator[tuple[str, Message]]:
    """(pair, message) of Kraken's v1 books."""
    for _, found in _received(path):
        if not isinstance(found, list) or not found[-2].startswith("book"):
            continue
        sides: dict[str, list[BookRow]] = {"b": [], "a": []}
        checksum, snapshot = None, False
        for part in found[1:-2]:
            for name, rows in part.items():
                if name == "c":
                    checksum = int(rows)
                    continue
                snapshot |= name.endswith("s")
                sides[name[0]] += [(row[0], row[1]) for row in rows]
        yield found[-1], Message(snapshot, sides["b"], sides["a"], checksum=checksum)


def coinbase(path: Path) -> Iterator[tuple[str, Message]]:
    """(product, message) of Coinbase's level2 channel, whose prices have digits of their own."""
    for _, found in _received(path):
        if found.get("channel") != "l2_data":
            continue
        for event in found["events"]:
            sides: dict[str, list[BookRow]] = {"bid": [], "offer": []}
            for update in event["updates"]:
                sides[update["side"]].append((update["price_level"], update["new_quantity"]))
            snapshot = event["type"] == "snapshot"
            yield event["product_id"], Message(snapshot, sides["bid"], sides["offer"])


def bybit(path: Path) -> Iterator[tuple[str, Message]]:
    """(connection and symbol, message) of Bybit's v5 books."""
    for connection, found in _received(path):
        if found.get("topic", "").startswith("orderbook"):
            data = found["data"]
            message = Message(found["type"] == "snapshot", data["b"], data["a"])
            yield f"{connection} {data['s']}", message
