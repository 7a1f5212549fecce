"""Binary frames: the bytes, the values that JSON gives too, what is refused; by both readers."""

import json
import struct
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.binary import (
    ANNOUNCED,
    FRAMES,
    INSTRUMENT_ROWS,
    INSTRUMENTS,
    NOW,
    OBJECTS,
    QUOTE,
    STAMPS,
    TIMES,
    TOPICS,
    TRADE,
    head,
    longer,
)

from gateway._native import SBE_TOPICS_MAX, Template
from gateway.codec import decode as text
from gateway.codec import sbe
from gateway.codec.decode import BboMessage, Message, Quote, Trade, TradeMessage
from gateway.codec.formats import JSON, SBE, programs
from gateway.model.notice import NOTICES
from gateway.model.record import CANDLES

Read = Callable[[bytes, dict[int, sbe.Topic]], list[Message]]


def natively(frame: bytes, topics: dict[int, sbe.Topic]) -> list[Message]:
    decoder = sbe.Decoder()
    decoder.topics = topics
    return decoder.decode(frame)


readers = pytest.mark.parametrize("read", [sbe.decode, natively])


def outcome(read: Read, frame: bytes) -> tuple[object, dict[int, sbe.Topic]]:
    """What a reader makes of a frame: messages and topics, or that it was refused."""
    topics = dict(TOPICS)
    try:
        return read(frame, topics), topics
    except msgspec.DecodeError:
        return "refused", topics


# --- the bytes ------------------------------------------------------------------------------------


def test_bytes_of_a_trade() -> None:
    decimals = struct.pack("<Qqb", 6425010, 0, -2) + struct.pack("<Qqb", 15, 0, -3)
    fixed = struct.pack("<QqqqQIBB", 8813, NOW, NOW + 1, NOW + 2, 0, 7, 0, 2)
    assert head(80, 1) + fixed + decimals + b"\x0a3810000037" == TRADE


def test_bytes_of_a_quote() -> None:
    decimals = struct.pack("<QqbQqb", 6425010, 0, -2, 1500, 0, -5)
    fixed = struct.pack("<QqqqQIB", 4, NOW, NOW + 1, NOW + 2, 3, 8, 1)
    assert head(113, 2) + fixed + decimals + struct.pack("<QqbQqb", 0, 0, 127, 0, 0, 127) == QUOTE


def test_bytes_of_what_goes_beside_records() -> None:
    none = 2**64 - 1
    gap, heartbeat = OBJECTS[2], OBJECTS[0]
    assert head(5, 16) + b"\7\0\0\0\1\x0fBTCUSDT.BINANCE" == ANNOUNCED
    assert sbe.encode(heartbeat) == head(16, 17) + struct.pack("<Qq", 42, NOW)
    assert sbe.encode(gap) == head(26, 32) + struct.pack("<QQQBB", none, none, 0, 1, 2) + b"\3A.X"
    paused = {"class": 3, "interval_ms": None, "was_ms": 0, "step": 1}
    notice = {"channel": "system", "type": "conflation", "data": [paused]}
    assert sbe.encode(notice) == (
        head(0, 37) + struct.pack("<HH", 13, 1) + struct.pack("<IIIB", 2**32 - 1, 0, 1, 3)
    )


@pytest.mark.parametrize(
    ("number", "low", "high", "exponent", "back"),
    [
        ("0", 0, 0, 0, "0"),
        ("0.00", 0, 0, -2, "0.00"),
        ("007.50", 750, 0, -2, "7.50"),  # leading zeros are not carried
        ("-0.015", 2**64 - 15, -1, -3, "-0.015"),
        (str(2**64), 0, 1, 0, str(2**64)),
        ("9" * 38, (10**38 - 1) % 2**64, (10**38 - 1) >> 64, 0, "9" * 38),
        ("0." + "0" * 126 + "7", 7, 0, -127, "0." + "0" * 126 + "7"),
        ("1" + "0" * 60, 10**37 % 2**64, 10**37 >> 64, 23, "1" + "0" * 60),
        ("-0", 0, 0, 0, "-0"),  # by its flag
        ("-0.00", 0, 0, -2, "-0.00"),
    ],
)
@readers
def test_numbers(read: Read, number: str, low: int, high: int, exponent: int, back: str) -> None:
    row = (0, NOW, number, "1", None, "")
    frame = sbe.encode_record("trade", "update", 7, row, seq=1, **STAMPS)
    assert struct.unpack_from("<Qqb", frame, 54) == (low, high, exponent)
    assert frame[52] == (2 if number.startswith("-0") and low == 0 else 0)
    (message,) = read(frame, TOPICS)
    assert isinstance(message, TradeMessage)
    assert message.data == (Trade("", back, "1", None),)


