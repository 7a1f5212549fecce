"""The ring's last seconds as chunks of a recording, copied from shared memory while it is written.

Copies are validated as every reader's are (native/README.md): what the writer overtook is a HOLE,
never bytes that were half of one record and half of another.
"""

import os
import struct
import time
from collections.abc import Callable, Iterator
from typing import Final

from gateway._native import (
    CHANNELS,
    RECORD_SIZE_MAX,
    RECORD_SIZE_USUAL,
    RingReader,
    record_headers,
)
from gateway.recording import CHUNK_BYTES_MAX, Chunk

PROBE_BYTES = 1 << 20
"""The first step back in search of the beginning; each further one is twice as long."""
COPY_RECORDS = 4096
"""Of one chunk: 512 KiB of the ring, packed in about a millisecond."""
assert max(COPY_RECORDS * RECORD_SIZE_USUAL, RECORD_SIZE_MAX) <= CHUNK_BYTES_MAX
HOLES_MAX = 8
"""A writer that overtakes this often is faster than we: what comes is not worth its CPU."""
_TS_PUBLISH: Final = struct.Struct("<24xq")
"""Of a record (`gw_header_t`)."""

channels = CHANNELS
headers = record_headers


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
        reader = self._reader
        left = self._begin(since_ns, bytes_max)
        end = reader.position + left
        holes = 0
        while left > 0:
            started_s, before = clock(), reader.position
            data = reader.poll_raw(
                min(COPY_RECORDS, max(1, left // RECORD_SIZE_USUAL)), since_ns=since_ns
            )
            if data is None:
                holes += 1
                left = reader.rewind(left) if holes < HOLES_MAX else 0
                end = reader.position + left
                yield Chunk(b"HOLE", b"")
                continue
            if reader.position == before:
                return
            left = end - reader.position
            if data:
                yield Chunk(b"RING", data)
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
            if there + RECORD_SIZE_MAX <= wanted or self._first_ns() < since_ns:
                return self._reader.rewind(there)
            wanted *= 2

    def _first_ns(self) -> int:
        data = self._reader.poll_raw(1)
        # Overtaken already: further back there is nothing.
        return int(_TS_PUBLISH.unpack_from(data)[0]) if data else 0
