"""The venues' own bytes: every message is accounted for, and the books that come of them are right.

The oracle is a naive book (`support/books.py`), and what venues say beside: best prices, checksums.
"""

import bisect
import gzip
import io
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from support.books import NaiveBook
from support.replaying import replay
from support.venues import Pass

from gateway.feeds.book_outlet import Fate
from gateway.feeds.books import Doubt
from gateway.feeds.options import Format, ReplayOptions
from gateway.feeds.outlet import Outlet
from gateway.feeds.refusals import Refusal
from gateway.feeds.venues import table
from gateway.feeds.venues.message import BookMessage

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats

SPOT = "binance/spot_btcusdt_20240808.jsonl.gz"
USDM = "binance/usdm_btcusdt_20240808.jsonl.gz"
USDM_2021 = "binance/cf_usdm_2021.jsonl.zst"
KRAKEN = "kraken/KRAKEN.jsonl.zst"
COINBASE = "coinbase/advanced_trade.jsonl.zst"
BYBIT = "bybit/BYBIT.jsonl.zst"

NOTES = "recorder's header", "recorder's connect", "recorder's send"


def lines(path: Path) -> Iterator[bytes]:
    if path.suffix == ".gz":
        with gzip.open(path) as file:
            yield from file
    else:
        with path.open("rb") as file:
            yield from io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file))


def payloads(path: Path) -> Iterator[dict[str, Any]]:
    """The received messages that are objects, by another way than the gateway's."""
    for line in lines(path):
        text = line
        if line[:1] == b"{":
            envelope = json.loads(line)
            if envelope["t"] != "recv":
                continue
            text = envelope["data"]
        else:
            text = line.split(b" ", 1)[1]
        found = json.loads(text)
        if isinstance(found, dict):
            yield found


@pytest.fixture
def played(
    capture: Callable[[str], Path], publisher: "FakePublisher", stats: "FakeStats"
) -> Callable[[str, Format], Pass]:
    return lambda name, format: Pass(capture(name), format, publisher, stats)


def kinds(told: Iterable[object]) -> dict[str, int]:
    """How many of each are told; a record is a `tuple`."""
    return dict(Counter(type(one).__name__ for one in told))


@pytest.mark.parametrize(
    ("name", "format", "told", "skipped"),
    [
        (SPOT, "binance", {"tuple": 9757 + 28040, "BookMessage": 3449 + 1}, {"old book update": 2}),
        (USDM, "binance", {"tuple": 21313 + 66089, "BookMessage": 6547 + 1},
         {"old book update": 4}),
        (USDM_2021, "binance", {"tuple": 91 + 613, "BookMessage": 749 + 4},
         {"old book update": 15, "kline": 67, "reference data": 1}),
        (KRAKEN, "kraken-v1", {"tuple": 10 + 18, "BookMessage": 4269 + 10, "Heartbeat": 92},
         {"heartbeat": 92, "subscription": 30, "control": 3, "reference data": 1}),
        (COINBASE, "coinbase", {"tuple": 279 + 160, "BookMessage": 773 + 2, "Heartbeat": 25},
         {"heartbeat": 25, "subscription": 15, "kline": 6, "reference data": 1}),
        (BYBIT, "bybit", {"tuple": 347 + 638, "BookMessage": 2142 + 6},
         {"subscription": 24, "ticker without quotes": 120 + 81, "kline": 96,
          "reference data": 2}),
    ],
)  # fmt: skip
def test_every_message_is_accounted_for_and_none_is_missing(
    name: str,
    format: Format,
    told: dict[str, int],
    skipped: dict[str, int],
    played: Callable[[str, Format], Pass],
) -> None:
    one = played(name, format)
    assert kinds(one.told()) == told
    skips = {why: count for why, count in one.counters.skips.items() if why not in NOTES}
    assert skips == skipped
    status = one.counters.status()
    assert (status.gaps, status.lost, status.late, status.duplicates, status.resets) == (0,) * 5
    assert status.refused == {}


@pytest.mark.parametrize(("name", "updates"), [(SPOT, 3449), (USDM, 6547)])
def test_binance_s_books_have_the_best_prices_of_its_tickers(
    name: str,
    updates: int,
    played: Callable[[str, Format], Pass],
    capture: Callable[[str], Path],
) -> None:
    tickers = sorted(
        (data["u"], (data["b"], data["B"]), (data["a"], data["A"]))
        for data in (message.get("data", {}) for message in payloads(capture(name)))
        if "B" in data
    )
    numbers = [number for number, *_ in tickers]
    book = NaiveBook()
    compared = 0
    for message in played(name, "binance").told():
        if not isinstance(message, BookMessage):
            continue
        book.apply(message)
        assert message.symbol == "BTCUSDT"
        assert not book.crossed
        if message.type == "update":
            assert message.last is not None
            _, bid, ask = tickers[bisect.bisect_right(numbers, message.last) - 1]
            assert (book.bids(1), book.asks(1)) == ([bid], [ask])
            compared += 1
    assert compared == updates