@readers
def test_a_zero_has_no_zeros_behind_it(read: Read) -> None:
    """Which no gateway sends."""
    (message,) = read(TRADE[:54] + struct.pack("<Qqb", 0, 0, 5) + TRADE[71:], TOPICS)
    assert isinstance(message, TradeMessage)
    assert message.data[0].price == "0"


@readers
def test_what_is_no_zero_has_its_own_sign(read: Read) -> None:
    (message,) = read(TRADE[:52] + b"\6" + TRADE[53:], TOPICS)
    assert isinstance(message, TradeMessage)
    assert message.data == (Trade("3810000037", "64250.10", "0.015", "sell"),)


# --- the same values as JSON ----------------------------------------------------------------------


@readers
def test_records(read: Read) -> None:
    trade = Trade("3810000037", "64250.10", "0.015", "sell")
    quote = Quote("64250.10", "0.01500", None, None)
    assert read(TRADE, TOPICS) == [
        TradeMessage(type="update", symbol="BTCUSDT.BINANCE", seq=8813, **TIMES, data=(trade,))
    ]
    assert read(QUOTE, TOPICS) == [
        BboMessage(type="snapshot", symbol="币 安.X", seq=4, **TIMES, data=(quote,), skipped=3)
    ]


@readers
@pytest.mark.parametrize("message", OBJECTS, ids=str)
def test_objects(read: Read, message: dict[str, Any]) -> None:
    assert read(sbe.encode(message), {}) == [message]
    assert text.decode(json.dumps(message)) == message


digits = st.text("0123456789", min_size=1, max_size=18)
plain = st.builds(
    lambda sign, whole, fraction: sign + whole + ("." + fraction if fraction else ""),
    st.sampled_from(["", "-"]),
    digits,
    st.none() | st.text("0123456789", min_size=1, max_size=19),
)
trades = st.tuples(
    st.just(0),
    st.integers(1, 2**63 - 1),
    plain,
    plain,
    st.sampled_from(["buy", "sell", None]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80),
)
sides = st.tuples(plain, plain) | st.just((None, None))
quotes = st.builds(
    lambda at, bid, ask: (0, at, *bid, *ask), st.integers(1, 2**63 - 1), sides, sides
)
json_templates, sbe_templates = (
    {key: Template(program) for key, program in programs(form)[0].items()} for form in (JSON, SBE)
)
NOTICES_SBE = {number: Template(program) for number, program in programs(SBE)[1].items()}


def short(number: str | None) -> str | None:
    """The number without the leading zeros that binary frames don't carry."""
    if number is None:
        return None
    sign = "-" if number.startswith("-") else ""
    whole, point, fraction = number.removeprefix("-").partition(".")
    return sign + (whole.lstrip("0") or "0") + point + fraction


@given(
    row=trades | quotes,
    kind=st.sampled_from(["update", "snapshot"]),
    seq=st.integers(1, 2**64 - 1),
    skipped=st.integers(0, 2**64 - 1),
    stamps=st.fixed_dictionaries({name: st.integers(0, 2**63 - 1) for name in STAMPS}),
)
def test_records_have_the_values_of_the_native_json(
    row: Any, kind: Literal["update", "snapshot"], seq: int, skipped: int, stamps: dict[str, int]
) -> None:
    channel: Literal["trade", "bbo"] = "trade" if row[4] in ("buy", "sell") else "bbo"
    if row[4] is None and isinstance(row[5], str):
        channel = "trade"
    number = 7 if channel == "trade" else 8
    numbers: dict[str, int] = {"seq": seq, "skipped": skipped, **stamps}
    symbol = TOPICS[number][1]
    payload = json_templates[channel, kind].encode(channel, symbol, row, **numbers)
    frame = sbe.encode_record(channel, kind, number, row, **numbers)
    ours = sbe_templates[channel, kind].encode(channel, symbol, row, topic=number, **numbers)
    assert ours == frame
    expected = msgspec.to_builtins(text.decode(payload))
    for element in expected["data"]:
        for name in element.keys() - {"id", "side"}:
            element[name] = short(element[name])
    for read in (sbe.decode, natively):
        assert [msgspec.to_builtins(one) for one in read(frame, dict(TOPICS))] == [expected]


