"""Records of the udp feed: golden lines, refused lines, and any bytes at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway._native import REASON_MAX
from gateway.feeds.refusals import Refusal
from gateway.feeds.venues.tickgate_json import Quote, Trade, decode

TRADE = (
    b'{"channel":"trade","symbol":"SYM001","price":"64250.10","qty":"0.015",'
    b'"side":"buy","id":"7","ts":1723161255342000000}'
)
QUOTE = (
    b'{"channel":"bbo","symbol":"SYM001","bid":"1.0","bid_qty":"2","ask":"1.10","ask_qty":"3.00",'
    b'"ts":5}'
)


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (TRADE, Trade("SYM001", "64250.10", "0.015", "buy", "7", 1723161255342000000)),
        (QUOTE, Quote("SYM001", "1.0", "2", "1.10", "3.00", 5)),
        (
            b'{"channel":"trade","symbol":"A","price":"1","qty":"2"}',
            Trade("A", "1", "2", None, "", 0),
        ),
        (
            b' {"new":[1,{}],"qty":"2","price":"1","symbol":"A","channel":"trade","side":null} \r',
            Trade("A", "1", "2", None, "", 0),
        ),
        (
            b'{"channel":"bbo","symbol":"A","bid":"1","bid_qty":"2","ask":"3","ask_qty":"4"}',
            Quote("A", "1", "2", "3", "4", 0),
        ),
        (
            b'{"channel":"bbo","symbol":"A","bid":null,"bid_qty":null,"ask":"3","ask_qty":4}',
            Quote("A", None, None, "3", "4", 0),
        ),
        (b'{"channel":"bbo","symbol":"A","ask":"0"}', Quote("A", None, None, "0", None, 0)),
        (  # numbers, by their digits
            b'{"channel":"trade","symbol":"A","price":64250.10,"qty":1.9e-07,"id":"\\u0037"}',
            Trade("A", "64250.10", "1.9e-07", None, "7", 0),
        ),
        (
            b'{"channel":"bbo","symbol":"A","bid":-1,"bid_qty":"\\u0032","ask":3.0,"ask_qty":4E+2}',
            Quote("A", "-1", "2", "3.0", "4E+2", 0),
        ),
    ],
)
def test_golden(line: bytes, record: Trade | Quote) -> None:
    assert decode([line]) == ([record], [0])


@pytest.mark.parametrize(
    "line",
    [
        b"x",
        b"{}",
        b"[]",
        b"null",
        TRADE[:-1],
        TRADE + TRADE,
        TRADE.replace(b'"64250.10"', b"true"),
        TRADE.replace(b'"64250.10"', b"null"),
        TRADE.replace(b'"price":"64250.10",', b""),
        QUOTE.replace(b'"1.0"', b"[]"),
        TRADE.replace(b'"64250.10"', b"01"),
        TRADE.replace(b'"64250.10"', b"+1"),
        TRADE.replace(b'"64250.10"', b"NaN"),
        TRADE.replace(b'"0.015"', b"null"),
        TRADE.replace(b'"buy"', b'"BUY"'),
        TRADE.replace(b'"7"', b"7"),
        TRADE.replace(b"trade", b"book"),
        TRADE.replace(b'"symbol":"SYM001",', b""),
        TRADE.replace(b"1723161255342000000", b"1e3"),
        TRADE.replace(b"1723161255342000000", b"9223372036854775808"),
        TRADE.replace(b"1723161255342000000", b'"5"'),
        TRADE.replace(b"SYM001", b"\xff"),
        TRADE.replace(b"SYM001", b"\\ud800"),
        b'{"channel":"trade","deep":' + b"[" * 60_000,
        b'{"channel":"trade","deep":' + b'{"a":' * 10_000,
        b"\x00" * 100,
    ],
)
def test_f44_a_bad_line_is_counted_and_the_rest_of_the_datagram_goes(line: bytes) -> None:
    batch = decode([TRADE + b"\n" + line + b"\n" + QUOTE, line, TRADE])
    assert [type(item) for item in batch.items] == [Trade, Refusal, Quote, Refusal, Trade]
    assert batch.datagrams == [0, 0, 0, 1, 2]
    refusal = batch.items[1]
    assert isinstance(refusal, Refusal)
    assert refusal == batch.items[3]
    assert refusal.reason in ("line", "shape")
    assert refusal.why
    assert refusal.words.isascii()


@pytest.mark.parametrize(
    ("ts", "ns"),
    [
        (999_999_999, 999_999_999),
        (1723161255, 1723161255_000_000_000),
        (1723161255342, 1723161255_342_000_000),
        (1723161255342123, 1723161255_342_123_000),
        (1723161255342123456, 1723161255342123456),
    ],
)
@pytest.mark.parametrize("line", [TRADE, QUOTE])
def test_a_time_in_another_unit_is_recognised(line: bytes, ts: int, ns: int) -> None:
    fields = json.loads(line) | {"ts": ts}
    (item,) = decode([json.dumps(fields).encode()]).items
    assert isinstance(item, Trade | Quote)
    assert item.ts == ns


@pytest.mark.parametrize("ts", [10**10, 10**12 - 1, 10**13, 10**18 - 1, 9_300_000_000_000])
def test_a_time_in_no_unit_is_refused_by_name(ts: int) -> None:
    (item,) = decode([TRADE.replace(b"1723161255342000000", b"%d" % ts)]).items
    why = "no time in ns, us, ms or s since 1970"
    assert item == Refusal("value", why, "trade", "SYM001", "ts", str(ts))
    assert len(item.words) <= REASON_MAX, "or health tells half of it"


def test_a_byte_order_mark_is_no_part_of_a_line() -> None:
    mark = b"\xef\xbb\xbf"
    batch = decode([mark + TRADE + b"\n" + mark + QUOTE, mark, mark + b"\n", mark + mark + TRADE])
    assert [type(item) for item in batch.items] == [Trade, Quote, Refusal]


def test_blank_lines_are_nothing() -> None:
    batch = decode([b"", b"\n", b"\r\n \n", TRADE + b"\n", b"\n" + QUOTE + b"\r\n"])
    assert [type(item) for item in batch.items] == [Trade, Quote]
    assert batch.datagrams == [3, 4]


def test_f44_two_halves_of_a_record_do_not_join_over_a_line_or_a_datagram() -> None:
    head, tail = TRADE[:40], TRADE[40:]
    for datagrams in ([head + b"\n" + tail], [head, tail]):
        assert [type(item) for item in decode(datagrams).items] == [Refusal, Refusal]


@given(st.lists(st.one_of(st.binary(), st.sampled_from([TRADE, QUOTE, b"\n", TRADE[:50]]))))
@pytest.mark.threat("T2")
def test_f44_any_bytes_are_taken_or_counted(parts: list[bytes]) -> None:
    datagrams = [b"".join(parts), *parts]
    lines = [line for datagram in datagrams for line in datagram.split(b"\n")]
    batch = decode(datagrams)
    assert len(batch.items) == sum(1 for x in lines if x and not x.isspace())


@given(
    symbol=st.text(max_size=60),
    price=st.text(max_size=20),
    identity=st.text(max_size=40),
    ts=st.integers(0, 10**9 - 1) | st.integers(10**18, 2**63 - 1),
)
def test_texts_come_back_as_they_were_sent(symbol: str, price: str, identity: str, ts: int) -> None:
    fields = {"channel": "trade", "symbol": symbol, "price": price, "qty": price, "id": identity}
    line = json.dumps({**fields, "ts": ts}, ensure_ascii=False).encode(errors="surrogatepass")
    (item,) = decode([line]).items
    assert isinstance(item, Refusal) or item == Trade(symbol, price, price, None, identity, ts)