def test_every_checksum_of_kraken_holds(played: Callable[[str, Format], Pass]) -> None:
    books: dict[str, NaiveBook] = defaultdict(NaiveBook)
    held = 0
    for message in played(KRAKEN, "kraken-v1").told():
        if isinstance(message, BookMessage):
            book = books[message.symbol]
            book.apply(message)
            assert not book.crossed
            if message.checksum is not None:
                assert message.checksum == book.checksum()
                held += 1
    assert (held, len(books)) == (4269, 10)


@pytest.mark.parametrize(
    ("name", "format", "count", "unknown"),
    [(BYBIT, "bybit", 6, 0), (COINBASE, "coinbase", 2, 52), (USDM_2021, "binance", 4, 58)],
)
def test_books_are_consistent_to_the_end(
    name: str,
    format: Format,
    count: int,
    unknown: int,
    played: Callable[[str, Format], Pass],
) -> None:
    books: dict[str, NaiveBook] = defaultdict(NaiveBook)
    for message in played(name, format).told():
        if isinstance(message, BookMessage):
            books[message.symbol].apply(message)
            assert not books[message.symbol].crossed
            if message.depth:
                assert len(books[message.symbol].bids()) == message.depth
    assert len(books) == count
    # Binance and Coinbase delete levels that are not there now and then, others never.
    assert sum(book.unknown for book in books.values()) == unknown


