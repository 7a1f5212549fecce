"""What is said of refused input, who is told, and that it stays small whatever is sent."""

import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway._native import RingWriter
from gateway.feeds import feed as feeds
from gateway.feeds import refusals
from gateway.feeds.feed import Counters, Topics
from gateway.feeds.refusals import (
    SUSPECT_TOPICS_MAX,
    VALUE_CHARACTERS_MAX,
    Refusal,
    Refusals,
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


def desk(stats: "FakeStats", publisher: "FakePublisher") -> tuple[Counters, Refusals]:
    one = counters(stats)
    owners: dict[str, int] = {}
    topics = {name: Topics(name, "SIM", 3, publisher, owners) for name in ("trade", "bbo")}
    return one, Refusals(one, publisher, 3, topics)


def refused(line: bytes) -> Refusal:
    (item,) = tickgate_json.decode([line]).items
    assert isinstance(item, Refusal)
    return item


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"x", ("line", "", "", "", "x")),
        (b'{"channel":"trade"', ("line", "", "", "", '{"channel":"trade"')),
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
def test_a_line_is_refused_by_symbol_field_and_value(
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


def test_counts_by_reason_and_the_last_one(stats: "FakeStats") -> None:
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


def test_one_log_line_for_each_reason(
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
    }


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


def test_a_symbol_that_was_never_good_is_suspect_but_nonsense_fills_no_table(
    stats: "FakeStats", publisher: "FakePublisher"
) -> None:
    _, refusing = desk(stats, publisher)
    for number in range(SUSPECT_TOPICS_MAX + 50):
        bad = Refusal("number", "not a decimal", "bbo", f"S{number}", "bid", "x")
        refusing.refuse(bad, 10, 20)
    assert len(publisher.suspects) == len(publisher.topics) == SUSPECT_TOPICS_MAX


def test_a_full_table_of_health_is_said_once(
    stats: "FakeStats", publisher: "FakePublisher", caplog: pytest.LogCaptureFixture
) -> None:
    _, refusing = desk(stats, publisher)
    publisher.suspects_max = 1
    for symbol in ("A", "B", "C"):
        refusing.refuse(Refusal("number", "not a decimal", "bbo", symbol, "bid", "x"), 10, 20)
    assert [record.message for record in caplog.records].count("health.full") == 1
    assert refusals.FIELDS["bbo"] == ("bid", "bid_qty", "ask", "ask_qty")