@pytest.mark.parametrize("place", [0, 1])
def test_instruments_are_the_same_in_both_encodings(place: int) -> None:
    frame, kind = INSTRUMENTS[place], ("snapshot", "update")[place]
    numbers: dict[str, Any] = {"seq": 3, "skipped": 4, **STAMPS}
    named: Any = ("instrument", "A.X", INSTRUMENT_ROWS[place])
    payload = Template(programs(JSON)[0]["instrument", kind]).encode(*named, **numbers)
    ours = Template(programs(SBE)[0]["instrument", kind]).encode(*named, topic=12, **numbers)
    assert ours == frame
    expected = msgspec.to_builtins(text.decode(payload))
    (data,) = expected["data"]
    assert (
        data
        == [
            {
                "tick": "0.01",
                "lot": "0.00001",
                "price_digits": 2,
                "qty_digits": 8,
                "base": "BTC",
                "quote": "USDT",
                "bbo": "derived",
                "delay_s": 900,
                "status": "trading",
                "venue_symbol": "tBTCUSD",
            },
            {
                "tick": None,
                "lot": "-0.0",
                "price_digits": None,
                "qty_digits": 0,
                "base": "",
                "quote": "",
                "bbo": "venue",
                "delay_s": 0,
                "status": "",
                "venue_symbol": "",
            },
        ][place]
    )
    for read in (sbe.decode, natively):
        assert [msgspec.to_builtins(one) for one in read(frame, dict(TOPICS))] == [expected]


def test_instruments_that_no_gateway_sends_are_refused() -> None:
    odd = INSTRUMENTS[0].replace(b"BTC", b"B\xffC", 1)
    source = bytearray(INSTRUMENTS[0])
    source[8 + 57] = 7
    for frame in (odd, bytes(source)):
        assert outcome(sbe.decode, frame)[0] == outcome(natively, frame)[0] == "refused"


ACTIONS = {"live": 1, "conflate": 2, "snapshot": 3}


def told(name: str, row: dict[str, Any]) -> bytes:
    """The native core's bytes of a notice, or of a part of one, from the members of its JSON."""
    notice = NOTICES[name]
    values = row | {"action_number": ACTIONS.get(row.get("action", ""))}
    channel = row["channel"] if "symbol" in row else "trade"
    return NOTICES_SBE[notice.number].notice(
        channel=CANDLES[row["interval"]].key if "interval" in row else channel,
        symbol=row.get("symbol", ""),
        numbers=[values[one] for one in notice.numbers],
        words=[values[one] for one in notice.words],
        ts_send=row.get("ts_send", 0),
    )


def native_notice(message: dict[str, Any]) -> bytes | None:
    """The native core's bytes of a message; None for what it does not send."""
    kind, rows = message.get("type", "heartbeat"), message.get("data", [message])
    if kind == "conflation":
        names = ["class", *["class_more"] * len(rows)]
        parts = [told(name, row) for name, row in zip(names, rows, strict=False)]
        return told("conflation", {"count": len(rows)}) + b"".join(parts)
    (row,) = rows
    if kind == "gap":
        kind = "missed" if row["reason"] == "feed" else row["reason"]
    elif kind == "limit_exceeded":
        kind = "limits" if "refused" in row else "limit"
    return told(kind, row) if kind in NOTICES and "venue" not in row else None


def test_notices_are_the_native_cores() -> None:
    told = [(native_notice(one), sbe.encode(one)) for one in OBJECTS]
    assert len([ours for ours, _ in told if ours is not None]) == 19
    assert [theirs for ours, theirs in told if ours is not None] == [
        ours for ours, _ in told if ours is not None
    ]
    topic = NOTICES_SBE[NOTICES["topic"].number]
    assert topic.notice(channel="trade", symbol="BTCUSDT.BINANCE", topic=7) == ANNOUNCED


