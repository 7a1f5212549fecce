"""The ring: waiting workers, readers that are lapped or go back, writers that are killed."""

import ctypes
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from support.rows import is_whole, trade

from gateway import _native
from gateway._native import FLAG_RETIRED, WAIT_SIZE, RingReader, RingWriter, Segment

USUAL = _native.RECORD_SIZE_USUAL
HELD = 4096 // USUAL  # records that the smallest ring holds


def test_closed_things_say_so(writer: RingWriter) -> None:
    reader, segment = RingReader(writer.fd), Segment(writer.fd)
    for thing in (reader, segment, writer):
        thing.close()
        thing.close()
    for use in (reader.poll, segment.topics, lambda: writer.publish([], 1, 1)):
        with pytest.raises(ValueError, match="closed"):
            use()


class Wait(ctypes.Structure):
    """gw_wait_t, as a worker's plane writes it."""

    _fields_ = (
        ("sleeping", ctypes.c_uint64),
        ("pad", ctypes.c_uint64 * 7),
        ("attached", ctypes.c_uint64),
        ("cursor", ctypes.c_uint64),
        ("epoch", ctypes.c_char * 8),
        ("backlogged", ctypes.c_uint64),
        ("subscribed", ctypes.c_uint64),
        ("pad1", ctypes.c_uint64 * 3),
    )


def test_workers_are_rung_and_their_progress_is_seen(memory: Callable[[int], int]) -> None:
    assert ctypes.sizeof(Wait) == WAIT_SIZE
    wait_fd = memory(2 * WAIT_SIZE)
    events = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2)]
    mapped = mmap.mmap(wait_fd, 2 * WAIT_SIZE)
    waits = (Wait * 2).from_buffer(mapped)
    writer = RingWriter(1 << 16, 4, wait_fd=wait_fd, event_fds=events)
    topic = writer.topic("trade", "A.X")
    waits[1].sleeping = 1
    writer.publish([trade(topic, n) for n in range(10)], 1, _native.monotonic_ns())
    assert [bool(select.select([fd], [], [], 0)[0]) for fd in events] == [False, True]
    assert waits[1].sleeping == 0
    assert os.eventfd_read(events[1]) == 1

    assert (writer.behind(), writer.backlogged(), writer.subscribed()) == (0, 0, 0)
    for wait, cursor in zip(waits, (1280, 256), strict=True):
        wait.attached, wait.epoch, wait.cursor = 1, writer.epoch.encode(), cursor
        wait.backlogged, wait.subscribed = 2, 30
    assert (writer.behind(), writer.backlogged(), writer.subscribed()) == (1024, 4, 60)
    waits[1].epoch = b"00000000"  # it still follows the writer before this one
    assert (writer.behind(), writer.backlogged(), writer.subscribed()) == (0, 2, 30)
    writer.close()
    for fd in events:
        os.close(fd)


def test_wait_pages_must_hold_every_worker(memory: Callable[[int], int]) -> None:
    with pytest.raises(ValueError, match="fewer than"):
        RingWriter(4096, 1, wait_fd=memory(WAIT_SIZE), event_fds=[0, 1])


def test_f48_a_lapped_reader_is_told_once_and_goes_on() -> None:
    writer = RingWriter(4096, 4)
    topic = writer.topic("trade", "A.X")
    reader = RingReader(writer.fd)
    writer.publish([trade(topic, n) for n in range(HELD + 1)], 1, _native.monotonic_ns())
    assert reader.poll() is None
    assert reader.poll() == []
    assert Segment(writer.fd).last_seq(topic) == HELD + 1  # what it missed is in the table
    writer.publish([trade(topic, 7)], 1, _native.monotonic_ns())
    records = reader.poll()
    assert records is not None
    assert [row["seq"] for row in records] == [HELD + 2]
    assert RingReader(writer.fd, from_start=True).poll() is None
    writer.close()


