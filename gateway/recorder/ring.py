"""The ring's last seconds as chunks of a recording, copied from shared memory while it is written.

Copies are validated as every reader's are (native/README.md): what the writer overtook is a HOLE,
never bytes that were half of one record and half of another.

A recording begins with the states that its records go on from: of topics of which the newest record
is one (LAST), and of books (BOOK), each as it was before the recording's first second, with all of
its records since. Further copies of a book come where they are in the ring, since a message of very
many levels leaves none in its record; and after a HOLE all books come again.
"""

import os
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from gateway._native import (
    CHANNELS,
    RECORD_SIZE_MAX,
    RECORD_SIZE_USUAL,
    RingReader,
    book_state_of,
    record_headers,
)
from gateway.recording import CHUNK_BYTES_MAX, Chunk, pack, unpack

PROBE_BYTES = 1 << 20
"""The first step back in search of the beginning; each further one is twice as long."""
COPY_RECORDS = 4096
"""Of one chunk: 512 KiB of the ring, packed in about a millisecond."""
assert max(COPY_RECORDS * RECORD_SIZE_USUAL, RECORD_SIZE_MAX) <= CHUNK_BYTES_MAX
HOLES_MAX = 8
"""A writer that overtakes this often is faster than we: what comes is not worth its CPU."""
STEP_TOPICS = 4096
"""Whose states are looked for in a step: some milliseconds."""
_TS_PUBLISH: Final = struct.Struct("<24xq")
"""Of a record (`gw_header_t`)."""

_NOTHING: Final = Chunk(b"", b"")

channels = CHANNELS
headers = record_headers


class State(NamedTuple):
    """A book as it was.

    Attributes:
        copied_ns: MONOTONIC: it was so then.
        position: in the ring: all records before it are in the book.
        owner: the topic and its generation.
        place: in the pool.
        round: the first one that found it changed.
        parts: as chunks of a recording have them, each packed.
    """

    copied_ns: int
    position: int
    owner: int
    place: int
    round: int
    parts: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(map(len, self.parts))


class Found(NamedTuple):
    """A book out of the pool; `parts` are empty where it is the same as before."""

    owner: int
    seq: int
    position: int
    levels: int
    parts: list[bytes]

    def state(self, copied_ns: int, place: int, number: int) -> State:
        """To keep, with the number of this round."""
        parts = tuple(map(pack, self.parts))
        return State(copied_ns, self.position, self.owner, place, number, parts)


def _opened(fd: int) -> RingReader:
    """Of the descriptor, which is closed."""
    try:
        return RingReader(fd)
    finally:
        os.close(fd)


class BookReader:
    """Books of a segment by their places in its pool. Takes the descriptor, which it closes."""

    def __init__(self, fd: int) -> None:
        self._reader = _opened(fd)
        self.epoch = self._reader.epoch
        self.places = self._reader.books_max
        self.position = self._reader.position

    def at(self, place: int, owner: int, seq: int) -> Found | None:
        """The book there, None where there is none; owner and seq are those of the last copy.

        Raises:
            BlockingIOError: it is being written all the while.
        """
        found = self._reader.book_at(place, owner, seq)
        return None if found is None else Found(*found)

    def close(self) -> None:
        """Unmaps the segment."""
        self._reader.close()


class Copy:
    """One pass over a segment; `epoch` is the segment's. Takes the descriptor, which it closes."""

    def __init__(self, fd: int) -> None:
        self._reader = _opened(fd)
        self.epoch = self._reader.epoch

    def topics(self) -> list[tuple[str, str]]:
        """The directory so far: every record that is taken afterwards may have a later topic."""
        return self._reader.topics()

    def chunks(
        self,
        since_ns: int,
        bytes_max: int,
        books: Sequence[State] = (),
        *,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> Iterator[Chunk]:
        """LAST, BOOK, RING and HOLE: records published from `since_ns` (MONOTONIC) to now, the
        newest `bytes_max` of them, with `books` (`Books.since`) and the records that follow those.
        Sleeps after each step as long as that took, its use included: half a CPU at most.
        """
        started_s = clock()
        for chunk in self._chunks(since_ns, bytes_max, books):
            if chunk.payload or chunk.kind == b"HOLE":  # else it is the end of a step alone
                yield chunk
            sleep(clock() - started_s)
            started_s = clock()

    def close(self) -> None:
        """Unmaps the segment."""
        self._reader.close()

    def _chunks(self, since_ns: int, bytes_max: int, books: Sequence[State]) -> Iterator[Chunk]:
        reader = self._reader
        states = deque(books)
        books_ns = min([since_ns, *(state.copied_ns for state in books)])
        left = self._begin(since_ns, bytes_max)
        start = reader.position
        yield from self._states_before(since_ns)
        if states:
            start = min(start, max(states[0].position, start + left - bytes_max, 0))
        left = reader.seek(start)
        end, holes = reader.position + left, 0
        while left > 0:
            before, limit = reader.position, min(COPY_RECORDS, max(1, left // RECORD_SIZE_USUAL))
            # A reader keeps a state that comes before the record of its seq.
            until = before + max(limit * RECORD_SIZE_USUAL, RECORD_SIZE_MAX)
            while states and states[0].position <= until:
                yield from self._state(states.popleft())
            data = reader.poll_raw(limit, since_ns=since_ns, books_since_ns=books_ns)
            if data is None:
                holes += 1
                for state in self._books_now() if holes < HOLES_MAX else ():
                    yield _NOTHING
                    if state is not None:
                        states.append(state)
                left = reader.rewind(left) if holes < HOLES_MAX else 0
                end = reader.position + left
                yield Chunk(b"HOLE", b"")
                continue
            if reader.position == before:
                break
            left = end - reader.position
            yield Chunk(b"RING", data)
        for state in states:
            yield from self._state(state)

    def _state(self, state: State) -> Iterator[Chunk]:
        """A book as this file's readers know it."""
        number = self._reader.number_of(state.owner)
        for part in state.parts:
            yield Chunk(b"BOOK", book_state_of(unpack(part), number))

    def _books_now(self) -> Iterator[State | None]:
        """A copy of each book, a step at a time; None where there is none."""
        for place in range(self._reader.books_max):
            try:
                found = self._reader.book_at(place)
            except BlockingIOError:
                found = None  # its next message tells
            if found is not None:
                yield Found(*found).state(time.monotonic_ns(), place, 0)
            elif place % STEP_TOPICS == 0:
                yield None

    def _begin(self, since_ns: int, bytes_max: int) -> int:
        """Goes back to a record of before `since_ns`, or as far as it may; the bytes from there."""
        wanted = PROBE_BYTES
        while True:
            there = self._reader.rewind(min(wanted, bytes_max))
            # It begins with a whole record, so up to one of them less than was asked for.
            if there + RECORD_SIZE_MAX <= wanted or self._first_ns() < since_ns:
                return self._reader.rewind(there)
            wanted *= 2

    def _first_ns(self) -> int:
        data = self._reader.poll_raw(1)
        # Overtaken already: further back there is nothing.
        return int(_TS_PUBLISH.unpack_from(data)[0]) if data else 0

    def _states_before(self, since_ns: int) -> Iterator[Chunk]:
        """What topics were before the first record, some topics at a time."""
        reader = self._reader
        start, places = reader.position, reader.places
        for first in range(0, places, STEP_TOPICS):
            yield Chunk(b"LAST", reader.states_before(first, first + STEP_TOPICS, start, since_ns))
