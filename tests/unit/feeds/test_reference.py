"""What venues say of instruments, as fields of a record: what does not fit is left out."""

from typing import Any

import msgspec
import pytest

from gateway._native import RingReader, RingWriter, record_rows
from gateway.feeds.options import InstrumentOptions
from gateway.feeds.reference import ASSET_MAX, OWN_MAX, STEP_DIGITS_MAX, fields_of, of_options
from gateway.feeds.venues.message import Instrument

USUAL = Instrument("A", "BTC", "USDT", "0.01000", "10", 2, -1, "halted", "tA")


def test_steps_lose_their_zeros_and_what_is_not_told_is_none() -> None:
    steps = "0.01", "10", 2, None
    assert fields_of(USUAL, derived=True) == (0, *steps, "BTC", "USDT", True, 0, "halted", "tA")
    bare = Instrument("A", "", "", "", "", -1, 0, "trading")
    nothing = None, None, None, 0, "", ""
    assert fields_of(bare, derived=False) == (0, *nothing, False, 0, "trading", "")


def test_what_the_configuration_says() -> None:
    writer = RingWriter(1 << 16, 4)
    longest = "1" * 9 + "." + "0" * 8 + "1"
    for tick, lot, fields in (
        ("0.0100", "10", ("0.01", "10", 2, 0)),
        ("", "0.5", (None, "0.5", None, 1)),
        (longest, "0." + "0" * 16 + "1", (longest, "0." + "0" * 16 + "1", 9, 17)),
    ):
        options = {"symbol": "A", "base": "X", "quote": "Y", "tick": tick, "lot": lot}
        one = of_options(msgspec.convert(options, InstrumentOptions))
        row = fields_of(one, derived=False)
        assert row == (0, *fields, "X", "Y", False, 0, "", "")
        assert writer.refusal("instrument", row) == ""
    writer.close()


@pytest.mark.parametrize("step", ["1.000", "0." + "0" * 16 + "1", "1" * 18, "100"])
def test_steps_fit_a_record(step: str) -> None:
    writer = RingWriter(1 << 16, 4)
    fields = fields_of(USUAL._replace(tick=step, lot=step), derived=False)
    assert fields[1] == (step.rstrip("0").rstrip(".") if "." in step else step)
    assert writer.refusal("instrument", fields) == ""
    writer.close()


def test_what_does_not_fit_is_left_out() -> None:
    writer = RingWriter(1 << 16, 4)
    long = USUAL._replace(
        base="币", quote="Q" * (ASSET_MAX + 1), own="t" * (OWN_MAX + 1), tick="1" * 19, lot="\n"
    )
    fields = fields_of(long, derived=False)
    assert fields == (0, None, None, 2, None, "", "", False, 0, "halted", "")
    assert writer.refusal("instrument", fields) == ""
    for most in (
        USUAL._replace(base="B" * ASSET_MAX, quote="Q" * ASSET_MAX, own="t" * OWN_MAX),
        USUAL._replace(tick="1" * STEP_DIGITS_MAX, price_digits=127),
    ):
        assert writer.refusal("instrument", fields_of(most, derived=True)) == ""
    writer.close()


def test_a_recording_has_them_as_they_were_published() -> None:
    writer = RingWriter(1 << 16, 4)
    reader = RingReader(writer.fd)
    topic = writer.topic("instrument", "A.X")
    bare = USUAL._replace(tick="", lot="", price_digits=-1, base="", own="")
    rows: list[Any] = [(topic, *fields_of(one, derived=True)) for one in (USUAL, bare)]
    assert writer.publish(rows, 9, 9) == []
    found = record_rows(reader.poll_raw() or b"")[0]
    assert [one and one[3] for one in found] == [(topic, 9, *row[2:]) for row in rows]
    reader.close()
    writer.close()


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        (1, "x", "tick: not a decimal: 'x'"),
        (1, "1" * 19, "tick: more than 18 digits: '1111111111111111111'"),
        (3, -1, "pdigits: not a number"),
        (3, 2**32 - 1, "pdigits: not a number"),
        (4, "2", "qdigits: not a number"),
        (5, "B" * 17, "base: too long: 'BBBBBBBBBBBBBBBBB'"),
        (6, "币", "quote: not printable ASCII: '币'"),
        (7, 1, "derived: not a number"),
        (8, None, "delay_s: not a number"),
        (9, None, "status: not a text"),
    ],
)
def test_what_no_record_can_hold_is_refused(place: int, value: object, why: str) -> None:
    writer = RingWriter(1 << 16, 4)
    fields = [*fields_of(USUAL, derived=False)]
    fields[place] = value
    assert writer.refusal("instrument", tuple(fields)) == why
    writer.close()