def test_a_record_without_the_venues_time_has_ours() -> None:
    row = (0, 0, "1", "1", None, "")
    (message,) = sbe.decode(sbe.encode_record("trade", "update", 7, row, seq=1, **STAMPS), TOPICS)
    assert isinstance(message, TradeMessage)
    assert message.ts_event == message.ts_recv == STAMPS["ts_recv"]


# --- topics ---------------------------------------------------------------------------------------


@readers
def test_an_announcement_before_its_record_in_the_same_frame(read: Read) -> None:
    topics: dict[int, sbe.Topic] = {}
    (message,) = read(ANNOUNCED + TRADE, topics)
    assert topics == {7: TOPICS[7]}
    assert isinstance(message, TradeMessage)
    assert message.symbol == "BTCUSDT.BINANCE"


@readers
def test_an_announcement_alone_and_one_that_replaces_it(read: Read) -> None:
    topics: dict[int, sbe.Topic] = {}
    assert read(ANNOUNCED, topics) == []
    assert read(sbe.encode_topic(7, "bbo", "币 安.X"), topics) == []
    assert topics == {7: ("bbo", "币 安.X")}


@readers
@pytest.mark.parametrize("topics", [{}, {7: ("bbo", "A.X")}, {8: ("trade", "A.X")}])
def test_a_record_of_a_topic_that_was_not_announced(
    read: Read, topics: dict[int, sbe.Topic]
) -> None:
    with pytest.raises(msgspec.DecodeError, match="a trade of topic 7, announced as"):
        read(TRADE, topics)


@readers
def test_topics_are_bounded(read: Read) -> None:
    topics = dict.fromkeys(range(1, SBE_TOPICS_MAX + 1), ("trade", "A.X"))
    with pytest.raises(msgspec.DecodeError, match="more than 1048576 topics"):
        read(sbe.encode_topic(0, "trade", "B.X"), topics)
    read(ANNOUNCED, topics)
    assert topics[7] == TOPICS[7]


# --- versions -------------------------------------------------------------------------------------


def test_the_schema_is_in_the_package() -> None:
    assert sbe.schema().startswith(b"<?xml")
    assert b'id="1" version="2"' in sbe.schema()


@readers
@pytest.mark.parametrize("frame", FRAMES)
def test_a_newer_version_has_a_longer_block(read: Read, frame: bytes) -> None:
    assert outcome(read, longer(frame)) == outcome(read, frame)


@readers
def test_rows_of_a_newer_version_are_longer(read: Read) -> None:
    rows = [struct.pack("<IIIB", 20, 10, 4, kind) + b"new" for kind in (1, 2)]
    frame = head(0, 37, 1) + struct.pack("<HH", 16, 2) + b"".join(rows)
    (message,) = read(frame, {})
    assert isinstance(message, dict)
    assert [row["class"] for row in message["data"]] == [1, 2]


@readers
def test_unknown_messages_and_values_are_no_errors(read: Read) -> None:
    assert read(head(2, 60, 3) + b"ab" + b"what an unknown block is followed by", {}) == []
    topics: dict[int, sbe.Topic] = {}
    assert read(ANNOUNCED + head(0, 60), topics) == []
    assert topics == {7: TOPICS[7]}
    assert read(head(5, 16) + b"\1\0\0\0\x63\3A.X", topics) == []
    assert topics[1] == ("unknown", "A.X")
    (gap,) = read(head(26, 32) + b"\xff" * 24 + b"\1\x63\3A.X", {})
    assert isinstance(gap, dict)
    assert gap["data"] == [{"channel": "trade", "symbol": "A.X", "reason": "unknown"}]


# --- what is refused ------------------------------------------------------------------------------


@readers
@pytest.mark.parametrize("frame", FRAMES)
def test_every_truncation(read: Read, frame: bytes) -> None:
    whole = len(ANNOUNCED) if frame == ANNOUNCED + TRADE else 0
    for size in range(len(frame)):
        if size != whole or not whole:
            assert outcome(read, frame[:size])[0] == "refused", size


DECIMAL = struct.Struct("<Qqb")


