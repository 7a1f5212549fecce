"""Lines of `tail`: what they say, how wide they are, how old a tick is by whose clock."""

from typing import Any

import msgspec
import pytest

from gateway.client.events import Conflation, Error, Event, Gap, Result, Retired, Slow
from gateway.client.tail import HEADER, age, answer, correction, describe, line
from gateway.client.ticks import Bbo, RawTick, Tick, Trade
from gateway.clock import Offset

RECEIVED = 1_700_000_000_123_456_789
NARROW = 80


def tick(channel: str, row: dict[str, Any], *, old_ns: int = 312_000, **more: Any) -> Tick:
    frame: dict[str, Any] = {
        "channel": channel,
        "type": "update",
        "symbol": "BTCUSDT.BINANCE",
        "seq": 1,
        "ts_event": RECEIVED,
        "ts_recv": RECEIVED,
        "ts_send": RECEIVED,
        "ts_client": RECEIVED + old_ns,
    } | more
    kinds: dict[str, type[Trade] | type[Bbo]] = {"trade": Trade, "bbo": Bbo}
    if channel in kinds:
        return msgspec.convert(row | frame, kinds[channel])
    return RawTick(**frame, data=(row,))


TRADE = {"id": "1", "price": "64250.10", "qty": "0.015", "side": "sell"}
QUOTE = {"bid": "64250.10", "bid_qty": "0.015", "ask": "64250.20", "ask_qty": "1.2"}
SURE = Offset(0, 85_000)


@pytest.mark.parametrize(
    ("channel", "row", "happened"),
    [
        ("trade", TRADE, "BTCUSDT.BINANCE sell    64250.10 x 0.015"),
        ("trade", TRADE | {"side": None}, "BTCUSDT.BINANCE trade   64250.10 x 0.015"),
        ("bbo", QUOTE, "BTCUSDT.BINANCE bbo   64250.10x0.015 64250.20x1.2"),
        ("bbo", QUOTE | {"bid": None, "bid_qty": None}, "BTCUSDT.BINANCE bbo   none 64250.20x1.2"),
    ],
)
def test_a_line_of_usual_numbers_fits_a_narrow_terminal(
    channel: str, row: dict[str, Any], happened: str
) -> None:
    shown = line(tick(channel, row), SURE, colour=False)
    assert happened in shown
    assert shown.endswith(" 0.312±0.085ms")
    assert len(shown) == NARROW
    coloured = line(tick(channel, row), SURE, colour=True)
    assert "\x1b[" in coloured
    assert "0.312±0.085ms" in coloured


def test_what_is_special_about_a_tick_follows() -> None:
    shown = line(tick("trade", TRADE, type="snapshot", skipped=3), SURE, colour=False)
    assert shown.endswith("0.312±0.085ms  snapshot  skipped 3")


def test_nothing_of_a_strangers_moves_the_cursor() -> None:
    row = {name: "\x1b[2J" for name in TRADE}
    assert "\x1b" not in line(tick("tr\x1bade", row, symbol="\x1b[2J"), SURE, colour=False)
    row = TRADE | {"side": "\x1b[2J"}
    assert "\x1b" not in line(tick("trade", row, symbol="\x1b[2J"), SURE, colour=False)


def test_the_header_stands_above_its_columns() -> None:
    shown = line(tick("trade", TRADE), SURE, colour=False)
    assert len(HEADER) == len(shown) == NARROW
    assert HEADER.index("instrument") == shown.index("BTCUSDT")
    assert HEADER.index("what") == shown.index("sell")


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (Result("A.SIM", True, seq=7), None),
        (Result("A.*", True, matched=2), None),
        (Result("FOO.SIM", True, seq=0), "bbo FOO.SIM: nothing was published yet; waiting for it"),
        (Result("FOO*", True, matched=0), "bbo FOO*: it covers nothing yet; waiting for it"),
        (Result("X", False, error=Error("unknown_symbol", "no")), "bbo X: unknown_symbol: no"),
    ],
)
def test_a_subscription_that_brings_nothing_is_told(result: Result, text: str | None) -> None:
    assert answer("bbo", result) == text


@pytest.mark.parametrize(
    ("old_ns", "offset", "shown"),
    [
        (312_000, Offset(0, 85_000), "0.312±0.085ms"),
        (312_000, Offset(1_000_000, 85_000), "1.312±0.085ms"),
        (312_000, Offset(-1_000_000, 85_000), "-0.688±0.085ms"),
        (12_345_678, Offset(0, 1_234_000), "12.35±1.234ms"),
        (123_456_789, Offset(0, 12_345_000), "123.5±12.35ms"),
        (4_000_000_000, Offset(0, 0), "4000±0.000ms"),
        (312_000, None, "0.312±?ms"),
    ],
)
def test_the_age_is_by_the_gateways_clock_and_says_how_sure_it_is(
    old_ns: int, offset: Offset | None, shown: str
) -> None:
    assert age(tick("trade", TRADE, old_ns=old_ns), offset) == shown


@pytest.mark.parametrize(
    ("measured", "used"),
    [
        (None, None),
        (Offset(3_600_000_000_000, 900), Offset(3_600_000_000_000, 900)),
        (Offset(-1000, 900), Offset(-1000, 900)),
        (Offset(40, 900), Offset(0, 940)),  # one host: one clock
        (Offset(-900, 900), Offset(0, 1800)),
    ],
)
def test_an_offset_within_its_own_error_is_none(
    measured: Offset | None, used: Offset | None
) -> None:
    assert correction(measured) == used
    if measured is not None and used is not None:
        # Wherever the truth is within the measured bound, it is within the one that is shown.
        for truth in (measured.offset_ns - measured.error_ns, sum(measured)):
            assert abs(truth - used.offset_ns) <= used.error_ns


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Conflation(2, 20, 10), "the gateway has much to do: class 2, each 20 ms"),
        (Conflation(2, 0, 5), "the gateway has much to do: class 2, every update again"),
        (Conflation(3, None, 0), "the gateway has much to do: class 3 is paused"),
        (Slow(1, 0, "conflate", 20, 153), "this client is too slow (153 ms): level 1, each 20 ms"),
        (Slow(0, 1), "this client keeps up: every update again"),
        (
            Gap("trade", "A.SIM", "reconnect", 8, 10, 3),
            "gap: trade A.SIM: reconnect: 3 lost, seq 8 to 10",
        ),
        (
            Gap("trade", "A.SIM", "refused"),
            "gap: trade A.SIM: refused: an unknown number lost",
        ),
        (Retired("bbo", "A.SIM"), "bbo A.SIM: it has ended, nothing more comes of it"),
    ],
)
def test_less_is_told_in_words(event: Event, text: str) -> None:
    assert describe(event) == text
