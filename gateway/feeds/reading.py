"""One pass through a capture: what becomes of each entry, in order.

Decoders are of a connection, and so are books where the venue's are; the numbers of trades and
quotes are the venue's, of a topic, and hold over connections: what two of them bring is there once.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, cast
from urllib.parse import urlsplit

from gateway.feeds.books import Books, Doubt
from gateway.feeds.capture import Entry
from gateway.feeds.envelope import NOTES, Opened, Received, Response
from gateway.feeds.feed import Counters, Topics
from gateway.feeds.inferred import Inferred
from gateway.feeds.reference import fields_of
from gateway.feeds.refusals import Refusal, of_input
from gateway.feeds.sequencing import Gap, Outcome
from gateway.feeds.sequencing import Sequence as Numbers
from gateway.feeds.tops import Tops
from gateway.feeds.venues.message import (
    BookMessage,
    Decode,
    Decoded,
    Heartbeat,
    Instrument,
    Item,
    Lost,
    Message,
    Subscription,
)
from gateway.feeds.venues.table import Venue
from gateway.model.record import INSTRUMENT

if TYPE_CHECKING:
    from gateway._native import Row
    from gateway.feeds.venues.message import Top

CONNECTIONS_MAX: Final = 1024
"""Whose decoders are kept; of more the one that was silent for longest begins anew."""

REFERENCE: Final = "reference data"
EMPTY: Final = "message with nothing in it"
DERIVED: Final = "quote of a symbol whose quotes are made of its book"


class After(NamedTuple):
    """A row before which something is to be told to its topic's subscribers."""

    gap: str
    """`feed`: records are missing, `lost` of them; `reset`: the venue numbers anew."""
    lost: int
    row: "Row"


if TYPE_CHECKING:
    Told = Row | After | Refusal | BookMessage | Doubt | Heartbeat


class _Connection(NamedTuple):
    decode: Decode
    suffix: str


