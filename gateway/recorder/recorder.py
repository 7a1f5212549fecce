"""The flight recorder: looks many times a second, remembers a minute, writes it down at a breach.

It lives on the supervisor's loop, which serves no client; a look takes a millisecond there. Files
are written on a thread that spends its time in copying, packing and writing, all of which leave the
interpreter to the loop. Whatever goes wrong with a file is one log line and a count: a full disk is
no reason to stop serving.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway import log
from gateway.host import cpus_allowed
from gateway.model.status import Status
from gateway.recorder import files
from gateway.recorder.blackbox import BlackBox
from gateway.recorder.books import ROUND_S, SHARE, Books
from gateway.recorder.observe import Observer
from gateway.recorder.ring import BookReader, Copy, State, channels
from gateway.recorder.source import Source
from gateway.recorder.trigger import Trigger
from gateway.recording import CHUNK_BYTES_MAX, Header, Writer

if TYPE_CHECKING:
    from gateway.options import RecorderOptions

SAMPLE_INTERVAL_NS = 100_000_000
SECOND_NS = 1_000_000_000
CLOCK_APART_NS = 1_000_000
CLOCK_TRIES = 5
BEFORE_NS = 10_000_000_000
"""Samples of so long before the first record are written too: what was usual, to compare with."""

_log = log.get("recorder")


@dataclass(frozen=True)
class Statistics:
    """The recorder as it is now; `error` is the last failure's."""

    enabled: bool
    directory: str
    written: int = 0
    failed: int = 0
    suppressed: int = 0
    streamed: int = 0
    last: str = ""
    error: str = ""
    box_bytes: int = 0
    books_bytes: int = 0


@dataclass
class _Counts:
    written: int = 0
    failed: int = 0
    streamed: int = 0
    last: str = ""
    error: str = ""


@dataclass(frozen=True)
class Excerpt:
    """Everything for one file but the ring's records, gathered on the loop in no time."""

    header: Header
    samples: list[bytes]
    seconds: list[bytes]
    segment_fd: int
    books: Callable[[str, int], Sequence[State]] = lambda epoch, since_ns: ()


