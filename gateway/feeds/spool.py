"""What is kept of a venue until it may be released: files, each a recording.

A *life* is what one feed process spooled: its files have numbers in order, and any of them can be
begun with, since each has the directory and the states that its records go on from. Nobody waits
for a disk here but the spool's own threads: what waits to be written waits in the ring, which
overtakes whoever is too slow, and then records of a topic are missing by their count. So is what a
full disk refused, and what was cut off a file.
"""

import errno
import fcntl
import io
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from gateway._native import book_state_of
from gateway.feeds.spool_room import FREE_BYTES_MIN
from gateway.recording import Chunk, Header, Reader, RecordingError, Writer

POLL_RECORDS: Final = 4096
"""Of one chunk: 512 KiB at most."""
STEP_PLACES: Final = 4096
"""Whose states are looked for in a step: some milliseconds."""
FILE_BYTES_MAX: Final = 64 << 20
SUFFIX: Final = ".tgrec"
FILE: Final = b"FILE"
"""The chunk with which `Reel` begins a file; it has no payload."""

_MARK: Final = struct.Struct("<IIQQ")


class Place(NamedTuple):
    """A file of the spool."""

    life: int
    number: int

    @property
    def name(self) -> str:
        return f"{self.life:08d}-{self.number:08d}{SUFFIX}"


class Mark(NamedTuple):
    """How far the spool was released: so many records of the file certainly, and none beyond
    `intended`."""

    place: Place
    released: int
    intended: int


