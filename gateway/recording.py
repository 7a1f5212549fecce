"""The recording: what a gateway saw of itself around one moment, as a file of checked chunks.

Layout, all numbers little-endian. A file is the magic, the version of the layout (u32) and a zero
(u32), then chunks to its end. A chunk is a header and its payload:

    kind      4 bytes, ASCII
    packing   u32: 0 the payload as it is, 1 one Zstandard frame
    stored    u32: bytes of the payload in the file
    size      u32: its bytes once unpacked
    crc       u32: CRC-32 of the payload as stored

    HEAD  a `Header` as JSON, first, once        SECS  `Second`s, one JSON object a line
    TOPC  [[channel, instrument], ...] by id     RING  whole records (gw_record.h) back to back
    SAMP  `Sample`s, one JSON object a line      HOLE  nothing: here the copy was overtaken, and the
                                                       index of a topic's next record says by how
                                                       many of its own
    LAST  records: what topics were before       BOOK  a book's state, or a part of it, as
          the first RING                               `_native.book_state` reads it
    DONE  nothing, last

So a file is written from front to back without knowing its length, and what was cut off at any byte
reads up to the last whole chunk, with `problem` saying why it ended there. A kind that is not known
is passed over. Nothing in a file is trusted: lengths are bounded before anything is allocated, and
so is what a frame may unpack to.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, BinaryIO, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from gateway.errors import TickgateError

MAGIC: Final = b"\x89TGREC\r\n"
"""The first byte is no text, and the end is spoilt by whatever converts line ends."""
VERSION: Final = 3
CHUNK_BYTES_MAX: Final = 4 << 20
"""Of a chunk, stored or unpacked: what a reader has to hold. A writer makes smaller ones."""
SHORT: Final = 8
"""Values of an array that are looked at one by one, from its end."""
LEVEL: Final = 1
"""Of compression: the gateway that writes is the one that is in trouble. On ticks, zstd's first
level takes a quarter of the time of zlib's first (740 MB/s) and leaves two thirds of its size."""

T = TypeVar("T")
_PREFIX: Final = struct.Struct("<8sII")
_HEAD: Final = struct.Struct("<4sIIII")
_RAW, _ZSTD = 0, 1
_LINES_BYTES: Final = 256 << 10
"""JSON lines are gathered up to so many bytes a chunk."""


Ns = Annotated[int, Meta(ge=0, le=(1 << 62) - 1)]
"""A time or a duration. Whatever is added to it or taken from it, it stays within 64 bits."""
Count = Annotated[int, Meta(ge=0)]
"""As a page holds it: of 64 bits, all of them (`PAUSED`)."""
Target = Annotated[int, Meta(ge=1, le=60_000_000)]
"""In microseconds."""
Place = Annotated[int, Meta(ge=0, le=(1 << 16) - 1)]
"""In a histogram."""
Gained = Annotated[int, Meta(ge=0, le=(1 << 47) - 1)]
"""At one place: no sum of them leaves 64 bits."""


class RecordingError(TickgateError):
    """No recording, or one that this version cannot read."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote the file, when and why.

    Attributes:
        gateway: version of the program.
        reason: "breached", or "request".
        since_ns, until_ns: MONOTONIC: the ring's records were published between them, and samples
            begin no later.
        trigger_ns: MONOTONIC: when the state was seen, or the request came.
        realtime_ns, monotonic_ns: one moment by both clocks.
        cpus: those that the gateway may use.
        config: what of the configuration bears on latency; no path, host or secret.
        target_us, percentile, stage: the headline objective, that of classes 0 and 1.
        targets_us: of each class; None where nothing is too late.
        channels: kind of record by the channel's name.
    """

    gateway: str
    epoch: str
    reason: str
    since_ns: Ns
    until_ns: Ns
    trigger_ns: Ns
    realtime_ns: Ns
    monotonic_ns: Ns
    cpus: Count
    target_us: Target
    percentile: Annotated[float, Meta(gt=0, lt=100)]
    stage: str
    targets_us: list[Target | None] = []
    channels: dict[str, int] = {}
    config: dict[str, Any] = {}


