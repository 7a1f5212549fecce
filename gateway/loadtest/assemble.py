"""From what was counted to the result: sums, shares, and what each of them may be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np
import numpy.typing as npt

from gateway.latency.histogram import Histogram
from gateway.loadtest.merge import Merged
from gateway.loadtest.overload_result import LadderResult
from gateway.loadtest.result import (
    Clock,
    Connections,
    Environment,
    GroupResult,
    Latency,
    Point,
    Result,
    ServerResult,
    SourceResult,
)
from gateway.loadtest.scenario import Scenario
from gateway.loadtest.source import SourceReport

STAGES = ("wire", "server", "delivery", "handshake")
CROSSING = ("wire", "delivery")
"""Stages that begin at one side's clock and end at the other's."""

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sent:
    """What the source did, over the window.

    Attributes:
        intended: ticks due, by channel and symbol's index.
        sent: how many of them were sent.
        late: sent - intended.
        errors: sends that failed.
        clock_steps: times that the wall clock was set.
    """

    intended: Mapping[str, Int64s]
    sent: int
    late: Histogram
    errors: int = 0
    clock_steps: int = 0

    @classmethod
    def told(cls, reports: Sequence[SourceReport]) -> Sent:
        """Of sources that send the same ticks to different servers: each was intended once.

        `sent` is of the one that did the worst, `late` of all.
        """
        intended = {
            channel: np.array(ticks, np.int64) for channel, ticks in reports[0].intended.items()
        }
        late = Histogram.merged(report.lateness for report in reports)
        return cls(
            intended,
            min(report.sent for report in reports),
            late,
            sum(report.errors for report in reports),
            max(report.clock_steps for report in reports),
        )


@dataclass(frozen=True)
class Usage:
    """What the server's processes used in the window.

    Attributes:
        cpu_ns: CPU time between two looks.
        wall_ns: time between them: the window's length, but for how late the looks were.
        resident_bytes: memory at the end, and the most that was seen.
        proportional_bytes: the same by PSS; None where the kernel does not tell.
        pids: the processes.
    """

    cpu_ns: int
    wall_ns: int
    resident_bytes: int
    resident_bytes_max: int
    proportional_bytes: int | None
    proportional_bytes_max: int | None
    pids: list[int]


@dataclass(frozen=True)
class Run:
    """All that one run has brought.

    Attributes:
        scenario: what was run.
        url: of the first server.
        start_ns: CLOCK_REALTIME of the window's start.
        window_s: how long the window was; shorter than meant where the run was interrupted.
        sequenced: whether the frames are our protocol's, with `seq` and all.
        open_s: until all clients were open.
        audiences: of each group, by symbol's index, who should get each tick.
        apart: the server is on another host, so that its clock is not ours.
        doubts: what went wrong on the way, in words.
        ladder: of the gateway's controller after the window; None where nobody looked.
    """

    scenario: Scenario
    url: str
    start_ns: int
    window_s: float
    sequenced: bool
    open_s: float
    audiences: Sequence[Int64s]
    merged: Merged
    sent: Sent | None
    usage: Usage | None
    clock: Clock
    points: list[Point]
    environment: Environment
    apart: bool = False
    doubts: Sequence[str] = ()
    ladder: LadderResult | None = None


def assemble(run: Run) -> Result:
    """The result of a run, not yet judged."""
    scenario, merged = run.scenario, run.merged
    every = range(len(scenario.groups))
    measured = [n for n in every if scenario.groups[n].measured]
    counted = [n for n in measured if scenario.groups[n].expect_all]

    def latency(name: str) -> Latency | None:
        return _latency(merged.histogram(name, measured), run.window_s)

    def sequenced(name: str) -> int | None:
        return merged.total(name, measured) if run.sequenced else None

    age = merged.histogram("age", measured)
    # Where the clocks were related, it was by an offset that the swarm has applied.
    unrelated = run.apart and run.clock.method == "shared"
    names = [name for name in STAGES if not (unrelated and name in CROSSING)]
    histograms = {name: merged.histogram(name, measured) for name in ("arrival", "own", *names)}
    histograms |= {"skew": merged.skew}
    stages = {name: found for name in names if (found := latency(name)) is not None}
    per_s = merged.total("received", measured) / run.window_s
    expected = _expected(run, counted) if counted else None
    return Result(
        name=scenario.name,
        started=datetime.fromtimestamp(run.start_ns / 1e9, UTC).isoformat(timespec="microseconds"),
        duration_s=round(run.window_s, 6),
        url=run.url,
        clients=scenario.clients,
        scenario=msgspec.to_builtins(scenario),
        latency=Latency.of(age, per_s),
        arrival=latency("arrival"),
        own=latency("own"),
        stages=stages,
        skew=_latency(merged.skew, run.window_s),
        reach=reach(merged, counted, expected) if expected is not None else span(merged, measured),
        expected=expected,
        delivered=merged.total("delivered", measured),
        gaps=sequenced("gaps"),
        gap_events=sequenced("gap_events"),
        conflated=sequenced("conflated"),
        duplicates=sequenced("duplicates"),
        dropped=sequenced("lost"),
        slow_notices=sequenced("slow_notices"),
        slow_clients=sequenced("slow_clients"),
        conflation_notices=sequenced("conflation_notices"),
        groups={scenario.groups[n].name: _group(run, n) for n in every},
        connections=Connections(
            opened=merged.total("opened", every),
            refused=merged.total("refused", every),
            closed=merged.total("closed", every),
            reconnects=merged.total("reconnects", every),
            open_s=round(run.open_s, 3),
        ),
        refusals=merged.refusals,
        source=_source(run.sent, run.window_s),
        server=_server(run.usage, merged.total("received", every), run.window_s),
        client=merged.load,
        clock=run.clock,
        ladder=run.ladder,
        timeline=run.points,
        doubts=list(run.doubts),
        histogram=age.to_hdr_v2(),
        histograms={name: one.to_hdr_v2() for name, one in histograms.items() if one.count},
        environment=run.environment,
    )


def reach(merged: Merged, counted: Sequence[int], expected: int) -> float | None:
    """Share of what should have been delivered that was."""
    return merged.total("delivered", counted) / expected if expected else None


def span(merged: Merged, measured: Sequence[int]) -> float | None:
    """As `reach` where nobody knows what was sent: by the numbers of what came.

    Of each client and topic, records accounted for (delivered, or skipped and told so) after the
    first, of all that were numbered from the first to the last.
    """
    whole = merged.total("first_last_span", measured)
    return merged.total("accounted", measured) / whole if whole else None


def _expected(run: Run, groups: Sequence[int]) -> int | None:
    """Data frames of these groups, had each subscriber got each tick; None: nobody knows."""
    each = run.scenario.groups
    if run.sent is None or any(each[n].uncountable for n in groups):
        return None
    intended, audiences = run.sent.intended, run.audiences
    return sum(
        int((intended[each[n].channel] * audiences[n]).sum())
        for n in groups
        if each[n].channel in intended
    )


def _latency(histogram: Histogram, window_s: float) -> Latency | None:
    return Latency.of(histogram, histogram.count / window_s) if histogram.count else None


def _group(run: Run, n: int) -> GroupResult:
    group, merged = run.scenario.groups[n], run.merged
    expected, age = _expected(run, [n]), merged.histogram("age", [n])

    def sequenced(name: str) -> int | None:
        return merged.total(name, [n]) if run.sequenced else None

    return GroupResult(
        clients=group.clients,
        class_=None if group.subscribe else group.priority,
        open=merged.total("open", [n]),
        expected=expected,
        delivered=merged.total("delivered", [n]),
        per_s=round(merged.total("received", [n]) / run.window_s, 3),
        reach=span(merged, [n]) if expected is None else reach(merged, [n], expected),
        gaps=sequenced("gaps"),
        conflated=sequenced("conflated"),
        duplicates=sequenced("duplicates"),
        dropped=sequenced("lost"),
        slow_notices=sequenced("slow_notices"),
        slow_clients=sequenced("slow_clients"),
        conflation_notices=sequenced("conflation_notices"),
        reconnects=merged.total("reconnects", [n]),
        closed=merged.total("closed", [n]),
        closed_slow=merged.total("closed_4008", [n]),
        refused_requests=merged.total("errors", [n]),
        protocol_errors=merged.total("protocol_errors", [n]) + merged.total("oversized", [n]),
        unstamped=merged.total("unstamped", [n]),
        measured=group.measured,
        latency=_latency(age, run.window_s),
        arrival=_latency(merged.histogram("arrival", [n]), run.window_s),
        histogram=age.to_hdr_v2() if age.count else "",
    )


def _source(sent: Sent | None, window_s: float) -> SourceResult | None:
    if sent is None:
        return None
    return SourceResult(
        intended=sum(int(ticks.sum()) for ticks in sent.intended.values()),
        sent=sent.sent,
        late=Latency.of(sent.late, sent.late.count / window_s),
        achieved_per_s=round(sent.sent / window_s, 3),
        errors=sent.errors,
        clock_steps=sent.clock_steps,
    )


def _server(usage: Usage | None, frames: int, window_s: float) -> ServerResult | None:
    """`frames` are those that came in the window, to all clients: they are what the CPU did."""
    if usage is None or not usage.pids or not usage.wall_ns:
        return None
    # The looks are late by a few milliseconds at most, and what is meant is the window.
    cpu_s = usage.cpu_ns / usage.wall_ns * window_s
    return ServerResult(
        cpu_s=round(cpu_s, 6),
        cpu_us_per_delivery=round(cpu_s * 1e6 / frames, 4) if frames else None,
        rss_mb=round(usage.resident_bytes / 1e6, 3),
        rss_mb_max=round(usage.resident_bytes_max / 1e6, 3),
        pss_mb=_megabytes(usage.proportional_bytes),
        pss_mb_max=_megabytes(usage.proportional_bytes_max),
        pids=usage.pids,
    )


def _megabytes(count: int | None) -> float | None:
    return None if count is None else round(count / 1e6, 3)
