"""One pass through a capture with envelopes: connections, responses, refusals, and any entries."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.replaying import replay

from gateway.feeds import reading
from gateway.feeds.books import Doubt
from gateway.feeds.envelope import Opened, Received, Response
from gateway.feeds.feed import Counters, Topics
from gateway.feeds.options import VENUE_OF, Format, ReplayOptions, problems
from gateway.feeds.reading import Reading
from gateway.feeds.refusals import Refusal
from gateway.feeds.venues.message import BookMessage
from gateway.feeds.venues.table import VENUES

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats

T0 = 1723161254_000_000_000


@pytest.fixture
def new(publisher: "FakePublisher", stats: "FakeStats") -> Callable[[str], Reading]:
    def make(format: str) -> Reading:
        counters = Counters("replay", "replay", "V", 1, stats)
        owners: dict[str, int] = {}
        topics = {name: Topics(name, "V", 1, publisher, owners) for name in ("trade", "bbo")}
        one = Reading(VENUES[format], counters, topics)
        one.counters = counters  # type: ignore[attr-defined]
        return one

    return make


def told(one: Reading, entry: Any) -> list[Any]:
    found = one.read((T0, entry))
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def skips(one: Reading) -> dict[str, int]:
    counters: Counters = one.counters  # type: ignore[attr-defined]
    return counters.skips


def coinbase(number: int, channel: str = "heartbeats", *events: dict[str, Any]) -> bytes:
    more = {"timestamp": "2026-08-09T21:05:48Z", "events": events}
    return json.dumps({"channel": channel, "sequence_num": number, **more}).encode()


def level2(number: int, kind: str = "update", price: str = "1") -> bytes:
    row = {"side": "bid", "price_level": price, "new_quantity": "1"}
    return coinbase(number, "l2_data", {"type": kind, "product_id": "A", "updates": [row]})


def test_each_connection_has_its_own_numbers(
    new: Callable[[str], Reading], caplog: pytest.LogCaptureFixture
) -> None:
    one = new("coinbase")
    for connection in ("a", "b"):
        for number in (0, 1):
            told(one, Received(coinbase(number, "candles"), connection))
    told(one, coinbase(0, "candles"))  # without an envelope
    assert skips(one) == {"kline": 5}
    (snapshot,) = told(one, Received(level2(2, "snapshot"), "a"))
    assert isinstance(snapshot, BookMessage)
    assert told(one, Received(coinbase(9, "candles"), "b")) == [], "the book is the other's"
    assert len(told(one, Received(level2(3), "a"))) == 1
    doubt = Doubt("A", "messages of the connection are missing", "gap")
    assert told(one, Received(coinbase(5, "candles"), "a")) == [doubt]
    assert told(one, Received(level2(6), "a")) == []
    assert skips(one)["book update before its snapshot"] == 1
    logged = [(each.message, vars(each)["fields"]) for each in caplog.records]
    (hole,) = [
        fields for name, fields in logged if name == "feed.gap" and fields["symbol"] == "b.V"
    ]
    assert (hole["channel"], hole["number"], hole["newest"]) == ("connection", 9, 1)
    status = one.counters.status()  # type: ignore[attr-defined]
    assert (status.gaps, status.lost) == (2, 7 + 1)


def test_a_connection_that_is_opened_again_begins_anew(new: Callable[[str], Reading]) -> None:
    one = new("coinbase")
    assert told(one, Opened("a", "wss://x")) == []
    assert len(told(one, Received(level2(5, "snapshot"), "a"))) == 1
    assert told(one, Opened("a", "wss://x")) == [Doubt("A", "the connection began anew")]
    assert len(told(one, Received(level2(0, "snapshot"), "a"))) == 1
    assert skips(one) == {"recorder's connect": 2}


def test_the_address_says_which_market_it_is(new: Callable[[str], Reading]) -> None:
    one = new("bybit")
    told(one, Opened("a", "wss://stream.bybit.com/v5/public/spot"))
    told(one, Opened("b", "http://["))
    data = {"s": "X", "u": 1, "b": [], "a": []}
    message = json.dumps({"topic": "orderbook.1.X", "type": "snapshot", "data": data}).encode()
    symbols = [told(one, Received(message, name))[0].symbol for name in "abc"]
    assert symbols == ["X-SPOT", "X", "X"]
    doubt, refusal = told(one, Received(message.replace(b'"b": []', b'"b": [["1"]]'), "a"))
    assert (doubt.symbol, refusal.symbol) == ("X-SPOT", "X-SPOT"), "the other market's is good"


def test_decoders_are_bounded(
    new: Callable[[str], Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CONNECTIONS_MAX", 2)
    one = new("coinbase")
    for number, name in enumerate("abcb"):
        told(one, Received(coinbase(number, "candles"), name))
    assert {*one._connections} == {"b", "c"}
    told(one, Opened("d", ""))
    assert {*one._connections} == {"b", "d"}, "the oldest one is not silent"


URL = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"
DEPTH = b'{"lastUpdateId":7,"bids":[["1","1"]],"asks":[]}'


def test_responses(new: Callable[[str], Reading]) -> None:
    one = new("binance")
    expected = BookMessage("BTCUSDT", "snapshot", [("1", "1")], [], last=7)
    assert told(one, Response(URL, DEPTH)) == [expected]
    (refusal,) = told(one, Response(URL, b"<html>"))
    assert (refusal.reason, refusal.value) == ("line", "<html>")
    for url in ("https://api.binance.com/api/v3/exchangeInfo", "https://x/time", ""):
        assert told(one, Response(url, b"anything")) == []
    assert skips(one) == {"reference data": 1, "recorder's http": 2}
    other = new("kraken-v1")
    assert told(other, Response("https://api.kraken.com/0/public/AssetPairs?x=1", b"")) == []
    assert told(other, Response("https://api.kraken.com/0/public/Depth", b"{}")) == []
    assert skips(other) == {"reference data": 1, "recorder's http": 1}


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        (b"<html>503 Service Unavailable", "line", ""),
        (b'{"lastUpdateId":7,"bids":[["1"]],"asks":[]}', "shape", "bids[0]"),
        (b'{"lastUpdateId":"x","bids":[],"asks":[]}', "shape", "lastUpdateId"),
        (b'{"lastUpdateId":8,"bids":[["1","-1"]],"asks":[]}', "value", "bid qty"),
    ],
)
def test_a_refused_snapshot_names_its_book_and_leaves_one_that_stands(
    new: Callable[[str], Reading], body: bytes, reason: str, field: str
) -> None:
    one = new("binance")
    (refusal,) = told(one, Response(URL, body))
    assert (refusal.channel, refusal.symbol) == ("book", "BTCUSDT")
    assert (refusal.reason, refusal.field) == (reason, field)
    assert len(told(one, Response(URL, DEPTH))) == 1
    assert [type(each) for each in told(one, Response(URL, body))] == [Refusal]
    update = {"e": "depthUpdate", "s": "BTCUSDT", "U": 8, "u": 8, "b": [["1", "2"]], "a": []}
    (applied,) = told(one, json.dumps(update).encode())
    assert isinstance(applied, BookMessage), "the book was not in doubt"


def test_a_refused_snapshot_without_an_address_is_of_the_only_book(
    new: Callable[[str], Reading],
) -> None:
    one = new("binance")
    bad = b'{"lastUpdateId":9,"bids":[["1"]],"asks":[]}'
    assert [(each.channel, each.symbol) for each in told(one, bad)] == [("book", "")]
    told(one, Response(URL, DEPTH))
    assert [(each.channel, each.symbol) for each in told(one, bad)] == [("book", "BTCUSDT")]
    told(one, Response(URL.replace("BTC", "ETH"), DEPTH))
    assert [(each.channel, each.symbol) for each in told(one, bad)] == [("book", "")]


def test_what_has_nothing_to_publish_is_named(new: Callable[[str], Reading]) -> None:
    one = new("coinbase")
    told(one, coinbase(0, "heartbeats", {"heartbeat_counter": 1}))
    told(one, coinbase(1, "ticker"))
    told(one, coinbase(2, "subscriptions", {"subscriptions": {"ticker": ["A"]}}))
    assert skips(one) == {"heartbeat": 1, "message with nothing in it": 1, "subscription": 1}
    other = new("bybit")
    told(other, b'{"success":false,"ret_msg":"no","op":"subscribe"}')
    assert skips(other) == {"refused subscription": 1}


@pytest.mark.parametrize(
    ("wrong", "field", "value", "why"),
    [
        ('["x","1"]', "bid price", "x", "not a decimal"),
        ('["1","-1"]', "bid qty", "-1", "a negative quantity"),
        (f'["{"9" * 39}","1"]', "bid price", "9" * 39, "more than 38 digits"),
        ('["1"]', "b[0]", "('1',)", "1 values; a level has 2"),
        ('["1",{}]', "b[0][1]", "{}", "neither a text nor a number"),
        ("7", "b[0]", "7", "no array of price and quantity"),
    ],
)
async def test_f44_a_malformed_level_is_refused_by_field_value_and_limit(
    tmp_path: Path,
    publisher: "FakePublisher",
    stats: "FakeStats",
    caplog: pytest.LogCaptureFixture,
    wrong: str,
    field: str,
    value: str,
    why: str,
) -> None:
    from gateway._native import RingWriter

    ring = RingWriter(1 << 16, 16)
    publisher.refusal = ring.refusal  # type: ignore[method-assign]

    def line(number: int, level: str) -> str:
        data = f'{{"s":"A","U":{number},"u":{number},"b":[{level}],"a":[]}}'
        return f'{T0} {{"stream":"a@depth","data":{data}}}\n'

    good = '["1","1"]'
    text = [
        line(1, good),
        f"{T0} {DEPTH.decode()}\n",
        line(8, good),
        line(9, wrong),
        line(10, good),
    ]
    path = tmp_path / "capture.jsonl"
    path.write_text("".join(text))
    feed = replay(ReplayOptions(path=str(path), speed=0), publisher, stats)
    await feed.run()
    status = feed.statistics()
    assert isinstance(status.refused, dict)
    assert [*status.refused.values()] == [1]
    last = status.last_refused
    assert last is not None
    assert (last.symbol, last.channel, last.field) == ("A.BINANCE", "book", field)
    assert last.value == value
    assert last.why.startswith(why)
    assert feed._counters.skips == {"old book update": 1, "book update before its snapshot": 1}
    # A snapshot, an update, then the doubt.
    assert [len(one) for one in publisher.books] == [5, 5, 2]
    assert [one[1] for one in publisher.books[:2]] == [True, False]
    (told,) = (vars(one)["fields"] for one in caplog.records if one.message == "feed.refused")
    assert (told["symbol"], told["channel"], told["value"]) == ("A.BINANCE", "book", value)


def test_a_message_of_another_shape_puts_its_book_in_doubt(
    new: Callable[[str], Reading],
) -> None:
    one = new("kraken-v1")
    assert len(told(one, b'[1,{"as":[],"bs":[["1","1","1618678142.5"]]},"book-10","A/B"]')) == 1
    good = b'[1,{"b":[["1","2","1618678142.5"]]},"book-10","A/B"]'
    assert len(told(one, good)) == 1
    doubt, refusal = told(one, good.replace(b'"2"', b"null"))
    assert isinstance(refusal, Refusal)
    assert doubt == Doubt("A/B", refusal.why)
    assert told(one, good) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([*VENUES]),
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.builds(Received, st.binary(max_size=40), st.sampled_from(["a", "b"])),
            st.builds(Response, st.sampled_from([URL, "http://[", ""]), st.binary(max_size=40)),
            st.builds(Opened, st.sampled_from(["a", "b"]), st.text(max_size=20)),
            st.just("recorder's note"),
            st.sampled_from([level2(0, "snapshot"), level2(3), level2(2, price="x"), DEPTH]),
        )
    ),
)
def test_f44_any_entries_are_told_or_counted(
    new: Callable[[str], Reading], format: str, entries: list[Any]
) -> None:
    one = new(format)
    for entry in entries:
        assert all(
            isinstance(each, tuple | BookMessage | Doubt | Refusal) for each in told(one, entry)
        )
    one.end()


@pytest.mark.parametrize("format", VENUE_OF)
def test_the_venue_is_the_format_s_unless_it_is_told(format: Format) -> None:
    assert ReplayOptions(path="x", format=format).venue == VENUE_OF[format]
    assert ReplayOptions(path="x", format=format, venue="").venue == VENUE_OF[format]
    assert ReplayOptions(path="x", format=format, venue="OTHER").venue == "OTHER"
    assert format == "ring" or format in VENUES


def test_two_captures_of_one_venue_are_refused() -> None:
    one = ReplayOptions(path="x", format="kraken-v1")
    ((key, message),) = problems([one, ReplayOptions(path="y", format="ring", venue="KRAKEN")])
    assert (key, "give each a venue of its own" in message) == ("feeds.1.venue", True)