class Thread(msgspec.Struct, frozen=True, array_like=True):
    """One thread at one moment, as the kernel accounts for it; all numbers rise.

    Attributes:
        state: of its process, as in proc(5): `T` where it is stopped.
        run_delay_ns: ready to run, but without a CPU.
        slices: how often it got one.
    """

    process: str
    name: str
    tid: Count
    state: str
    cpu_ns: Count
    run_delay_ns: Count
    slices: Count = 0

    def __post_init__(self) -> None:
        _check((self.tid, self.cpu_ns, self.run_delay_ns, self.slices))


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """Gauges and counters of every process, several times a second.

    Attributes:
        mono_ns, real_ns: when, by both clocks.
        late_ns: how much later than it should have been.
        pages: of each process, what its statistics page holds: arrays without their last zeros, and
            none that are all zero.
        threads: of each process.
        host: `steal_ms`, `busy_ms` (all CPUs, cumulative), `running` (threads that would run now).
    """

    mono_ns: Ns
    real_ns: Ns
    late_ns: Ns = 0
    pages: dict[str, dict[str, list[Count]]] = {}
    threads: list[Thread] = []
    host: dict[str, Count] = {}

    def __post_init__(self) -> None:
        for page in self.pages.values():
            for values in page.values():
                _check(values)
        _check(self.host.values())


def _check(values: Iterable[int]) -> None:
    """Raises ValueError for what 64 bits cannot hold; a type can't say so of unsigned ones."""
    if any(value >> 64 for value in values):
        raise ValueError("a number of more than 64 bits")


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """A histogram's places that are not empty, and the counts there (`latency.histogram`)."""

    places: list[Place]
    counts: list[Gained]