class Recorder:
    """Owned by the supervisor's loop.

    Attributes:
        options: in force now.
    """

    def __init__(self, options: "RecorderOptions", source: Source, observer: Observer) -> None:
        self._source = source
        self._observer = observer
        self._box = BlackBox()
        self._books = Books()
        self._trigger = Trigger(0)
        self._take(options)
        self._counts = _Counts()
        self._second_ns = 0
        self._writing: asyncio.Task[None] | None = None

    def reconfigure(self, options: "RecorderOptions") -> None:
        """Other options for the next recording; the log says where it will be."""
        self._take(options)
        self._tell()

    def _take(self, options: "RecorderOptions") -> None:
        self.options = options
        self._trigger.interval_ns = round(options.min_interval_s * 1e9)
        self._directory = files.directory(options.directory, os.environ)

    def _tell(self) -> None:
        where = str(self._directory.absolute())
        if not self.options.enabled:
            _log.info("recorder.off", what="no breach is written down; tickgate record does it")
        elif wrong := files.writable(self._directory):
            _log.error("recorder.unwritable", directory=where, error=wrong)
        else:
            _log.info("recorder.ready", directory=where, what="each breach is written down there")

    def statistics(self) -> Statistics:
        """A frozen snapshot."""
        counts = self._counts
        return Statistics(
            enabled=self.options.enabled,
            directory=str(self._directory.absolute()),
            written=counts.written,
            failed=counts.failed,
            suppressed=self._trigger.suppressed,
            streamed=counts.streamed,
            last=counts.last,
            error=counts.error,
            box_bytes=self._box.held_bytes,
            books_bytes=self._books.held_bytes,
        )

    async def run(self) -> None:
        """Looks until it is cancelled; a file that is being written then is finished first."""
        self._tell()
        due_ns = time.monotonic_ns()
        books = asyncio.create_task(self._keep_books())
        try:
            while True:
                now_ns, real_ns = _clocks()
                try:
                    self._look(now_ns, real_ns, max(now_ns - due_ns, 0))
                except Exception:
                    # One look fails; the next ones must not end with it.
                    _log.exception("look.failed")
                due_ns = max(due_ns + SAMPLE_INTERVAL_NS, now_ns)
                await asyncio.sleep((due_ns - time.monotonic_ns()) / 1e9)
        finally:
            books.cancel()
            await asyncio.gather(books, return_exceptions=True)
            self._observer.close()
            if self._writing is not None:
                await self._writing

    def excerpt(self, reason: str, trigger_ns: int, seconds: float) -> Excerpt:
        """What a recording of the last `seconds` before `trigger_ns`, and since, is made of."""
        source, (now_ns, real_ns) = self._source, _clocks()
        since_ns = trigger_ns - round(seconds * 1e9)
        fd = source.segment()
        look = source.look()
        objective = look.report.objective
        assert objective.target_us is not None, "the headline has a target"
        header = Header(
            gateway=source.gateway,
            epoch="",
            reason=reason,
            since_ns=since_ns,
            until_ns=now_ns,
            trigger_ns=trigger_ns,
            realtime_ns=real_ns,
            monotonic_ns=now_ns,
            cpus=len(cpus_allowed()),
            target_us=objective.target_us,
            percentile=objective.percentile,
            stage=objective.stage,
            targets_us=[each.objective.target_us for each in look.classes],
            channels=dict(channels),
            config=source.config(),
        )
        start_ns = since_ns - BEFORE_NS
        return Excerpt(
            header,
            list(self._box.since(start_ns, b"SAMP")),
            list(self._box.since(start_ns, b"SECS")),
            fd,
            self._books.since,
        )

    def streamed(self) -> None:
        """Counts a recording that somebody asked for and got."""
        self._counts.streamed += 1

    # --- books ------------------------------------------------------------------------------------

    async def _keep_books(self) -> None:
        while True:
            started_s = time.monotonic()
            try:
                await self._round()
            except Exception:  # the root of a task: this round's books are not kept
                _log.exception("books.failed")
            await asyncio.sleep(max(ROUND_S - (time.monotonic() - started_s), ROUND_S / 10))

    async def _round(self) -> None:
        """One round through all books, on a thread; between two steps others have their turn."""
        fd = self._source.segment()
        if fd < 0:
            return
        steps = self._books.round(BookReader(fd))
        step: asyncio.Task[object] | None = None
        try:
            while True:
                started_s = time.monotonic()
                step = asyncio.create_task(asyncio.to_thread(next, steps, steps))
                if await asyncio.shield(step) is steps:
                    return
                await asyncio.sleep((time.monotonic() - started_s) / SHARE)
        finally:
            if step is not None:  # a thread is not cancelled with who waits for it
                await asyncio.wait([step])
            steps.close()

    # --- looking ----------------------------------------------------------------------------------

    def _look(self, now_ns: int, real_ns: int, late_ns: int) -> None:
        children = self._source.supervision().children
        pids = {child.name: child.pid for child in children if child.pid}
        whole = now_ns - self._second_ns >= SECOND_NS
        pids["supervisor"] = os.getpid()
        sample = self._observer.sample(now_ns, real_ns, late_ns, pids, whole=whole)
        self._keep(now_ns, b"SAMP", msgspec.json.encode(sample))
        report = self._source.look().report
        if whole:
            self._second_ns = now_ns
            statuses = {child.name: child.status for child in children}
            statuses["supervisor"] = Status(vitals=self._source.vitals())
            second = self._observer.second(now_ns, report, statuses)
            self._keep(now_ns, b"SECS", msgspec.json.encode(second))
        if self.options.enabled and (seen_ns := self._trigger.look(report.state, now_ns)):
            self._start(seen_ns)

    def _keep(self, now_ns: int, kind: bytes, data: bytes) -> None:
        if len(data) < CHUNK_BYTES_MAX:
            self._box.add(now_ns, kind, data)

    # --- writing ----------------------------------------------------------------------------------

    def _start(self, seen_ns: int) -> None:
        if self._writing is not None and not self._writing.done():
            return  # Its disk takes longer than the least interval: this one is in the next file.
        excerpt = self.excerpt("breached", seen_ns, self.options.seconds)
        self._writing = asyncio.create_task(self._record(excerpt))

    async def _record(self, excerpt: Excerpt) -> None:
        counts = self._counts
        try:
            path, size = await asyncio.to_thread(self._file, excerpt)
        except Exception as error:  # whatever it is, it is told: this is the root of a task
            counts.failed += 1
            counts.error = str(error) or repr(error)
            _log.error("recording.failed", directory=str(self._directory), message=counts.error)
            return
        counts.written += 1
        counts.last = str(path)
        _log.info("recording.written", path=str(path), bytes=size)

    def _file(self, excerpt: Excerpt) -> tuple[Path, int]:
        """On a thread: writes, names and makes room. OSError."""
        options, header = self.options, excerpt.header
        try:
            path, fd = files.create(self._directory, files.name(header.realtime_ns, header.reason))
        except OSError:
            if excerpt.segment_fd >= 0:
                os.close(excerpt.segment_fd)
            raise
        try:
            with open(fd, "wb") as file:
                size = write(file.write, excerpt, options.bytes_max)
            done = files.finish(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        for name in files.prune(self._directory, options.files_max, options.bytes_max):
            _log.info("recording.deleted", name=name)
        return done, size


def _clocks() -> tuple[int, int]:
    """One moment by MONOTONIC and REALTIME: nothing came between the two, or it would look as if
    the wall clock had been set.
    """
    for _ in range(CLOCK_TRIES):
        before_ns, real_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after_ns - before_ns < CLOCK_APART_NS:
            break
    return before_ns, real_ns


def write(out: Callable[[bytes], object], excerpt: Excerpt, bytes_max: int) -> int:
    """Writes a recording, at most `bytes_max` of records in it; how long it got.

    What is known of the gateway comes before the records: a file cut short by a full disk still
    explains. Closes the excerpt's descriptor.
    """
    copy = Copy(excerpt.segment_fd) if excerpt.segment_fd >= 0 else None
    try:
        epoch = copy.epoch if copy else ""
        writer = Writer(out, msgspec.structs.replace(excerpt.header, epoch=epoch))
        writer.lines(b"SAMP", excerpt.samples)
        writer.lines(b"SECS", excerpt.seconds)
        if copy is not None:
            known = copy.topics()
            writer.topics(known)
            books = excerpt.books(copy.epoch, excerpt.header.since_ns)
            for chunk in copy.chunks(excerpt.header.since_ns, bytes_max, books):
                if more := copy.topics()[len(known) :]:
                    known += more
                    writer.topics(more)
                writer.chunk(*chunk)
        writer.done()
    finally:
        if copy is not None:
            copy.close()
    return writer.bytes_written
