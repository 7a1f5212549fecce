"""The segment as Python sees it: publishing rows, reading them back, names, waiting workers."""

import ctypes
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import _native
from gateway._native import CHANNELS, WAIT_SIZE, RingReader, RingWriter, Segment, StatsPage

BAD_TS = 4
HELD = 4096 // 128  # records that the smallest ring holds


@pytest.fixture
def writer() -> Iterator[RingWriter]:
    writer = RingWriter(1 << 16, 16)
    yield writer
    writer.close()


def trade(topic: int, n: int) -> _native.Row:
    """A row that proves itself: every field is the same number."""
    return (topic, n, str(n), str(n), "buy" if n % 2 else "sell", str(n))


def is_whole(row: dict[str, int | str]) -> bool:
    n = row["ts_event"]
    side = "buy" if int(n) % 2 else "sell"
    return (row["price"], row["qty"], row["id"], row["side"]) == (str(n), str(n), str(n), side)


def test_rows_come_back_digit_for_digit(writer: RingWriter) -> None:
    btc, brk = writer.topic("trade", "BTCUSDT.BINANCE"), writer.topic("bbo", "BRK.B.XNAS")
    reader = RingReader(writer.fd)
    rows: list[_native.Row] = [
        (btc, 1_700_000_000_000_000_001, "64250.10", "0.0150", "buy", 'a"\\ b'),
        (brk, 0, "007.50", "-0.00", "1", "999999999999999999"),
        (btc, 5, "-1.5", "0", None, ""),
    ]
    mono = _native.monotonic_ns()
    assert writer.publish(rows, 1_700_000_000_000_000_777, mono, flags=_native.FLAG_PACED) == []
    records = reader.poll()
    assert records is not None
    first, second, third = records
    assert (first["channel"], first["instrument"]) == ("trade", "BTCUSDT.BINANCE")
    assert (first["price"], first["qty"], first["side"]) == ("64250.10", "0.0150", "buy")
    assert first["id"] == 'a"\\ b'
    assert first["ts_event"] == 1_700_000_000_000_000_001
    assert (second["bid"], second["bid_qty"], second["ask"], second["ask_qty"]) == rows[1][2:]
    assert second["ts_event"] == second["ts_recv"] == 1_700_000_000_000_000_777
    assert (third["price"], third["side"], third["id"]) == ("-1.5", "", "")
    assert [row["seq"] for row in records] == [1, 1, 2]
    assert [row["ring_seq"] for row in records] == [1, 2, 3]
    assert {row["flags"] for row in records} == {_native.FLAG_PACED}
    assert first["ts_publish"] == mono + int(first["ingest_ns"])


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((0, 1, "x", "1", "buy", ""), "decimal"),
        ((0, 1, "1", "1e5", "buy", ""), "decimal"),
        ((0, 1, "1", "1234567890123456789", "buy", ""), "18 digits"),
        ((0, 1, "1", "1", "BUY", ""), "side"),
        ((0, 1, "1", "1", "buy", "x" * 37), "36"),
        ((0, 1, "1", "1", "buy", "é"), "ASCII"),
        ((0, 1, "1", "1", "buy", "a\nb"), "ASCII"),
        ((0, 1, "\udc80", "1", "buy", ""), "text"),
        ((0, 1, 5, "1", "buy", ""), "text"),
        ((0, 1, "1", "1", "buy", None), "text"),
        ((1, 1, "1", "1", None, "1"), "text"),
        ((1, 1, "1", "1", "", "1"), "decimal"),
        ((2, 1, "1", "1", "buy", ""), "topic"),
        ((-1, 1, "1", "1", "buy", ""), "topic"),
        ((1 << 70, 1, "1", "1", "buy", ""), "topic"),
        (("0", 1, "1", "1", "buy", ""), "topic"),
        ((0, -1, "1", "1", "buy", ""), "time"),
        ((0, 1 << 63, "1", "1", "buy", ""), "time"),
        ((0, 1.5, "1", "1", "buy", ""), "time"),
        ((0, 1, "1", "1", "buy"), "six"),
        ([0, 1, "1", "1", "buy", ""], "six"),
        (None, "six"),
    ],
)
def test_f44_a_bad_row_is_named_and_the_others_go_on(
    writer: RingWriter, row: _native.Row, why: str
) -> None:
    topic = writer.topic("trade", "A.X")
    writer.topic("bbo", "A.X")
    reader = RingReader(writer.fd)
    refused = writer.publish([trade(topic, 1), row, trade(topic, 2)], 9, _native.monotonic_ns())
    assert [index for index, _ in refused] == [1]
    assert why in refused[0][1]
    records = reader.poll()
    assert records is not None
    assert [record["seq"] for record in records] == [1, 2]


