"""The segment: its epoch and seals, the directory, names and what matches them."""

import mmap
import os
import struct
import time
from collections.abc import Callable

import pytest
from support.rows import trade

from gateway import _native
from gateway._native import RingWriter, Segment


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


@pytest.mark.threat("T3")
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
        " BC.V",
        "BC .V",
        "B\u00a0C.V",
        "B\nC.V",
        'B"C.V',
        "B\\C.V",
        "B,C.V",
        "\udc80.V",
        "é" * 49 + ".V",
        "s" * 97 + ".V",
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
        writer.topic("candle", "A.X")
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
    assert segment.match("candle", "*") == (0, 0)
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


def test_impossible_rings_are_refused() -> None:
    for capacity, topics_max in ((5000, 1), (2048, 1), (4096, 0)):
        with pytest.raises(ValueError, match="power of two"):
            RingWriter(capacity, topics_max)


def test_patterns() -> None:
    assert _native.pattern_match("*.BINANCE", "BTCUSDT.BINANCE")
    assert not _native.pattern_match("*.BINANCE", "BTCUSDT.BINANCE_USDM")
