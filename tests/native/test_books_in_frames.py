"""Books of captures in the frames of both encodings, for clients that check each frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.book_client import ENCODINGS, FORMATS, BookClient
from support.captures import Message, binance, kraken

from gateway._native import Plane, RingWriter, StatsPage
from gateway.codec.formats import LOCALS

Capture = Callable[[str], Path]
TIMEOUT_S = 60.0
BOOKS = 3
SETTLED = ("delivered", "conflated", "filtered", "dropped_lapped", "dropped_unsubscribed")
SYMBOL = "BTCUSDT.BINANCE"
LEVELS = 200_000


class Gateway:
    """A writer of books and a plane, whose clients have all that was published when `publish`
    returns."""

    def __init__(self, counted: StatsPage) -> None:
        self.writer = RingWriter(1 << 24, 64, book_levels_max=LEVELS)
        options: dict[str, Any] = {"formats": FORMATS, "locals": LOCALS, "stats": counted}
        self.plane = Plane(**options, book_levels_max=LEVELS, spin=True)
        self.plane.start()
        self.plane.attach(self.writer.fd)
        self.clients: list[BookClient] = []
        self._counted = counted
        self._seqs: dict[str, int] = {}
        self._routed = 0

    def topic(self, symbol: str, *clients: tuple[str, int]) -> tuple[int, list[BookClient]]:
        """Its number, and its clients by encoding and depth."""
        made = [BookClient(self.plane, encoding, symbol, depth) for encoding, depth in clients]
        self.clients += made
        self._wait(lambda: all(client.ready for client in made))
        return self.writer.topic("book", symbol), made

    def publish(self, topic: int, symbol: str, message: Message) -> int:
        """The topic's seq behind it."""
        levels = (message.bids, message.asks)
        numbers: Any = {"first": message.last or None, "last": message.last or None}
        _, published, _, _ = self.writer.book(topic, message.snapshot, *levels, 1, 1, **numbers)
        links = sum(client.symbol == symbol for client in self.clients)
        self._routed += links if published else 0
        self._seqs[symbol] = self._seqs.get(symbol, 0) + published
        self._wait(self._settled)
        return self._seqs[symbol]

    def _settled(self) -> bool:
        return sum(self._counted.get(name, BOOKS) for name in SETTLED) == self._routed

    def _wait(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        ended = False
        while not ended:
            ended = done()  # what is read after that is all
            for client in self.clients:
                client.read()
            self.plane.events()
            assert time.monotonic() < deadline
            time.sleep(0)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.plane.stop()
        self.writer.close()


@pytest.fixture
def gateway(counted: StatsPage) -> Iterator[Gateway]:
    one = Gateway(counted)
    yield one
    one.close()


@pytest.mark.parametrize("depth", [0, 10])
@pytest.mark.parametrize(("market", "updates"), [("spot", 3449), ("usdm", 6547)])
def test_binary_clients_have_the_best_prices_that_binance_says(
    gateway: Gateway, capture: Capture, market: str, updates: int, depth: int
) -> None:
    """At each update: one that is no frame has left the best prices as they were."""
    topic, (client,) = gateway.topic(SYMBOL, ("sbe", depth))
    said, compared = None, 0
    for message in binance(capture(f"binance/{market}_btcusdt_20240808.jsonl.gz")):
        if message.top is not None:
            said = message.top
            continue
        seq = gateway.publish(topic, SYMBOL, message)
        if not message.snapshot and said is not None:
            assert said == client.book.top()
            compared += 1
            assert client.seq == seq or depth
    assert compared == updates
    assert (len(client.frames) > updates - 100) == (depth == 0)
    assert (client.parted > 0) == (depth == 0)
    last = client.frames[-1].data[0]
    assert last.last_id is not None
    assert int(last.first_id or last.last_id) <= int(last.last_id)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_each_frame_of_krakens_books_has_another_librarys_checksum(
    gateway: Gateway, capture: Capture, encoding: str
) -> None:
    """Which `BookClient` makes, for windows of ten levels, of five, and for all that there are;
    where Kraken says a sum, that is ours of the first two."""
    topics: dict[str, tuple[int, list[BookClient]]] = {}
    compared = frames = 0
    for pair, message in kraken(capture("kraken/KRAKEN.jsonl.zst")):
        symbol = f"{pair}.KRAKEN"
        if pair not in topics:
            topics[pair] = gateway.topic(symbol, *((encoding, depth) for depth in (0, 10, 5)))
        topic, clients = topics[pair]
        seq = gateway.publish(topic, symbol, message)
        if message.checksum is None:
            continue
        compared += 1
        assert clients[0].seq == seq
        assert [client.book.checksum() for client in clients[:2]] == [message.checksum] * 2
    frames = sum(len(client.frames) for client in gateway.clients)
    assert (len(topics), compared) == (10, 4269)
    assert frames > compared


def test_both_encodings_say_the_same(gateway: Gateway, capture: Capture) -> None:
    depths = (0, 5, 1000)
    topic, clients = gateway.topic(
        SYMBOL, *((encoding, depth) for depth in depths for encoding in ENCODINGS)
    )
    path = capture("binance/spot_btcusdt_20240808.jsonl.gz")
    for message in [one for one in binance(path) if one.top is None][:1500]:
        gateway.publish(topic, SYMBOL, message)
    for text, binary in zip(clients[::2], clients[1::2], strict=True):
        assert text.book.bids.levels == binary.book.bids.levels
        assert text.book.asks.levels == binary.book.asks.levels
        ours, theirs = (
            {one.seq: _plain(one) for one in client.frames if one.part is None}
            for client in (text, binary)
        )
        both = ours.keys() & theirs.keys()  # what is a frame here may be parts there
        assert len(both) > max(len(ours), len(theirs), 300) - 10
        assert [seq for seq in both if ours[seq] != theirs[seq]] == []


def _plain(message: Any) -> Any:
    return msgspec.structs.replace(message, ts_send=0)