def test_batches_of_any_length_go_whole(writer: RingWriter) -> None:
    topic = writer.topic("trade", "A.X")
    reader = RingReader(writer.fd)
    for count in (0, 1, 63, 64, 65, 200):
        rows = [trade(topic, n) for n in range(1, count + 1)]
        assert writer.publish(rows, 1, _native.monotonic_ns()) == []
        records = reader.poll() or []
        assert [row["ts_event"] for row in records] == list(range(1, count + 1))
        assert all(map(is_whole, records))


def test_an_epoch_is_eight_characters_and_each_writer_has_its_own() -> None:
    writers = [RingWriter(4096, 1) for _ in range(20)]
    epochs = [writer.epoch for writer in writers]
    assert all(len(epoch) == 8 and epoch.isalnum() and epoch.islower() for epoch in epochs)
    assert len(set(epochs)) == len(epochs)
    assert epochs == sorted(epochs)
    assert abs(int(epochs[-1], 36) - time.time() * 1000) < 5000
    assert Segment(writers[3].fd).epoch == epochs[3]
    for writer in writers:
        writer.close()


def test_nobody_else_can_write_or_resize_a_segment(writer: RingWriter) -> None:
    for protection in (mmap.PROT_WRITE, mmap.PROT_READ | mmap.PROT_WRITE):
        with pytest.raises(PermissionError):
            mmap.mmap(writer.fd, 0, mmap.MAP_SHARED, protection)
    with pytest.raises(PermissionError):
        os.ftruncate(writer.fd, 4096)
    with pytest.raises(PermissionError):
        os.pwrite(writer.fd, b"x", 0)
    assert os.get_inheritable(writer.fd) is False


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT.BINANCE",
        "BRK.B.XNAS",
        "XBT/USD.KRAKEN",
        "SYM001.SIM",
        "!#$%&'()+-:;<=>?@[]^_`{|}~.V",
        "s" * 48 + "." + "V" * 16,
        "...V",
    ],
)
def test_instruments_of_the_grammar_are_taken(writer: RingWriter, name: str) -> None:
    assert writer.topic("trade", name) == writer.topic("trade", name) == 0
    assert Segment(writer.fd).topics() == [("trade", name)]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "BTC",
        ".V",
        "BTC.",
        "BTC.v",
        "BTC.V-W",
        "B C.V",
        "B*C.V",
        'B"C.V',
        "B\\C.V",
        "B,C.V",
        "é.V",
        "s" * 49 + ".V",
        "S." + "V" * 17,
        "S.V\n",
    ],
)
def test_instruments_outside_the_grammar_are_refused(writer: RingWriter, name: str) -> None:
    with pytest.raises(ValueError, match=r"SYMBOL\.VENUE"):
        writer.topic("trade", name)


def test_topics_are_bounded_and_channels_known() -> None:
    writer = RingWriter(4096, 2)
    with pytest.raises(ValueError, match="unknown channel"):
        writer.topic("book", "A.X")
    assert [writer.topic(channel, "A.X") for channel in ("trade", "bbo", "trade")] == [0, 1, 0]
    with pytest.raises(OverflowError, match="all 2 topics"):
        writer.topic("trade", "B.X")
    writer.close()


def test_a_segment_follows_the_directory_as_it_grows(writer: RingWriter) -> None:
    segment = Segment(writer.fd)
    assert (len(segment), segment.find("trade", "A.X"), segment.topics()) == (0, -1, [])
    writer.topic("trade", "A.X")
    writer.topic("bbo", "A.X")
    assert segment.find("bbo", "A.X") == 1
    writer.topic("trade", "AB.Y")
    assert len(segment) == 3
    assert segment.topics(1) == [("bbo", "A.X"), ("trade", "AB.Y")]
    matched = [segment.match("trade", p)[0] for p in ("*", "A*", "*.X", "A.X", "B*")]
    assert matched == [2, 2, 1, 1, 0]
    assert segment.match("book", "*") == (0, 0)
    writer.publish([trade(0, 1), trade(0, 2)], 1, _native.monotonic_ns())
    assert [segment.last_seq(topic) for topic in (0, 1, 2, 99)] == [2, 0, 0, 0]


