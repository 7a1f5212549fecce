"""Order books in binary frames (docs/sbe.md, "Book"): to the same messages as the JSON gives."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import msgspec

from gateway._native import BOOK_ID_MAX, book_texts
from gateway.codec.decode import Book, BookMessage, Level
from gateway.codec.sbe_numbers import decimal_of, printable, text_of
from gateway.codec.schema import Values, write

_PRICE_MAX: Final = 10**18 - 1
_PRICE_DECIMALS_MAX: Final = 63
_NARROW_MAX: Final = 2**63 - 1
_ZEROS_MAX: Final = 127

Pairs = Sequence[tuple[str, str]]
"""Prices with their quantities."""


def message(record: tuple[Any, ...]) -> BookMessage:
    """Of what the native core has read (`SbeBook`)."""
    _, kind, symbol, seq, event, recv, sent, skipped, levels, *values, part = record
    bids, asks = (tuple(Level(*row) for row in side) for side in book_texts(levels))
    return BookMessage(
        type=kind,
        symbol=symbol,
        seq=seq,
        ts_event=event,
        ts_recv=recv,
        ts_send=sent,
        skipped=skipped,
        data=(Book(bids, asks, *values),),
        part=part,
    )


def read(values: Values, symbol: str) -> BookMessage:
    """The same in Python, of the message's fields.

    Raises:
        msgspec.DecodeError: it has what no book can have.
    """
    flags, parts = values["flags"], (values["part"], values["parts"])
    wides = iter(values["wideQtys"])
    bids, asks = (
        tuple(_level(row, wides) for row in values[side])  # one after the other
        for side in ("bids", "asks")
    )
    if next(wides, None) is not None:
        raise _no_level()
    if parts[0] > parts[1] or (parts[1] and not parts[0]):
        raise msgspec.DecodeError("a book's part that is none of its parts")
    ids = (printable(values["firstId"]), printable(values["lastId"]))
    if max(map(len, ids)) > BOOK_ID_MAX:
        raise msgspec.DecodeError(f"a book's number of more than {BOOK_ID_MAX} characters")
    book = Book(
        bids,
        asks,
        depth=values["depth"],
        first_id=ids[0] or None,
        last_id=ids[1] or None,
        maybe_bad="maybeBad" in flags,
        checksum=values["checksum"] if "hasChecksum" in flags else None,
    )
    return BookMessage(
        type="snapshot" if "snapshot" in flags else "update",
        symbol=symbol,
        seq=values["seq"],
        ts_event=values["tsEvent"],
        ts_recv=values["tsRecv"],
        ts_send=values["tsSend"],
        skipped=values["skipped"],
        data=(book,),
        part=parts if parts[1] else None,
    )


def _level(row: Values, wides: Iterator[Values]) -> Level:
    price, exponent = row["price"], row["priceExponent"]
    if abs(price) > _PRICE_MAX or not -_PRICE_DECIMALS_MAX <= exponent <= 0:
        raise _no_level()
    low, high = row["qty"], 0
    if low is None:
        wide = next(wides, None)
        if wide is None:
            raise _no_level()
        low, high = wide["low"], wide["high"]
    if low < 0 or high < 0:
        raise _no_level()
    return Level(_text(price, exponent), _qty((high << 64) + low, row["qtyExponent"]))


def _qty(mantissa: int, exponent: int) -> str:
    zeros = len(str(mantissa)) - len(str(mantissa).rstrip("0")) + max(exponent, 0)
    try:
        text = _text(mantissa, exponent)
    except msgspec.DecodeError:
        raise _no_level() from None
    if mantissa and zeros > _ZEROS_MAX:
        raise _no_level()
    return text if mantissa else "0"


def _text(mantissa: int, exponent: int) -> str:
    text = text_of((mantissa & 2**64 - 1, mantissa >> 64, exponent), False)
    assert text is not None or exponent == 127
    if text is None:
        raise _no_level()
    return text


def _no_level() -> msgspec.DecodeError:
    return msgspec.DecodeError("a level that no book can have")


def encode_book(
    kind: Literal["update", "snapshot"],
    number: int,
    bids: Pairs,
    asks: Pairs,
    *,
    seq: int,
    ts_event: int,
    ts_recv: int,
    ts_send: int,
    skipped: int = 0,
    depth: int = 0,
    first_id: str | None = None,
    last_id: str | None = None,
    maybe_bad: bool = False,
    checksum: int | None = None,
    part: tuple[int, int] | None = None,
) -> bytes:
    """Encodes a record of the book announced by the number.

    Raises:
        ValueError: a value does not fit its field.
    """
    flags = {"snapshot"} if kind == "snapshot" else set()
    flags |= {"maybeBad"} if maybe_bad else set()
    flags |= {"hasChecksum"} if checksum is not None else set()
    wides: list[Values] = []
    values: Values = {
        "seq": seq,
        "tsEvent": ts_event,
        "tsRecv": ts_recv,
        "tsSend": ts_send,
        "skipped": skipped,
        "topic": number,
        "checksum": checksum or 0,
        "depth": depth,
        "flags": flags,
        "bids": [_row(*level, wides) for level in bids],
        "asks": [_row(*level, wides) for level in asks],
        "wideQtys": wides,
        "firstId": first_id or "",
        "lastId": last_id or "",
    }
    values["part"], values["parts"] = part or (0, 0)
    return write("Book", values)


def _row(price: str, qty: str, wides: list[Values]) -> Values:
    (low, high, exponent), _ = decimal_of(price)
    row: Values = {"price": (high << 64) + low, "priceExponent": exponent}
    (low, high, exponent), _ = decimal_of(qty)
    if high or low > _NARROW_MAX:
        wides.append({"low": low, "high": high})
        return row | {"qty": None, "qtyExponent": exponent}
    return row | {"qty": low, "qtyExponent": exponent if low else 0}
