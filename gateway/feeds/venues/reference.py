"""Reference data of instruments: what the venues' answers have in common. Pure."""

from collections.abc import Callable, Iterable
from typing import Final, Literal

Status = Literal["trading", "halted", "auction", "closed", "delisted"]

DIGITS_MAX: Final = 127


def digits(step: str) -> int:
    """Digits behind the point of a smallest step ("0.00100000" has 3); -1 where there is none."""
    _, _, fraction = step.partition(".")
    return len(fraction.rstrip("0")) if step else -1


def step(count: int) -> str:
    """The smallest step of so many digits behind the point; "" where there are too many."""
    if not 0 <= count <= DIGITS_MAX:
        return ""
    return f"0.{'1':0>{count}}" if count else "1"


Assets = Callable[[str], tuple[str, str]]
"""A symbol → base and quote, both empty where it does not show them."""


def by_suffix(quotes: Iterable[str], symbol: str) -> tuple[str, str]:
    """Base and quote of a symbol that is one behind the other, by the longest that it ends in."""
    for quote in sorted(quotes, key=len, reverse=True):
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol[: -len(quote)], quote
    return "", ""


def by_mark(mark: str, symbol: str) -> tuple[str, str]:
    """Base and quote of a symbol with a mark between them."""
    parts = symbol.split(mark)
    return (parts[0], parts[1]) if len(parts) == 2 and all(parts) else ("", "")
