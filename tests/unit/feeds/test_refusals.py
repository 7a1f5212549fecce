"""What is said of refused input, who is told, and that it stays small whatever is sent."""

import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway._native import RingWriter
from gateway.feeds import feed as feeds
from gateway.feeds.feed import Counters, Topics
from gateway.feeds.outlet import Outlet
from gateway.feeds.refusals import (
    TALLIED_MAX,
    TALLIED_UNKNOWN_MAX,
    TALLY_CHARACTERS_MAX,
    VALUE_CHARACTERS_MAX,
    Refusal,
    Tally,
    of_input,
    of_row,
    shown,
)
from gateway.feeds.venues import binance, tickgate_json
from gateway.model.outcomes import REFUSALS, REFUSALS_ROOM

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats


def counters(stats: "FakeStats") -> Counters:
    return Counters("udp:9700", "udp", "SIM", 3, stats)


def desk(stats: "FakeStats", publisher: "FakePublisher") -> tuple[Counters, Outlet]:
    one = counters(stats)
    owners: dict[str, int] = {}
    topics = {name: Topics(name, "SIM", 3, publisher, owners) for name in ("trade", "bbo")}
    return one, Outlet(one, publisher, 3, topics)


def refused(line: bytes) -> Refusal:
    (item,) = tickgate_json.decode([line]).items
    assert isinstance(item, Refusal)
    return item


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"x", ("line", "", "", "", "x")),
        (b'{"channel":"trade"', ("line", "", "", "", '{"channel":"trade"')),
        (
            b'{"channel":"bbo","symbol":"A","bid":NaN}',
            ("line", "bbo", "A", "", '{"channel":"bbo","symbol":"A","bid":NaN}'),
        ),
        (
            b'{"channel":"bbo","symbol":"A"}\r{"channel":"bbo","symbol":"A"}',
            (
                "line",
                "bbo",
                "A",
                "",
                '{"channel":"bbo","symbol":"A"}\\r{"channel":"bbo","symbol":"A"}',
            ),
        ),
        (
            b'{"channel":"bbo","symbol":"A\xff"} x',
            ("line", "bbo", "A\ufffd", "", '{"channel":"bbo","symbol":"A\\xff"} x'),
        ),
        (b"5 6", ("line", "", "", "", "5 6")),
        (b"[" * 9000, ("line", "", "", "", "[" * 80)),
        (b'{"channel":"bbo","symbol":"A","bid":[1]}', ("shape", "bbo", "A", "bid", "[1]")),
        (
            b'{"channel":"bbo","symbol":"A","bid":true,"bid_qty":"1","ask":"1","ask_qty":"2"}',
            ("shape", "bbo", "A", "bid", "True"),
        ),
        (b'{"channel":"trade","symbol":"A","price":"1"}', ("shape", "trade", "A", "qty", "")),
        (b'{"channel":"candle","symbol":"A"}', ("shape", "", "A", "channel", "candle")),
        (b'{"channel":"trade","symbol":7}', ("shape", "trade", "", "symbol", "7")),
        (b"[1]", ("shape", "", "", "", "[1]")),
        (b"\x84\xa7channel", ("line", "", "", "", r"\x84\xa7channel")),
    ],
)
def test_f66_a_line_is_refused_by_symbol_field_and_value(
    line: bytes, expected: tuple[str, str, str, str, str]
) -> None:
    one = refused(line)
    assert (one.reason, one.channel, one.symbol, one.field, one.value) == expected
    assert one.why


def test_a_venue_s_message_is_too() -> None:
    payload = b'{"stream":"x@trade","data":{"s":"BTTC","t":-1,"p":"1","q":"2","T":1,"m":true}}'
    with pytest.raises(ValueError, match="t") as error:
        binance.decode(payload)
    one = of_input(payload, error.value, binance.identify)
    assert (one.reason, one.channel, one.symbol) == ("shape", "trade", "BTTC")
    assert (one.field, one.value) == ("t", "-1")


@pytest.mark.parametrize(
    ("channel", "fields", "why", "expected"),
    [
        ("bbo", ("1", "2", "3", "9" * 60), "more than 38 digits", ("limit", "ask_qty")),
        ("bbo", ("1", "2", "1e999", "9"), "an exponent beyond -100 to 100", ("limit", "ask")),
        ("bbo", ("1", "x", "3", "4"), "not a decimal", ("number", "bid_qty")),
        (
            "bbo",
            ("1", None, "3", "4"),
            "no value, but its side's other one has",
            ("value", "bid_qty"),
        ),
        ("trade", ("1", "2", "BUY", ""), "neither buy nor sell", ("value", "side")),
        ("trade", ("1", "2", None, "i" * 99), "longer than 80 characters", ("limit", "id")),
        ("trade", ("1", "2", None, "\t: x"), "not printable ASCII", ("value", "id")),
    ],
)
def test_a_row_is_refused_by_field(
    channel: str, fields: Any, why: str, expected: tuple[str, str]
) -> None:
    writer = RingWriter(1 << 16, 4)
    topic = writer.topic(channel, "A.SIM")
    ((_, told),) = writer.publish([(topic, 5, *fields)], 1, 1)
    one = of_row(channel, "A", (topic, 5, *fields), told)
    assert (one.reason, one.field, one.why) == (*expected, why)
    assert one.words == f"{channel} {one.field}: {why}"
    writer.close()


