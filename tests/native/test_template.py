"""The native encoder: PROTOCOL.md's frames, the pure-Python twin, other dialects, bad programs."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway._native import (
    DECIMALS_MAX,
    DIGITS_MAX,
    EXPONENT_MAX,
    Template,
    decimal_round_trip,
)
from gateway.codec.decode import BboMessage, Quote, Trade, TradeMessage, decode, encode
from gateway.codec.formats import JSON, SBE, programs
from gateway.codec.template import compile_template
from gateway.model.notice import NOTICES

if TYPE_CHECKING:
    from gateway._native import Row

Channel = Literal["trade", "bbo"]
Kind = Literal["update", "snapshot"]
NATIVE = Path(__file__).parents[2] / "native"

T = 1_714_979_289_123_456_789
STAMPS = f'"ts_event":{T - 9},"ts_recv":{T},"ts_send":{T + 7}'
RECORDS, NOTICE_PROGRAMS = programs(JSON)
TEMPLATES = {key: Template(program) for key, program in RECORDS.items()}

GOLDEN: list[tuple[Channel, Kind, str, Row, int, str]] = [
    (
        "trade",
        "update",
        "BTCUSDT.BINANCE",
        (0, T - 9, "64250.10", "0.015", "buy", "381"),
        0,
        '{"channel":"trade","type":"update","symbol":"BTCUSDT.BINANCE","seq":8813,' + STAMPS + ","
        '"data":[{"id":"381","price":"64250.10","qty":"0.015","side":"buy"}]}',
    ),
    (
        "trade",
        "snapshot",
        "XBT/USD.KRAKEN",
        (0, T - 9, "-0.0", "000", "sell", ""),
        1,
        '{"channel":"trade","type":"snapshot","symbol":"XBT/USD.KRAKEN","seq":8813,' + STAMPS + ","
        '"data":[{"id":"","price":"-0.0","qty":"000","side":"sell"}],"skipped":1}',
    ),
    (
        "trade",
        "update",
        "A.B",
        (0, T - 9, "-123456789012345678", "0.12345678901234567", None, 'a"b\\c d'),
        2**64 - 1,
        '{"channel":"trade","type":"update","symbol":"A.B","seq":8813,' + STAMPS + ","
        '"data":[{"id":"a\\"b\\\\c d","price":"-123456789012345678",'
        '"qty":"0.12345678901234567","side":null}],"skipped":18446744073709551615}',
    ),
    (
        "bbo",
        "update",
        "SYM001.SIM",
        (0, T - 9, "1.10", "0", "1.11", "12345678.123456789"),
        0,
        '{"channel":"bbo","type":"update","symbol":"SYM001.SIM","seq":8813,' + STAMPS + ","
        '"data":[{"bid":"1.10","bid_qty":"0","ask":"1.11","ask_qty":"12345678.123456789"}]}',
    ),
    (
        "bbo",
        "snapshot",
        "SYM001.SIM",
        (0, T - 9, "1", "2.0", "3.00", "4.000"),
        120,
        '{"channel":"bbo","type":"snapshot","symbol":"SYM001.SIM","seq":8813,' + STAMPS + ","
        '"data":[{"bid":"1","bid_qty":"2.0","ask":"3.00","ask_qty":"4.000"}],"skipped":120}',
    ),
]


@pytest.mark.parametrize(("channel", "kind", "symbol", "row", "skipped", "text"), GOLDEN)
def test_protocol_frames(
    channel: Channel, kind: Kind, symbol: str, row: Row, skipped: int, text: str
) -> None:
    rest = {"seq": 8813, "ts_recv": T, "ts_send": T + 7, "skipped": skipped}
    assert TEMPLATES[channel, kind].encode(channel, symbol, row, **rest) == text.encode()
    assert encode(channel, kind, symbol, row, **rest) == text.encode()


def test_venue_without_times_gives_the_receive_time() -> None:
    row = (0, 0, "1", "1", None, "")
    payload = TEMPLATES["trade", "update"].encode("trade", "A.B", row, seq=1, ts_recv=T, ts_send=T)
    assert payload.count(str(T).encode()) == 3


def decimals() -> st.SearchStrategy[str]:
    """Texts of the grammar, at most 18 digits, point anywhere inside."""

    def build(negative: bool, digits: str, point: int) -> str:
        cut = point % len(digits)
        text = digits[:cut] + "." + digits[cut:] if cut else digits
        return "-" * negative + text

    digits = st.text("0123456789", min_size=1, max_size=18) | st.text(
        "0123456789", min_size=1, max_size=38
    )
    return st.builds(build, st.booleans(), digits, st.integers(0, 37))


printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
trades = st.tuples(
    st.just(0),
    st.integers(0, 2**63 - 1),
    decimals(),
    decimals(),
    st.sampled_from(["buy", "sell", None]),
    st.text(printable, max_size=80) | st.text('a"\\', max_size=80),
)
quotes = st.builds(
    lambda ts, bid, ask: (0, ts, *bid, *ask),
    st.integers(0, 2**63 - 1),
    *[st.tuples(decimals(), decimals()) | st.just((None, None))] * 2,
)
stamps = st.integers(-(2**63), 2**63 - 1)
symbols = st.from_regex(r"[!#-)+\-./0-\[\]-~]{1,96}\.[A-Z0-9_]{1,16}", fullmatch=True) | st.just(
    "币安人生USDT.BINANCE"
)
unsigned = st.integers(0, 2**64 - 1) | st.integers(0, 63).map(lambda bits: 1 << bits)


@given(decimals())
def test_decimal_round_trip(text: str) -> None:
    assert decimal_round_trip(text) == text


def plain(text: str) -> str:
    """The twin: what a number is published as, by decimal.Decimal. ValueError: it is refused."""
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", text, re.ASCII) is None:
        raise ValueError("not a decimal")
    mantissa, _, exponent = text.lower().partition("e")
    if abs(int(exponent or 0)) > EXPONENT_MAX:
        raise ValueError("an exponent beyond -100 to 100")
    with localcontext(prec=1000):
        number = Decimal(text)
        sign, digits, scale = number.as_tuple()
    assert isinstance(scale, int)
    significant = "".join(map(str, digits)).lstrip("0")
    if scale == 0 and not exponent and len(significant) <= DIGITS_MAX + EXPONENT_MAX:
        significant = significant.rstrip("0")
    if len(significant) > DIGITS_MAX:
        raise ValueError("more than 38 digits")
    if max(-scale, len(mantissa.partition(".")[2])) > DECIMALS_MAX:
        raise ValueError("more than 127 digits after the point")
    if len(re.sub("[^0-9]", "", mantissa)) > 140:
        raise ValueError("more than 140 digits with its leading zeros")
    if not exponent:
        return text
    if number == 0 and scale > 0:
        return "-0" if sign else "0"
    return f"{number:f}"


@st.composite
def any_numbers(draw: st.DrawFn) -> str:
    """Numbers with and without exponents, about the limits, and a few that are none."""
    digits = st.text("0123456789", min_size=1, max_size=draw(st.sampled_from([5, 20, 45, 150])))
    text = draw(st.sampled_from(["", "-"])) + draw(digits)
    if draw(st.booleans()):
        text += "." + draw(digits)
    if draw(st.booleans()):
        text += draw(st.sampled_from("eE")) + draw(st.sampled_from(["", "+", "-", "-0"]))
        text += str(draw(st.integers(0, 105)))
    return text


@given(any_numbers() | st.text("0123456789.eE+-", max_size=12))
@settings(max_examples=1000)
def test_any_number_is_what_its_twin_says(text: str) -> None:
    try:
        expected = plain(text)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            decimal_round_trip(text)
        return
    assert decimal_round_trip(text) == expected
    assert decimal_round_trip(expected) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("123456789012.00000000", "123456789012.00000000"),  # a token's bbo of eight decimals
        ("1234.567890123456789012", "1234.567890123456789012"),  # an amount of 18 decimals
        ("0.000000000000123456", "0.000000000000123456"),
        ("1.9e-07", "0.00000019"),  # what programs print of a float
        ("5e-324", None),
        ("1.7976931348623157e+308", None),
        ("340282366920938463463374607431768211455", None),  # 2^128 - 1
        ("170141183460469231731687303715884105727", None),  # 2^127 - 1: 39 digits
        ("99999999999999999999999999999999999999", "9" * 38),
        ("115792089237316195423570985008687907853.26", None),  # 2^256 in units of 10^39
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("1E+2", "100"),
        ("1.0E-2", "0.010"),
        ("-0E-8", "-0.00000000"),
    ],
)
def test_numbers_of_the_field(text: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match=r"more than|an exponent"):
            decimal_round_trip(text)
    else:
        assert decimal_round_trip(text) == expected == plain(text)


@pytest.mark.parametrize(
    "text", ["", "-", ".", "1.", ".1", "1.2.3", "+1", "1e", "e3", "1e3.0", " 1", "1 ", "1,5"]
)
def test_decimal_grammar(text: str) -> None:
    with pytest.raises(ValueError, match="not a decimal"):
        decimal_round_trip(text)


@pytest.mark.parametrize("text", ["--1", "\u0661", "\ud800", "NaN", "0x1", "1\0", "1" * 50 + "x"])
def test_decimal_of_odd_characters(text: str) -> None:
    with pytest.raises(ValueError, match="not a decimal"):
        decimal_round_trip(text)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("1" * 39, "38 digits"),
        ("-0." + "0" * 128, "127 digits after the point"),
        ("0" * 400, "140 digits"),
    ],
)
def test_decimal_of_too_many_digits(text: str, limit: str) -> None:
    with pytest.raises(ValueError, match=f"more than {limit}"):
        decimal_round_trip(text)


@given(
    st.tuples(st.just("trade"), trades) | st.tuples(st.just("bbo"), quotes),
    st.sampled_from(["update", "snapshot"]),
    symbols,
    unsigned,
    stamps,
    stamps,
    unsigned,
)
def test_equals_twin(
    channel_row: tuple[Channel, Row],
    kind: Kind,
    symbol: str,
    seq: int,
    ts_recv: int,
    ts_send: int,
    skipped: int,
) -> None:
    channel, row = channel_row
    rest = {"seq": seq, "ts_recv": ts_recv, "ts_send": ts_send, "skipped": skipped}
    payload = TEMPLATES[channel, kind].encode(channel, symbol, row, **rest)
    assert payload == encode(channel, kind, symbol, row, **rest)


@given(trades, st.integers(1, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_decodes_to_what_was_encoded(row: Row, seq: int, skipped: int) -> None:
    _, ts_event, price, qty, side, trade_id = row
    payload = TEMPLATES["trade", "update"].encode(
        "trade", "A.B", row, seq=seq, ts_recv=T, ts_send=T + 1, skipped=skipped
    )
    assert decode(payload) == TradeMessage(
        type="update",
        symbol="A.B",
        seq=seq,
        ts_event=ts_event or T,
        ts_recv=T,
        ts_send=T + 1,
        skipped=skipped,
        data=(Trade(id=trade_id, price=price, qty=qty, side=side),),  # type: ignore[arg-type]
    )


@given(quotes)
def test_quote_decodes_to_what_was_encoded(row: Row) -> None:
    payload = TEMPLATES["bbo", "snapshot"].encode("bbo", "A.B", row, seq=1, ts_recv=T, ts_send=T)
    message = decode(payload)
    assert isinstance(message, BboMessage)
    assert message.data == (Quote(*row[2:]),)


@given(stamps)
def test_time_forms(ts: int) -> None:
    forms = Template(
        compile_template(
            "bbo", "<ts_recv:ns> <ts_recv:us> <ts_recv:ms> <ts_recv:rfc3339><skipped:>"
        )
    )
    text = forms.encode("bbo", "A.B", (0, 1, "1", "1", "1", "1"), seq=1, ts_recv=ts, ts_send=0)
    civil = datetime.fromtimestamp(ts // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    expected = f"{ts} {ts // 10**3} {ts // 10**6} {civil}.{ts % 10**9:09}Z"
    assert text.decode() == expected


def test_another_dialect() -> None:
    """The field order and spelling of a venue of its own: no C for it."""
    long = "x" * 700
    template = Template(
        compile_template(
            "trade",
            '{"e":"trade","E":<ts_event:ms>,"s":"<symbol>","t":"<id>","p":"<price>","q":"<qty>",'
            f'"m":<side:null|false|true>,"pad":"{long}","T":"<ts_send:rfc3339>"<skipped:,"lost":>'
            + "}",
        )
    )
    row = (0, T, "1.50", "2", "sell", "7")
    rest = {"seq": 3, "ts_recv": T, "ts_send": 1_709_164_800_000_000_000}
    text = (
        '{"e":"trade","E":1714979289123,"s":"A.B","t":"7","p":"1.50","q":"2","m":true,'
        f'"pad":"{long}","T":"2024-02-29T00:00:00.000000000Z"'
    )
    assert template.encode("trade", "A.B", row, **rest).decode() == text + "}"
    lost = template.encode("trade", "A.B", row, **rest, skipped=4)
    assert lost.decode() == text + ',"lost":4}'


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((0, T, "1", "x", "buy", ""), "not a decimal"),
        ((0, T, "1", "1" * 39, "buy", ""), "qty: more than 38 digits: '1111"),
        ((0, T, "1", "1", "BUY", ""), "side"),
        ((0, T, "1", "1", "buy", "\n"), "printable"),
        ((0, T, "1", "1", "buy", "x" * 81), "id: longer than 80"),
        ((0, -1, "1", "1", "buy", ""), "ts_event"),
        ((0, T, "1", "1", "buy"), "not a tuple of 6"),
        ((0, T, None, "1", "buy", ""), "price: not a text"),
    ],
)
def test_row_refused(row: Row, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        TEMPLATES["trade", "update"].encode("trade", "A.B", row, seq=1, ts_recv=T, ts_send=T)


@pytest.mark.parametrize("missing", range(4))
def test_half_a_side_is_refused(missing: int) -> None:
    bid, bid_qty, ask, ask_qty = (None if k == missing else "1" for k in range(4))
    name = ("bid", "bid_qty", "ask", "ask_qty")[missing]
    with pytest.raises(ValueError, match=f"^{name}: no value, but its side's other one has"):
        TEMPLATES["bbo", "update"].encode(
            "bbo", "A.B", (0, T, bid, bid_qty, ask, ask_qty), seq=1, ts_recv=T, ts_send=T
        )


def test_channel_refused() -> None:
    row = (0, T, "1", "1", "1", "1")
    for channel in ("bbo", "book"):
        with pytest.raises(ValueError, match=channel):
            TEMPLATES["trade", "update"].encode(channel, "A.B", row, seq=1, ts_recv=T, ts_send=T)


@given(st.binary(max_size=64) | st.binary(max_size=32).map(lambda tail: b"\2\1\0\0" + tail))
def test_any_program_is_loaded_or_refused(program: bytes) -> None:
    try:
        template = Template(program)
    except ValueError:
        return
    channel, row = (
        ("trade", (0, T, "1", "1", "buy", "1")) if program[1] == 1 else ("bbo", (0, T, *"1111"))
    )
    template.encode(channel, "A.B", row, seq=1, ts_recv=T, ts_send=T, skipped=1)


@pytest.mark.parametrize("channel", ["trade", "bbo", "book"])
def test_c_tests_run_our_programs(channel: str) -> None:
    header = (NATIVE / "test" / f"{channel}_program.h").read_text()
    literals = re.findall(r'^    (".*?");?$', header, re.MULTILINE)
    program = "".join(map(ast.literal_eval, literals)).encode("latin1")
    assert program == RECORDS[channel, "update"]


def test_c_tests_have_our_notices() -> None:
    header = (NATIVE / "test" / "notice_programs.h").read_text()
    for name, notice in NOTICES.items():
        if name not in JSON.notices:
            continue
        (text,) = re.findall(rf"notice_{name}\[\] =\n(.*?);$", header, re.MULTILINE | re.DOTALL)
        literals = map(ast.literal_eval, re.findall(r'^    (".*?")$', text, re.MULTILINE))
        assert "".join(literals).encode("latin1") == NOTICE_PROGRAMS[notice.number]


def test_a_template_of_too_long_messages_is_refused() -> None:
    """48 identifiers, each of which may double when escaped, and 4,000 bytes of text."""
    literals = (b"\x00\xff" + b"x" * 255) * 15
    program = b"\x02\x01\x00\x00" + literals + b"\x08\x03" * 48
    with pytest.raises(ValueError, match="may take more than 8192 bytes"):
        Template(program)


@pytest.mark.parametrize("channel", ["trade", "bbo"])
def test_benches_run_our_binary_programs(channel: str) -> None:
    header = (NATIVE / "test" / "sbe_programs.h").read_text()
    literals = re.search(rf'sbe_{channel}_program\[\] =((?:\s+"[^"]*")+);', header)
    assert literals is not None
    text = "".join(re.findall(r'"([^"]*)"', literals[1]))
    assert ast.literal_eval(f'b"{text}"') == programs(SBE)[0][channel, "update"]
