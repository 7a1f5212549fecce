"""Reference data of instruments: what the venues' answers have in common. Pure."""

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
