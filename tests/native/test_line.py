"""The native parser of the udp feed's usual lines, against the decoder that knows all of JSON."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.usual import as_record, is_unicode

from gateway._native import usual_line
from gateway.feeds.stamps import UNITS
from gateway.feeds.venues.tickgate_json import Batch, Quote, decode

TRADE = (
    b'{"channel":"trade","symbol":"SYM001","price":"64250.10","qty":"0.015",'
    b'"side":"buy","id":"7","ts":1723161255342000000}'
)
QUOTE = (
    b'{"channel":"bbo","symbol":"SYM001","bid":"1.0","bid_qty":"2","ask":"1.10","ask_qty":"3.00",'
    b'"ts":5}'
)

plain = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126)).filter(
    lambda text: not set(text) & {'"', "\\"}
)
names = plain | st.just("币安人生USDT")
space = st.text(" \t\r", max_size=2)
sides = st.sampled_from(["buy", "sell", None])
numbers = st.integers(-(2**65), 2**65) | st.floats(allow_nan=False, allow_infinity=False)
decimal = plain | numbers
value = decimal | st.none()
times = st.one_of(
    st.integers(0, 10**9 - 1),
    st.integers(10**18, 2**63 - 1),
    *(st.integers(first, min(end, (2**63 - unit) // unit) - 1) for first, end, unit in UNITS),
    st.sampled_from([0, 9, 10, 2**63 - 1]),
)
any_time = st.integers(0, 2**63 - 1).flatmap(
    lambda bound: st.integers(max(0, bound - 2), bound)
) | st.sampled_from([n + k for first, end, _ in UNITS for n in (first, end) for k in (-1, 0, 1)])
trades: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"channel": st.just("trade"), "symbol": names, "price": decimal, "qty": decimal},
    optional={"side": sides, "id": plain, "ts": times},
)
quotes: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"channel": st.just("bbo"), "symbol": names},
    optional=dict.fromkeys(("bid", "bid_qty", "ask", "ask_qty"), value) | {"ts": times},
)
Members = list[tuple[str, object]]


@st.composite
def members(draw: st.DrawFn) -> Members:
    """What an object of the usual form has, in any order."""
    fields: dict[str, object] = draw(trades | quotes)
    return draw(st.permutations(list(fields.items())))


@st.composite
def damaged(draw: st.DrawFn) -> Members:
    """The same with a member too many, or with another value in the place of one."""
    found = draw(members())
    names = ["channel", "symbol", "price", "qty", "side", "id", "ts", "bid", "ask_qty", "new", ""]
    value = st.text(max_size=3) | numbers | st.none() | st.booleans()
    extra = draw(st.sampled_from(names)), draw(value | st.sampled_from(["trade", "bbo", "buy"]))
    at = draw(st.integers(0, len(found)))
    return [*found[:at], extra, *found[at + draw(st.integers(0, 1)) :]]


def written(draw: st.DrawFn, found: Members, *, ensure_ascii: bool) -> bytes:
    """A line of these members, with white space wherever it may stand."""

    def spaced(text: str) -> str:
        return draw(space) + text + draw(space)

    texts = [
        spaced(json.dumps(name)) + ":" + spaced(json.dumps(value, ensure_ascii=ensure_ascii))
        for name, value in found
    ]
    return spaced("{" + ",".join(texts) + "}").encode(errors="surrogatepass")


@st.composite
def usual(draw: st.DrawFn) -> bytes:
    return written(draw, draw(members()), ensure_ascii=False)


@st.composite
def unusual(draw: st.DrawFn) -> bytes:
    """A line of the form, or one that once was."""
    line = written(draw, draw(members() | damaged()), ensure_ascii=draw(st.booleans()))
    at, end = sorted(draw(st.tuples(*[st.integers(0, len(line))] * 2)))
    kind = draw(st.sampled_from(["whole", "cut", "insert", "replace", "without"]))
    if kind == "cut":
        return line[at:end]
    if kind == "whole":
        return line
    put = draw(st.binary(max_size=3) | st.sampled_from([*b'{}:,"\\0-']).map(lambda c: bytes([c])))
    end = {"insert": at, "replace": at + len(put), "without": min(at + 1, len(line))}[kind]
    return line[:at] + (b"" if kind == "without" else put) + line[end:]


def test_golden() -> None:
    assert usual_line(TRADE) == (
        *("trade", "SYM001", 1723161255342000000),
        *("64250.10", "0.015", "buy", "7"),
    )
    assert usual_line(QUOTE) == ("bbo", "SYM001", 5, "1.0", "2", "1.10", "3.00")


@given(usual())
def test_every_line_of_the_usual_form_is_taken(line: bytes) -> None:
    read = usual_line(line)
    assert read
    assert decode([line]) == Batch([as_record(read)], [0])


@given(any_time)
def test_both_decoders_make_the_same_of_a_time(ts: int) -> None:
    line = QUOTE.replace(b'"ts":5', b'"ts":%d' % ts)
    read = usual_line(line)
    (item,) = decode([line]).items
    assert item == (as_record(read) if read else item)
    assert bool(read) == isinstance(item, Quote) or ts >= 2**63


@given(unusual() | st.binary() | st.text(" \t\r\v\f\0\x1c\x85").map(str.encode))
@example(b"\x1c")
@example(b" \x0b\x0c\r\t")
@example(TRADE.replace(b'"buy"', b'""'))
@example(TRADE.replace(b"1723161255342000000", b"9223372036854775808"))
@example(TRADE.replace(b"SYM001", b"\x7f"))
@example(TRADE + b"\0")
def test_nothing_is_taken_that_the_decoder_reads_otherwise(line: bytes) -> None:
    read = usual_line(line)
    if read is not None and b"\n" not in line and is_unicode(read):
        expected = Batch([as_record(read)], [0]) if read else Batch([], [])
        assert decode([line]) == expected


NUMBERS = QUOTE.replace(b'"1.0"', b"-1.0e5").replace(b'"3.00"', b"3E-07")
NULLS = QUOTE.replace(b'"1.0"', b"null").replace(b'"2"', b"null")


@pytest.mark.parametrize("line", [TRADE, QUOTE, NUMBERS, NULLS])
def test_a_line_with_any_one_byte_changed(line: bytes) -> None:
    for at in range(len(line)):
        for byte in range(256):
            changed = line[:at] + bytes([byte]) + line[at + 1 :]
            read = usual_line(changed)
            if read and byte != 0x0A and is_unicode(read):
                assert decode([changed]) == Batch([as_record(read)], [0])