class Reading:
    """One pass; the venue's numbers are checked afresh in each."""

    def __init__(
        self,
        venue: Venue,
        counters: Counters,
        topics: dict[str, Topics],
        derives: Callable[[str], bool] | None = None,
        inferred: Inferred | None = None,
    ) -> None:
        """`derives`: of which symbols quotes are made of their books, and the venue's left out;
        `inferred`: what the passes so far have shown of instruments; None: that is not told."""
        self._venue = venue
        self._derives = derives
        self._tops = Tops() if venue.quotes_by_book else None
        self._counters = counters
        self._topics = topics
        self._connections: dict[str, _Connection] = {}
        self._unnamed = venue.connect("")  # of messages without an envelope
        self._books = Books(venue, counters, topics["trade"].refusal)
        self._inferred = inferred
        self._numbers: dict[int, Numbers] = {}
        self._owed: dict[int, tuple[str, int]] = {}
        """What a topic's subscribers are still to be told: before its next record."""

    def read(self, entry: Entry) -> "Told | list[Told] | None":
        """What is to be told of an entry; None where it was counted here, and that is all."""
        read = entry[1]
        if type(read) is bytes:
            return self._decoded(self._unnamed, read, "")
        if isinstance(read, Received):
            decode, suffix = self._connection(read.connection)
            return self._decoded(decode, *read, suffix)
        if isinstance(read, Refusal):
            return read
        if isinstance(read, Response):
            return self._decoded(partial(self._of_response, read.url), read.data, "", url=read.url)
        if isinstance(read, Opened):
            return self._opened(read)
        self._counters.skip(cast("str", read))
        return None

    def _decoded(
        self, decode: Decode, payload: bytes, connection: str, suffix: str = "", url: str = ""
    ) -> "Told | list[Told] | None":
        try:
            decoded = decode(payload)
        except ValueError as error:
            return self._refused(of_input(payload, error, self._venue.identify), suffix, url)
        if type(decoded) is Message:
            record = self._record(decoded)
            if record is None or isinstance(record, Refusal):
                return record
            shown = self._shown(decoded)
            return record if shown is None else [record, shown]
        if not isinstance(decoded, list):
            return [*self._told(decoded, connection)]
        if not decoded:
            self._counters.skip(EMPTY)
        return [one for item in decoded for one in self._told(item, connection)]

    def _refused(self, refusal: Refusal, suffix: str, url: str) -> "list[Told] | Refusal":
        """`url` is of a response, `suffix` of the connection on which it came."""
        channel, symbol = self._venue.requested(url)
        if channel:
            # A book that stands needs no snapshot from beside it, and one without is in doubt.
            return refusal._replace(channel=channel, symbol=symbol)
        if suffix and refusal.symbol:
            refusal = refusal._replace(symbol=refusal.symbol + suffix)
        if refusal.channel != "book":
            return refusal
        if not refusal.symbol:
            return refusal._replace(symbol=self._books.only)
        return [*self._books.doubt(refusal.symbol, refusal.why), refusal]

    def doubt(self, symbol: str, why: str) -> "Iterator[Told]":
        """The symbol's book turned out to be wrong."""
        return self._books.doubt(symbol, why)

    def waits(self, symbol: str) -> bool:
        """Whether the symbol's book waits for a snapshot from beside the stream."""
        return self._books.waits(symbol)

    def stands(self, symbol: str) -> bool:
        """Whether the symbol has a book that is up to date."""
        return self._books.stands(symbol)

    def forget(self, symbol: str) -> None:
        """The instrument has ended."""
        self._books.forget(symbol)

    def end(self) -> None:
        """The last entry was read."""
        self._books.end()

    def _connection(self, name: str) -> _Connection:
        found = self._connections.pop(name, None)
        if found is None:
            return self._connect(name, "")
        self._connections[name] = found  # behind those that were silent since
        return found

    def _connect(self, name: str, address: str) -> _Connection:
        self._connections.pop(name, None)
        while len(self._connections) >= CONNECTIONS_MAX:
            del self._connections[next(iter(self._connections))]
        new = _Connection(self._venue.connect(address), self._venue.suffix(address))
        self._connections[name] = new
        return new

    def _opened(self, opened: Opened) -> "list[Told]":
        self._counters.skip(NOTES["connect"])
        self._connect(*opened)
        return [*self._books.doubt_all(opened.connection, "the connection began anew")]

    def _of_response(self, url: str, body: bytes) -> Decoded:
        if urlsplit(url).path.endswith(self._venue.reference):
            return self._reference(body)
        found = self._venue.respond(url, body)
        return NOTES["http"] if found is None else found

    def _reference(self, body: bytes) -> Decoded:
        """Of what is played alone: a venue lists thousands."""
        topics = self._topics.get(INSTRUMENT)
        if topics is None:
            return REFERENCE
        known = [one for one in self._venue.instruments(body) if topics.known(one.symbol)]
        return [*known] or REFERENCE

    def _told(self, item: Item, connection: str) -> "Iterator[Told]":
        if isinstance(item, Message):
            yield from self._records(item)
        elif isinstance(item, Instrument):
            yield from self.instrument(item)
        elif isinstance(item, BookMessage):
            yield from self._book(item, connection)
        elif isinstance(item, Lost):
            self._lost(item, connection)
            why = "messages of the connection are missing"
            yield from self._books.doubt_all(connection, why, "gap")
        elif isinstance(item, Heartbeat):
            self._counters.skip("heartbeat")
            yield item
        elif isinstance(item, Subscription):
            self._counters.skip("subscription" if item.active else "refused subscription")
        else:
            self._counters.skip(item)

    def _records(self, message: Message) -> "Iterator[Told]":
        record = self._record(message)
        if record is None:
            return
        yield record
        if not isinstance(record, Refusal) and (shown := self._shown(message)) is not None:
            yield shown

    def _book(self, message: BookMessage, connection: str) -> "Iterator[Told]":
        if self._tops is not None and message.last is not None:
            message = message._replace(top=self._tops.of(message.symbol, message.last))
        for told in self._books.take(message, connection):
            shown = self._shown(told) if isinstance(told, BookMessage) else None
            yield told  # whose levels may be gone behind it
            if shown is not None:
                yield shown

    def _shown(self, message: Message | BookMessage) -> "Row | None":
        """What a good message shows of an instrument of which nobody tells."""
        found = None if self._inferred is None else self._inferred.see(message)
        if found is None:
            return None
        derived = self._derives is not None and self._derives(found.symbol)
        row = self._topics[INSTRUMENT].row(found.symbol, fields_of(found, derived=derived))
        if not isinstance(row, Refusal):
            return row
        self._known(found.symbol)  # nobody asked for it: there is no room
        return None

    def _known(self, symbol: str) -> None:
        if self._inferred is not None:
            self._inferred.told(symbol)

    def instrument(self, item: Instrument) -> "Iterator[Row | Refusal]":
        """What the venue says of an instrument."""
        self._known(item.symbol)
        derived = self._derives is not None and self._derives(item.symbol)
        yield self._topics[INSTRUMENT].row(item.symbol, fields_of(item, derived=derived))

    def _lost(self, lost: Lost, connection: str) -> None:
        if lost.messages is None:
            self._counters.reset("connection", connection, lost.number, -1)
        else:
            newest = lost.number - lost.messages - 1
            self._counters.gap(lost.messages, ("connection", connection, lost.number, newest))

    def _record(self, message: Message) -> "Row | Refusal | After | None":
        if message.channel == "bbo" and self._derives is not None and self._derives(message.symbol):
            self._counters.skip(DERIVED)
            return None
        row = self._topics[message.channel].row(message.symbol, message.fields)
        if isinstance(row, Refusal):
            return row
        topic = row[0]
        if not self._counts(message, topic):
            return None
        if self._tops is not None and message.channel == "bbo":
            self._tops.quote(message.symbol, message.last, cast("Top", message.fields[1:]))
        if topic not in self._owed:
            return row
        return After(*self._owed.pop(topic), row)

    def _counts(self, message: Message, topic: int) -> bool:
        """Checks the message's numbers; whether it is a record to publish."""
        counters = self._counters
        why = message.skip
        if message.numbering != "none":
            sequence = self._numbers.get(topic)
            if sequence is None:
                sequence = self._numbers[topic] = Numbers(message.numbering)
            newest = sequence.last
            outcome = sequence.observe(message.first, message.last, message.fields[0])
            if outcome != "next":
                where = (message.channel, message.symbol, message.first, newest)
                why = why or self._unusual(outcome, topic, where)
        if why:
            counters.skip(why)
        return not why

    def _unusual(self, outcome: Outcome, topic: int, where: tuple[str, str, int, int]) -> str:
        """Counts what the numbers show; why the message is no record, "" where it is one."""
        counters = self._counters
        if isinstance(outcome, Gap):
            counters.gap(outcome.lost, where)
            reason, lost = self._owed.get(topic, ("feed", 0))
            self._owed[topic] = (reason, lost + outcome.lost)
        elif outcome == "reset":
            counters.reset(*where)
            self._owed[topic] = ("reset", 0)
        elif outcome == "late":
            counters.late(*where)
            # A late trade is a trade; a quote that is not the newest is of no use.
            return "late" if where[0] == "bbo" else ""
        elif outcome == "duplicate":
            counters.duplicate()
            return "duplicate"
        return ""
