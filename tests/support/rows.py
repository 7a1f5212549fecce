"""Rows of trades that prove themselves when they come back."""

from gateway import _native


def trade(topic: int, n: int) -> _native.Row:
    """A row that proves itself: every field is the same number."""
    return (topic, n, str(n), str(n), "buy" if n % 2 else "sell", str(n))


def is_whole(row: dict[str, int | str]) -> bool:
    n = row["ts_event"]
    side = "buy" if int(n) % 2 else "sell"
    return (row["price"], row["qty"], row["id"], row["side"]) == (str(n), str(n), str(n), side)
