"""What a replay plays: the records of one file, of one venue, pass after pass.

A tape yields (stamp in ns, row) in order and counts what it cannot. Only distances between stamps
mean anything: those of a capture are REALTIME, those of a recording MONOTONIC of another boot.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from gateway import log
from gateway._native import record_rows
from gateway.errors import ConfigurationError
from gateway.feeds.capture import merged, symbols
from gateway.feeds.feed import Counters, Topics
from gateway.feeds.files import CaptureError, expand
from gateway.feeds.inferred import Inferred
from gateway.feeds.reading import Reading
from gateway.feeds.reference import fields_of, of_options
from gateway.feeds.refusals import Refusal
from gateway.feeds.ring_records import Ended, RingRecords
from gateway.feeds.venues.message import Message
from gateway.feeds.venues.table import VENUES
from gateway.model.record import BOOK, INSTRUMENT
from gateway.recording import MAGIC, Reader, RecordingError, topics_of

if TYPE_CHECKING:
    from gateway._native import Raw
    from gateway.feeds.options import ReplayOptions
    from gateway.feeds.reading import Told

_log = log.get("feeds")

SLICE_RECORDS = 256
"""Decoded at once, holding the interpreter: 0.2 ms."""


def derives(options: "ReplayOptions") -> Callable[[str], bool] | None:
    """Of which symbols quotes are made of their books; None: of none, as a recording has them."""
    venue = VENUES.get(options.format)
    if venue is None or options.bbo == "venue":
        return None
    return venue.derives if options.bbo == "auto" else lambda symbol: True


class Tape(Protocol):
    """A file that can be played."""

    def notes(self) -> list[str]:
        """What else there is to say of what was played."""

    def register(self) -> None:
        """Makes the topics known at once, so that clients find them before the first record."""

    def doubt(self, symbol: str, why: str) -> "Iterator[Told]":
        """The symbol's book turned out to be wrong: what is to be told; a snapshot mends it."""

    def records(self) -> "Iterator[tuple[int, Told | Ended] | None]":
        """One pass; None for what is no record of ours. A refused input whose stamp can't be read
        has 0. CaptureError: it cannot be read (on)."""


class CaptureTape:
    """Raw messages of a venue; their own numbers are checked afresh in each pass."""

    def __init__(
        self, options: "ReplayOptions", counters: Counters, topics: dict[str, Topics]
    ) -> None:
        self._pattern = options.path
        self._paced = options.speed > 0
        self._venue = VENUES[options.format]
        self._counters = counters
        self._topics = topics
        self._cut: dict[str, None] = {}
        self._derives = derives(options)
        self._untold = [of_options(one) for one in options.instruments]
        self._inferred = Inferred(self._venue.assets)
        self._reading = self._read()

    def _read(self) -> Reading:
        inferred = self._inferred if INSTRUMENT in self._topics else None
        return Reading(self._venue, self._counters, self._topics, self._derives, inferred)

    def register(self) -> None:
        files = expand(self._pattern)
        for symbol in symbols(files, self._venue, paced=self._paced, good=self._good):
            for channel in ("trade", "bbo"):  # not every instrument has the others
                self._topics[channel][symbol]

    def _good(self, message: Message) -> bool:
        return not self._topics[message.channel].refusal(message.fields)

    def notes(self) -> list[str]:
        return [f"{path} was cut short" for path in self._cut]

    def records(self) -> "Iterator[tuple[int, Told | Ended] | None]":
        self._reading = self._read()
        read = self._reading.read
        for known in self._untold:
            derived = self._derives is not None and self._derives(known.symbol)
            self._inferred.told(known.symbol)
            yield 0, self._topics[INSTRUMENT].row(known.symbol, fields_of(known, derived=derived))
        self._untold = []
        for entry in merged(expand(self._pattern), self._tell_cut, paced=self._paced):
            told = read(entry)
            if isinstance(told, list):
                for one in told:
                    yield entry[0], one
            else:
                yield None if told is None else (entry[0], told)
        self._reading.end()

    def doubt(self, symbol: str, why: str) -> "Iterator[Told]":
        return self._reading.doubt(symbol, why)

    def _tell_cut(self, path: str, count: int, why: str) -> None:
        if path not in self._cut:  # once, however often it is played
            self._cut[path] = None
            _log.warning("replay.cut", feed=self._counters.name, path=path, lines=count, why=why)


