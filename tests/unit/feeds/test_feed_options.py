"""The feeds' part of the configuration file."""

from typing import Any

import msgspec
import pytest

from gateway.feeds.options import (
    BinanceOptions,
    DelayOptions,
    FeedOptions,
    InstrumentOptions,
    KrakenOptions,
    ReplayOptions,
    SyntheticOptions,
    UdpOptions,
    instruments,
    is_live,
    problems,
    venues,
)


def feed(**keys: object) -> FeedOptions:
    return msgspec.convert(keys, FeedOptions)  # type: ignore[no-any-return]


def said(symbol: str, tick: str = "") -> InstrumentOptions:
    return InstrumentOptions(symbol=symbol, tick=tick)


def late(of: str, venue: str = "LATE") -> DelayOptions:
    return DelayOptions(of=of, venue=venue)


def test_the_type_key_chooses_the_struct() -> None:
    assert feed(type="synthetic", rate=50) == SyntheticOptions(rate=50)
    assert feed(type="udp", port=9701) == UdpOptions(port=9701)
    assert feed(type="delay", of="A", venue="B") == DelayOptions(of="A", venue="B", delay_s=900)
    assert feed(type="replay", path="a.gz", speed=0) == ReplayOptions(path="a.gz", speed=0)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"type": "itch"}, "Invalid value 'itch'"),
        ({"type": "udp", "prot": 1}, "unknown field `prot`"),
        ({"type": "udp", "port": 65536}, r"<= 65535 - at `\$.port`"),
        ({"type": "udp", "venue": "sim"}, r"\$.venue"),
        ({"type": "udp", "venue": "A.B"}, r"\$.venue"),
        ({"type": "udp", "venue": "A" * 17}, r"\$.venue"),
        ({"type": "synthetic", "rate": 0}, r"\$.rate"),
        ({"type": "synthetic", "symbols": 0}, r"\$.symbols"),
        ({"type": "synthetic", "channels": []}, r"\$.channels"),
        ({"type": "synthetic", "channels": ["candle"]}, r"\$.channels"),
        ({"type": "replay"}, "missing required field `path`"),
        ({"type": "replay", "path": "a", "format": "kraken-v3"}, r"\$.format"),
        ({"type": "replay", "path": "a", "speed": -1}, r"\$.speed"),
        ({"type": "udp", "instruments": [{}]}, "missing required field `symbol`"),
        ({"type": "udp", "instruments": [{"symbol": "A", "step": "1"}]}, "unknown field `step`"),
        ({"type": "udp", "instruments": [{"symbol": "A", "tick": "1e-2"}]}, r"\[0\].tick"),
        ({"type": "udp", "instruments": [{"symbol": "A", "lot": "1" * 19}]}, r"\[0\].lot"),
        ({"type": "udp", "instruments": [{"symbol": "A", "base": "币"}]}, r"\[0\].base"),
        ({"type": "udp", "instruments": [{"symbol": "A", "quote": "Q" * 17}]}, r"\[0\].quote"),
        ({"type": "synthetic", "instruments": []}, "unknown field `instruments`"),
        ({"type": "binance"}, "missing required field `symbols`"),
        ({"type": "binance", "symbols": []}, r"\$.symbols"),
        ({"type": "binance", "symbols": ["A"], "market": "margin"}, r"\$.market"),
        ({"type": "binance", "symbols": ["A"], "channels": ["candle"]}, r"\$.channels"),
        ({"type": "kraken", "symbols": ["A"], "market": "spot"}, "unknown field `market`"),
    ],
)
def test_f61_wrong_keys_and_values(keys: dict[str, Any], why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why):
        feed(**keys)


def test_what_live_venues_are_called() -> None:
    names = [BinanceOptions(symbols=("A",), market=one).venue for one in ("spot", "usdm", "coinm")]
    assert names == ["BINANCE", "BINANCE_USDM", "BINANCE_COINM"]
    assert KrakenOptions(symbols=("A",)).venue == "KRAKEN"
    assert KrakenOptions(symbols=("A",), venue="X").venue == "X"
    assert [is_live(one) for one in (KrakenOptions(symbols=("A",)), UdpOptions())] == [True, False]


def test_only_a_synthetic_venue_is_closed() -> None:
    assert instruments(UdpOptions()) is None
    assert instruments(ReplayOptions(path="a")) is None
    names = instruments(SyntheticOptions(symbols=1001, venue="X"))
    assert names is not None
    assert (names[0], names[7], names[1000]) == ("SYM000.X", "SYM007.X", "SYM1000.X")