def test_a_row_that_is_refused_for_another_reason() -> None:
    assert of_row("trade", "A", (0, 5, "1", "2", None, ""), "new").words == "trade: new"


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_whatever_is_shown_is_short_and_printable(value: bytes | str) -> None:
    text = shown(value)
    assert len(text) <= VALUE_CHARACTERS_MAX
    assert text.isascii()
    assert text.isprintable() or not text


def test_f66_counts_by_reason_and_the_last_one(stats: "FakeStats") -> None:
    one = counters(stats)
    one.refused(Refusal("limit", "more than 18 digits", "bbo", "A", "bid", "9" * 20))
    one.refused(Refusal("size", "datagram over 64 KiB"), 5)
    status = one.status()
    assert status.refused == {"limit": 1, "size": 5}
    assert status.decode_errors == 6
    assert stats.values["feed_refused", 3 * REFUSALS_ROOM + REFUSALS.index("size")] == 5
    assert status.last_refused is not None
    assert (status.last_refused.reason, status.last_refused.symbol) == ("size", "")
    assert len(REFUSALS) <= REFUSALS_ROOM


def test_all_that_is_skipped_counts(stats: "FakeStats", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "SKIPS_MAX", 2)
    one = counters(stats)
    for why in ("a", "b", "c", "a", "d"):
        one.skip(why)
    assert one.skips == {"a": 2, "b": 1, "others": 2}
    assert one.status().skipped == 5


def test_f66_one_log_line_for_each_reason(
    stats: "FakeStats", caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = 10**12
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns)
    one = counters(stats)
    limit = Refusal("limit", "more than 18 digits", "bbo", "A", "bid", "9" * 20)
    for _ in range(100):
        one.refused(limit)
        one.refused(Refusal("line", "no JSON", value="x"))
    now_ns += feeds.REFUSED_LOG_INTERVAL_NS
    one.refused(limit)
    fields = [vars(record)["fields"] for record in caplog.records]
    assert [(line["reason"], line["count"]) for line in fields] == [
        ("limit", 1),
        ("line", 1),
        ("limit", 100),
    ]
    assert fields[0] == {
        "feed": "udp:9700",
        "symbol": "A.SIM",
        "reason": "limit",
        "channel": "bbo",
        "field": "bid",
        "value": "9" * 20,
        "why": "more than 18 digits",
        "count": 1,
        "symbols": fields[0]["symbols"],
    }
    assert [str(line["symbols"]) for line in fields] == ["A.SIM 1", "", "A.SIM 100"]


def test_only_what_goes_on_without_a_good_record_is_failing(
    stats: "FakeStats", monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = 10**12
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns)
    one = counters(stats)
    one.change("up")
    bad = Refusal("limit", "more than 18 digits", "bbo", "A", "bid", "9")
    one.refused(bad)
    now_ns += 2 * feeds.FAILING_AFTER_NS
    assert one.status().state == "up", "a single one"
    one.published(1, 5)
    for _ in range(5):
        one.refused(bad)
    now_ns += feeds.FAILING_AFTER_NS - 1
    assert one.status().state == "up", "not for long yet"
    now_ns += 1
    status = one.status()
    assert (status.state, stats.values["feed_up", 3]) == ("failing", 0)
    assert "A.SIM bbo bid: more than 18 digits" in status.message
    stats.add("feed_records", 3)  # as an intake counts what it publishes
    assert (one.status().state, stats.values["feed_up", 3]) == ("up", 1)


def test_rows_and_refusals_keep_their_order(stats: "FakeStats", publisher: "FakePublisher") -> None:
    one, refusing = desk(stats, publisher)
    publisher.refuse = lambda row: "price: not a decimal: 'x'" if row[2] == "x" else None
    topic = refusing._topics["trade"]["A"]
    rows = [(topic, 0, price, "1", None, "") for price in ("1", "x", "2", "x", "x")]
    assert refusing.publish(rows, 10, 20) == {"trade": 2, "bbo": 0}
    suspect = (topic, "trade price: not a decimal")
    assert publisher.events == [topic, suspect, topic, suspect, suspect]
    assert one.status().refused == {"number": 3}


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal("line", "no JSON", value="x"),
        Refusal("size", "datagram over 64 KiB"),
        Refusal("shape", "no such channel", "", "A", "channel", "candle"),
        Refusal("shape", "no symbol", "trade"),
        Refusal("owner", "published by feeds.0", "trade", "A", "symbol", "A"),
        Refusal("number", "not a decimal", "trade", "a *", "price", "x"),
    ],
)
def test_what_names_no_topic_counts_for_the_feed_alone(
    stats: "FakeStats", publisher: "FakePublisher", refusal: Refusal
) -> None:
    one, refusing = desk(stats, publisher)
    refusing.refuse(refusal, 10, 20)
    assert publisher.suspects == {}
    assert one.status().decode_errors == 1


