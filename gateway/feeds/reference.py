"""What venues say of instruments, as fields of records of channel `instrument`."""

import re
from typing import Final

from gateway.feeds.options import InstrumentOptions
from gateway.feeds.venues.message import Fields, Instrument
from gateway.feeds.venues.reference import digits

_STEP: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
ASSET_MAX: Final = 16
OWN_MAX: Final = 48
STEP_DIGITS_MAX: Final = 18
"""What a record has room for; what is longer, or no ASCII, is left out."""


def of_options(one: InstrumentOptions) -> Instrument:
    """What the configuration says of an instrument."""
    places = digits(one.tick), digits(one.lot)
    return Instrument(one.symbol, one.base, one.quote, one.tick, one.lot, *places)


def fields_of(one: Instrument, *, derived: bool) -> Fields:
    """`derived`: its quotes are made of its book."""
    return (
        0,
        _step(one.tick),
        _step(one.lot),
        one.price_digits if one.price_digits >= 0 else None,
        one.qty_digits if one.qty_digits >= 0 else None,
        _words(one.base, ASSET_MAX),
        _words(one.quote, ASSET_MAX),
        derived,
        0,
        one.status,
        _words(one.own, OWN_MAX),
    )


def _step(text: str) -> str | None:
    """Without the zeros behind that some venues write: the digits are told apart."""
    found = _STEP.fullmatch(text)
    if found is None:
        return None
    whole, fraction = found[1], (found[2] or "").rstrip("0")
    fits = len(whole) + len(fraction) <= STEP_DIGITS_MAX
    return (f"{whole}.{fraction}" if fraction else whole) if fits else None


def _words(text: str, most: int) -> str:
    fits = len(text) <= most and text.isascii() and text.isprintable()
    return text if fits else ""
