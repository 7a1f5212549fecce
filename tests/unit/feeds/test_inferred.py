"""What is told of instruments of which nobody tells: by their names, and by the digits seen."""

import pytest

from gateway.feeds import inferred
from gateway.feeds.inferred import MESSAGES_MIN, Inferred, digits
from gateway.feeds.venues.message import BookMessage, Instrument, Level, Message
from gateway.feeds.venues.table import VENUES


def trade(price: str, qty: str = "1.00", symbol: str = "BTCUSDT") -> Message:
    return Message("trade", symbol, 1, 1, "exact", (0, price, qty, "buy", "1"))


@pytest.fixture
def one() -> Inferred:
    return Inferred(VENUES["binance"].assets)


def warmed(one: Inferred, price: str = "61837.60000000") -> None:
    for _ in range(MESSAGES_MIN - 1):
        assert one.see(trade(price, "3.00100000")) is None


def told(price_digits: int, qty_digits: int = 3, tick: str = "0.01") -> Instrument:
    lot = "0.001" if qty_digits == 3 else "0.0001"
    return Instrument("BTCUSDT", "BTC", "USDT", tick, lot, price_digits, qty_digits)


def test_it_is_told_after_some_messages_and_when_it_changes(one: Inferred) -> None:
    warmed(one)
    assert one.see(trade("61837.61000000", "5")) == told(2)
    assert one.see(trade("61837.60000000", "5")) is None
    assert one.see(trade("7.5", "0.00010")) == told(2, 4)
    assert one.see(trade("7.512")) == told(3, 4, "0.001")


def test_quotes_and_books_show_digits_too(one: Inferred) -> None:
    warmed(one)
    quote = Message("bbo", "BTCUSDT", 1, 1, "rising", (0, None, None, "1.25", "1"))
    assert one.see(quote) == told(2)
    bids: list[Level] = [("1", "2.0001")]
    book = BookMessage("BTCUSDT", "update", bids, [])
    assert one.see(book) is None, "what is left of an order may be finer than one can be"
    asks: list[Level] = [("1.123", "0")]
    assert one.see(BookMessage("BTCUSDT", "update", [], asks)) == told(3, 3, "0.001")
    deep: list[Level] = [*[("1", "1")] * inferred.LEVELS_MAX, ("1.12345", "1")]
    assert one.see(BookMessage("BTCUSDT", "update", deep, [])) is None, "the best ones alone"


def test_quantities_at_rest_are_taken_until_there_are_trades(one: Inferred) -> None:
    bids: list[Level] = [("1.25", "2.0001")]
    book = BookMessage("BTCUSDT", "update", bids, [])
    assert [one.see(book) for _ in range(MESSAGES_MIN)][-1] == told(2, 4)
    assert one.see(trade("1", "0.001")) == told(2, 3)
    assert one.see(book) is None


def test_what_somebody_tells_is_not_inferred(one: Inferred) -> None:
    one.told("BTCUSDT")
    for _ in range(3 * MESSAGES_MIN):
        assert one.see(trade("1.5")) is None
    warmed_other = [one.see(trade("1.5", symbol="ETHBTC")) for _ in range(MESSAGES_MIN)]
    assert warmed_other[-1] == Instrument("ETHBTC", "ETH", "BTC", "0.1", "1", 1, 0)


def test_it_ends_where_nothing_new_comes(one: Inferred, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inferred, "MESSAGES_MAX", 5)
    warmed(one)
    assert one.see(trade("1.5")) is not None
    assert one.see(trade("1.55")) is not None, "the count begins again with each change"
    assert [one.see(trade("1.5")) for _ in range(5)] == [None] * 5
    assert one.see(trade("1.555")) is None


def test_instruments_are_bounded(one: Inferred, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inferred, "INSTRUMENTS_MAX", 2)
    for symbol in ("A", "B", "C", "C"):
        for _ in range(MESSAGES_MIN):
            found = one.see(trade("1", symbol=symbol))
        assert (found is None) == (symbol == "C")
    one.told("D")
    assert len(one._seen) == 2


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([], -1),
        ([None], -1),
        (["1"], 0),
        (["100"], 0),
        (["1.0"], 0),
        (["1.10", "1.1234000"], 4),
        (["1e-7"], -1),
        (["1.5E+3", "2"], 0),
        ([".5"], 1),
    ],
)
def test_digits(numbers: list[str | None], expected: int) -> None:
    assert digits(numbers) == expected


@pytest.mark.parametrize(
    ("format", "symbol", "assets"),
    [
        ("binance", "BTCUSDT", ("BTC", "USDT")),
        ("binance", "USDCUSDT", ("USDC", "USDT")),
        ("binance", "BTCFDUSD", ("BTC", "FDUSD")),  # not BTCFD and USD
        ("binance", "BNBBUSD", ("BNB", "BUSD")),
        ("binance", "ETHBTC", ("ETH", "BTC")),
        ("binance", "BTCUSD_PERP", ("BTC", "USD")),
        ("binance", "ETHUSDT_240927", ("ETH", "USDT")),
        ("binance", "币安人生USDT", ("币安人生", "USDT")),
        ("binance", "USDT", ("", "")),
        ("binance", "DEFI", ("", "")),
        ("bybit", "BTCUSDT-SPOT", ("BTC", "USDT")),
        ("bybit", "BTCUSDC", ("BTC", "USDC")),
        ("bybit", "ETHUSD", ("ETH", "USD")),
        ("bybit", "BTC-27JUN25", ("", "")),
        ("kraken-v1", "XBT/USD", ("XBT", "USD")),
        ("kraken-v1", "XBTUSD", ("", "")),
        ("coinbase", "BTC-USD", ("BTC", "USD")),
        ("coinbase", "BTC-PERP-INTX", ("", "")),
        ("coinbase", "-USD", ("", "")),
    ],
)
def test_assets(format: str, symbol: str, assets: tuple[str, str]) -> None:
    assert VENUES[format].assets(symbol) == assets