def bad_quote(symbol: str) -> Refusal:
    return Refusal("number", "not a decimal", "bbo", symbol, "bid", "x")


def test_names_that_were_never_good_make_no_topic(
    stats: "FakeStats", publisher: "FakePublisher"
) -> None:
    one, refusing = desk(stats, publisher)
    quotes = refusing._topics["bbo"]
    publisher.refuse = lambda row: "bid: not a decimal: 'x'" if row[2] == "x" else None
    for number in range(3000):
        refusing.refuse(bad_quote(f"S{number}"), 10, 20)
        row = quotes.row(f"R{number}", (0, "x", "1", "2", "1"))
        assert isinstance(row, Refusal)
        assert (row.reason, row.symbol, row.field, row.value) == (
            "number",
            f"R{number}",
            "bid",
            "x",
        )
        refusing.refuse(row, 10, 20)
    assert not publisher.suspects
    assert not publisher.topics
    assert not quotes
    assert one.status().refused == {"number": 6000}
    assert quotes.row("R0", (0, "1", "1", "2", "1")) == (0, 0, "1", "1", "2", "1"), (
        "a good one does"
    )


def test_a_known_instrument_is_suspect_in_whatever_channel(
    stats: "FakeStats", publisher: "FakePublisher"
) -> None:
    one, refusing = desk(stats, publisher)
    publisher.refuse = lambda row: "bid: not a decimal: 'x'" if row[2] == "x" else None
    trades, quotes = refusing._topics["trade"], refusing._topics["bbo"]
    assert trades.row("A", (0, "1", "2", None, "")) == (0, 0, "1", "2", None, "")
    assert quotes.row("A", (0, "x", "1", "2", "1")) == (1, 0, "x", "1", "2", "1")
    refusing.publish([(1, 0, "x", "1", "2", "1")], 10, 20)
    trades.row("B", (0, "1", "2", None, ""))
    refusing.refuse(bad_quote("B"), 10, 20)
    assert list(publisher.topics) == [(c, f"{s}.SIM") for s in "AB" for c in ("trade", "bbo")]
    assert list(publisher.suspects) == [1, 3]
    assert one.status().refused_symbols == {"A.SIM": 1, "B.SIM": 1}


def test_a_flood_of_made_up_names_hides_no_known_one(
    stats: "FakeStats",
    publisher: "FakePublisher",
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ns = 10**12
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns)
    one, refusing = desk(stats, publisher)
    refusing._topics["bbo"].row("GOOD", (0, "1", "1", "2", "1"))
    for number in range(500):
        refusing.refuse(bad_quote(f"S{number}"), 10, 20)
    for _ in range(7):
        refusing.refuse(bad_quote("GOOD"), 10, 20)
    known = [f"S{number}.SIM" for number in range(TALLIED_UNKNOWN_MAX)]
    told = dict.fromkeys(known, 1) | {"others": 500 - TALLIED_UNKNOWN_MAX, "GOOD.SIM": 7}
    assert one.status().refused_symbols == told
    now_ns += feeds.REFUSED_LOG_INTERVAL_NS
    refusing.refuse(bad_quote("GOOD"), 10, 20)
    first, last = [str(vars(record)["fields"]["symbols"]) for record in caplog.records]
    assert first == "S0.SIM 1"
    assert last.startswith("GOOD.SIM 8, S1.SIM 1, ")
    assert last.endswith(f", others {499 - TALLIED_UNKNOWN_MAX}")
    assert sum(int(word.split()[1]) for word in last.split(", ")) == 507


@given(st.lists(st.tuples(st.text(min_size=1, max_size=100), st.booleans())))
def test_a_tally_loses_no_refusal_and_stays_small(inputs: list[tuple[str, bool]]) -> None:
    tally = Tally()
    for instrument, known in inputs:
        tally.add(f"{instrument}.SIM", known, 1)
    assert sum(tally.counts.values()) == len(inputs)
    assert len(tally.counts) <= TALLIED_MAX + 1
    assert len(str(tally)) < TALLY_CHARACTERS_MAX + 30


def test_a_full_table_of_health_is_said_now_and_then(
    stats: "FakeStats",
    publisher: "FakePublisher",
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ns = 10**12
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns)
    _, refusing = desk(stats, publisher)
    publisher.suspects_max = 1
    for symbol in ("A", "B", "C"):
        refusing._topics["bbo"].row(symbol, (0, "1", "1", "2", "1"))
        refusing.refuse(bad_quote(symbol), 10, 20)
    now_ns += feeds.REFUSED_LOG_INTERVAL_NS
    refusing.refuse(bad_quote("B"), 10, 20)
    lines = [vars(record) for record in caplog.records if record.message == "health.full"]
    assert [line["fields"]["count"] for line in lines] == [1, 2]