@readers
@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (head(80, 1, schema=2) + TRADE[8:], "schema"),
        (head(79, 1) + TRADE[8:87] + TRADE[88:], "block"),
        (head(112, 2) + QUOTE[8:120], "block"),
        (head(0, 37) + struct.pack("<HH", 0, 9), "block"),
        (head(0, 37) + struct.pack("<HH", 13, 65535), "inside"),
        (TRADE[:54] + DECIMAL.pack(0, 2**63 - 1, 0) + TRADE[71:], "38 digits"),
        (TRADE[:54] + DECIMAL.pack(10**38 % 2**64, 10**38 >> 64, 0) + TRADE[71:], "38 digits"),
        (TRADE[:54] + DECIMAL.pack(0, -(2**63), 0) + TRADE[71:], "38 digits"),
        (TRADE[:54] + DECIMAL.pack(1, 0, 101) + TRADE[71:], "exponent"),
        (TRADE[:54] + DECIMAL.pack(1, 0, -128) + TRADE[71:], "exponent"),
        (TRADE[:54] + DECIMAL.pack(1, 0, 127) + TRADE[71:], "without a price"),
        (TRADE[:71] + DECIMAL.pack(1, 0, 127) + TRADE[88:], "without a price or a quantity"),
        (TRADE[:53] + b"\3" + TRADE[54:], "side"),
        (TRADE[:-1] + b"\x7f", "ASCII"),
        (TRADE[:-1] + b"\x1f", "ASCII"),
        (TRADE[:-1] + b"\xe9", "ascii|ASCII"),
        (TRADE[:88] + b"\x51" + b"i" * 81, "80"),
        (head(5, 16) + b"\7\0\0\0\1\0", "name"),
        (head(5, 16) + b"\7\0\0\0\1\x72" + b"A" * 114, "name"),
        (head(5, 16) + b"\7\0\0\0\1\1\xff", "utf-8|UTF-8"),
        (TRADE + b"\0", "inside"),
        (b"", "inside"),
    ],
)
def test_refused(read: Read, frame: bytes, why: str) -> None:
    with pytest.raises(msgspec.DecodeError, match=why):
        read(frame, dict(TOPICS))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_alike(frame: bytes) -> None:
    assert outcome(natively, frame) == outcome(sbe.decode, frame)


@given(
    frames=st.lists(st.sampled_from(FRAMES), min_size=1, max_size=3),
    flips=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=4),
    size=st.none() | st.integers(0, 400),
)
def test_damaged_frames_are_read_or_refused_alike(
    frames: list[bytes], flips: list[tuple[int, int]], size: int | None
) -> None:
    frame = bytearray(b"".join(frames))
    for at, value in flips:
        frame[at % len(frame)] = value
    damaged = bytes(frame[:size])
    assert outcome(natively, damaged) == outcome(sbe.decode, damaged)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"channel": "trade"}, "not a message of the schema"),
        ({"channel": "system", "type": "hello", "data": [{}]}, "not a message of the schema"),
        ({"channel": "heartbeat", "n": 1}, "tsSend: None is no Time"),
        ({"channel": "heartbeat", "n": -1, "ts_send": 1}, "does not fit"),
        ({"channel": "heartbeat", "n": 1, "ts_send": 1, "more": 1}, "Heartbeat has no more"),
    ],
)
def test_what_the_schema_has_not_is_not_written(message: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        sbe.encode(message)


@pytest.mark.parametrize(
    ("kind", "rows", "why"),
    [
        ("retired", [], "0 elements"),
        ("retired", [{"channel": "trade"}], "symbol: None is no text"),
        ("retired", [{"channel": "x", "symbol": "A.X"}], "channel: 'x' is no Channel"),
        ("epoch", [{"epoch": "e" * 256}], "epoch: 256 bytes, 255 at most"),
        ("epoch", [{"epoch": "\u00e9"}], "ascii"),
    ],
)
def test_notices_that_are_not_written(kind: str, rows: list[dict[str, str]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        sbe.encode({"channel": "system", "type": kind, "data": rows})


@pytest.mark.parametrize("number", ["", "1e5", ".5", "5.", "+1", "1" * 39, "1." + "0" * 128])
def test_numbers_that_are_not_written(number: str) -> None:
    row = (0, NOW, number, "1", None, "")
    with pytest.raises(ValueError, match="number"):
        sbe.encode_record("trade", "update", 7, row, seq=1, **STAMPS)