def test_a_reader_from_the_start_sees_what_the_ring_still_holds(writer: RingWriter) -> None:
    topic = writer.topic("trade", "A.X")
    writer.publish([trade(topic, n) for n in range(5)], 1, _native.monotonic_ns())
    assert RingReader(writer.fd).poll() == []
    records = RingReader(writer.fd, from_start=True).poll(limit=3)
    assert records is not None
    assert [row["seq"] for row in records] == [1, 2, 3]


WRITER_FOR_EVER = """
import socket, sys
from gateway import _native
channel = socket.socket(fileno=int(sys.argv[1]))
writer = _native.RingWriter(4096, 4)
topics = [writer.topic("trade", f"S{i}.X") for i in range(4)]
socket.send_fds(channel, [b"x"], [writer.fd])
n = 0
while True:
    rows = []
    for topic in topics * 16:
        n += 1
        rows.append((topic, n, str(n), str(n), "buy" if n % 2 else "sell", str(n)))
    assert writer.publish(rows, n, 1) == []
"""


@pytest.mark.parametrize("after_s", [0.0, 0.003, 0.011, 0.05])
@pytest.mark.threat("T4")
def test_f49_a_writer_killed_in_the_middle_leaves_only_whole_records(after_s: float) -> None:
    ours, theirs = socket.socketpair()
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", WRITER_FOR_EVER, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
    )
    try:
        theirs.close()
        ours.settimeout(30)
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        reader = RingReader(fds[0])
        taken = laps = 0
        kill_at = None
        while kill_at is None or time.monotonic() < kill_at:
            records = reader.poll()
            laps += records is None
            for row in records or ():
                assert is_whole(row), row
                taken += 1
            if taken and kill_at is None:
                kill_at = time.monotonic() + after_s
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        rest = [reader.poll(), reader.poll()]
        assert all(is_whole(row) for records in rest for row in records or ())
        assert reader.poll() in ([], None)
        segment = Segment(fds[0])
        for topic in range(4):
            try:
                assert segment.last_seq(topic) > 0
            except BlockingIOError:  # it died in this very slot
                continue
        os.close(fds[0])
    finally:
        child.kill()
        child.wait(10)
        ours.close()


def test_a_reader_goes_back_and_takes_records_as_they_are(writer: RingWriter) -> None:
    topic = writer.topic("trade", "A.SIM")
    reader = RingReader(writer.fd)
    assert (reader.rewind(1 << 40), reader.poll_raw()) == (0, b"")
    rows = [trade(topic, n) for n in range(1, 21)]
    mono = _native.monotonic_ns()
    writer.publish(rows, 1, mono)
    assert reader.rewind(5 * USUAL + 1) == 5 * USUAL
    data = reader.poll_raw()
    assert data is not None
    assert _native.record_rows(data) == (
        [("trade", mono, 15 + n, row, (16 + n, 4, 0, 0)) for n, row in enumerate(rows[15:])],
        len(data),
    )
    assert reader.rewind(1 << 40) == 20 * USUAL
    assert reader.poll_raw(limit=3) == reader_bytes(writer, 3)
    assert (reader.topics(), reader.epoch) == ([("trade", "A.SIM")], writer.epoch)
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.rewind(1)


def test_quotes_with_one_side_or_none(writer: RingWriter) -> None:
    topic = writer.topic("bbo", "A.SIM")
    sides: list[tuple[str | None, str | None, str | None, str | None]] = [
        ("1.0", "0", None, None),
        (None, None, "0", "0.00000000000000000001"),
        (None, None, None, None),
    ]
    reader = RingReader(writer.fd)
    assert writer.publish([(topic, 1, *four) for four in sides], 1, 1) == []
    records = reader.poll()
    assert records is not None
    names = ("bid", "bid_qty", "ask", "ask_qty")
    assert [tuple(record[name] for name in names) for record in records] == sides
    copy = RingReader(writer.fd, from_start=True).poll_raw()
    assert copy is not None
    assert [row[3][2:] for row in _native.record_rows(copy)[0] if row is not None] == sides


