"""Order books of a whole gateway in its Python client: both encodings, workers that end, depths."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from support.serving import serving

from gateway.client import Backoff, Book, Client, Disconnected, Gap, Malformed, OrderBook, RawTick
from gateway.model.encoding import Encoding

TIMEOUT_S = 60.0
SYMBOLS = ("SYM001.SIM", "SYM002.SIM")
FRAMES = 200
FEED = (
    'feeds.0.type="synthetic"',
    'feeds.0.venue="SIM"',
    "feeds.0.symbols=3",
    "feeds.0.rate=1000",
    'feeds.0.channels=["bbo","book"]',
    "slo.target_us=1000000",  # however late a busy host is, nobody is turned away
)


async def frames(client: Client, count: int) -> dict[str, int]:
    """Reads so many frames with their books; the newest `seq` of each."""
    seqs: dict[str, int] = {}
    async for event in client:
        assert not isinstance(event, Gap | Malformed | RawTick), event
        if isinstance(event, Book) and event.book is not None:
            count -= 1
            seqs[event.symbol] = event.seq
            if not count:
                return seqs
    raise AssertionError("it ended")


def good(book: OrderBook | None, depth: int) -> OrderBook:
    """What a book always is."""
    assert book is not None
    assert book.ready
    assert 0 < len(book.bids) <= depth
    assert 0 < len(book.asks) <= depth
    bids, asks = ([level.price for level in side] for side in (book.bids, book.asks))
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    return book


@pytest.mark.parametrize("encoding", ["json", "sbe"])
async def test_books_over_the_end_of_a_worker(encoding: Encoding, tmp_path: Path) -> None:
    with serving(tmp_path / "log", *FEED) as gateway:
        backoff = Backoff(0.2, 0.2)
        async with (
            asyncio.timeout(TIMEOUT_S),
            Client(gateway.url, encoding=encoding, backoff=backoff) as client,
        ):
            (one, _) = await client.subscribe("book", SYMBOLS, depth=5)
            assert (one.depth, one.mode) == (5, "conflate"), one
            before = await frames(client, FRAMES)
            books = [good(client.book(symbol), 5) for symbol in SYMBOLS]
            os.kill(await asyncio.to_thread(gateway.pid), signal.SIGKILL)
            ended = False
            async for event in client:
                if isinstance(event, Disconnected):
                    ended = True
                    assert not any(book.ready for book in books)
                if ended and isinstance(event, Book):
                    assert event.type == "snapshot"
                    assert event.book in books
                    break
            after = await frames(client, FRAMES)
            assert [client.book(symbol) for symbol in SYMBOLS] == books
            for book in books:
                good(book, 5)
            assert all(after[symbol] > before[symbol] for symbol in SYMBOLS)
            assert client.statistics().mismatches == 0
            await client.update("book", "SYM001.SIM", depth=1)
            while books[0].depth != 1:
                await frames(client, 1)
            good(books[0], 1)
            good(books[1], 5)
            await client.unsubscribe("book", SYMBOLS)
            assert client.book("SYM001.SIM") is None


async def test_both_encodings_have_the_same_book(tmp_path: Path) -> None:
    """At each of the numbers that both had: what one client merged, the other may not have."""
    with serving(tmp_path / "log", *FEED) as gateway:
        seen: list[dict[int, list[object]]] = []

        async def watch(encoding: Encoding) -> None:
            states: dict[int, list[object]] = {}
            seen.append(states)
            async with Client(gateway.url, encoding=encoding) as client:
                await client.subscribe("book", "SYM001.SIM", depth=0)
                async for event in client:
                    if isinstance(event, Book) and (book := event.book) and book.seq == event.seq:
                        states[event.seq] = [*book.bids, None, *book.asks, event.checksum]
                        if len(states) == FRAMES:
                            return

        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(watch("json"), watch("sbe"))
    text, binary = seen
    both = text.keys() & binary.keys()
    assert len(both) > FRAMES / 2
    assert all(text[seq] == binary[seq] for seq in both)