def test_a_closed_list_says_what_comes_on_each_channel() -> None:
    one, two = frozenset(("SYM000.X",)), frozenset(("SYM000.X", "SYM001.X"))
    quotes = SyntheticOptions(symbols=1, venue="X", channels=("bbo", "book"))
    trades = SyntheticOptions(symbols=2, venue="X", channels=("trade",))
    known = venues([quotes, trades, SyntheticOptions(), UdpOptions(), UdpOptions(venue="SIM")])
    assert known.keys() == {"X", "SIM", UdpOptions().venue}
    assert known["SIM"] is known[UdpOptions().venue] is None, "one open feed leaves the venue open"
    listed = known["X"]
    assert listed is not None
    assert listed["bbo"] == listed["book"] == one
    assert listed["trade"] == listed["candle_1d"] == listed["health"] == two
    assert "instrument" not in listed


@pytest.mark.parametrize(
    ("feeds", "keys"),
    [
        ([], []),
        ([UdpOptions(), UdpOptions(port=9701)], ["feeds.1.venue"]),
        ([UdpOptions(), UdpOptions(port=9701, venue="B")], []),
        ([UdpOptions(), UdpOptions(venue="B")], ["feeds.1.port"]),
        ([UdpOptions(port=0), UdpOptions(port=0, venue="B")], []),
        ([ReplayOptions(path="a"), ReplayOptions(path="b")], ["feeds.1.venue"]),
        ([ReplayOptions(path="a"), ReplayOptions(path="a", venue="B")], []),
        ([UdpOptions(), SyntheticOptions()], ["feeds.1.venue"]),
        ([SyntheticOptions(), SyntheticOptions(seed=2)], ["feeds.1.venue"]),
        ([SyntheticOptions(), SyntheticOptions(venue="SIM2")], []),
        ([BinanceOptions(symbols=("A", "B*", "币安USDT")), KrakenOptions(symbols=("A/B",))], []),
        ([BinanceOptions(symbols=("A",)), BinanceOptions(symbols=("B",))], ["feeds.1.venue"]),
        (
            [BinanceOptions(symbols=("A",)), BinanceOptions(symbols=("A",), market="usdm")],
            [],
        ),
        ([BinanceOptions(symbols=("A", "A"))], ["feeds.0.symbols.1"]),
        ([BinanceOptions(symbols=('"',))], ["feeds.0.symbols.0"]),
        ([BinanceOptions(symbols=("A",), url="https://x")], ["feeds.0.url"]),
        ([BinanceOptions(symbols=("A",), url="ws://", rest="x")], ["feeds.0.url", "feeds.0.rest"]),
        (
            [BinanceOptions(symbols=("A",), url="ws://[", rest="http://x:y")],
            ["feeds.0.url", "feeds.0.rest"],
        ),
        ([BinanceOptions(symbols=("A",), url="ws://x", rest="https://x")], []),
        ([SyntheticOptions(burst_every_s=1, burst_s=1)], ["feeds.0.burst_s"]),
        ([SyntheticOptions(burst_every_s=2, burst_s=1)], []),
        (
            [UdpOptions(instruments=(said("A"), said("B"), said("A")))],
            ["feeds.0.instruments.2.symbol"],
        ),
        (
            [UdpOptions(instruments=(said("A", "0.01"), said(" A")))],
            ["feeds.0.instruments.1.symbol"],
        ),
        ([ReplayOptions(path="a", instruments=(said("A"),))], []),
        (
            [ReplayOptions(path="a", format="ring", instruments=(said("A"),))],
            ["feeds.0.instruments"],
        ),
        ([UdpOptions(), late("SIM")], []),
        ([late("SIM"), UdpOptions()], []),
        ([late("SIM")], ["feeds.0.of"]),
        ([UdpOptions(), late("SIM", "LATER"), late("LATER", "L2")], ["feeds.2.of"]),
        ([UdpOptions(), late("SIM", "SIM")], ["feeds.1.venue"]),
        ([UdpOptions(port=p, venue=f"V{p}") for p in range(9700, 9765)], ["feeds"]),
    ],
)
def test_problems_between_keys_and_feeds(feeds: list[FeedOptions], keys: list[str]) -> None:
    assert [key for key, _ in problems(feeds)] == keys