def test_a_record_whose_length_is_a_lie_shows_nothing_of_the_next(writer: RingWriter) -> None:
    topic = writer.topic("trade", "A.SIM")
    rows = [(topic, 1, "1", "2", None, one) for one in ("first", "next")]
    assert writer.publish(rows, 1, 1) == []
    segment = bytearray(os.pread(writer.fd, os.fstat(writer.fd).st_size, 0))
    at = segment.index(b"first", len(segment) - (1 << 16))
    segment[at - 24 + 5] = 80  # id_length, of a record of two cells
    fd = os.memfd_create("lie")
    try:
        os.pwrite(fd, segment, 0)
        records = RingReader(fd, from_start=True).poll()
    finally:
        os.close(fd)
    assert records is not None
    assert [str(record["id"]).rstrip("\0") for record in records] == ["first", "next"]


def test_ids_of_every_length_come_back(writer: RingWriter) -> None:
    """A poll gives at most as many as asked for, whatever cells they take."""
    topic = writer.topic("trade", "A.SIM")
    ids = [("0x" + "9f" * 40)[:length] for length in range(_native.ID_MAX + 1)]
    reader = RingReader(writer.fd)
    assert writer.publish([(topic, 1, "1", "2", None, one) for one in ids], 1, 1) == []
    records: list[dict[str, int | str]] = []
    while found := reader.poll(limit=3):
        assert len(found) <= 3
        records += found
    assert [record["id"] for record in records] == ids
    copy = RingReader(writer.fd, from_start=True).poll_raw()
    assert copy is not None
    assert [row[3][5] for row in _native.record_rows(copy)[0] if row is not None] == ids
    long = "0x" + "9f" * 40
    assert writer.publish([(topic, 1, "1", "2", None, long)], 1, 1) == [
        (0, f"id: longer than 80 characters: {long[:60]!r}...")
    ]


def reader_bytes(writer: RingWriter, count: int) -> bytes:
    reader = RingReader(writer.fd, from_start=True)
    data = reader.poll_raw(limit=count)
    assert data is not None
    return data


