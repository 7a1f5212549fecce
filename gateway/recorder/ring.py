"""The ring's last seconds as chunks of a recording, copied from shared memory while it is written.

Copies are validated as every reader's are (native/README.md): what the writer overtook is a HOLE,
never bytes that were half of one record and half of another.
"""

import os
import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from gateway._native import CHANNELS, RECORD_SIZE, RECORD_SIZE_USUAL, RingReader
from gateway.recording import RECORD_BYTES, Chunk

PROBE_BYTES = 1 << 20
"""The first step back in search of the beginning; each further one is twice as long."""
COPY_RECORDS = 4096
"""Of one chunk: 768 KiB, packed in about a millisecond."""
HOLES_MAX = 8
"""A writer that overtakes this often is faster than we: what comes is not worth its CPU."""

CELL_BYTES = 64
HEADER = np.dtype(
    {
        "names": ["ts_publish", "cells"],
        "formats": ["<i8", "u1"],
        "offsets": [32, 50],
        "itemsize": RECORD_BYTES,
    }
)
"""Of a raw record, when it was published, and what it took in the ring (`gw_header_t`)."""
assert RECORD_SIZE == RECORD_BYTES

channels = CHANNELS


class Copy:
    """One pass over a segment; `epoch` is the segment's. Takes the descriptor, which it closes."""

    def __init__(self, fd: int) -> None:
        try:
            self._reader = RingReader(fd)
        finally:
            os.close(fd)
        self.epoch = self._reader.epoch

    def topics(self) -> list[tuple[str, str]]:
        """The directory so far: every record that is taken afterwards may have a later topic."""
        return self._reader.topics()

    def chunks(
        self,
        since_ns: int,
        bytes_max: int,
        *,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> Iterator[Chunk]:
        """RING and HOLE: records published from `since_ns` (MONOTONIC) to now, the newest
        `bytes_max` of them. Sleeps after each chunk as long as that took, its use included: half a
        CPU at most.
        """
        left = self._begin(since_ns, bytes_max)
        holes = 0
        while left > 0:
            started_s = clock()
            data = self._reader.poll_raw(min(COPY_RECORDS, max(1, left // RECORD_SIZE_USUAL)))
            if data is None:
                holes += 1
                left = self._reader.rewind(left) if holes < HOLES_MAX else 0
                yield Chunk(b"HOLE", b"")
                continue
            if not data:
                return
            left -= int(_headers(data)["cells"].sum(dtype=np.int64)) * CELL_BYTES
            if from_then := _from(data, since_ns):
                yield Chunk(b"RING", from_then)
            sleep(clock() - started_s)

    def close(self) -> None:
        """Unmaps the segment."""
        self._reader.close()

    def _begin(self, since_ns: int, bytes_max: int) -> int:
        """Goes back to a record of before `since_ns`, or as far as it may; the bytes from there."""
        wanted = PROBE_BYTES
        while True:
            there = self._reader.rewind(min(wanted, bytes_max))
            # It begins with a whole record, so up to one of them less than was asked for.
            if there + RECORD_SIZE <= wanted or self._first_ns() < since_ns:
                return self._reader.rewind(there)
            wanted *= 2

    def _first_ns(self) -> int:
        data = self._reader.poll_raw(1)
        # Overtaken already: further back there is nothing.
        return int(_headers(data)["ts_publish"][0]) if data else 0


def _headers(data: bytes) -> npt.NDArray[np.void]:
    return np.frombuffer(data, HEADER)


def _from(data: bytes, since_ns: int) -> bytes:
    """The records from that moment on; they rise."""
    first = int(np.searchsorted(_headers(data)["ts_publish"], since_ns))
    return data[first * RECORD_SIZE :]
