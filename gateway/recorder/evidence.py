"""What a recording holds, ready to be judged: samples in pairs, seconds, and the ring's arrivals.

Bounded whatever the file is: so many samples and seconds, and arrivals are counted in bins, so that
a file of a gigabyte of records takes no more memory than one of a megabyte.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from gateway.latency.histogram import Histogram
from gateway.recorder.ring import headers
from gateway.recording import (
    Counts,
    Header,
    Reader,
    RecordingError,
    Sample,
    Second,
    Thread,
    samples_of,
    seconds_of,
    topics_of,
)

SAMPLES_MAX = 2000
SECONDS_MAX = 200
TOPICS_MAX = 1 << 20
VENUES_MAX = 16
"""Told apart; those beyond are one."""
BIN_NS = 10_000_000
BINS_MAX = 8192

_HEADER = np.dtype(
    {
        "names": ["ts_event", "ts_recv", "ts_publish", "ingest_ns", "topic"],
        "formats": ["<i8", "<i8", "<i8", "<u4", "<u4"],
        "offsets": [8, 16, 24, 32, 36],
        "itemsize": 64,
    }
)
"""Of a record (`gw_header_t`)."""


class Step(NamedTuple):
    """From one sample to the next."""

    before: Sample
    after: Sample

    @property
    def start_ns(self) -> int:
        """MONOTONIC."""
        return self.before.mono_ns

    @property
    def end_ns(self) -> int:
        """MONOTONIC."""
        return self.after.mono_ns

    @property
    def span_ns(self) -> int:
        """At least 1."""
        return max(self.after.mono_ns - self.before.mono_ns, 1)

    def gained(self, process: str, name: str, index: int | None = None) -> int:
        """By how much a counter rose; 0 where it was made anew. Without an index all together."""
        after = value(self.after, process, name, index)
        return max(after - value(self.before, process, name, index), 0)

    def threads(self) -> "list[Turn]":
        """What each thread that both samples have did meanwhile."""
        known = {(thread.process, thread.tid): thread for thread in self.before.threads}
        return [
            Turn(
                now,
                max(now.cpu_ns - was.cpu_ns, 0),
                max(now.run_delay_ns - was.run_delay_ns, 0),
            )
            for now in self.after.threads
            if (was := known.get((now.process, now.tid))) is not None
        ]


class Turn(NamedTuple):
    """One thread within a step."""

    thread: Thread
    cpu_ns: int
    run_delay_ns: int


def value(sample: Sample, process: str, name: str, index: int | None = None) -> int:
    """One number of a page, or the sum of an array; 0 where there is none."""
    values = sample.pages.get(process, {}).get(name, ())
    if index is None:
        return sum(values)
    return values[index] if index < len(values) else 0


@dataclass
class Arrivals:
    """Records by the time at which they were published, in bins of BIN_NS from `start_ns` on.

    Attributes:
        counts: by venue, of each bin.
        event_age_ns: of each bin, how old the oldest record was by its venue's clock.
        ingest_ns: of each bin, the longest from receipt to publication.
        records: in the file.
        holes: places where the copy was overtaken.
    """

    start_ns: int
    counts: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    event_age_ns: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(BINS_MAX, dtype=np.int64)
    )
    ingest_ns: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(BINS_MAX, dtype=np.int64)
    )
    records: int = 0
    holes: int = 0

    def add(self, payload: bytes, venues: Sequence[str]) -> None:
        """Counts the records of a chunk; `venues` is by topic. What is out of bounds is left."""
        records = np.frombuffer(headers(payload), _HEADER)
        self.records += len(records)
        bins = (records["ts_publish"] - self.start_ns) // BIN_NS
        good = (bins >= 0) & (bins < BINS_MAX) & (records["topic"] < len(venues))
        records, bins = records[good], bins[good]
        if not len(records):
            return
        known = sorted({*venues})
        place = {venue: number for number, venue in enumerate(known)}
        of_topic = np.array([place[venue] for venue in venues])[records["topic"]]
        for number in np.unique(of_topic):
            name = known[number]
            if name not in self.counts and len(self.counts) >= VENUES_MAX:
                name = "others"
            counted = np.bincount(bins[of_topic == number], minlength=BINS_MAX)
            self.counts[name] = self.counts.get(name, 0) + counted
        age = np.maximum(records["ts_recv"] - records["ts_event"], 0)
        np.maximum.at(self.event_age_ns, bins, age)
        np.maximum.at(self.ingest_ns, bins, records["ingest_ns"].astype(np.int64))

    def in_bins(self, start_ns: int, end_ns: int) -> slice:
        """The bins of that time."""
        first = (start_ns - self.start_ns) // BIN_NS
        last = -((self.start_ns - end_ns) // BIN_NS)
        return slice(min(max(first, 0), BINS_MAX), min(max(last, 0), BINS_MAX))


@dataclass(frozen=True)
class Evidence:
    """A recording as it is judged; nothing here is a conclusion.

    Attributes:
        steps: rising in time.
        seconds: rising in time.
        problem: why the file ended early, empty where it did not.
    """

    header: Header
    steps: Sequence[Step]
    seconds: Sequence[Second]
    arrivals: Arrivals
    problem: str = ""

    def between(self, start_ns: int, end_ns: int) -> list[Step]:
        """Steps that touch that time."""
        return [step for step in self.steps if step.end_ns > start_ns and step.start_ns < end_ns]

    def workers(self) -> list[str]:
        """Names of the workers."""
        names = {name for step in self.steps[-1:] for name in step.after.pages}
        return sorted(name for name in names if name.startswith("worker"))

    def utc_ns(self, mono_ns: int) -> int:
        """REALTIME of a MONOTONIC moment, by the clock as it was when the file was written."""
        return self.header.realtime_ns + mono_ns - self.header.monotonic_ns

    def mono_ns(self, utc_ns: int) -> int:
        """The reverse."""
        return self.header.monotonic_ns + utc_ns - self.header.realtime_ns

    def said(self, name: str) -> list[tuple[int, str, Mapping[str, Any]]]:
        """(MONOTONIC ns of the report, process, entry) of everything that was said under a name."""
        return [
            (second.mono_ns, process, entry)
            for second in self.seconds
            for process, lists in second.said.items()
            for entry in lists.get(name, ())
        ]


def load(file: BinaryIO) -> Evidence:
    """Reads a recording. RecordingError: it is none, or says what cannot be."""
    reader = Reader(file)
    samples: list[Sample] = []
    seconds: list[Second] = []
    arrivals = Arrivals(reader.header.since_ns)
    venues: list[str] = []
    for kind, payload in reader:
        if kind == b"SAMP":
            samples += samples_of(payload)[: SAMPLES_MAX - len(samples)]
        elif kind == b"SECS":
            seconds += seconds_of(payload)[: SECONDS_MAX - len(seconds)]
        elif kind == b"TOPC":
            venues += (name.rpartition(".")[2] for _, name in topics_of(payload))
            if len(venues) > TOPICS_MAX:
                raise RecordingError(f"more than {TOPICS_MAX} topics")
        elif kind == b"RING":
            arrivals.add(payload, venues)
        elif kind == b"HOLE":
            arrivals.holes += 1
    return evidence(reader.header, samples, seconds, arrivals, reader.problem)


def evidence(
    header: Header,
    samples: Iterable[Sample],
    seconds: Iterable[Second] = (),
    arrivals: Arrivals | None = None,
    problem: str = "",
) -> Evidence:
    """From parts, in any order."""
    rising = sorted(samples, key=lambda sample: sample.mono_ns)
    return Evidence(
        header,
        [Step(one, other) for one, other in pairwise(rising)],
        sorted(seconds, key=lambda second: second.mono_ns),
        arrivals or Arrivals(header.since_ns),
        problem,
    )


def histogram(counts: Iterable[Counts]) -> Histogram:
    """The sum of sparse counts. RecordingError: a place or a count that there cannot be."""
    total = Histogram.empty().counts.copy()
    for one in counts:
        if len(one.places) != len(one.counts):
            raise RecordingError(f"{len(one.places)} places of {len(one.counts)} counts")
        places = np.array(one.places, dtype=np.int64)
        gained = np.array(one.counts, dtype=np.int64)
        if len(places) and places.max() >= len(total):
            raise RecordingError("a histogram of another layout")
        np.add.at(total, places, gained.astype(np.uint64))
    return Histogram(total)