class RingTape:
    """A flight recording's copy of the ring: topics keep their names, other venues' are skipped.

    States come first, and at once: records before the recording's first second as well, which are
    there for books. What the gateway makes of records itself, candles and health, it makes again.
    """

    def __init__(
        self, options: "ReplayOptions", counters: Counters, topics: dict[str, Topics]
    ) -> None:
        self._path = _one(options.path)
        self._venue = options.venue
        self._counters = counters
        self._topics = topics
        self._records = RingRecords(options.venue, counters, topics)

    def register(self) -> None:
        for channel, symbol in known(self._path, self._venue):
            if channel in self._topics and channel != BOOK:
                self._topics[channel][symbol]

    def notes(self) -> list[str]:
        return []

    def doubt(self, symbol: str, why: str) -> "Iterator[Told]":
        self._records.books.lose(symbol)
        return iter(())

    def records(self) -> "Iterator[tuple[int, Told | Ended] | None]":
        self._records = RingRecords(self._venue, self._counters, self._topics)
        with _opened(self._path) as reader:
            since_ns = reader.header.since_ns
            for kind, payload in _chunks_of(self._path, reader):
                if kind == b"TOPC":
                    self._records.name(_topics(self._path, payload))
                elif kind == b"BOOK":
                    for told in self._records.state(payload):
                        yield 0, told
                elif kind in (b"RING", b"LAST"):
                    for read in _records(payload):
                        yield from self._take(read, since_ns, kind == b"LAST")

    def _take(
        self, read: "Raw | Refusal | None", since_ns: int, state: bool
    ) -> "Iterator[tuple[int, Told | Ended] | None]":
        """`state`: it is what a topic was before."""
        if read is None or isinstance(read, Refusal):
            yield 0, read or Refusal("line", "not a record")
            return
        channel, received_ns, *_ = read
        at_ns = 0 if state or (channel == BOOK and received_ns < since_ns) else received_ns
        for told in self._records.take(read, state=state):
            yield None if told is None else (at_ns, told)


def _records(payload: bytes) -> "Iterator[Raw | Refusal | None]":
    """Of a chunk, some at a time."""
    at = 0
    while at < len(payload):
        try:
            rows, at = record_rows(payload, at, SLICE_RECORDS)
        except ValueError:
            yield Refusal("line", "part of a record")
            return
        yield from rows


def open_tape(options: "ReplayOptions", counters: Counters, topics: dict[str, Topics]) -> Tape:
    """The tape of the options' format; `topics` are of the feed's channels."""
    return (RingTape if options.format == "ring" else CaptureTape)(options, counters, topics)


def check(options: "ReplayOptions") -> tuple[str, str] | None:
    """(key, message) of what is wrong with the file, if it is."""
    try:
        if options.format != "ring":
            symbols(expand(options.path), VENUES[options.format], paced=options.speed > 0)
        elif not known(path := _one(options.path), options.venue):
            there = ", ".join(venues(path)) or "none at all"
            return "venue", f"found {options.venue}; {path} has instruments of {there}"
    except CaptureError as error:
        return "path", str(error)
    return None


def _one(paths: str | Sequence[str]) -> str:
    """Of a recording there is one file: its copies of a ring have no common clock. CaptureError."""
    found = expand(paths)
    if len(found) > 1:
        raise CaptureError(f"{found[1]}: the second file of a flight recording; it has one")
    return found[0]


# --- recordings -----------------------------------------------------------------------------------


def is_recording(path: str) -> bool:
    """Whether the file begins as one. CaptureError."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise CaptureError(f"{path}: {error.strerror or error}") from error


def played(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Options of the feeds that play the whole file: of a recording, one for each venue in it; of
    captures, one for all of them.

    Raises:
        ConfigurationError: one cannot be read, or a recording has no instrument.
    """
    try:
        files = expand(paths)
        path = files[0]
        if not any([is_recording(one) for one in files]):
            return [{"type": "replay", "path": path if len(files) == 1 else files}]
        path = _one(files)
        found = venues(path)
    except CaptureError as error:
        raise ConfigurationError(str(error)) from None
    if not found:
        raise ConfigurationError(f"{path}: no instrument in it")
    return [{"type": "replay", "path": path, "format": "ring", "venue": one} for one in found]


def venues(path: str) -> list[str]:
    """Of a recording's instruments, in order of appearance. CaptureError."""
    return list(dict.fromkeys(name.rpartition(".")[2] for _, name in _directory(path)))


def known(path: str, venue: str) -> list[tuple[str, str]]:
    """(channel, symbol) of the venue's topics that were there when the recording began."""
    end = f".{venue}"
    return [
        (channel, name.removesuffix(end))
        for channel, name in _directory(path)
        if name.endswith(end)
    ]


def _directory(path: str) -> list[tuple[str, str]]:
    topics: list[tuple[str, str]] = []
    with _opened(path) as reader:
        for kind, payload in _chunks_of(path, reader):
            if kind == b"RING":
                break
            if kind == b"TOPC":
                topics += _topics(path, payload)
    return topics


def _topics(path: str, payload: bytes) -> list[tuple[str, str]]:
    try:
        return topics_of(payload)
    except RecordingError as error:
        raise CaptureError(f"{path}: {error}") from error


@contextmanager
def _opened(path: str) -> Iterator[Reader]:
    """CaptureError where the file is missing, or no recording."""
    try:
        with open(path, "rb") as file:
            yield Reader(file)
    except OSError as error:
        raise CaptureError(f"{path}: {error.strerror or error}") from error
    except RecordingError as error:
        raise CaptureError(f"{path}: {error}") from error


def _chunks_of(path: str, reader: Reader) -> Iterator[tuple[bytes, bytes]]:
    """Every chunk. CaptureError where it is cut short."""
    yield from reader
    if reader.problem:
        raise CaptureError(f"{path}: {reader.problem}")