class Ring(Protocol):
    """`_native.RingReader`, of one venue."""

    @property
    def epoch(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def places(self) -> int: ...
    @property
    def books_max(self) -> int: ...
    def poll_raw(self, limit: int = 4096) -> bytes | None: ...
    def states_before(self, first: int, end: int, position: int, ts_publish: int) -> bytes: ...
    def book_at(self, place: int) -> tuple[int, int, int, int, list[bytes]] | None: ...
    def number_of(self, owner: int) -> int: ...
    def untold(self) -> list[int]: ...
    def topics(self) -> list[tuple[str, str]]: ...


def host_clock() -> str:
    """Names what MONOTONIC counts from: times of another one can't be compared."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{boot.read_text().strip()} {os.readlink('/proc/self/ns/time')}"


class Spool:
    """A directory of files, of one gateway at a time. OSError: it cannot be had.

    Attributes:
        life: of what is written now.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._mark_fd = -1
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._mark_fd = os.open(directory / "mark", flags, 0o600)
            there = self._there()
        except BlockingIOError:
            self.close()
            raise OSError(errno.EBUSY, "another gateway uses it", str(directory)) from None
        except BaseException:
            self.close()
            raise
        self.mark = self._marked()
        self.life = max([0, *(place.life for place in there)]) + 1
        if self.mark is not None:  # not to be taken for one of this life
            self.life = max(self.life, self.mark.place.life + 1)
        self._changed = threading.Condition()
        self._sizes: dict[Place, int] = {}
        self._live: Place | None = None  # of which more may come
        for place in sorted(there):
            if self.mark is not None and place < self.mark.place:
                self._unlink(place)
            else:
                self._sizes[place] = self._path(place).stat().st_size

    def close(self) -> None:
        """Lets others have the directory."""
        for fd in (self._lock_fd, self._mark_fd):
            if fd >= 0:
                os.close(fd)
        self._lock_fd = self._mark_fd = -1

    # --- the mark ---------------------------------------------------------------------------------

    def put_mark(self, mark: Mark) -> None:
        """Outlives this process at once. OSError."""
        data = _MARK.pack(*mark.place, mark.released, mark.intended)
        os.pwrite(self._mark_fd, data + zlib.crc32(data).to_bytes(4, "little"), 0)

    def _marked(self) -> Mark | None:
        data = os.pread(self._mark_fd, _MARK.size + 4, 0)
        if len(data) != _MARK.size + 4:
            return None
        if zlib.crc32(data[: _MARK.size]) != int.from_bytes(data[_MARK.size :], "little"):
            return None
        life, number, released, intended = _MARK.unpack_from(data)
        return Mark(Place(life, number), released, intended)

    # --- files ------------------------------------------------------------------------------------

    @property
    def bytes(self) -> int:
        """Of all files."""
        with self._changed:
            return sum(self._sizes.values())

    @property
    def files(self) -> int:
        with self._changed:
            return len(self._sizes)

    def create(self, place: Place) -> int:
        """A descriptor of a new file. OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        return os.open(self._path(place), flags, 0o600)

    def wrote(self, place: Place, size: int, *, ended: bool = False) -> None:
        """So much of a file is whole; where it has ended, nothing more comes of it."""
        with self._changed:
            self._sizes[place] = size
            self._live = None if ended else place
            self._changed.notify_all()

    def after(self, place: Place | None) -> Place | None:
        """The next file there is."""
        with self._changed:
            later = [one for one in self._sizes if place is None or one > place]
            return min(later, default=None)

    def written(self, place: Place) -> tuple[int, bool]:
        """How much of a file is whole, and whether more may come."""
        with self._changed:
            return self._sizes.get(place, 0), self._live == place

    def wait(self, timeout_s: float) -> None:
        """Until something is written, or so long."""
        with self._changed:
            self._changed.wait(timeout_s)

    def open(self, place: Place) -> int:
        """OSError."""
        return os.open(self._path(place), os.O_RDONLY | os.O_CLOEXEC)

    def forget(self, before: Place) -> None:
        """Files before this one are of no use any more."""
        with self._changed:
            gone = [place for place in self._sizes if place < before]
            for place in gone:
                del self._sizes[place]
        for place in gone:
            self._unlink(place)

    def _unlink(self, place: Place) -> None:
        with suppress(OSError):
            self._path(place).unlink()

    def _path(self, place: Place) -> Path:
        return self.directory / place.name

    def _there(self) -> list[Place]:
        found = []
        for entry in os.scandir(self.directory):
            life, _, number = entry.name.removesuffix(SUFFIX).partition("-")
            if entry.name.endswith(SUFFIX) and life.isdecimal() and number.isdecimal():
                found.append(Place(int(life), int(number)))
        return found


class Keeper:
    """Writes what a ring brings of its venue. One thread calls `step`.

    Args:
        clock: the name of what MONOTONIC counts from.
        span_ns: of a file; then another one is begun.
        bytes_max: of all files.
        now: MONOTONIC.

    Attributes:
        renew: another file is to be begun: nobody can read on in this one.
        lapped: how often the ring overtook what was to be written.
    """

    def __init__(
        self,
        spool: Spool,
        ring: Ring,
        clock: str,
        *,
        span_ns: int,
        bytes_max: int,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._spool = spool
        self._ring = ring
        self._clock = clock
        self._span_ns = span_ns
        self._bytes_max = bytes_max
        self._now = now
        self._number = 0
        self._fd = -1
        self._writer: Writer | None = None
        self._began_ns = 0
        self._records = False  # the file has some
        self._named = 0
        self.renew = False
        self.lapped = 0

    def step(self) -> bool:
        """Writes what there is, some of it; False: that was all. OSError: the disk refused it."""
        ring = self._ring
        try:
            writer = self._writer
            if writer is None or self._is_over(writer):
                writer = self._begin()
            before = ring.position
            data = ring.poll_raw(POLL_RECORDS)
            if data is None:  # overtaken: records are missing, so states must come again
                self.lapped += 1
                self.end()
                return True
            states = [*self._states(ring.untold())]
            self._name(writer)
            for chunk in states:
                self._put(writer, chunk)
            if data:
                self._put(writer, Chunk(b"RING", data))
                self._records = True
            if data or states:
                self._spool.wrote(self._place, writer.bytes_written)
        except OSError:
            self._drop()
            raise
        return ring.position != before

    def end(self) -> None:
        """Ends the file. OSError."""
        if self._writer is None:
            return
        try:
            self._writer.done()
            self._spool.wrote(self._place, self._writer.bytes_written, ended=True)
        finally:
            self._drop()

    @property
    def _place(self) -> Place:
        return Place(self._spool.life, self._number)

    def _is_over(self, writer: Writer) -> bool:
        if not self._records:
            return self.renew
        old = self._now() - self._began_ns >= self._span_ns
        return old or self.renew or writer.bytes_written >= FILE_BYTES_MAX

    def _begin(self) -> Writer:
        self.end()
        disk = os.statvfs(self._spool.directory)
        if disk.f_bavail * disk.f_frsize < FREE_BYTES_MIN:
            raise OSError(errno.ENOSPC, f"less than {FREE_BYTES_MIN >> 20} MiB are free")
        self._number += 1
        self._fd = self._spool.create(self._place)
        self._began_ns, self._named, self._records, self.renew = self._now(), 0, False, False
        writer = Writer(self._write, self._header())
        self._writer = writer
        chunks = [*self._before()]
        self._name(writer)
        for chunk in chunks:
            self._put(writer, chunk)
        self._spool.wrote(self._place, writer.bytes_written)
        return writer

    def _header(self) -> Header:
        return Header(
            gateway=version("tickgate"),
            epoch=self._ring.epoch,
            reason="delay",
            since_ns=self._began_ns,
            until_ns=self._began_ns,
            trigger_ns=self._began_ns,
            realtime_ns=time.time_ns(),
            monotonic_ns=self._began_ns,
            cpus=0,
            target_us=1,
            percentile=99.0,
            stage="",
            config={"clock": self._clock},
        )

    def _before(self) -> Iterator[Chunk]:
        """States from which the file's records go on, or which come among them."""
        ring = self._ring
        for first in range(0, ring.places, STEP_PLACES):
            states = ring.states_before(first, first + STEP_PLACES, ring.position, 0)
            if states:
                yield Chunk(b"LAST", states)
        yield from self._states(range(ring.books_max))

    def _states(self, places: "range | list[int]") -> Iterator[Chunk]:
        for place in places:
            try:
                found = self._ring.book_at(place)
            except BlockingIOError:  # its writer is dead, or at it all the while: in the next file
                continue
            if found is not None:
                number = self._ring.number_of(found[0])
                for part in found[4]:
                    yield Chunk(b"BOOK", book_state_of(part, number))

    def _name(self, writer: Writer) -> None:
        """Topics that have come, before what is theirs."""
        more = self._ring.topics()[self._named :]
        if more:
            writer.topics(more)
            self._named += len(more)

    def _put(self, writer: Writer, chunk: Chunk) -> None:
        if self._spool.bytes + len(chunk.payload) > self._bytes_max:
            raise OSError(errno.EDQUOT, f"it has {self._bytes_max} bytes at most (bytes_max)")
        writer.chunk(*chunk)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def _drop(self) -> None:
        """Whatever is half in the file stays unread."""
        if self._writer is not None:
            size, _ = self._spool.written(self._place)
            self._spool.wrote(self._place, size, ended=True)
        self._writer = None
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)


