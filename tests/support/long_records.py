"""Records of the core's test kind, of any length, through reader, recorder, file and replay.

A program of its own, since the extension has to be loaded with a table of kinds that has that one:
`tests/native/test_long_records.py` runs it.
"""

import ctypes
import mmap
import os
import random
import struct
import sys
from pathlib import Path

from gateway import _native
from gateway._native import CHANNELS, record_headers, record_rows
from gateway.recorder.evidence import Arrivals
from gateway.recorder.ring import Copy
from gateway.recording import Reader
from support.flight import recording

CAPACITY = 4 << 20
TOPICS = 4
CELL = 64
HEADER = struct.Struct("<4Q2I2BH2BH4I")
"""`gw_header_t`."""
assert HEADER.size == CELL


class Segment:
    """A segment that C functions write to, as no feed of ours has records of that kind."""

    def __init__(self) -> None:
        self.core = core = ctypes.CDLL(_native.__file__)
        core.gw_segment_size.restype = ctypes.c_size_t
        size = core.gw_segment_size(ctypes.c_uint64(CAPACITY), TOPICS)
        self.fd = _native.create_memory("long-records", size)
        self._memory = mmap.mmap(self.fd, size)
        at = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        where, room = ctypes.c_void_p(at), ctypes.c_size_t(size)
        assert not core.gw_segment_format(
            where, room, ctypes.c_uint64(CAPACITY), TOPICS, b"k3f90000"
        )
        self._writer = ctypes.create_string_buffer(4096)
        assert not core.gw_writer_init(self._writer, where, room)

    def topic(self, channel: str, name: bytes) -> int:
        """Its number."""
        length = ctypes.c_size_t(len(name))
        return int(self.core.gw_writer_topic_add(self._writer, CHANNELS[channel], name, length))

    def publish(self, channel: str, topic: int, ts_publish: int, payload: bytes) -> bytes:
        """The record as the ring has it."""
        cells = 1 + (len(payload) + CELL - 1) // CELL
        header = HEADER.pack(
            0, 1, 2, ts_publish, 3, topic, CHANNELS[channel], 0, cells, 0, 0, 0, 0, 0, 0, 0
        )
        record = ctypes.create_string_buffer(
            (header + payload).ljust(cells * CELL, b"\0"), cells * CELL
        )
        self.core.gw_writer_publish(self._writer, record)
        return record.raw


def text(length: int) -> bytes:
    """The payload of a record of the test kind (`gw_test_t`)."""
    return struct.pack("<H6x", length) + random.Random(length).randbytes(length)


def copied(segment: Segment, since_ns: int, bytes_max: int = 1 << 30) -> list[bytes]:
    """The RING chunks of a recorder's copy."""
    copy = Copy(os.dup(segment.fd))
    chunks = list(copy.chunks(since_ns, bytes_max, sleep=lambda _: None))
    assert copy.topics() == [("test", "A.SIM"), ("trade", "B.SIM")]
    copy.close()
    assert {chunk.kind for chunk in chunks} <= {b"RING"}
    return [chunk.payload for chunk in chunks]


def main(folder: Path) -> None:
    """Raises where a byte is lost on the way."""
    segment = Segment()
    long, usual = segment.topic("test", b"A.SIM"), segment.topic("trade", b"B.SIM")
    trade = struct.pack("<bbBBBBBxqq40s", -2, -3, 3, 4, 1, 1, 0, 125, 15, b"1")
    records = []
    lengths = [0, 1, 120, 121, 184, 185, 5000, 65535 - CELL - 8]
    for n in range(600):
        length = lengths[n % len(lengths)] if n % 3 else n * 7
        records.append(segment.publish("test", long, 1000 + 2 * n, text(length)))
        records.append(segment.publish("trade", usual, 1001 + 2 * n, trade))
    written = b"".join(records)

    there = b"".join(copied(segment, 0))
    assert written.endswith(there)
    assert CAPACITY * 3 // 4 < len(there) < CAPACITY
    for first in (1000, 700, 300, 1):
        taken = copied(segment, 1000 + len(records) - first)
        assert written.endswith(b"".join(taken))
        headers = b"".join(map(record_headers, taken))  # no chunk ends inside a record
        whole = min(first, len(record_headers(there)) // CELL)
        assert len(headers) // CELL == whole
    assert sum(map(len, copied(segment, 0, 1 << 20))) <= 1 << 20

    path = folder / "long.tgrec"
    chunks = [(b"RING", chunk) for chunk in copied(segment, 0)]
    path.write_bytes(recording(*chunks, topics=[("test", "A.SIM"), ("trade", "B.SIM")]))
    with path.open("rb") as file:
        read = b"".join(chunk.payload for chunk in Reader(file) if chunk.kind == b"RING")
    assert read == there
    rows, at = record_rows(read)
    assert at == len(read)
    trades = [row for row in rows if row is not None]
    assert len(trades) * 2 in (len(rows) - 1, len(rows), len(rows) + 1)  # rows have no such texts
    assert [row[2] for row in trades] == [*range(600 - len(trades), 600)]
    assert {row[3][2:] for row in trades} == {("1.25", "0.015", "buy", "1")}
    arrivals = Arrivals(0)
    arrivals.add(read, ["SIM", "SIM"])
    assert arrivals.records == len(rows)
    print(f"{len(rows)} records, {len(read)} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
