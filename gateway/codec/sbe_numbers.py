"""Numbers and words of binary frames: decimals as texts in plain digits, and back."""

import re
from typing import Final

import msgspec

from gateway._native import DECIMALS_MAX, DIGITS_MAX, EXPONENT_MAX

_NUMBER: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")


def text_of(decimal: tuple[int, int, int | None], negative_zero: bool) -> str | None:
    """A decimal in plain digits, without leading zeros but the one before the point."""
    low, high, exponent = decimal
    if exponent is None:
        return None
    mantissa = (high << 64) + low
    if abs(mantissa) >= 10**DIGITS_MAX:
        raise msgspec.DecodeError(f"a decimal of more than {DIGITS_MAX} digits")
    if not -DECIMALS_MAX <= exponent <= EXPONENT_MAX:
        raise msgspec.DecodeError(f"a decimal's exponent of {exponent}")
    sign = "-" if mantissa < 0 or (mantissa == 0 and negative_zero) else ""
    digits = str(abs(mantissa))
    if exponent >= 0:
        return sign + digits + "0" * (exponent if mantissa else 0)
    digits = digits.zfill(1 - exponent)
    return f"{sign}{digits[:exponent]}.{digits[exponent:]}"


def decimal_of(text: str | None) -> tuple[tuple[int, int, int | None], bool]:
    """low, high and exponent of a number in plain digits, and whether it is a zero below zero."""
    if text is None:
        return (0, 0, None), False
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"not a number in plain digits: {text!r}")
    sign, whole, fraction = found[1], found[2], found[3] or ""
    digits = (whole + fraction).lstrip("0")
    exponent = -len(fraction)
    # A number of an input's exponent: as many digits as a mantissa has, and zeros behind them.
    if not fraction and len(digits) > DIGITS_MAX and not digits[DIGITS_MAX:].strip("0"):
        exponent = len(digits) - DIGITS_MAX
        digits = digits[:DIGITS_MAX]
    if len(digits) > DIGITS_MAX or not -DECIMALS_MAX <= exponent <= EXPONENT_MAX:
        raise ValueError(f"a number beyond the limits: {text!r}")
    mantissa = int(digits or "0") * (-1 if sign else 1)
    return (mantissa & 2**64 - 1, mantissa >> 64, exponent), bool(sign and not mantissa)


def printable(text: str) -> str:
    """The same words; msgspec.DecodeError: they are not printable ASCII."""
    if not (text.isprintable() and text.isascii()):
        raise msgspec.DecodeError("words that are not printable ASCII")
    return text
