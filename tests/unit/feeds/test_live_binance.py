"""Binance, live, against a stand-in that misbehaves: books are the truth after each fault, trades
are exact, and each fault is named."""

import asyncio
import os
import ssl
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.certificates import Authority
from support.standin.binance import BinanceStandIn
from support.standin.followed import Followed, followed

from gateway.feeds.live.binance import Binance
from gateway.feeds.options import Market

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats

A, B = "AAAUSDT", "BBBUSDT"
CHANNELS = ("trade", "bbo", "book")


def venue(stand_in: BinanceStandIn, market: Market = "spot") -> Binance:
    port = stand_in.port
    return Binance(market, CHANNELS, f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}")


@pytest.fixture
async def stand_in() -> AsyncIterator[BinanceStandIn]:
    one = BinanceStandIn(A, B)
    async with one.running():
        yield one


@pytest.fixture
async def live(
    stand_in: BinanceStandIn, publisher: "FakePublisher", stats: "FakeStats"
) -> AsyncIterator[Followed]:
    """Both symbols, whose books stand."""
    async with followed(venue(stand_in), (A, B), publisher, stats) as one:
        await one.stands(A, B)
        yield one


async def agrees(live: Followed, stand_in: BinanceStandIn) -> None:
    """Once the market rests, both books are the truth, and so are trades, but those told lost."""
    stand_in.frozen = True
    books = stand_in.books
    await live.agree(books[A], books[B])
    for symbol in (A, B):
        truth = {(t.id, t.price, t.qty, t.sell) for t in books[symbol].trades}
        trades = live.trades(symbol)
        assert len(set(trades)) == len(trades), "each once"
        assert set(trades) <= truth
        numbers = [number for number, *_ in trades]
        missing = numbers[-1] - numbers[0] + 1 - len(numbers)
        assert missing == live.lost(symbol), "those told lost are all that are missing"
    stand_in.frozen = False


async def test_books_trades_quotes_instruments_and_status(
    live: Followed, stand_in: BinanceStandIn, publisher: "FakePublisher"
) -> None:
    await live.until(lambda: len(live.trades(A)) > 20)
    await agrees(live, stand_in)
    assert not live.doubts(A)
    assert live.lost(A) == 0
    instruments: list[tuple[object, ...]] = [*publisher.of("instrument", f"{A}.X")]
    (row,) = instruments
    assert row[2:8] == ("0.01", "0.00001", 2, 5, "AAA", "USDT")
    (status,) = publisher.of("status", f"{A}.X")
    assert status[2] == "trading"
    bid, ask = stand_in.books[B].top()
    await live.until(lambda: publisher.of("bbo", f"{B}.X")[-1][2:] == (*bid, *ask))
    assert len(stand_in.open) == 1
    assert all(batch["record_wire"] for batch in publisher.batches)


