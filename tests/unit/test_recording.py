"""The file format of recordings: what is written comes back; anything else is refused in words."""

import io
import struct
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from support.flight import HEADER
from support.flight import recording as written

from gateway.recording import (
    CHUNK_BYTES_MAX,
    MAGIC,
    VERSION,
    Chunk,
    Reader,
    RecordingError,
    Sample,
    Second,
    Thread,
    Writer,
    samples_of,
    seconds_of,
    topics_of,
    trimmed,
)

SIZELESS = zstandard.ZstdCompressor(write_content_size=False)


def read(data: bytes) -> tuple[list[Chunk], str]:
    reader = Reader(io.BytesIO(data))
    assert reader.header == HEADER
    return list(reader), reader.problem


def raw(kind: bytes, packing: int, stored: bytes, size: int) -> bytes:
    """A chunk as an attacker would write it, its checksum right."""
    return struct.pack("<4sIIII", kind, packing, len(stored), size, zlib.crc32(stored)) + stored


def test_chunks_come_back_in_order_packed_or_not() -> None:
    many, few = bytes(100_000), b"x"
    data = written((b"RING", many), (b"SAMP", few), (b"LATR", b"of a later version"))
    assert len(data) < 1000, "zeros are packed"
    chunks, problem = read(data)
    assert chunks == [(b"RING", many), (b"SAMP", few), (b"LATR", b"of a later version")]
    assert problem == ""


@given(st.data())
def test_cut_off_anywhere_it_reads_up_to_the_last_whole_chunk(data: st.DataObject) -> None:
    whole = written((b"RING", bytes(range(256))), (b"RING", b"second"))
    first = len(written(done=False))
    at = data.draw(st.integers(first, len(whole) - 1))
    chunks, problem = read(whole[:at])
    assert chunks == read(whole)[0][: len(chunks)]
    assert "cut off" in problem


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    whole = bytearray(written((b"RING", bytes(range(256)))))
    start = len(written(done=False))
    at = data.draw(st.integers(start + 4, len(whole) - 21), label="after the kind, before DONE")
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    chunks, problem = read(bytes(whole))
    assert (chunks, bool(problem)) == ([], True)


@given(st.binary(max_size=200))
def test_bytes_of_anybody_are_refused_or_read(data: bytes) -> None:
    for start in (b"", MAGIC, MAGIC + struct.pack("<II", 1, 0), written(done=False)):
        try:
            reader = Reader(io.BytesIO(start + data))
        except RecordingError:
            continue
        list(reader)


@pytest.mark.parametrize(
    ("chunk", "why"),
    [
        (raw(b"RING", 1, zstandard.compress(bytes(64 << 20)), 64), "another size"),
        (raw(b"RING", 1, zstandard.compress(bytes(64 << 20)), 64 << 20), "at most"),
        (raw(b"RING", 1, SIZELESS.compress(b"x"), 1), "size"),
        (raw(b"RING", 1, b"no frame", 8), "unpacked"),
        (raw(b"RING", 0, b"four", 5), "says that it has 5"),
        (raw(b"RING", 2, b"", 0), "begins"),
        (raw(b"\0\0\0\0", 0, b"", 0), "begins"),
        (struct.pack("<4sIIII", b"RING", 0, CHUNK_BYTES_MAX + 1, 1, 0), "at most"),
    ],
)  # fmt: skip
def test_a_hostile_chunk_ends_the_reading(chunk: bytes, why: str) -> None:
    chunks, problem = read(written(done=False) + chunk)
    assert chunks == []
    assert why in problem


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a recording"),
        (b"\x1f\x8b" + bytes(40), "not a recording"),
        (MAGIC, "cut off"),
        (MAGIC + struct.pack("<II", 1, 0), "layout 1"),
        (MAGIC + struct.pack("<II", 2, 0) + bytes(64), "of layout 2; this program reads 3"),
        (MAGIC + struct.pack("<II", 4, 0) + bytes(64), "of layout 4; this program reads 3"),
        (MAGIC + struct.pack("<II", VERSION, 0), "cut off"),
        (MAGIC + struct.pack("<II", VERSION, 0) + raw(b"RING", 0, b"", 0), "no header"),
        (MAGIC + struct.pack("<II", VERSION, 0) + raw(b"HEAD", 0, b"[" * 9000, 9000), "its header"),
        (MAGIC + struct.pack("<II", VERSION, 0) + raw(b"HEAD", 0, b"{}", 2), "its header"),
    ],
)
def test_what_is_no_recording_is_refused_in_words(data: bytes, why: str) -> None:
    with pytest.raises(RecordingError, match=why):
        Reader(io.BytesIO(data))


def test_lines_are_spread_over_chunks() -> None:
    out = io.BytesIO()
    writer = Writer(out.write, HEADER)
    topics = [("trade", f"SYM{n:05d}.SIM") for n in range(20_000)]
    writer.topics(topics)
    writer.done()
    out.seek(0)
    chunks = list(Reader(out))
    assert len(chunks) > 1
    assert [topic for chunk in chunks for topic in topics_of(chunk.payload)] == topics


def test_samples_and_seconds_come_back() -> None:
    import msgspec

    sample = Sample(
        mono_ns=5,
        real_ns=6,
        pages={"worker-0": trimmed({"routed": (0, 7, 0), "links": (0,)})},
        threads=[Thread("worker-0", "tickgate-plane", 9, "R", 10, 11)],
    )
    second = Second(mono_ns=5, span_ns=1, said={"feed": {"feeds": [{"name": "udp:1"}]}})
    assert sample.pages == {"worker-0": {"routed": [0, 7]}}
    assert samples_of(msgspec.json.encode(sample)) == [sample]
    assert seconds_of(msgspec.json.encode(second)) == [second]
    for bad in (b"{", b"[" * 9000, b'{"mono_ns":"x"}', b"\xff"):
        with pytest.raises(RecordingError):
            samples_of(bad)


@given(st.lists(st.sampled_from([0, 0, 0, 1, 1 << 40]), max_size=100), st.integers(0, 500))
def test_only_zeros_at_the_end_are_trimmed(values: list[int], zeros: int) -> None:
    kept = values[: max((n + 1 for n, value in enumerate(values) if value), default=0)]
    assert trimmed({"x": (*values, *[0] * zeros)}) == ({"x": kept} if kept else {})