def test_a_match_says_what_it_cost(writer: RingWriter) -> None:
    writer.topic("trade", "ABAB.X")
    writer.topic("bbo", "ABAB.X")
    segment = Segment(writer.fd)
    assert segment.match("trade", "*") == (1, 8)  # a look at each name
    assert segment.match("trade", "A*X") == (1, 8)  # the ends decide
    assert segment.match("trade", "*Q*Z*") == (0, 8)  # no such letters
    covered, steps = segment.match("trade", "*X*B*A*")  # all its letters, in another order
    assert covered == 0
    assert 8 < steps <= 8 + 6 * 7
    with pytest.raises(ValueError, match="256 bytes"):
        segment.match("trade", "*" * 256)


def test_a_descriptor_that_is_no_segment_is_refused(memory: Callable[[int], int]) -> None:
    for size in (0, 100, 8192):
        with pytest.raises(ValueError, match="no segment"):
            Segment(memory(size))
    with pytest.raises(OSError, match="Bad file descriptor"):
        Segment(-1)


def test_closed_things_say_so(writer: RingWriter) -> None:
    reader, segment = RingReader(writer.fd), Segment(writer.fd)
    for thing in (reader, segment, writer):
        thing.close()
        thing.close()
    for use in (reader.poll, segment.topics, lambda: writer.publish([], 1, 1)):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_impossible_rings_are_refused() -> None:
    for capacity, topics_max in ((5000, 1), (2048, 1), (4096, 0)):
        with pytest.raises(ValueError, match="power of two"):
            RingWriter(capacity, topics_max)


def test_patterns() -> None:
    assert _native.pattern_match("*.BINANCE", "BTCUSDT.BINANCE")
    assert not _native.pattern_match("*.BINANCE", "BTCUSDT.BINANCE_USDM")


# --- what the writer measures -------------------------------------------------------------------


def test_stages_and_counters_of_the_writer(page: StatsPage) -> None:
    writer = RingWriter(1 << 16, 4, stats=page)
    topic, quotes = writer.topic("trade", "A.X"), writer.topic("bbo", "A.X")
    now = _native.monotonic_ns()
    rows: list[_native.Row] = [(topic, 900, "1", "1", None, ""), (quotes, 0, "1", "1", "1", "1")]
    writer.publish(rows * 50, 1000, now - 5_000_000)
    assert page.get("published", CHANNELS["trade"]) == page.get("published", CHANNELS["bbo"]) == 50
    assert page.totals("wire") == (50, 5000, 0, 0)  # those that bear the venue's time
    count, sum_ns, _, negative = page.totals("ingest")
    assert (count, negative) == (100, 0)
    assert sum_ns >= 100 * 5_000_000
    writer.publish(rows, 1000, now, record_wire=False)
    assert page.totals("wire")[0] == 50
    writer.close()


def test_f45_a_venue_s_time_in_the_future_is_counted_and_marked(page: StatsPage) -> None:
    writer = RingWriter(1 << 16, 4, stats=page)
    reader = RingReader(writer.fd)
    topic = writer.topic("trade", "A.X")
    late, early = (topic, 900, "1", "1", None, ""), (topic, 1001, "1", "1", None, "")
    writer.publish([late, early], 1000, _native.monotonic_ns(), feed=3)
    records = reader.poll()
    assert records is not None
    assert [row["flags"] for row in records] == [0, BAD_TS]
    assert records[1]["ts_event"] == 1001  # as the venue sent it
    assert page.totals("wire") == (1, 100, 0, 1)
    assert page.get("clock_anomalies", 3) == 1
    with pytest.raises(ValueError, match="feeds"):
        writer.publish([], 1, 1, feed=64)
    writer.close()


