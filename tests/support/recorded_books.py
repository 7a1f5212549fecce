"""Order books through a recording: what a ring had, what its recording plays, held against it."""

import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from gateway._native import Book, RingReader, RingWriter, book_records
from gateway.recorder.books import Books
from gateway.recorder.recorder import Excerpt, write
from gateway.recorder.ring import BookReader
from support.flight import HEADER

MAYBE_BAD = 8
Side = Sequence[tuple[str, ...]]


class Seen(NamedTuple):
    """A book behind one of its records."""

    last: str
    doubted: bool
    bids: Side
    asks: Side


def side(book: Book, name: str) -> Side:
    """The best level first."""
    return [(level[0], level[1]) for level in book.levels(name)]


class Market:
    """Publishes what a venue might, of some books, and keeps what they were behind each record."""

    def __init__(self, writer: RingWriter, names: Sequence[str], seed: int = 1) -> None:
        self.writer = writer
        self.topics = {name: writer.topic("book", name) for name in names}
        self.books = {name: Book() for name in names}
        self.seen: dict[str, list[Seen]] = {name: [] for name in names}
        self._random = Random(seed)
        self._number = 100
        self._doubted = dict.fromkeys(names, False)

    def snapshot(self, name: str, levels: int = 20) -> None:
        bids = [(f"{100 - n}.5", f"{n + 1}.25") for n in range(levels)]
        asks = [(f"{101 + n}.5", f"{n + 2}.75") for n in range(levels)]
        self.message(name, True, bids, asks)

    def update(self, name: str) -> None:
        # One that is new, so that something changes; and some others.
        sides: list[list[tuple[str, ...]]] = [[("79.5", f"{self._number}.125")], []]
        for _ in range(self._random.randint(1, 4)):
            side = self._random.randint(0, 1)
            price = self._random.randint(80, 100) if side == 0 else self._random.randint(101, 121)
            qty = "0" if self._random.random() < 0.3 else f"{self._random.randint(1, 10**6)}.50"
            sides[side].append((f"{price}.5", qty))
        self.message(name, False, *sides)

    def message(self, name: str, snapshot: bool, bids: Side, asks: Side) -> None:
        self._number += 1
        now_ns = time.monotonic_ns()
        _, published, _, _ = self.writer.book(
            self.topics[name],
            snapshot,
            bids,
            asks,
            time.time_ns(),
            now_ns,
            ts_event=self._number,
            first=self._number,
            last=self._number,
        )
        book = self.books[name]
        (book.replace if snapshot else book.apply)(bids, asks)  # type: ignore[arg-type]
        self._doubted[name] &= not snapshot
        if published:
            self._see(name, str(self._number))

    def doubt(self, name: str) -> None:
        if self.writer.book_doubt(self.topics[name], time.time_ns(), time.monotonic_ns()):
            self._doubted[name] = True
            self._see(name, self.seen[name][-1].last)

    def _see(self, name: str, last: str) -> None:
        book = self.books[name]
        self.seen[name].append(
            Seen(last, self._doubted[name], side(book, "bid"), side(book, "ask"))
        )


def go_round(books: Books, writer: RingWriter) -> None:
    """One whole round of the recorder's."""
    for _ in books.round(BookReader(os.dup(writer.fd))):
        pass


def recorded(
    path: Path, writer: RingWriter, books: Books, since_ns: int, bytes_max: int = 1 << 30
) -> str:
    """Writes the recording that the recorder would."""
    out = io.BytesIO()
    header = msgspec.structs.replace(HEADER, since_ns=since_ns)
    write(out.write, Excerpt(header, [], [], os.dup(writer.fd), books.since), bytes_max)
    path.write_bytes(out.getvalue())
    return str(path)


def played(reader: RingReader) -> dict[str, list[Seen]]:
    """What a ring's records make of its books; each has to say what changed."""
    books: dict[int, Book] = {}
    seen: dict[int, list[Seen]] = {}
    while data := reader.poll_raw():
        for topic, seq, flags, _, reset, _, last, levels in book_records(data):
            assert not reset
            book = books.setdefault(topic, Book())
            if levels:
                book.apply_levels(levels, seq=seq)
            seen.setdefault(topic, []).append(
                Seen(
                    last,
                    bool(flags & MAYBE_BAD),
                    side(book, "bid"),
                    side(book, "ask"),
                )
            )
    names = reader.topics()
    return {names[topic][1]: rows for topic, rows in seen.items()}