def test_trades_and_quotes_of_three_venues_digit_for_digit(
    capture: Callable[[str], Path], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    for name, format in ((COINBASE, "coinbase"), (BYBIT, "bybit"), (KRAKEN, "kraken-v1")):
        one = Pass(capture(name), format, publisher, stats)  # type: ignore[arg-type]
        publisher.rows += [row for row in one.told() if type(row) is tuple]  # type: ignore[misc]
    trades = [
        (one["price"], one["size"], "buy" if one["side"] == "SELL" else "sell", one["trade_id"])
        for message in payloads(capture(COINBASE))
        if message["channel"] == "market_trades"
        for event in message["events"]
        for one in reversed(event["trades"])
        if one["product_id"] == "ETH-USD"
    ]
    assert [row[2:] for row in publisher.of("trade", "ETH-USD.COINBASE")] == trades
    assert len(trades) == 132
    trades = [
        (one["p"], one["v"], one["S"].lower(), one["i"])
        for message in payloads(capture(BYBIT))
        if message.get("topic") == "publicTrade.SOLUSDT"
        for one in message["data"]
    ]
    assert [row[2:] for row in publisher.of("trade", "SOLUSDT.BYBIT")] == trades
    assert trades
    best: dict[str, str] = {}
    quotes = []
    for message in payloads(capture(BYBIT)):
        if message.get("topic") == "tickers.SOLUSDT":
            before = dict(best)
            best |= {key: value for key, value in message["data"].items() if key[3:4] == "1"}
            if message["data"].keys() & {"bid1Price", "bid1Size", "ask1Price", "ask1Size"}:
                assert best != before or best
                names = ("bid1Price", "bid1Size", "ask1Price", "ask1Size")
                quotes.append(tuple(best[name] for name in names))
    assert [row[2:] for row in publisher.of("bbo", "SOLUSDT.BYBIT")] == quotes
    (trade,) = publisher.of("trade", "XMR/USD.KRAKEN")[:1]
    assert trade[1:] == (1618678142557535000, "354.11000000", "0.89594024", "sell", "")


@pytest.mark.parametrize(
    ("name", "format", "symbol"),
    [
        (USDM_2021, "binance", "SUSHIUSDT"),
        (KRAKEN, "kraken-v1", "XBT/CHF"),
        (COINBASE, "coinbase", "ETH-USD"),
        (BYBIT, "bybit", "BTCUSDT"),
    ],
)
def test_reference_data_lists_the_instruments(
    name: str, format: Format, symbol: str, capture: Callable[[str], Path]
) -> None:
    venue = table.VENUES[format]
    bodies = [
        envelope["data"].encode()
        for envelope in (json.loads(line) for line in lines(capture(name)))
        if envelope["t"] == "http" and venue.reference in envelope["url"]
    ]
    found = {one.symbol: one for body in bodies for one in venue.instruments(body)}
    one = found[symbol]
    assert one.status == "trading"
    assert one.tick
    assert one.lot
    assert one.price_digits >= 0
    assert {one.base, one.quote} <= {"SUSHI", "USDT", "XBT", "CHF", "ETH", "USD", "BTC"}


# --- lines that are missing -----------------------------------------------------------------------


def with_a_hole(path: Path, to: Path, word: bytes, number: int) -> Path:
    """The capture without this one of the lines that have the word, and then all of it again."""
    whole = [*lines(path)]
    at = [n for n, line in enumerate(whole) if word in line[:300]][number - 1]
    to.write_bytes(b"".join(whole[:at] + whole[at + 1 :] + whole))
    return to


def books_told(one: Pass) -> list[BookMessage | Doubt]:
    told = [*one.told()]
    assert not any(isinstance(each, Refusal) for each in told)
    return [each for each in told if isinstance(each, BookMessage | Doubt)]


@pytest.mark.parametrize(
    ("name", "format", "word", "symbol"),
    [
        (BYBIT, "bybit", b"orderbook.200.SOLUSDT", "SOLUSDT"),
        (COINBASE, "coinbase", b"l2_data", "BTC-USD"),
    ],
)
def test_f42_a_missing_line_is_a_hole_and_the_next_snapshot_mends_it(
    name: str,
    format: Format,
    word: bytes,
    symbol: str,
    capture: Callable[[str], Path],
    tmp_path: Path,
    publisher: "FakePublisher",
    stats: "FakeStats",
) -> None:
    """The snapshots come again with the second half, and the numbers begin again."""

    def of_symbol(path: Path) -> list[BookMessage | Doubt]:
        told = books_told(Pass(path, format, publisher, stats))
        return [one for one in told if one.symbol == symbol]

    whole = of_symbol(capture(name))
    told = of_symbol(with_a_hole(capture(name), tmp_path / "cut.jsonl", word, 100))
    first = next(at for at, one in enumerate(told) if isinstance(one, Doubt))
    assert 40 < first < 110
    assert told[:first] == whole[:first]
    assert told[first + 1 :] == whole


@pytest.mark.parametrize("name", [SPOT, USDM])
def test_f42_a_missing_line_of_binance_s_is_mended_by_a_snapshot_over_rest(
    name: str,
    capture: Callable[[str], Path],
    tmp_path: Path,
    publisher: "FakePublisher",
    stats: "FakeStats",
) -> None:
    """The snapshot is made of the whole capture's book, and comes a few updates too late."""
    whole = books_told(Pass(capture(name), "binance", publisher, stats))
    oracle = NaiveBook()
    last = None
    for one in whole[:201]:
        assert isinstance(one, BookMessage)
        oracle.apply(one)
        last = one.last
    depth = {"lastUpdateId": last, "bids": oracle.bids(), "asks": oracle.asks()}
    text = b"1723161255319702566 %s\n" % json.dumps(depth).encode()
    seen = 0
    with (tmp_path / "cut.jsonl").open("wb") as file:
        for line in lines(capture(name)):
            seen += (found := b"depthUpdate" in line[:120])
            if not (found and seen == 150):
                file.write(line)
            if found and seen == 215:
                file.write(text)
    told = books_told(Pass(tmp_path / "cut.jsonl", "binance", publisher, stats))
    at = next(n for n, each in enumerate(told) if isinstance(each, Doubt))
    assert told[:at] == whole[:at]
    mended = told[at + 1]
    assert isinstance(mended, BookMessage)
    assert (mended.symbol, mended.type, mended.last) == ("BTCUSDT", "snapshot", last)
    assert told[at + 2 :] == whole[201:]


def test_lines_that_are_missing_before_the_snapshot_are_mended_by_it(
    capture: Callable[[str], Path],
    tmp_path: Path,
    publisher: "FakePublisher",
    stats: "FakeStats",
) -> None:
    whole = [*lines(capture(SPOT))]
    assert b"depthUpdate" in whole[1][:120]
    path = tmp_path / "cut.jsonl"
    path.write_bytes(b"".join(whole[:1] + whole[2:]))
    told = books_told(Pass(path, "binance", publisher, stats))
    assert kinds(told) == {"BookMessage": 3449 + 1}


def test_a_checksum_that_does_not_hold_puts_that_book_in_doubt_alone(
    capture: Callable[[str], Path],
    tmp_path: Path,
    publisher: "FakePublisher",
    stats: "FakeStats",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = with_a_hole(capture(KRAKEN), tmp_path / "cut.jsonl", b"354.15000000", 2)
    books: dict[str, NaiveBook] = defaultdict(NaiveBook)
    doubts: list[Doubt] = []
    held: dict[str, int] = defaultdict(int)

    def book(
        self: Outlet, change: BookMessage | Doubt, ts_recv: int, mono_recv: int, **_: object
    ) -> Fate:
        if isinstance(change, Doubt):
            doubts.append(change)
            return Fate()
        one = books[change.symbol]
        one.apply(change)
        if change.checksum in (None, one.checksum()):
            held[change.symbol] += 1
            return Fate()
        return Fate(why="its checksum is another")

    monkeypatch.setattr(Outlet, "book", book)
    feed = replay(ReplayOptions(path=str(path), format="kraken-v1", speed=0), publisher, stats)
    feed._work()
    (doubt,) = (one for one in doubts if one.why != "the connection began anew")
    assert doubt == Doubt("XMR/USD", "its checksum is another")
    assert held["SC/EUR"] == 2 * 819
    waiting = feed._counters.skips["book update before its snapshot"]
    assert held["XMR/USD"] + waiting == 2 * 847 - 2  # the one that is cut, the one that shows it
    assert held["XMR/USD"] > 847
