"""A client of a plane's books that trusts nothing: its book is made of dictionaries, and its sums
are another library's."""

import binascii
import bisect
import select
import socket
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from gateway._native import Plane
from gateway.codec import sbe
from gateway.codec.decode import BookMessage, Level, Message, decode
from gateway.codec.formats import JSON, SBE, programs

CHECKED = 10
FRAME_MAX = 16 << 10
FORMATS = [programs(JSON), programs(SBE)]
ENCODINGS = ("json", "sbe")


class PlainSide:
    """By price, as a number; digits as they came."""

    def __init__(self, better: int) -> None:
        self.levels: dict[Decimal, Level] = {}
        self._keys: list[Decimal] = []  # in order, the best first
        self._sign = better

    def take(self, level: Level) -> None:
        """A level is there, with this quantity, or is no more."""
        key = Decimal(level.price) * self._sign
        if level.qty != "0":
            if key not in self.levels:
                bisect.insort(self._keys, key)
            self.levels[key] = level
        elif key in self.levels:
            del self.levels[key]
            del self._keys[bisect.bisect_left(self._keys, key)]

    def cut(self, depth: int) -> None:
        """Leaves so many, the best ones."""
        for key in self._keys[depth:]:
            del self.levels[key]
        del self._keys[depth:]

    def best(self, count: int) -> list[Level]:
        """So many levels, the best one first."""
        return [self.levels[key] for key in self._keys[:count]]


class PlainBook:
    """Bids and asks, up to a depth; 0: all."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.bids, self.asks = PlainSide(-1), PlainSide(1)

    def take(self, kind: str, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Applies a frame, then cuts each side."""
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            if kind == "snapshot":
                side.cut(0)
            for level in levels:
                side.take(level)
            if self.depth:
                side.cut(self.depth)

    def top(self) -> tuple[tuple[str, str], ...]:
        """The best bid and the best ask, as the captures have them."""
        levels = (*self.bids.best(1), *self.asks.best(1))
        return tuple((level.price, level.qty) for level in levels)

    def checksum(self) -> int:
        """Kraken's, of the text that the protocol describes."""
        levels = [*self.asks.best(CHECKED), *self.bids.best(CHECKED)]
        texts = (text for level in levels for text in (level.price, level.qty))
        return binascii.crc32("".join(_digits(text) for text in texts).encode())


def _digits(text: str) -> str:
    sign = "-" if text.startswith("-") else ""
    return sign + text.removeprefix("-").replace(".", "").lstrip("0")


class BookClient:
    """Subscribes to one book: each frame follows the one before, and makes what its sum says."""

    def __init__(self, plane: Plane, encoding: str, symbol: str, depth: int) -> None:
        self.symbol = symbol
        self.ready = False  # it has its ack
        self.book = PlainBook(depth)
        self.frames: list[BookMessage] = []
        self.seq = self.parted = 0
        self._plane = plane
        self._decoder = sbe.Decoder()
        self._parts: list[BookMessage] = []
        self._buffer = b""
        self.socket, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        number = ENCODINGS.index(encoding)
        self._opcode = (0x81, 0x82)[number]
        self.handle = plane.add(self._theirs.fileno(), b"", None, format=number)
        item = (1, "book", symbol, False, True, True, 1, 0, 0, None, depth)
        plane.subscribe(self.handle, b"{}", (), [item])

    def close(self) -> None:
        """Leaves."""
        self._plane.remove(self.handle)
        self.socket.close()
        self._theirs.close()

    def read(self) -> None:
        """Takes what has come."""
        while select.select([self.socket], [], [], 0)[0]:
            self._buffer += self.socket.recv(1 << 20)
        for opcode, payload in self._messages():
            if payload == b"{}":
                self.ready = True
                continue
            assert opcode == self._opcode
            found: list[Message] = (
                self._decoder.decode(payload) if opcode == 0x82 else [decode(payload)]
            )
            for message in found:
                if isinstance(message, dict):
                    assert message["channel"] == "heartbeat"
                    continue
                assert isinstance(message, BookMessage)
                self._take(message)

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        while len(self._buffer) >= 4:
            length, header = self._buffer[1], 2
            if length == 126:
                length, header = int.from_bytes(self._buffer[2:4], "big"), 4
            assert header + length <= FRAME_MAX
            if len(self._buffer) < header + length:
                return
            opcode, payload = self._buffer[0], self._buffer[header : header + length]
            self._buffer = self._buffer[header + length :]
            yield opcode, payload

    def _take(self, message: BookMessage) -> None:
        (data,) = message.data
        assert (message.symbol, data.depth) == (self.symbol, self.book.depth)
        part, parts = message.part or (1, 1)
        assert part == len(self._parts) + 1
        if part == 1 and self.seq:
            assert message.seq == self.seq + 1 + message.skipped
        self._parts.append(message)
        assert all((one.seq, one.skipped) == (message.seq, message.skipped) for one in self._parts)
        if part < parts:
            assert data.checksum is None
            return
        self._whole(message, data.checksum)
        self.parted += parts > 1

    def _whole(self, message: BookMessage, checksum: Any) -> None:
        bids = [level for one in self._parts for level in one.data[0].bids]
        asks = [level for one in self._parts for level in one.data[0].asks]
        self._parts.clear()
        self.frames.append(message)
        self.book.take(message.type, bids, asks)
        self.seq = message.seq
        assert checksum == self.book.checksum()