class Reel:
    """Reads the spool's chunks in order, as far as they are whole.

    Attributes:
        place: the file that the last chunk is of.
        header: of that file; None before the first.
        problem: why the file before it, or this one, has no more; "" where it ended well.
    """

    def __init__(self, spool: Spool, damaged: Callable[[Place, str], None]) -> None:
        self._spool = spool
        self._damaged = damaged
        self.place: Place | None = None
        self.header: Header | None = None
        self._reader: Reader | None = None
        self._chunks: Iterator[Chunk] | None = None
        self._fd = -1

    def next(self) -> Chunk | None:
        """None: there is nothing yet. The first one of a file is FILE."""
        while True:
            if self._chunks is not None and self._reader is not None and self.place is not None:
                size, live = self._spool.written(self.place)
                if os.lseek(self._fd, 0, os.SEEK_CUR) < size:
                    try:
                        chunk, problem = next(self._chunks, None), self._reader.problem
                    except OSError as error:
                        chunk, problem = None, error.strerror or str(error)
                    if chunk is not None:
                        return chunk
                    if problem:
                        self._damaged(self.place, problem)
                    self._leave()
                elif live:
                    return None
                else:
                    self._leave()
            following = self._spool.after(self.place)
            if following is None:
                return None
            self.place = following
            if self._enter(following):
                return Chunk(FILE, b"")

    def close(self) -> None:
        self._leave()

    def _enter(self, place: Place) -> bool:
        try:
            self._fd = self._spool.open(place)
            # Unbuffered: it never has more than what is whole, and its position tells how far.
            self._reader = Reader(io.FileIO(self._fd, "rb", closefd=False))
        except (OSError, RecordingError) as error:
            self._damaged(place, str(error))
            self._leave()
            return False
        self.header = self._reader.header
        self._chunks = iter(self._reader)
        return True

    def _leave(self) -> None:
        fd, self._fd = self._fd, -1
        self._reader = self._chunks = None
        if fd >= 0:
            os.close(fd)
