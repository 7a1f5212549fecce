"""The copy of the ring's last seconds: what it takes, and that it says where something lacks."""

import os
import time
from collections.abc import Iterator

import pytest

from gateway._native import RECORD_SIZE_USUAL, RingWriter, record_rows
from gateway.recorder import ring
from gateway.recording import Chunk

RECORDS = 8192
"""What the ring of these tests holds."""


@pytest.fixture
def writer() -> Iterator[RingWriter]:
    writer = RingWriter(RECORDS * RECORD_SIZE_USUAL, 16)
    writer.topic("trade", "A.SIM")
    yield writer
    writer.close()


def publish(writer: RingWriter, *numbers: int) -> None:
    rows = [(0, n, "1.10", "2", "buy", str(n)) for n in numbers]
    assert writer.publish(rows, 1, time.monotonic_ns()) == []


def copied(writer: RingWriter, since_ns: int, bytes_max: int = 1 << 30) -> list[Chunk]:
    copy = ring.Copy(os.dup(writer.fd))
    assert copy.epoch == writer.epoch
    chunks = list(copy.chunks(since_ns, bytes_max, sleep=lambda _: None))
    copy.close()
    return chunks


def numbers(chunks: list[Chunk]) -> list[int]:
    payload = b"".join(chunk.payload for chunk in chunks if chunk.kind == b"RING")
    rows, end = record_rows(payload)
    assert None not in rows
    assert end == len(payload)
    return [row[3][1] for row in rows if row is not None]


def test_from_a_moment_on(writer: RingWriter) -> None:
    assert copied(writer, 0) == []
    publish(writer, *range(1, 6000))
    since_ns = time.monotonic_ns()
    publish(writer, 6000, 6001)
    publish(writer, 6002)
    assert numbers(copied(writer, since_ns)) == [6000, 6001, 6002]
    assert numbers(copied(writer, time.monotonic_ns())) == []
    assert numbers(copied(writer, 0)) == [*range(1, 6003)]


def test_the_newest_of_more_than_is_allowed_or_held(writer: RingWriter) -> None:
    publish(writer, *range(3 * RECORDS))
    assert numbers(copied(writer, 0, bytes_max=100 * RECORD_SIZE_USUAL + 5)) == [
        *range(3 * RECORDS - 100, 3 * RECORDS)
    ]
    assert len(numbers(copied(writer, 0))) == RECORDS - RECORDS // 8


def test_records_of_both_lengths(writer: RingWriter) -> None:
    """Wherever going back to a moment lands, the copy begins with a whole record."""
    rows = [(0, n, "1", "2", None, "x" * (80 if n % 5 == 0 else 5)) for n in range(9000)]
    assert writer.publish(rows, 1, time.monotonic_ns()) == []
    for size in range(64_000, 65_000, 64):
        found = numbers(copied(writer, 0, bytes_max=size))
        assert found == [*range(9000 - len(found), 9000)]
        assert 400 < len(found) < 500


def test_a_writer_that_overtakes_leaves_a_hole(writer: RingWriter) -> None:
    publish(writer, *range(RECORDS))
    copy = ring.Copy(os.dup(writer.fd))
    # The first pause is behind the states that it begins with.
    pauses = iter([(), range(RECORDS, 2 * RECORDS)])
    chunks = list(copy.chunks(0, 1 << 30, sleep=lambda _: publish(writer, *next(pauses, ()))))
    copy.close()
    assert [chunk.kind for chunk in chunks] == [b"RING", b"HOLE", b"RING"]
    taken = numbers(chunks)
    first = [*range(RECORDS // 8, RECORDS // 8 + ring.COPY_RECORDS)]
    assert taken[: len(first)] == first
    rest = taken[len(first) :]
    assert rest == [*range(2 * RECORDS - len(rest), 2 * RECORDS)]


def test_a_writer_that_always_overtakes_is_left_alone(writer: RingWriter) -> None:
    publish(writer, *range(RECORDS))
    copy = ring.Copy(os.dup(writer.fd))
    kinds = []
    for chunk in copy.chunks(0, 1 << 30, sleep=lambda _: None):
        kinds.append(chunk.kind)
        publish(writer, *range(RECORDS))
    copy.close()
    assert kinds == [b"RING", *[b"HOLE"] * ring.HOLES_MAX]


def test_a_descriptor_that_is_no_segment_is_closed_all_the_same() -> None:
    fd = os.memfd_create("empty")
    with pytest.raises(ValueError, match="no segment"):
        ring.Copy(fd)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