class Second(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened since the one before.

    Attributes:
        mono_ns: its end.
        span_ns: how long it is.
        state: of the objective; `p99_us`, `events` and `bad` are of its window.
        stages: durations by stage (and class: `total_0` ...), all processes together.
        said: what each process reported of itself: `slowest`, `ladder`, `stalls`, `feeds`.
    """

    mono_ns: Ns
    span_ns: Ns
    state: str = "ok"
    p99_us: float | None = None
    events: Count = 0
    bad: Count = 0
    stages: dict[str, Counts] = {}
    said: dict[str, dict[str, list[dict[str, Any]]]] = {}


class Chunk(NamedTuple):
    """One whole, checked chunk."""

    kind: bytes
    payload: bytes


class Writer:
    """Writes a recording through `write`, front to back. What `write` raises is its caller's.

    Attributes:
        bytes_written: so far.
    """

    def __init__(self, write: Callable[[bytes], object], header: Header) -> None:
        self._write = write
        import zstandard  # here: workers read the configuration, and never a recording

        self._pack = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True)
        self.bytes_written = 0
        self._put(_PREFIX.pack(MAGIC, VERSION, 0))
        self.chunk(b"HEAD", msgspec.json.encode(header))

    def chunk(self, kind: bytes, payload: bytes) -> None:
        """Writes one chunk of at most CHUNK_BYTES_MAX, packed where that makes it smaller."""
        assert len(payload) <= CHUNK_BYTES_MAX, f"{kind!r} of {len(payload)} bytes"
        packed = self._pack.compress(payload)
        packing, stored = (_ZSTD, packed) if len(packed) < len(payload) else (_RAW, payload)
        head = _HEAD.pack(kind, packing, len(stored), len(payload), zlib.crc32(stored))
        self._put(head + stored)

    def lines(self, kind: bytes, objects: Sequence[bytes]) -> None:
        """Writes JSON objects, each encoded and shorter than a chunk, as lines of some chunks."""
        part: list[bytes] = []
        size = 0
        for line in objects:
            if part and size + len(line) > _LINES_BYTES:
                self.chunk(kind, b"\n".join(part))
                part, size = [], 0
            part.append(line)
            size += len(line) + 1
        if part:
            self.chunk(kind, b"\n".join(part))

    def topics(self, topics: Sequence[tuple[str, str]]) -> None:
        """Writes the directory: once, before the first record; several chunks where it is long."""
        self.lines(b"TOPC", [msgspec.json.encode(topic) for topic in topics])

    def done(self) -> None:
        """Writes the end."""
        self.chunk(b"DONE", b"")

    def _put(self, data: bytes) -> None:
        self._write(data)
        self.bytes_written += len(data)


class Reader:
    """Reads a recording's chunks, once, from front to back.

    Attributes:
        header: of the file.
        problem: after the last chunk, why the file ended without its end; empty where it did not.

    Raises:
        RecordingError: the file does not begin like a recording of a known version.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.problem = ""
        prefix = file.read(_PREFIX.size)
        if prefix[: len(MAGIC)] != MAGIC:
            raise RecordingError("not a recording")
        if len(prefix) < _PREFIX.size:
            raise RecordingError("cut off in its first bytes")
        version = _PREFIX.unpack(prefix)[1]
        if version != VERSION:
            raise RecordingError(f"of layout {version}; this program reads {VERSION}")
        first = self._next()
        if first is None or first.kind != b"HEAD":
            raise RecordingError(self.problem or "no header in it")
        try:
            self.header = msgspec.json.decode(first.payload, type=Header)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise RecordingError(f"its header: {error}") from None

    def __iter__(self) -> Iterator[Chunk]:
        while (chunk := self._next()) is not None:
            if chunk.kind == b"DONE":
                return
            yield chunk

    def _next(self) -> Chunk | None:
        head = self._file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            self.problem = "cut off" if head else "cut off between two chunks"
            return None
        kind, packing, stored, size, crc = _HEAD.unpack(head)
        if not kind.isalnum() or packing not in (_RAW, _ZSTD):
            self.problem = "no chunk begins where one should"
            return None
        if max(stored, size) > CHUNK_BYTES_MAX:
            self.problem = f"a chunk of {max(stored, size)} bytes, at most {CHUNK_BYTES_MAX}"
            return None
        payload = self._file.read(stored)
        if len(payload) < stored:
            self.problem = "cut off in a chunk"
            return None
        if zlib.crc32(payload) != crc:
            self.problem = "a chunk's checksum is wrong"
            return None
        if packing == _ZSTD:
            try:
                payload = _unpack(payload, size)
            except ValueError as error:
                self.problem = f"a chunk cannot be unpacked: {error}"
                return None
        if len(payload) != size:
            self.problem = f"a chunk of {len(payload)} bytes says that it has {size}"
            return None
        return Chunk(kind, payload)


def _unpack(frame: bytes, size: int) -> bytes:
    """The content. ValueError: it is no frame, or of another size."""
    import zstandard

    try:
        # A frame that names a size is unpacked to that size, whatever the caller allows: look
        # at it first.
        if zstandard.frame_content_size(frame) != size:
            raise ValueError("it is of another size than it says")
        unpacker = zstandard.ZstdDecompressor(max_window_size=CHUNK_BYTES_MAX)
        unpacked: bytes = unpacker.decompress(frame, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    return unpacked


def pack(payload: bytes) -> bytes:
    """A payload to keep in memory, for `unpack`."""
    import zstandard

    packed: bytes = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress(payload)
    return packed


def unpack(packed: bytes) -> bytes:
    """The payload that was packed."""
    import zstandard

    payload: bytes = zstandard.ZstdDecompressor().decompress(packed)
    return payload


def topics_of(payload: bytes) -> list[tuple[str, str]]:
    """(channel, instrument) of each line. RecordingError."""
    return [_decode(line, tuple[str, str]) for line in payload.splitlines()]


def samples_of(payload: bytes) -> list[Sample]:
    """The samples of a SAMP chunk. RecordingError."""
    return [_decode(line, Sample) for line in payload.splitlines()]


def seconds_of(payload: bytes) -> list[Second]:
    """The seconds of a SECS chunk. RecordingError."""
    return [_decode(line, Second) for line in payload.splitlines()]


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RecordingError(f"a line that makes no sense: {error}") from None


def trimmed(arrays: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """A page's arrays as in a `Sample`."""
    short = {}
    for name, values in arrays.items():
        last = len(values)
        # By halves: most arrays are long and end in zeros, of each page ten times a second.
        while last > SHORT and not any(values[last // 2 : last]):
            last //= 2
        while last and not values[last - 1]:
            last -= 1
        if last:
            short[name] = list(values[:last])
    return short
