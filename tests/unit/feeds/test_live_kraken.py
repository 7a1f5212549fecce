"""Kraken v2, live, against a stand-in that misbehaves."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from support.standin.followed import HURRY, Followed, followed
from support.standin.kraken import KrakenStandIn

from gateway._native import RingWriter
from gateway.feeds.feed import Counters
from gateway.feeds.live.feed import LiveFeed
from gateway.feeds.live.kraken import Kraken

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats

A, B = "BTC/USD", "ETH/USD"
CHANNELS = ("trade", "bbo", "book")


def venue(stand_in: KrakenStandIn) -> Kraken:
    port = stand_in.port
    return Kraken(CHANNELS, f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}")


@pytest.fixture
async def stand_in() -> AsyncIterator[KrakenStandIn]:
    one = KrakenStandIn(A, B)
    async with one.running():
        yield one


@pytest.fixture
async def live(
    stand_in: KrakenStandIn, publisher: "FakePublisher", stats: "FakeStats"
) -> AsyncIterator[Followed]:
    async with followed(venue(stand_in), (A, B), publisher, stats) as one:
        await one.stands(A, B)
        yield one


async def agrees(live: Followed, stand_in: KrakenStandIn) -> None:
    stand_in.frozen = True
    books = stand_in.books
    await live.agree(books[A], books[B])
    for symbol in (A, B):
        numbers = [number for number, *_ in live.trades(symbol)]
        truth = {(t.id, t.sell) for t in books[symbol].trades}
        assert {(number, sell) for number, _, _, sell in live.trades(symbol)} <= truth
        assert numbers[-1] - numbers[0] + 1 - len(numbers) == live.lost(symbol)
        assert len(set(numbers)) == len(numbers)
    stand_in.frozen = False


async def test_books_with_checksums_trades_and_instruments(
    live: Followed, stand_in: KrakenStandIn, publisher: "FakePublisher"
) -> None:
    await live.until(lambda: len(live.trades(A)) > 10)
    await agrees(live, stand_in)
    assert not live.doubts(A)
    sums = [message[4]["checksum"] for message in publisher.books if len(message) == 5]
    assert sums
    assert None not in sums
    instruments: list[tuple[object, ...]] = [*publisher.of("instrument", f"{A}.X")]
    (row,) = instruments
    assert row[2:8] == ("0.01", "0.00000001", 2, 8, "BTC", "USD")
    asked = next(iter(stand_in.open.values()))
    assert asked == {
        f"{channel}:{one}" for channel in ("trade", "ticker", "book") for one in (A, B)
    }
    prices = [level[0] for message in publisher.books if len(message) == 5 for level in message[2]]
    assert {len(price.partition(".")[2]) for price in prices} == {2}, "with all digits of the pair"


async def test_a_wrong_checksum_has_that_pair_subscribed_anew_and_no_other(
    live: Followed, stand_in: KrakenStandIn, publisher: "FakePublisher"
) -> None:
    topic = publisher.topics["book", f"{A}.X"]
    wrong = [True]

    def answer(message: tuple[object, ...]) -> tuple[int, bool, bool, bool]:
        agrees = message[0] != topic or not (wrong and wrong.pop())
        return 1, True, agrees, False

    publisher.book_answer = answer
    await live.until(lambda: live.doubts(A))
    assert {*live.doubts(A)} == {("resync", "its checksum is another")}
    await live.stands(A, B)
    publisher.book_answer = lambda message: (1, True, True, False)
    await agrees(live, stand_in)
    assert not live.doubts(B)
    snapshots = [message[0] for message in publisher.books if len(message) == 5 and message[1]]
    assert sorted(snapshots.count(one) for one in set(snapshots)) == [1, 2]
    assert stand_in.handshakes == 1


async def test_checksums_are_compared_by_the_ring(
    stand_in: KrakenStandIn, stats: "FakeStats"
) -> None:
    """With a real one: every checksum is right, until one is not."""
    writer = RingWriter(1 << 22, 16, book_levels_max=10_000)
    venue_ = venue(stand_in)
    venue_.facts = venue_.facts._replace(**HURRY)
    counters = Counters("kraken:X", "kraken", "X", 0, stats)
    feed = LiveFeed("kraken:X", 0, venue_, "X", (A,), writer, counters, {})
    running = asyncio.create_task(feed.run())

    async def published(more: int) -> None:
        wanted = feed.statistics().records + more
        async with asyncio.timeout(20):
            while feed.statistics().records < wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    await published(100)
    assert stand_in.snapshots == [A]
    stand_in.wrong_sums = 1
    await published(100)
    assert stand_in.snapshots == [A, A]
    await published(100)
    assert stand_in.snapshots == [A, A]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    writer.close()


async def test_a_cut_and_a_line_that_takes_over(
    stand_in: KrakenStandIn, publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    async with followed(venue(stand_in), (A, B), publisher, stats, age_s=1.0) as live:
        await live.until(lambda: stand_in.handshakes >= 3)
        await agrees(live, stand_in)
        assert live.lost(A) == live.lost(B) == 0
        assert not live.doubts(A)
        stand_in.cut()
        await live.until(lambda: live.state[0] == "down")
        await live.until(lambda: live.doubts(A))
        await live.stands(A, B)
        await agrees(live, stand_in)


async def test_a_refused_stream_in_the_venues_words(
    stand_in: KrakenStandIn, publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    stand_in.faults.refuse = "Subscription not allowed"
    async with followed(venue(stand_in), (A, B), publisher, stats) as live:
        await live.until(lambda: "refused a request: Subscription not allowed" in live.state[1])
        stand_in.faults.refuse = ""
        await live.stands(A, B)
