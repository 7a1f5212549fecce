"""When which tick is due: the open-loop schedule of a scenario's source.

Pure and seeded: the same source gives the same ticks, in whatever process and however often. Time
runs from the start of the warm-up. Ticks are numbered from 0, and a *pace* says when a number is
due: the inverse of the integral of a rate, or a capture's own arrival times. A ramp and the first
burst begin with the window, so that a window of any length shows them whole.
"""

from __future__ import annotations

import gzip
import itertools
import zlib
from array import array
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from gateway.errors import Problem
from gateway.loadtest.profiles import zipf_weights
from gateway.loadtest.scenario import ScenarioError, Source
from gateway.model.record import CHANNELS

CHUNK_S: Final = 0.5
"""Longest time of one chunk: long against what a hand-over costs, short against a run."""

ROWS_MAX: Final = 1 << 16
"""Rows of one chunk: one megabyte."""

LINE_BYTES_MAX: Final = 8 << 20
"""A longer line of a capture (the longest known: 5 MB of depth snapshot) falls to pieces."""

STAMP_DIGITS: Final = 19
"""Of nanoseconds since 1970, in the years 2001 to 2286."""

RECORDS_MAX: Final = 20_000_000
"""Records taken from a capture, 9 bytes each; the rest is left out."""

_NS: Final = 1e9

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Codes = npt.NDArray[np.uint8]
Reals = npt.NDArray[np.float64]


class Chunk(NamedTuple):
    """Ticks in the order of their times, a row each."""

    due_ns: Int64s
    """From the start of the schedule; never falls."""
    symbol: Int32s
    """Index of the symbol."""
    channel: Codes
    """Codes of `CHANNELS`."""

    def part(self, first: int, end: int) -> Chunk:
        """Some of the rows."""
        return Chunk(self.due_ns[first:end], self.symbol[first:end], self.channel[first:end])


class _Pace(Protocol):
    def count(self, end_s: float) -> float:
        """Ticks due before this time, to a rounding error: numbers 0 to ceil(count) - 1."""

    def due_s(self, number: Int64s) -> Reals: ...

    def channel(self, number: Int64s) -> Codes: ...