@pytest.mark.parametrize(("market", "root"), [("usdm", "/fapi/"), ("coinm", "/dapi/")])
async def test_futures_leave_numbers_out(
    market: Market, root: str, publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    stand_in = BinanceStandIn(A, B, market=market)
    async with (
        stand_in.running(),
        followed(venue(stand_in, market), (A, B), publisher, stats) as live,
    ):
        await live.stands(A, B)
        stand_in.faults.skip = 1
        await live.until(lambda: live.doubts(A) or live.doubts(B))
        await live.stands(A, B)
        await agrees(live, stand_in)
        assert {path[:6] for path in stand_in.requests} == {root}


async def test_tls_is_verified_by_the_systems_authorities(
    publisher: "FakePublisher",
    stats: "FakeStats",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    authority = Authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.sign("venue", "IP:127.0.0.1"))
    stand_in = BinanceStandIn(A, B)
    async with stand_in.running(tls):
        port = stand_in.port
        there = f"wss://127.0.0.1:{port}", f"https://127.0.0.1:{port}"
        async with followed(Binance("spot", CHANNELS, *there), (A, B), publisher, stats) as live:
            await live.until(lambda: live.state[0] == "down")
            assert "the venue's certificate: " in live.state[1]
            assert "list of instruments: no answer: [SSL: CERTIFICATE_VERIFY" in live.state[1]
        assert not stand_in.requests
        monkeypatch.setenv("SSL_CERT_FILE", authority.cert)
        async with followed(
            Binance("spot", CHANNELS, *there), (A, B), publisher, stats, age_s=1.0
        ) as live:
            await live.stands(A, B)
            await live.until(lambda: stand_in.handshakes > 2)
            await agrees(live, stand_in)


async def test_a_cut_connection_is_named_and_comes_back(
    live: Followed, stand_in: BinanceStandIn
) -> None:
    stand_in.cut()
    await live.until(lambda: live.state[0] == "down")
    why = live.state[1]
    assert why.startswith("the connection "), why
    assert "the next try in" in why
    await live.until(lambda: live.doubts(A) and live.doubts(B))
    state, reason = live.doubts(A)[0]
    assert state == "resync"
    assert reason.startswith("the connection ")
    await live.stands(A, B)
    await agrees(live, stand_in)
    assert live.feed.statistics().reconnects == 1
    assert live.lost(A) + live.lost(B) > 0, "what was traded meanwhile"
    await live.until(lambda: live.state == ("up", ""), "nothing is said of it any more")


async def test_a_skipped_message_costs_its_own_book_alone(
    live: Followed, stand_in: BinanceStandIn
) -> None:
    stand_in.faults.skip = 1
    await live.until(lambda: live.doubts(A) or live.doubts(B))
    await live.stands(A, B)
    await agrees(live, stand_in)
    assert sorted([len(live.doubts(A)), len(live.doubts(B))]) == [0, 1]
    assert (live.doubts(A) + live.doubts(B))[0] == ("gap", "the venue's numbers have a hole")
    assert live.feed.statistics().reconnects == 0
    depths = [path for path in stand_in.requests if "/depth?" in path]
    assert len(depths) == 3, "one for each at first, one more"
    assert live.feed.statistics().gaps == 1


async def test_messages_in_the_wrong_order_are_a_hole(
    live: Followed, stand_in: BinanceStandIn
) -> None:
    stand_in.faults.swap = True
    await live.until(lambda: live.doubts(A) or live.doubts(B))
    await live.stands(A, B)
    await agrees(live, stand_in)


async def test_a_line_that_stalls_is_replaced_while_it_stays_open(
    stand_in: BinanceStandIn, publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    async with followed(venue(stand_in), (A, B), publisher, stats, stall_s=0.3) as live:
        await live.stands(A, B)
        stand_in.faults.silent = True
        await live.until(lambda: stand_in.handshakes > 1)
        stand_in.faults.silent = False
        await live.until(lambda: len(stand_in.open) == 1 and live.state == ("up", ""))
        before = len(live.trades(A))
        await live.until(lambda: len(live.trades(A)) > before)
        await live.stands(A, B)
        await agrees(live, stand_in)
        assert not [one for one in live.doubts(A) if one[0] == "resync"], "no line was lost"


async def test_another_line_takes_over_without_a_hole_before_the_venue_cuts_it(
    stand_in: BinanceStandIn, publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    async with followed(venue(stand_in), (A, B), publisher, stats, age_s=0.7) as live:
        await live.until(lambda: stand_in.handshakes >= 4)
        await agrees(live, stand_in)
        assert live.lost(A) == live.lost(B) == 0
        assert not live.doubts(A)
        assert not live.doubts(B)
        assert live.feed.statistics().duplicates > 0, "both lines brought the same for a while"


async def test_a_server_that_says_it_will_leave_is_left_first(
    live: Followed, stand_in: BinanceStandIn
) -> None:
    first = next(iter(stand_in.open))
    stand_in.tell({"e": "serverShutdown", "E": 1})
    await live.until(lambda: stand_in.open and first not in stand_in.open)
    await agrees(live, stand_in)
    assert live.lost(A) == 0
    assert not live.doubts(A)


async def test_a_maintenance_is_named_and_waited_for(
    live: Followed, stand_in: BinanceStandIn
) -> None:
    stand_in.faults.handshake = 503
    await stand_in.leave(1012, "maintenance")
    await live.until(lambda: live.doubts(A))
    assert live.doubts(A)[0][1] == "the venue closed it: 1012 maintenance"
    await live.until(lambda: "the venue is in maintenance" in live.state[1])
    assert "HTTP 503" in live.state[1]
    stand_in.faults.handshake = 0
    await live.stands(A, B)
    await agrees(live, stand_in)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (429, "the venue's rate limit is reached (HTTP 429)"),
        (418, "the venue has banned this address for asking too often (HTTP 418)"),
        (451, "the venue does not serve this region, for legal reasons (HTTP 451)"),
        (403, "firewall refuses this address, or it does not serve this region (HTTP 403)"),
    ],
)
async def test_refused_connections_are_named_and_the_venues_wait_is_kept(
    status: int,
    words: str,
    stand_in: BinanceStandIn,
    publisher: "FakePublisher",
    stats: "FakeStats",
) -> None:
    stand_in.faults.handshake, stand_in.faults.retry_after = status, "600"
    async with followed(venue(stand_in), (A,), publisher, stats) as live:
        await live.until(lambda: words in live.state[1])
        assert live.state[0] == "down"
        assert "the next try in 600.0 s" in live.state[1]
        await asyncio.sleep(0.3)
        assert stand_in.handshakes == 1


async def test_a_request_that_is_refused_or_answered_wrongly_costs_the_line(
    stand_in: BinanceStandIn, publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    stand_in.faults.refuse = "Invalid request"
    async with followed(venue(stand_in), (A, B), publisher, stats) as live:
        await live.until(lambda: "refused a request: Invalid request (2)" in live.state[1])
        stand_in.faults.refuse, stand_in.faults.wrong_id = "", True
        await live.until(lambda: "no reply to a request within 1 s" in live.state[1])
        assert live.state[0] == "down"
        stand_in.faults.wrong_id = False
        await live.stands(A, B)
        await agrees(live, stand_in)


@pytest.mark.parametrize("status", [500, 429, 451])
async def test_rest_that_fails_is_named_and_leaves_all_else_running(
    status: int, live: Followed, stand_in: BinanceStandIn
) -> None:
    stand_in.faults.rest, stand_in.faults.retry_after = status, "1"
    stand_in.faults.skip = 1
    await live.until(lambda: f"HTTP {status}: as the test wants (-1)" in live.state[1])
    assert live.state[0] == "up"
    before = len(live.trades(A))
    await live.until(lambda: len(live.trades(A)) > before)
    stand_in.faults.rest = 0
    await live.stands(A, B)
    await agrees(live, stand_in)
    await live.until(lambda: live.state == ("up", ""))


async def test_slow_rest_stops_nothing_and_the_end_does_not_wait_for_it(
    stand_in: BinanceStandIn, publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    stand_in.faults.slow_s = 0.3
    async with followed(venue(stand_in), (A, B), publisher, stats) as live:
        await live.stands(A, B)
        await agrees(live, stand_in)
        stand_in.faults.slow_s, stand_in.faults.skip = 30.0, 1
        asked = len(stand_in.requests)
        await live.until(lambda: len(stand_in.requests) > asked)
        before = len(live.trades(A))
        await live.until(lambda: len(live.trades(A)) > before)
        ends_s = time.monotonic()
    assert time.monotonic() - ends_s < 5


async def test_a_symbol_that_the_venue_does_not_list_is_named(
    stand_in: BinanceStandIn, publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    async with followed(venue(stand_in), (A, "NOPEUSDT"), publisher, stats) as live:
        await live.until(lambda: live.book(A) and live.state[0] == "up")
        assert live.state[1] == "the venue does not list NOPEUSDT"
        status = live.feed.statistics()
        assert status.refused == {"name": 1}
        assert status.last_refused is not None
        assert status.last_refused.symbol == "NOPEUSDT.X"
        assert status.last_refused.why == "the venue lists no such symbol"
        assert not [s for streams in stand_in.open.values() for s in streams if "nope" in s]


async def test_patterns_follow_what_is_listed_later_and_what_ends(
    publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    stand_in = BinanceStandIn(A, B, "CCCEUR")
    late = stand_in.books.pop(B)
    async with stand_in.running():
        facts = {"reference_s": 0.2}
        async with followed(venue(stand_in), ("*USDT",), publisher, stats, **facts) as live:
            await live.until(lambda: live.book(A))
            stand_in.books[B] = late
            await live.until(lambda: live.book(B), "a new one")
            stand_in.statuses[A] = "BREAK"
            await live.until(lambda: publisher.of("status", f"{A}.X")[-1][2] == "halted")
            await agrees(live, stand_in)
            stand_in.statuses[B] = "CLOSE"
            await live.until(lambda: ("status", f"{B}.X") not in publisher.topics)
            await live.until(lambda: not [s for s in stand_in.streams() if s.startswith("bbb")])
            assert live.book(A)
        assert not [one for one in publisher.topics if "CCC" in one[1]]


async def test_many_streams_are_asked_for_in_batches_within_the_venues_pace(
    publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    symbols = tuple(f"S{n:03d}USDT" for n in range(40))
    stand_in = BinanceStandIn(*symbols)
    async with stand_in.running():
        facts = {"streams_max": 60, "batch_max": 10, "messages_per_s": 8.0}
        async with followed(venue(stand_in), ("*",), publisher, stats, **facts) as live:
            await live.until(lambda: all(live.book(symbol) for symbol in symbols))
            assert len(stand_in.open) == 2
            assert {len(streams) for streams in stand_in.open.values()} == {60}
            assert stand_in.most <= 10


async def test_names_are_followed_where_the_venue_tells_of_no_instruments(
    stand_in: BinanceStandIn, publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    stand_in.faults.rest = 503
    async with followed(venue(stand_in), (A,), publisher, stats) as live:
        await live.until(lambda: live.trades(A) and live.state[0] == "up")
        assert "list of instruments: the venue is in maintenance" in live.state[1]
        stand_in.faults.rest = 0
        await live.until(lambda: live.book(A))


async def test_nothing_is_left_of_it(
    stand_in: BinanceStandIn, publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    threads = threading.active_count()
    stand_in.faults.chance = 0.05
    descriptors = 0
    for turn in range(4):
        async with followed(venue(stand_in), (A, B), publisher, stats, age_s=0.5) as live:
            await live.until(lambda: live.book(A))
            await asyncio.sleep(0.3)
        await live.until(lambda: not stand_in.open, "the venue's side")
        assert threading.active_count() == threads
        if turn == 0:
            descriptors = len(os.listdir("/proc/self/fd"))
    assert len(os.listdir("/proc/self/fd")) <= descriptors


async def test_faults_at_random(
    stand_in: BinanceStandIn, publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    stand_in.faults.chance = 0.02
    async with followed(venue(stand_in), (A, B), publisher, stats, age_s=1.0) as live:
        await asyncio.sleep(4)
        stand_in.faults.chance = 0.0
        stand_in.faults.skip = 0
        stand_in.faults.swap = False
        # What was left out last shows by what comes behind it.
        books = stand_in.books
        then = {symbol: books[symbol].update for symbol in (A, B)}
        await live.until(lambda: all(books[one].update >= n + 10 for one, n in then.items()))
        await live.stands(A, B)
        await agrees(live, stand_in)