def test_a_reader_goes_back_as_far_as_the_ring_holds_but_an_eighth() -> None:
    writer = RingWriter(4096, 16)
    topic = writer.topic("trade", "A.SIM")
    reader = RingReader(writer.fd)
    for n in range(1, 10 * HELD):
        writer.publish([trade(topic, n)], 1, _native.monotonic_ns())
    assert reader.rewind(1 << 40) == (HELD - HELD // 8) * USUAL
    # What the writer overtakes after that is noticed, not delivered.
    for n in range(HELD):
        writer.publish([trade(topic, n + 1)], 1, _native.monotonic_ns())
    assert reader.poll_raw() is None
    reader.close()
    writer.close()


def test_a_place_is_another_topics_and_each_keeps_its_records() -> None:
    writer = RingWriter(1 << 16, 4)
    first = writer.topic("trade", "A.SIM")
    reader, segment = RingReader(writer.fd, from_start=True), Segment(writer.fd)
    assert segment.topics() == [("trade", "A.SIM")]
    writer.publish([(first, 5, "1", "1", "buy", "1")], 1, 1)
    assert writer.retire("trade", "A.SIM")
    assert not writer.retire("trade", "A.SIM")
    assert not writer.retire("health", "A.SIM")
    assert (segment.find("trade", "A.SIM"), segment.topics()) == (-1, [("", "")])
    assert segment.match("trade", "*")[0] == 0
    assert reader.topics() == [("trade", "A.SIM")]
    second = writer.topic("bbo", "B.SIM")  # no worker is attached: at once
    assert second == first
    writer.publish([(second, 5, "1", "2", "3", "4")], 1, 1)
    records = reader.poll()
    assert records is not None
    told = [(row["instrument"], row["seq"], int(row["flags"]) & FLAG_RETIRED) for row in records]
    assert told == [("A.SIM", 1, 0), ("A.SIM", 2, FLAG_RETIRED), ("B.SIM", 1, 0)]
    assert [row["topic"] for row in records] == [0, 0, 1]
    assert (segment.find("bbo", "B.SIM"), segment.last_seq(second)) == (second, 1)
    late = RingReader(writer.fd, from_start=True)
    unnamed = late.poll()
    assert unnamed is not None
    assert [row["instrument"] for row in unnamed] == ["", "", "B.SIM"]


def lives(writer: RingWriter, reader: RingReader, name: str, records: int) -> list[int]:
    """The numbers of an instrument from its beginning to its end, which has one, too."""
    topic = writer.topic("trade", name)
    for n in range(records):
        writer.publish([(topic, 5, "1", "1", "buy", f"{n}")], 1, 1)
    assert writer.retire("trade", name)
    found = reader.poll() or []
    assert {row["instrument"] for row in found} == {name}
    return [int(row["seq"]) for row in found]


def test_an_instrument_that_comes_back_goes_on_with_its_numbers() -> None:
    writer = RingWriter(1 << 16, 4)
    reader = RingReader(writer.fd)
    assert lives(writer, reader, "A.SIM", 2) == [1, 2, 3]
    assert lives(writer, reader, "B.SIM", 1) == [1, 2], "another one has its own"
    assert lives(writer, reader, "A.SIM", 1) == [3, 4], "nobody had the number of the end"
    assert lives(writer, reader, "A.SIM", 0) == [4]
    assert lives(writer, reader, "A.SIM", 1) == [4, 5]
    assert lives(writer, reader, "B.SIM", 1) == [2, 3]


def test_as_many_ended_names_are_remembered_as_there_is_room_for_topics() -> None:
    writer = RingWriter(1 << 16, 4)
    reader = RingReader(writer.fd)
    for number, name in enumerate(("A.SIM", "B.SIM", "C.SIM", "D.SIM")):
        assert lives(writer, reader, name, 5 - number)[0] == 1
    assert lives(writer, reader, "B.SIM", 1)[0] == 5, "now it is the last that has ended"
    assert lives(writer, reader, "E.SIM", 1)[0] == 1, "A.SIM, of 5, is forgotten for it"
    assert lives(writer, reader, "F.SIM", 1)[0] == 6, "it might have been A.SIM"
    assert lives(writer, reader, "A.SIM", 1)[0] == 6
    assert lives(writer, reader, "B.SIM", 1)[0] == 6


def test_a_rewound_reader_finds_the_beginning_behind_an_end() -> None:
    writer = RingWriter(1 << 16, 4)
    topic = writer.topic("trade", "A.SIM")
    reader = RingReader(writer.fd)
    writer.retire("trade", "A.SIM")
    again = writer.topic("trade", "A.SIM")
    assert again == topic
    writer.publish([(again, 5, "1", "1", "buy", "1")], 1, 1)
    for size in (USUAL + 64, USUAL + 1):  # into the end's payload, which begins no record
        assert reader.rewind(size) == USUAL


def test_a_record_longer_than_the_limit_has_room_is_taken_all_the_same(
    writer: RingWriter,
) -> None:
    topic = writer.topic("trade", "A.SIM")
    reader, raw = RingReader(writer.fd), RingReader(writer.fd)
    rows: list[_native.Row] = [
        (topic, n, "1", "2", None, "x" * (80 - n % 2 * 70)) for n in range(1, 10)
    ]
    assert writer.publish(rows, 1, 1) == []
    found: list[int | str] = []
    while records := reader.poll(limit=1):
        found += [row["ts_event"] for row in records]
    assert found == [*range(1, 10)]
    start = raw.position
    data = b""
    while part := raw.poll_raw(limit=1):
        data += part
    assert len(data) == raw.position - start == (4 * 3 + 5 * 2) * 64
    assert [row and row[3] for row in _native.record_rows(data)[0]] == rows