class Schedule:
    """The ticks of a source over warm-up, window and cool-down.

    Attributes:
        window_ns: start and end of the window, from the start of the schedule.
        end_ns: of the schedule.
        symbols: how many there are.
        channels: names of those that the source sends.
    """

    def __init__(
        self, source: Source, *, warmup_s: float, duration_s: float, cooldown_s: float = 0.0
    ) -> None:
        """Reads the capture, if there is one.

        Raises:
            ScenarioError: the capture can't be read, or has no record of the source's channels.
        """
        self.symbols = source.symbols
        self.channels: Sequence[str] = source.channels
        warmup_ns = round(warmup_s * _NS)
        self.window_ns = (warmup_ns, warmup_ns + round(duration_s * _NS))
        self.end_ns = self.window_ns[1] + round(cooldown_s * _NS)
        self._pace = _pace(source, warmup_s, duration_s)
        self._seed = source.seed
        self._shares: Reals | None = None
        if source.popularity == "zipf":
            self._shares = np.cumsum(zipf_weights(source.symbols, source.exponent))
            self._shares[-1] = 1.0

    def chunks(self) -> Iterator[Chunk]:
        """All ticks, from the first one on: each call begins anew."""
        rng = np.random.default_rng(self._seed)
        end_ns = self.end_ns
        first = 0
        for n in itertools.count(1):
            until_s = min(n * CHUNK_S, end_ns / _NS)
            end = int(np.ceil(self._pace.count(until_s)))
            for start in range(first, end, ROWS_MAX):
                number = np.arange(start, min(start + ROWS_MAX, end), dtype=np.int64)
                due_ns = np.rint(self._pace.due_s(number) * _NS).astype(np.int64)
                chunk = Chunk(due_ns, self._symbol(rng, number), self._pace.channel(number))
                # Rounding may have put the last one on the end, which belongs to nobody.
                yield chunk.part(0, int(np.searchsorted(due_ns, end_ns)))
            first = max(first, end)
            if until_s == end_ns / _NS:
                return

    def _symbol(self, rng: np.random.Generator, number: Int64s) -> Int32s:
        if self._shares is None:
            # A whole round of channels for a symbol, so that every topic's ticks are evenly spaced.
            return (number // len(self.channels) % self.symbols).astype(np.int32)
        drawn = np.searchsorted(self._shares, rng.random(len(number)), side="right")
        return drawn.astype(np.int32)


def counts(chunk: Chunk, channels: Sequence[str], symbols: int) -> dict[str, Int64s]:
    """How many rows each channel has of each symbol."""
    return {
        name: np.bincount(
            chunk.symbol[chunk.channel == CHANNELS[name].number], minlength=symbols
        ).astype(np.int64)
        for name in channels
    }


def intended(schedule: Schedule, start_ns: int, end_ns: int) -> dict[str, Int64s]:
    """Ticks due in [start, end), from the start of the schedule: by channel, then symbol."""
    total = {name: np.zeros(schedule.symbols, dtype=np.int64) for name in schedule.channels}
    for chunk in schedule.chunks():
        first, end = np.searchsorted(chunk.due_ns, (start_ns, end_ns)).tolist()
        part = counts(chunk.part(first, end), schedule.channels, schedule.symbols)
        for name, count in part.items():
            total[name] += count
    return total


# --- paces ----------------------------------------------------------------------------------------


def _pace(source: Source, warmup_s: float, duration_s: float) -> _Pace:
    if source.shape == "capture":
        return _Capture(source)
    if source.shape == "burst":
        return _Burst(source, warmup_s)
    end_rate = source.to_rate if source.shape == "ramp" else source.rate
    return _Ramp(source, warmup_s, duration_s, end_rate)


class _Alternating:
    """Channels in turn."""

    def __init__(self, source: Source) -> None:
        self._codes = np.array([CHANNELS[name].number for name in source.channels], dtype=np.uint8)

    def channel(self, number: Int64s) -> Codes:
        return self._codes[number % len(self._codes)]


class _Ramp(_Alternating):
    """An even rate through the warm-up, from there to another one; a steady pace is a flat ramp."""

    def __init__(self, source: Source, warmup_s: float, duration_s: float, end_rate: float) -> None:
        super().__init__(source)
        self._rate = source.rate
        self._warmup_s = warmup_s
        self._growth = (end_rate - source.rate) / duration_s

    def count(self, end_s: float) -> float:
        inside_s = max(0.0, end_s - self._warmup_s)
        return self._rate * end_s + self._growth * inside_s**2 / 2

    def due_s(self, number: Int64s) -> Reals:
        inside = number - self._rate * self._warmup_s
        # The root of rate t + growth t^2 / 2 = n, in the form that stands a growth of nothing.
        square = self._rate**2 + 2 * self._growth * inside
        root = 2 * inside / (self._rate + np.sqrt(np.maximum(square, 0.0)))
        due_s: Reals = np.where(inside < 0, number / self._rate, self._warmup_s + root)
        return due_s


class _Burst(_Alternating):
    """A base rate, and at the start of each period a higher one; periods begin with the window."""

    def __init__(self, source: Source, warmup_s: float) -> None:
        super().__init__(source)
        every_s, burst_s = source.burst_every_s, source.burst_s
        self._every_s = every_s
        self._edges_s = np.array([0.0, burst_s, every_s])
        sums = [0.0, source.burst_rate * burst_s, source.rate * (every_s - burst_s)]
        self._sums = np.cumsum(sums)
        # The schedule begins inside a period: so late, and so many ticks after its start.
        self._before_s = -warmup_s % every_s
        self._before = self._total(self._before_s)

    def _total(self, end_s: float) -> float:
        periods, inside_s = divmod(end_s, self._every_s)
        return float(periods * self._sums[-1] + np.interp(inside_s, self._edges_s, self._sums))

    def count(self, end_s: float) -> float:
        return self._total(self._before_s + end_s) - self._before

    def due_s(self, number: Int64s) -> Reals:
        periods, inside = np.divmod(number + self._before, self._sums[-1])
        at_s = periods * self._every_s + np.interp(inside, self._sums, self._edges_s)
        due_s: Reals = np.maximum(at_s - self._before_s, 0.0)
        return due_s


class _Capture:
    """A capture's own arrival times and channels, again and again."""

    def __init__(self, source: Source) -> None:
        stamps_ns, self._codes = _arrivals(source)
        self._due_s = (stamps_ns - stamps_ns[0]) / (_NS * source.speed)
        # The first tick of the next pass follows the last one as it would on average.
        size = len(stamps_ns)
        self._pass_s = float(self._due_s[-1]) * size / (size - 1)

    def count(self, end_s: float) -> float:
        passes, inside_s = divmod(end_s, self._pass_s)
        return float(passes * len(self._due_s) + np.searchsorted(self._due_s, inside_s))

    def due_s(self, number: Int64s) -> Reals:
        passes, inside = np.divmod(number, len(self._due_s))
        due_s: Reals = passes * self._pass_s + self._due_s[inside]
        return due_s

    def channel(self, number: Int64s) -> Codes:
        return self._codes[number % len(self._codes)]


class _Envelope(msgspec.Struct, gc=False):
    stream: str = ""


_STREAMS: Final = {"trade": "trade", "bookTicker": "bbo"}
"""Binance's streams (symbol@stream), and the channel of their messages."""


def _arrivals(source: Source) -> tuple[Int64s, Codes]:
    """Receive times (ns, never falling) and channels of a capture's messages.

    A line is `<local receive ns> <raw message of a combined stream>`; what is not of the source's
    channels is left out.
    """
    stamps, codes = array("q"), bytearray()
    try:
        for stamp_ns, code in itertools.islice(_messages(source), RECORDS_MAX):
            stamps.append(stamp_ns)
            codes.append(code)
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(source, getattr(error, "strerror", None) or str(error)) from error
    stamps_ns: Int64s = np.maximum.accumulate(np.frombuffer(stamps, dtype=np.int64))
    if len(stamps_ns) < 2 or stamps_ns[-1] == stamps_ns[0]:
        channels = " or ".join(source.channels)
        raise _refused(source, f"{len(codes)} records of {channels}; expected 2 at different times")
    return stamps_ns, np.frombuffer(codes, dtype=np.uint8)


def _messages(source: Source) -> Iterator[tuple[int, int]]:
    decode = msgspec.json.Decoder(_Envelope).decode
    codes = {
        stream: CHANNELS[channel].number
        for stream, channel in _STREAMS.items()
        if channel in source.channels
    }
    with gzip.open(source.capture, "rb") as file:
        while line := file.readline(LINE_BYTES_MAX):
            stamp, _, payload = line.partition(b" ")
            try:
                kind = decode(payload).stream.partition("@")[2]
            except (ValueError, RecursionError):
                continue  # What is no message has no place in the schedule.
            if kind not in codes:
                continue
            if not (stamp.isdigit() and len(stamp) == STAMP_DIGITS and int(stamp) < 1 << 63):
                # Of another unit it would be played at another pace than its own.
                shown = ascii(stamp[:STAMP_DIGITS].decode("latin-1"))
                raise _refused(source, f"a line begins with {shown}; expected nanoseconds")
            yield int(stamp), codes[kind]


def _refused(source: Source, why: str) -> ScenarioError:
    problem = Problem("source.capture", f"{source.capture}: {why}")
    return ScenarioError("the scenario has an error", [problem])
