"""The binary data frames of subprotocol `tickgate.v1.sbe`: to the same values as the JSON gives.

A `Decoder` reads one connection's frames: records by the native core, all else in Python by the
schema. `decode` is its twin without the native core, `encode` and `encode_record` are the twin of
the encoder. `batch` reads many frames into numpy's arrays. docs/sbe.md has the bytes.

Records name their topic by a number. It is announced on the connection before the first of them, in
the same frame or an earlier one; a later announcement of the number replaces it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from gateway._native import (
    ID_MAX,
    SBE_BOOK_FIELDS,
    SBE_TOPICS_MAX,
    sbe_batch,
    sbe_level_rows,
    sbe_record,
)
from gateway.codec import sbe_book
from gateway.codec.decode import (
    BboMessage,
    Candle,
    CandleMessage,
    Instrument,
    InstrumentMessage,
    Message,
    Quote,
    Status,
    StatusMessage,
    Trade,
    TradeMessage,
)
from gateway.codec.sbe_numbers import decimal_of, printable, text_of
from gateway.codec.schema import UNKNOWN, Values, load, read, schema, write
from gateway.model.record import CANDLES, CHANNELS, CandleRow, Row
from gateway.model.topic import NAME_MAX

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "SBE_BOOK_FIELDS",
    "SBE_TOPICS_MAX",
    "SUBPROTOCOL",
    "Batch",
    "Decoder",
    "Topic",
    "batch",
    "decode",
    "encode",
    "encode_record",
    "encode_topic",
    "sbe_level_rows",
    "sbe_record",
    "schema",
]

SUBPROTOCOL: Final = "tickgate.v1.sbe"

Topic = tuple[str, str]
"""Channel and instrument."""

_DECIMALS: Final = {
    "Trade": ("price", "qty"),
    "Bbo": ("bid", "bidQty", "ask", "askQty"),
    "Candle": ("open", "high", "low", "closePrice", "volume"),
    "Instrument": ("tick", "lot"),
    "Status": (),
}
_RECORDS: Final = {
    "Book": "book",
    "Trade": "trade",
    "Bbo": "bbo",
    "Candle": "candle",
    "Instrument": "instrument",
    "Status": "status",
}
_CANDLES: Final = {f"candle{interval}": one.key for interval, one in CANDLES.items()}
"""Channels as the schema names them, and as we do."""
_SCHEMA_NAMES: Final = {key: name for name, key in _CANDLES.items()}
_WORD: Final = re.compile("(?<=.)([A-Z])")
# Members whose name in the schema is another: words that languages or generated codecs keep.
_RENAMED: Final = {
    "fromSeq": "from",
    "toSeq": "to",
    "classNumber": "class",
    "limitName": "limit",
}
_NULLED: Final = frozenset({"intervalMs", "wasMs"})
_TEXTS_OPTIONAL: Final = frozenset({"venue", "subscription"})
_NOTICES: Final = (
    "Gap", "Epoch", "Retired", "ReplayCompleted", "Slow", "Conflation", "LimitExceeded",
    "AuthExpiring", "Shutdown",
)  # fmt: skip


# --- reading --------------------------------------------------------------------------------------


class Decoder:
    """Reads the binary frames of one connection.

    Attributes:
        topics: the topics announced so far, by number; at most SBE_TOPICS_MAX.
    """

    def __init__(self) -> None:
        self.topics: dict[int, Topic] = {}

    def decode(self, frame: bytes) -> list[Message]:
        """The messages of one frame, as `gateway.codec.decode` gives those of JSON.

        A frame of an announcement alone, or of what this version does not know, has none.

        Raises:
            msgspec.DecodeError: it is no frame of ours. What it announced before holds.
        """
        return self.messages(self.record(frame), frame)

    def record(self, frame: bytes) -> tuple[Any, ...] | None:
        """The frame's record as the native core reads it, where it holds one that it knows.

        Raises:
            msgspec.DecodeError: as `decode` does.
        """
        return sbe_record(frame, self.topics)

    def messages(self, record: tuple[Any, ...] | None, frame: bytes) -> list[Message]:
        """The messages of a frame of which `record` gave this record."""
        if record is None:
            return decode(frame, self.topics)
        if record[0] == "trade":
            _, kind, symbol, seq, event, recv, sent, skipped, trade_id, price, qty, side = record
            return [
                TradeMessage(
                    type=kind,
                    symbol=symbol,
                    seq=seq,
                    ts_event=event,
                    ts_recv=recv,
                    ts_send=sent,
                    skipped=skipped,
                    data=(Trade(trade_id, price, qty, side),),
                )
            ]
        if record[0] == "book":
            return [sbe_book.message(record)]
        if record[0] != "bbo":
            channel, kind, symbol, seq, event, recv, sent, skipped, *values = record
            return [
                CandleMessage(
                    type=kind,
                    symbol=symbol,
                    seq=seq,
                    ts_event=event,
                    ts_recv=recv,
                    ts_send=sent,
                    skipped=skipped,
                    data=(Candle(CHANNELS[channel].interval, *values),),
                )
            ]
        _, kind, symbol, seq, event, recv, sent, skipped, bid, bid_qty, ask, ask_qty = record
        return [
            BboMessage(
                type=kind,
                symbol=symbol,
                seq=seq,
                ts_event=event,
                ts_recv=recv,
                ts_send=sent,
                skipped=skipped,
                data=(Quote(bid, bid_qty, ask, ask_qty),),
            )
        ]


def decode(frame: bytes, topics: dict[int, Topic]) -> list[Message]:
    """Does what `Decoder.decode` does, in Python; `topics` are the connection's, and are added to.

    Raises:
        msgspec.DecodeError: as there.
    """
    if not frame:
        raise msgspec.DecodeError("the frame of 0 bytes ends inside a message")
    messages: list[Message] = []
    at = 0
    while at < len(frame):
        found = read(frame, at)
        if found is None:
            break
        name, values, at = found
        if name == "Topic":
            _announce(values, topics)
        elif name in _RECORDS:
            messages.append(_record(name, values, topics))
        else:
            messages.append(_object(name, values))
    return messages


def _announce(values: Values, topics: dict[int, Topic]) -> None:
    number, symbol = values["number"], values["symbol"]
    if not 1 <= len(symbol.encode()) <= NAME_MAX:
        raise msgspec.DecodeError(f"a topic's name that is not 1 to {NAME_MAX} bytes")
    if number not in topics and len(topics) >= SBE_TOPICS_MAX:
        raise msgspec.DecodeError(f"more than {SBE_TOPICS_MAX} topics")
    channel = values["channel"]
    topics[number] = (str(_CANDLES.get(channel, channel)), symbol)


def _record(name: str, values: Values, topics: Mapping[int, Topic]) -> Message:
    channel, number = _RECORDS[name], values["topic"]
    announced, symbol = topics.get(number, ("", ""))
    if announced != channel and not (name == "Candle" and announced in _SCHEMA_NAMES):
        raise msgspec.DecodeError(f"a {channel} of topic {number}, announced as {announced!r}")
    flags = values["flags"]
    if name == "Book":
        return sbe_book.read(values, symbol)
    texts = [text_of(values[one], f"{one}NegativeZero" in flags) for one in _DECIMALS[name]]
    head: dict[str, Any] = {
        "type": "snapshot" if "snapshot" in flags else "update",
        "symbol": symbol,
        "seq": values["seq"],
        "ts_event": values["tsEvent"],
        "ts_recv": values["tsRecv"],
        "ts_send": values["tsSend"],
        "skipped": values["skipped"],
    }
    if name == "Bbo":
        return BboMessage(**head, data=(Quote(*texts),))
    if name == "Status":
        said = Status(printable(values["status"]), printable(values["reason"]))
        return StatusMessage(**head, data=(said,))
    if name == "Instrument":
        return InstrumentMessage(**head, data=(_instrument(values, *texts),))
    if name == "Candle":
        return CandleMessage(**head, data=(_candle(values, CHANNELS[announced].interval, texts),))
    price, qty = texts
    if price is None or qty is None:
        raise msgspec.DecodeError("a trade without a price or a quantity")
    if values["side"] == UNKNOWN:
        raise msgspec.DecodeError("a side that is neither buy nor sell")
    trade_id = values["tradeId"]
    if len(trade_id) > ID_MAX or not (trade_id.isprintable() and trade_id.isascii()):
        raise msgspec.DecodeError(f"a trade's id that is not up to {ID_MAX} of printable ASCII")
    return TradeMessage(**head, data=(Trade(trade_id, price, qty, values["side"]),))


def _instrument(values: Values, tick: str | None, lot: str | None) -> Instrument:
    if values["bbo"] == UNKNOWN:
        raise msgspec.DecodeError("a source of quotes that is neither the venue nor the book")
    return Instrument(
        tick=tick,
        lot=lot,
        price_digits=values["priceDigits"],
        qty_digits=values["qtyDigits"],
        base=printable(values["baseAsset"]),
        quote=printable(values["quoteAsset"]),
        bbo=values["bbo"],
        delay_s=values["delayS"],
        status=printable(values["status"]),
        venue_symbol=printable(values["venueSymbol"]),
    )


def _candle(values: Values, interval: str, texts: Sequence[str | None]) -> Candle:
    numbers = [text for text in texts if text is not None]
    if len(numbers) != len(texts):
        raise msgspec.DecodeError("a candle without a price or a volume")
    flags = {name: values[name] for name in ("closed", "revised", "complete")}
    if not {"yes", "no"}.issuperset(flags.values()):
        raise msgspec.DecodeError("a candle's yes or no that is neither")
    names = ("open", "high", "low", "close", "volume")
    members: dict[str, Any] = dict(zip(names, numbers, strict=True))
    members |= {name: flag == "yes" for name, flag in flags.items()}
    return Candle(interval=interval, start=values["start"], trades=values["trades"], **members)


def _object(name: str, values: Values) -> dict[str, Any]:
    """A heartbeat or a notice as its JSON is."""
    if name == "Heartbeat":
        return {"channel": "heartbeat", **_members(values)}
    rows = values["classes"] if name == "Conflation" else [values]
    return {"channel": "system", "type": _snake(name), "data": [_members(row) for row in rows]}


def _members(values: Values) -> dict[str, Any]:
    row = {}
    for name, value in values.items():
        if name in _NULLED or not (value is None or (name in _TEXTS_OPTIONAL and not value)):
            row[_RENAMED.get(name) or _snake(name)] = value
    if "continues" in row:
        row["continues"] = row["continues"] == "yes"
    if (key := _CANDLES.get(row.get("channel", ""))) is not None:
        row |= {"channel": CHANNELS[key].name, "interval": CHANNELS[key].interval}
    return row


def _snake(name: str) -> str:
    return _WORD.sub(r"_\1", name).lower()


# --- many frames ----------------------------------------------------------------------------------


class Batch(NamedTuple):
    """Records of many frames, in their order; ids of trades are left out.

    The arrays have `seq skipped ts_event ts_recv ts_send topic flags`, and for each decimal NAME
    (price, qty; bid, bid_qty, ask, ask_qty; open, high, low, close, volume) the nearest float
    `NAME` (nan: not there) and, exactly, (`NAME_high` * 2^64 + `NAME_low`) * 10 ^
    `NAME_exponent`, whose exponent 127 says not there. flags & 1 is a snapshot. Books have no
    decimals: those of their levels are in rows of their own.

    Attributes:
        trades: also `side`: 1 buy, 2 sell, 0 not known.
        quotes: best bids and asks.
        others: indexes of the frames that hold anything but records and announcements, for
            `Decoder.decode`.
        candles: also `start`, `trades`, and `closed`, `revised`, `complete`: 1 yes, 0 no.
        books: frames of order books, or their parts (`part` of `parts`, both 0: it is whole). Their
            levels are `levels[first : first + bids + asks]`, bids first. Also `depth`, `checksum`
            (flags & 4: there is one), `frame` (the index of the frame); flags & 2: the venue's
            book is in doubt. The venue's numbers are left out.
        levels: `price`, `qty` (0: the level is gone), `side` 1 bid, 2 ask, and `book`: the index in
            `books`.
    """

    trades: "npt.NDArray[np.void]"
    quotes: "npt.NDArray[np.void]"
    others: "npt.NDArray[np.int64]"
    candles: "npt.NDArray[np.void]"
    books: "npt.NDArray[np.void]"
    levels: "npt.NDArray[np.void]"


def batch(
    frames: Sequence[bytes] | bytes,
    topics: dict[int, Topic],
    lengths: "Sequence[int] | npt.NDArray[np.integer[Any]] | None" = None,
) -> Batch:
    """Reads up to SBE_FRAMES_MAX frames at once, without an object for each record.

    Args:
        frames: each frame; or all of them in one `bytes`, with their lengths.
        topics: gets what the frames announce. Records are not held against it.
        lengths: of the frames, in order.

    Raises:
        msgspec.DecodeError: a frame is none of ours; it is named, and no record is given.
        ValueError: too many frames, or the lengths are not those of the bytes.
    """
    return Batch(*sbe_batch(frames, topics, lengths))


# --- writing --------------------------------------------------------------------------------------


def encode_topic(number: int, channel: str, symbol: str) -> bytes:
    """The announcement of a topic.

    Raises:
        ValueError: the schema has no such channel, or the number is no u32.
    """
    channel = _SCHEMA_NAMES.get(channel, channel)
    return write("Topic", {"number": number, "channel": channel, "symbol": symbol})


def encode_record(
    channel: str,
    kind: Literal["update", "snapshot"],
    number: int,
    row: Row | CandleRow,
    *,
    seq: int,
    ts_recv: int,
    ts_send: int,
    skipped: int = 0,
) -> bytes:
    """Encodes one row as a record of the topic announced by the number; `channel` is a key.

    Raises:
        ValueError: a value does not fit its field.
    """
    name = {label: one for one, label in _RECORDS.items()}[CHANNELS[channel].name]
    _, ts_event, *fields = row
    types = [field.type for field in CHANNELS[channel].fields]
    texts: list[Any] = [text for text, kind in zip(fields, types, strict=True) if kind == "decimal"]
    flags = {"snapshot"} if kind == "snapshot" else set()
    values: Values = {
        "seq": seq,
        "tsEvent": ts_event or ts_recv,
        "tsRecv": ts_recv,
        "tsSend": ts_send,
        "skipped": skipped,
        "topic": number,
        "flags": flags,
    }
    for one, text in zip(_DECIMALS[name], texts, strict=True):
        values[one], negative_zero = decimal_of(text)
        if negative_zero:
            flags.add(f"{one}NegativeZero")
    if name == "Trade":
        values |= {"side": fields[2], "tradeId": fields[3]}
    elif name == "Instrument":
        names = ("priceDigits", "qtyDigits", "baseAsset", "quoteAsset", "bbo", "delayS", "status")
        values |= dict(zip((*names, "venueSymbol"), fields[2:], strict=True))
        values["bbo"] = "derived" if values["bbo"] else "venue"
    elif name == "Status":
        values |= {"status": fields[0], "reason": fields[1]}
    elif name == "Candle":
        closed, revised, partial = ("yes" if flag else "no" for flag in fields[7:])
        complete = "no" if partial == "yes" else "yes"
        values |= {"start": fields[0], "trades": fields[6]}
        values |= {"closed": closed, "revised": revised, "complete": complete}
    return write(name, values)


def encode(message: Mapping[str, Any]) -> bytes:
    """Encodes a heartbeat or a notice, given as the object that its JSON is.

    Raises:
        ValueError: it is none of those, lacks a member, or has one that the schema lacks.
    """
    if message.get("channel") == "heartbeat":
        return write("Heartbeat", _values({k: v for k, v in message.items() if k != "channel"}))
    names = {_snake(name): name for name in _NOTICES}
    name = names.get(message.get("type", "")) if message.get("channel") == "system" else None
    if name is None:
        raise ValueError(f"not a message of the schema: {message!r}")
    rows = message["data"]
    if name == "Conflation":
        return write(name, {"classes": [_values(row) for row in rows]})
    if len(rows) != 1:
        raise ValueError(f"{name}: {len(rows)} elements of data, expected one")
    absent = {text: "" for text in _TEXTS_OPTIONAL & load().by_name[name].names()}
    return write(name, absent | _values(rows[0]))


def _values(row: Mapping[str, Any]) -> Values:
    original = {short: name for name, short in _RENAMED.items()}
    row = dict(row)
    if interval := row.pop("interval", ""):
        row["channel"] = _SCHEMA_NAMES[CANDLES[interval].key]
    values = {original.get(name) or _camel(name): value for name, value in row.items()}
    if "continues" in values:
        values["continues"] = "yes" if values["continues"] else "no"
    return values


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))