def test_rows_bear_the_arrival_of_their_own_age(page: StatsPage) -> None:
    writer = RingWriter(1 << 16, 4, stats=page)
    reader = RingReader(writer.fd)
    topic = writer.topic("trade", "A.X")
    rows = [(topic, ts_event, "1", price, None, "") for ts_event, price in ((0, "1"), (5, "x"))]
    now = _native.monotonic_ns()
    ages = [10**9, 10**8, 500, 10**10]
    refused = writer.publish([*rows, *rows[:1] * 2], 10**12, now, ages=ages)
    assert refused == [(1, "not a decimal")]
    records = reader.poll()
    assert records is not None
    good = [10**9, 500, 10**10]
    assert [row["ts_recv"] for row in records] == [10**12 - age for age in good]
    assert [row["ts_event"] for row in records] == [10**12 - age for age in good]
    waited = [int(row["ingest_ns"]) for row in records]
    assert waited[0] >= 10**9
    assert waited[1] >= 500
    assert waited[2] == 2**32 - 1  # a record says no more ...
    assert page.totals("ingest")[1] >= 11 * 10**9  # ... the stage does
    with pytest.raises(ValueError, match="1 ages of 2 rows"):
        writer.publish(rows, 1, 1, ages=[0])
    writer.close()


# --- workers --------------------------------------------------------------------------------------


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


# --- faults ---------------------------------------------------------------------------------------


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


def test_f49_a_slot_left_half_written_is_refused(memory: Callable[[int], int]) -> None:
    source = RingWriter(4096, 2)
    topic = source.topic("trade", "A.X")
    source.publish([trade(topic, 1)], 1, _native.monotonic_ns())
    size = os.fstat(source.fd).st_size
    image = bytearray(os.pread(source.fd, size, 0))
    table = 4096 + 4096  # after the header and the directory, a page each
    assert struct.unpack_from("<Q", image, table) == (2,)
    struct.pack_into("<Q", image, table, 3)
    copy = memory(size)
    os.pwrite(copy, image, 0)
    with pytest.raises(BlockingIOError, match="died"):
        Segment(copy).last_seq(topic)
    source.close()


def test_a_reader_goes_back_and_takes_records_as_they_are(writer: RingWriter) -> None:
    topic = writer.topic("trade", "A.SIM")
    reader = RingReader(writer.fd)
    assert (reader.rewind(1 << 40), reader.poll_raw()) == (0, b"")
    rows = [trade(topic, n) for n in range(1, 21)]
    mono = _native.monotonic_ns()
    writer.publish(rows, 1, mono)
    assert reader.rewind(5 * _native.RECORD_SIZE + 1) == 5 * _native.RECORD_SIZE
    data = reader.poll_raw()
    assert data is not None
    assert _native.record_rows(data) == [("trade", mono, row) for row in rows[15:]]
    assert reader.rewind(1 << 40) == 20 * _native.RECORD_SIZE
    assert reader.poll_raw(limit=3) == reader_bytes(writer, 3)
    assert (reader.topics(), reader.epoch) == ([("trade", "A.SIM")], writer.epoch)
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.rewind(1)


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
    assert reader.rewind(1 << 40) == (HELD - HELD // 8) * _native.RECORD_SIZE
    # What the writer overtakes after that is noticed, not delivered.
    for n in range(HELD):
        writer.publish([trade(topic, n + 1)], 1, _native.monotonic_ns())
    assert reader.poll_raw() is None
    reader.close()
    writer.close()


@given(st.binary(min_size=0, max_size=3 * 128))
def test_bytes_of_anybody_are_rows_or_none(data: bytes) -> None:
    if len(data) % _native.RECORD_SIZE:
        with pytest.raises(ValueError, match="whole"):
            _native.record_rows(data)
        return
    assert len(_native.record_rows(data)) == len(data) // _native.RECORD_SIZE


@given(st.binary(min_size=64, max_size=64), st.sampled_from((1, 2)))
def test_a_payload_of_anybody_is_a_row_that_publishing_checks(payload: bytes, kind: int) -> None:
    header = bytearray(64)
    header[48], header[50] = kind, 2
    (row,) = _native.record_rows(bytes(header) + payload)
    if row is None:
        assert kind == CHANNELS["trade"]
        return
    writer = RingWriter(4096, 16)
    writer.topic("trade", "A.SIM")
    writer.publish([row[2]], 1, 1)
    writer.close()
