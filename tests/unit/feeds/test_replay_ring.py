"""The replay feed's `ring` format: flight recordings made here."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.flight import recording
from support.replaying import replay

from gateway._native import RECORD_SIZE_USUAL, RingReader, RingWriter, record_headers
from gateway.errors import ConfigurationError
from gateway.feeds.options import ReplayOptions
from gateway.feeds.tape import check, played

if TYPE_CHECKING:
    from unit.feeds.conftest import FakePublisher, FakeStats

    from gateway._native import Row

MS = 1_000_000
TRADES: "list[Row]" = [
    (0, 5, "64250.10", "0.0150", "buy", 'a"\\ b'),
    (0, 6, "-0.00", "007", None, ""),
    (0, 7, "123456789012345678", "0.00000000000000001", "sell", "x" * 80),
    (0, 8, "-" + "9" * 38, "0.000000000000123456", "sell", "x" * 40),
]
QUOTE: "Row" = (1, 8, "1.0", "2", None, None)
TOPICS = [("trade", "BRK.B.XNAS"), ("bbo", "BRK.B.XNAS"), ("trade", "BTC.SIM")]


@pytest.fixture
def ring() -> Iterator[RingWriter]:
    writer = RingWriter(1 << 16, 16)
    for topic in TOPICS:
        writer.topic(*topic)
    yield writer
    writer.close()


def taken(ring: RingWriter) -> bytes:
    reader = RingReader(ring.fd, from_start=True)
    data = reader.poll_raw()
    assert data is not None
    return data


def payloads(data: bytes) -> list[bytes]:
    headers = record_headers(data)
    out, at = [], 0
    for header in range(0, len(headers), 64):
        end = at + 64 * int.from_bytes(headers[header + 42 : header + 44], "little")
        out.append(data[at + 64 : end])
        at = end
    assert at == len(data)
    return out


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(
        *records: bytes,
        topics: list[tuple[str, str]] = TOPICS,
        cut: int = 0,
        kind: bytes = b"RING",
    ) -> str:
        data = recording(*((kind, part) for part in records), topics=topics)
        path = tmp_path / "flight.tgrec"
        path.write_bytes(data[: len(data) - cut])
        return str(path)

    return write


def options(path: str, venue: str = "XNAS", speed: float = 0) -> ReplayOptions:
    return ReplayOptions(path=path, format="ring", venue=venue, speed=speed)


async def test_digit_for_digit_under_their_names_and_other_venues_skipped(
    ring: RingWriter, write: Callable[..., str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    ring.publish([*TRADES, QUOTE, (2, 9, "1", "1", "buy", "1")], 1, 1)
    feed = replay(options(write(taken(ring))), publisher, stats)
    await feed.run()
    assert publisher.of("trade", "BRK.B.XNAS") == TRADES
    assert [row[1:] for row in publisher.of("bbo", "BRK.B.XNAS")] == [QUOTE[1:]]
    assert ("trade", "BTC.SIM") not in publisher.topics
    status = feed.statistics()
    assert (status.state, status.records, status.skipped) == ("done", 5, 1)
    assert (status.decode_errors, status.gaps) == (0, 0)


async def test_what_was_played_is_what_was_recorded(
    ring: RingWriter, write: Callable[..., str], stats: "FakeStats"
) -> None:
    """Through the real ring: every byte of the payload comes back."""
    ring.publish([*TRADES, QUOTE], 1, 1)
    data = taken(ring)
    again = RingWriter(1 << 16, 16)
    await replay(options(write(data)), again, stats).run()
    assert payloads(data) == payloads(taken(again))
    again.close()


async def test_the_pace_is_that_of_receipt(
    ring: RingWriter, write: Callable[..., str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    start = time.monotonic_ns() - 10**9
    for number in range(3):
        ring.publish([(0, number, "1", "1", "buy", "")], 1, start + number * 200 * MS)
    feed = replay(options(write(taken(ring)), speed=2), publisher, stats)
    await asyncio.wait_for(feed.run(), 5)
    stamps = [int(str(batch["mono_recv"])) for batch in publisher.batches]
    assert len(stamps) == 3
    assert 190 * MS < stamps[-1] - stamps[0] < 2000 * MS


async def test_f42_a_hole_in_the_copy_is_a_gap(
    ring: RingWriter, write: Callable[..., str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    ring.publish([(0, n, "1", "1", "buy", "") for n in range(10)], 1, 1)
    data = taken(ring)
    feed = replay(
        options(write(data[: 2 * RECORD_SIZE_USUAL], data[7 * RECORD_SIZE_USUAL :])),
        publisher,
        stats,
    )
    await feed.run()
    status = feed.statistics()
    assert (status.records, status.gaps, status.lost) == (5, 1, 5)
    assert [(row[1], *told) for row, *told in publisher.gaps] == [(7, "feed", 5)]


async def test_what_subscribers_were_told_of_a_gap_they_are_told_again(
    ring: RingWriter, write: Callable[..., str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    for number, gap, lost in ((1, "", 0), (2, "feed", 3), (3, "reset", 0)):
        ring.publish([(0, number, "1", "1", "buy", "")], 1, 1, gap=gap, lost=lost)
    await replay(options(write(taken(ring))), publisher, stats).run()
    assert [(row[1], *told) for row, *told in publisher.gaps] == [(2, "feed", 3), (3, "reset", 0)]


async def test_topics_begin_as_they_were_and_what_no_feed_brings_is_skipped(
    ring: RingWriter, write: Callable[..., str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    status = ring.topic("status", "BRK.B.XNAS")
    ring.publish([(status, 3, "halted", "news")], 1, 1)  # type: ignore[list-item]
    ring.suspect(0, "refused", 1, 1)
    ring.publish([QUOTE], 1, time.monotonic_ns() + 10**12)  # received long after, and no pause
    reader = RingReader(ring.fd, from_start=True)
    data = reader.poll_raw() or b""
    feed = replay(
        options(write(data, topics=reader.topics(), kind=b"LAST"), speed=1), publisher, stats
    )
    await asyncio.wait_for(feed.run(), 5)
    assert [tuple(row[1:]) for row in publisher.of("status", "BRK.B.XNAS")] == [
        (3, "halted", "news")
    ]
    assert len(publisher.of("bbo", "BRK.B.XNAS")) == 1
    assert feed.statistics().skipped == 1
    assert {channel for channel, _ in publisher.topics} == {"trade", "bbo", "status"}


async def test_a_hole_of_another_venue_s_topic_is_not_this_feed_s(
    ring: RingWriter, write: Callable[..., str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    ring.publish([(2, n, "1", "1", "buy", "") for n in range(10)], 1, 1)
    data = taken(ring)
    path = write(data[: 2 * RECORD_SIZE_USUAL], data[7 * RECORD_SIZE_USUAL :])
    feed = replay(options(path), publisher, stats)
    await feed.run()
    assert feed.statistics().gaps == 0
    feed = replay(options(path, "SIM"), publisher, stats)
    await feed.run()
    assert feed.statistics().gaps == 1


async def test_f44_records_of_anybody_are_counted_and_skipped(
    ring: RingWriter, write: Callable[..., str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    ring.publish([TRADES[0]], 1, 1)
    good = taken(ring)

    def changed(at: int, *values: int) -> bytes:
        return good[:at] + bytes(values) + good[at + len(values) :]

    bad = [
        changed(36, 99),  # a topic that there is not
        changed(36, 1),  # a trade on a topic of quotes
        changed(40, 6),  # a kind that there is not
        changed(42, 9),  # of nine cells
        changed(42, 3),  # of three cells, and the payload knows of no third
        changed(64 + 5, 200),  # an id of 200 bytes
        changed(64 + 4, 9),  # a side that there is not
        changed(64 + 24, 0xFF),  # an id that is no text
        os.urandom(64) + good[64:],
    ]
    path = write(good, *bad, good[:100], good)
    feed = replay(options(path), publisher, stats)
    await feed.run()
    status = feed.statistics()
    assert publisher.rows == [TRADES[0], TRADES[0]]
    assert (status.state, status.decode_errors) == ("done", len(bad) + 1)


async def test_f44_one_cut_short_fails_after_what_it_had(
    ring: RingWriter, write: Callable[..., str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    ring.publish(TRADES, 1, 1)
    path = write(taken(ring), taken(ring), cut=30)
    feed = replay(options(path), publisher, stats)
    await feed.run()
    assert feed.statistics().state == "failed"
    assert "cut off" in feed.statistics().message
    assert publisher.rows == TRADES


def test_files_that_will_not_do(write: Callable[..., str], tmp_path: Path) -> None:
    path = write()
    assert check(options(path)) is None
    wrong = check(options(path, "BINANCE"))
    assert wrong == ("venue", f"found BINANCE; {path} has instruments of XNAS, SIM")
    assert check(options(str(tmp_path / "no"))) == (
        "path",
        f"{tmp_path / 'no'}: No such file or directory",
    )
    (tmp_path / "text").write_text("no recording")
    assert check(options(str(tmp_path / "text"))) == (
        "path",
        f"{tmp_path / 'text'}: not a recording",
    )


def test_the_feeds_that_play_a_whole_file(write: Callable[..., str], tmp_path: Path) -> None:
    ring = {"type": "replay", "path": write(), "format": "ring"}
    assert played([write()]) == [ring | {"venue": "XNAS"}, ring | {"venue": "SIM"}]
    (tmp_path / "x.gz").write_bytes(b"\x1f\x8b")
    capture = str(tmp_path / "x.gz")
    assert played([capture]) == [{"type": "replay", "path": capture}]
    (tmp_path / "y.gz").write_bytes(b"\x1f\x8b")
    both = [capture, str(tmp_path / "y.gz")]
    assert played([str(tmp_path / "*.gz")]) == played(both) == [{"type": "replay", "path": both}]
    with pytest.raises(ConfigurationError, match="second file of a flight recording"):
        played([capture, write()])
    with pytest.raises(ConfigurationError, match="no instrument"):
        played([write(topics=[])])
    with pytest.raises(ConfigurationError, match="No such file"):
        played([str(tmp_path / "none")])


async def test_an_instrument_ends_where_it_ended(
    ring: RingWriter, write: Callable[..., str], publisher: "FakePublisher", stats: "FakeStats"
) -> None:
    ring.publish([TRADES[0]], 1, 1)
    assert ring.retire("trade", "BRK.B.XNAS")
    reader = RingReader(ring.fd, from_start=True)
    data = reader.poll_raw()
    assert data is not None
    again = ring.topic("trade", "BRK.B.XNAS")
    ring.publish([(again, *TRADES[1][1:])], 1, 1)
    data += reader.poll_raw() or b""
    feed = replay(options(write(data, topics=reader.topics())), publisher, stats)
    await feed.run()
    first, second = [topic for topic, event in enumerate(publisher.rows) if event]
    assert (first, second) == (0, 1)
    topic = publisher.rows[0][0]
    assert publisher.events == [topic, (topic, "retired"), publisher.rows[1][0]]
