"""What a load test found, as one value that is written as JSON, read back, judged and compared.

Durations are floats in microseconds, as the protocol's names end in `_us`; moments are integers in
nanoseconds. A figure that was not measured is null, never zero: a server without sequence numbers
has no gaps that anybody could count, which is not the same as having none.

A *window* selects deliveries by their stamp, not by their arrival: what is stamped in the window
counts whenever it arrives within the grace period after it, so that nothing late is left out.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Struct, field

from gateway.errors import TickgateError
from gateway.latency.histogram import Counts, Histogram
from gateway.loadtest.described import described as _is
from gateway.loadtest.overload_result import LadderResult, OverloadResult

SCHEMA: Final = 1
"""Of the JSON. It rises when a field changes its meaning or goes, not when one is added."""


class ResultError(TickgateError):
    """A file that should be a load test's result is none that this version can read."""

    exit_code = 2


class Latency(Struct, frozen=True, kw_only=True):
    """A distribution of durations: percentiles as HdrHistogram means them, known to 0.1 %."""

    p50_us: Annotated[float, _is("half of all were at most this")]
    p90_us: Annotated[float, _is("nine of ten were at most this")]
    p99_us: Annotated[float, _is("99 of 100 were at most this")]
    p999_us: Annotated[float, _is("999 of 1,000 were at most this")]
    max_us: Annotated[float, _is("the longest; of one run, so it says little of the next")]
    mean_us: Annotated[float, _is("the sum divided by the count; not what a typical one takes")]
    count: Annotated[int, _is("how many were recorded; 0: the durations mean nothing")]
    per_s: Annotated[
        float,
        _is(
            "events a second over the window; of `latency` data frames that arrived in the window,"
            " so not count / duration where the backlog grew"
        ),
    ]
    negative: Annotated[
        int, _is("not recorded: stamped after they arrived, so the clocks disagree")
    ] = 0
    saturated: Annotated[int, _is("recorded as the longest that a histogram holds")] = 0

    @classmethod
    def of(cls, histogram: Histogram, per_s: float) -> Latency:
        """The figures of a histogram.

        The mean is exact where the histogram knows its sum, else that of its buckets' middles.
        """

        def at(percentile: float) -> float:
            return histogram.value_at_percentile(percentile) / 1000

        mean_ns = histogram.mean_ns if histogram.sum_ns else _mean_ns(histogram.counts)
        return cls(
            p50_us=at(50),
            p90_us=at(90),
            p99_us=at(99),
            p999_us=at(99.9),
            max_us=histogram.max_ns / 1000,
            mean_us=round(mean_ns / 1000, 3),
            count=histogram.count,
            per_s=round(per_s, 3),
            negative=histogram.negative,
            saturated=histogram.saturated,
        )


class GroupResult(Struct, frozen=True, kw_only=True):
    """What the clients of one group got."""

    clients: Annotated[int, _is("how many it should have")]
    class_: Annotated[
        int | None, _is("of its subscriptions, 0 to 3; null: its text is its own")
    ] = field(default=None, name="class")
    open: Annotated[int, _is("of them connected when the window ended")]
    delivered: Annotated[int, _is("data frames stamped in the window; snapshots are not")]
    per_s: Annotated[float, _is("data frames that arrived in the window, a second")] = 0.0
    expected: Annotated[
        int | None, _is("data frames, had each client got each tick it asked for; null: not known")
    ] = None
    reach: Annotated[
        float | None,
        _is(
            "delivered / expected, 0 to 1; where that is not known records accounted for by `seq` /"
            " (last - first + 1); null: neither"
        ),
    ] = None
    gaps: Annotated[int | None, _is("as in the whole")] = None
    conflated: Annotated[int | None, _is("as in the whole")] = None
    duplicates: Annotated[int | None, _is("as in the whole")] = None
    dropped: Annotated[int | None, _is("as in the whole")] = None
    slow_notices: Annotated[int | None, _is("as in the whole")] = None
    slow_clients: Annotated[int | None, _is("as in the whole")] = None
    conflation_notices: Annotated[int | None, _is("as in the whole")] = None
    reconnects: Annotated[int, _is("connections opened after the first, meant or not")] = 0
    closed: Annotated[int, _is("connections that the server ended")] = 0
    closed_slow: Annotated[int, _is("of them with 4008, slow consumer")] = 0
    refused_requests: Annotated[int, _is("replies that said no to something")] = 0
    protocol_errors: Annotated[int, _is("connections given up: bad or too long frames")] = 0
    unstamped: Annotated[
        int, _is("messages without the time that `--stamp` names, or that cannot be read")
    ] = 0
    measured: Annotated[bool, _is("false: load only, its deliveries are in no histogram")] = True
    latency: Annotated[Latency | None, _is("age at the client; null where not measured")] = None
    arrival: Annotated[Latency | None, _is("age at the client's kernel")] = None
    histogram: Annotated[str, _is("as in the whole, of this group's ages")] = ""


class Connections(Struct, frozen=True, kw_only=True):
    """How the clients got in and went."""

    opened: Annotated[int, _is("handshakes that ended with 101, reconnects included")]
    refused: Annotated[int, _is("connections or handshakes that failed")] = 0
    closed: Annotated[int, _is("connections that the server ended")] = 0
    reconnects: Annotated[int, _is("connections opened again, meant or not")] = 0
    open_s: Annotated[float, _is("seconds from the first connect() until all were open")] = 0.0


RefusalKind = Literal["handshake", "reply", "close"]


class Refusal(Struct, frozen=True, kw_only=True):
    """What the server refused, for one code and message; of all groups, in the whole run."""

    kind: Annotated[
        RefusalKind,
        _is(
            "handshake: a connection did not come about; reply: an error to a request;"
            " close: the server ended a connection"
        ),
    ]
    code: Annotated[
        str,
        _is(
            "`HTTP 503`, `ECONNREFUSED` or `no valid answer`; an error's code; a close code, 1005"
            " it gave none, 1006 no close frame came; empty: of more codes than are kept apart"
        ),
    ]
    message: Annotated[
        str | None,
        _is(
            "body, the error's message or the close's reason, cut at 240 bytes; the first of those"
            " that differ only in their numbers; null: of more messages than are kept apart"
        ),
    ]
    count: Annotated[int, _is("how often: attempts, errors, connections")]


class SourceResult(Struct, frozen=True, kw_only=True):
    """How true the tick source was to its schedule: it is open loop and never waits for anyone."""

    intended: Annotated[int, _is("ticks due in the window")]
    sent: Annotated[int, _is("of them sent, late or not")]
    late: Annotated[Latency, _is("sent - intended; it is part of every age, and not the server's")]
    achieved_per_s: Annotated[float, _is("ticks sent a second, over the window")]
    errors: Annotated[int, _is("sends that failed: mostly, nobody listened")] = 0
    clock_steps: Annotated[int, _is("times that the wall clock was set: the run is invalid")] = 0


class ServerResult(Struct, frozen=True, kw_only=True):
    """What the server's processes used in the window: all of them together."""

    cpu_s: Annotated[float, _is("user and system seconds")]
    cpu_us_per_delivery: Annotated[
        float | None, _is("CPU of all its processes / data frames delivered; null without any")
    ]
    rss_mb: Annotated[float, _is("resident memory at the window's end, 10^6 bytes, shared once")]
    rss_mb_max: Annotated[float, _is("the most that was seen, sampled; peaks may be missed")]
    pss_mb: Annotated[
        float | None,
        _is("PSS at the window's end: each page divided by who maps it; null: not readable"),
    ] = None
    pss_mb_max: Annotated[float | None, _is("the most that was seen of it")] = None
    pids: Annotated[list[int], _is("its processes")] = field(default_factory=list)

    @property
    def memory(self) -> tuple[str, float, float]:
        """The measure that there is (PSS before RSS), at the end and at most, in 10^6 bytes."""
        if self.pss_mb is not None and self.pss_mb_max is not None:
            return "PSS", self.pss_mb, self.pss_mb_max
        return "RSS", self.rss_mb, self.rss_mb_max


class Floor(Struct, frozen=True, kw_only=True):
    """The least that it can cost: a bare loop of send() to as many clients on the same machine."""

    cpu_us_per_delivery: Annotated[float, _is("user and system time of the loop / frame sent")]


class ClientLoad(Struct, frozen=True, kw_only=True):
    """How much the load test's own clients had to do: whether to believe the rest."""

    processes: Annotated[int, _is("that drove the clients, a thread each")]
    busy: Annotated[float, _is("CPU / wall time of the busiest thread in the window, 0 to 1")]
    run_delay: Annotated[
        float, _is("share of the window that the worst thread was ready but had no CPU, 0 to 1")
    ]
    turn_max_us: Annotated[float, _is("longest time between two looks at the sockets")]
    still: Annotated[
        float, _is("share of the window that the worst process stood still: stopped, or no CPU")
    ] = 0.0
    still_max_us: Annotated[float, _is("the longest of these times")] = 0.0


class Clock(Struct, frozen=True, kw_only=True):
    """How the server's clock was related to the clients'."""

    offset_ns: Annotated[int, _is("server - client; it was added to the client's clock")] = 0
    error_ns: Annotated[int, _is("the offset is known to this, either way")] = 0
    method: Annotated[
        Literal["shared", "ping", "none"],
        _is(
            "shared: one clock for both; ping: by four stamps of pings; none: not related, so no"
            " age is to be had"
        ),
    ] = "shared"


class Point(Struct, frozen=True, kw_only=True):
    """One second of the timeline: what arrived from `t_s` to the next point's."""

    t_s: Annotated[float, _is("seconds since the window's start")]
    per_s: Annotated[float, _is("data frames that arrived, a second")]
    p50_us: Annotated[float | None, _is("of what arrived; null where nothing did")]
    p99_us: Annotated[float | None, _is("not to be averaged over points")]
    max_us: Annotated[float | None, _is("the longest")]
    gaps: Annotated[int | None, _is("found in this second")] = None
    conflated: Annotated[int | None, _is("told in this second")] = None
    server_cpu: Annotated[float | None, _is("CPU seconds a second, of all its processes")] = None


class ThresholdResult(Struct, frozen=True, kw_only=True):
    """What became of one `--threshold`."""

    expression: Annotated[str, _is("as it was given")]
    value: Annotated[
        float | None,
        _is("what was measured: µs of durations, 0 to 1 of shares; null: not measured, so not ok"),
    ]
    ok: Annotated[bool, _is("it holds")]
    shown: Annotated[str, _is("the value for people, with its unit")] = ""


class Trial(Struct, frozen=True, kw_only=True):
    """One run of a search for a limit."""

    rate: Annotated[float, _is("ticks a second")]
    verdict: Annotated[Literal["pass", "fail", "invalid"], _is("of that run")]


class LimitResult(Struct, frozen=True, kw_only=True):
    """The search for the highest rate, in ticks a second; null: there was no such rate."""

    passed: Annotated[float | None, _is("the highest that passed; the result is of that run")]
    failed: Annotated[float | None, _is("the lowest that failed")]
    invalid: Annotated[float | None, _is("the lowest at which the clients were overloaded")]
    trials: Annotated[list[Trial], _is("all runs, in order")]
    shown: Annotated[str, _is("the same for people")] = ""


class Environment(Struct, frozen=True, kw_only=True):
    """The machine and the versions, without names of hosts, users or directories."""

    cpu: Annotated[str, _is("model")]
    cores: Annotated[int, _is("logical CPUs that the load test may use")]
    kernel: Annotated[str, _is("name and release")]
    os: Annotated[str, _is("distribution")]
    python: Annotated[str, _is("implementation and version")]
    tickgate: Annotated[str, _is("version of the package")]
    commit: Annotated[
        str | None, _is("of the checkout, `+` where files were changed; null elsewhere")
    ] = None
    libraries: Annotated[dict[str, str], _is("versions, of what tickgate depends on")] = field(
        default_factory=dict
    )
    machine_load: Annotated[
        float, _is("processes running or ready before the run, averaged over a minute")
    ] = 0.0
    governor: Annotated[str | None, _is("of the CPUs' frequency; null: none to be seen")] = None
    clocksource: Annotated[str | None, _is("of the kernel")] = None


class Result(Struct, frozen=True, kw_only=True):
    """One run of a load test."""

    schema: Annotated[int, _is("of this JSON")] = SCHEMA
    name: Annotated[str, _is("of the scenario")]
    started: Annotated[str, _is("when the window began, ISO 8601 in UTC")]
    duration_s: Annotated[float, _is("length of the window")]
    url: Annotated[str, _is("of the server, the first where there are several")]
    clients: Annotated[int, _is("how many there should be, in all groups")]
    scenario: Annotated[dict[str, Any], _is("as it was run, every key")] = field(
        default_factory=dict
    )
    latency: Annotated[
        Latency,
        _is("age: client's receive - the tick's own stamp (its intended time), measured groups"),
    ]
    arrival: Annotated[
        Latency | None, _is("age when the client's kernel had it; null: it gives no such stamp")
    ] = None
    own: Annotated[
        Latency | None, _is("client's receive - its kernel's stamp: the client's own delay")
    ] = None
    stages: Annotated[
        dict[str, Latency],
        _is(
            "`wire` stamp to gateway, `server` gateway's receive to send, `delivery` its send to"
            " client's receive, `handshake` connect() to 101; only those that were measured"
        ),
    ] = field(default_factory=dict)
    skew: Annotated[
        Latency | None, _is("last - first of the clients to get the same tick, a sample of ticks")
    ] = None
    reach: Annotated[
        float | None,
        _is(
            "delivered / expected, 0 to 1; only listening: records accounted for by"
            " `seq` / (last - first + 1); null: cannot be known"
        ),
    ] = None
    expected: Annotated[
        int | None, _is("data frames, had each subscriber got each tick of the window")
    ] = None
    delivered: Annotated[int, _is("data frames stamped in the window; snapshots are not")]
    gaps: Annotated[int | None, _is("records missing by `seq` and not told; null: no `seq`")] = None
    gap_events: Annotated[int | None, _is("holes, however many records each; null: no `seq`")] = (
        None
    )
    conflated: Annotated[
        int | None, _is("records of the window that were skipped, and told so (`skipped`)")
    ] = None
    duplicates: Annotated[int | None, _is("records that came again; null: no `seq`")] = None
    dropped: Annotated[
        int | None,
        _is("records that `gap` notices say were lost, in the whole run"),
    ] = None
    slow_notices: Annotated[
        int | None, _is("notices to clients that they are slow, or no more, in the whole run")
    ] = None
    slow_clients: Annotated[int | None, _is("clients that got one of those")] = None
    conflation_notices: Annotated[
        int | None, _is("notices that a class is conflated, or no more, in the whole run")
    ] = None
    groups: Annotated[dict[str, GroupResult], _is("by the scenario's names")] = field(
        default_factory=dict
    )
    connections: Annotated[Connections, _is("how the clients got in and went")]
    refusals: Annotated[
        list[Refusal], _is("what the server refused, by kind, the most frequent first; at most 64")
    ] = field(default_factory=list)
    source: Annotated[SourceResult | None, _is("null: only listening")] = None
    server: Annotated[ServerResult | None, _is("null: its processes are not ours to see")] = None
    floor: Annotated[Floor | None, _is("null: not measured")] = None
    client: Annotated[ClientLoad, _is("load of the clients themselves")]
    clock: Annotated[Clock, _is("how two clocks were related")] = Clock()
    timeline: Annotated[list[Point], _is("the window, second by second")] = field(
        default_factory=list
    )
    ladder: Annotated[LadderResult | None, _is("null: there was no cool-down, or nobody told")] = (
        None
    )
    limit: Annotated[LimitResult | None, _is("null: no limit was searched for")] = None
    overload: Annotated[
        OverloadResult | None, _is("null: it was none; else the result is of the run `enforce`")
    ] = None
    thresholds: Annotated[list[ThresholdResult], _is("in the order given")] = field(
        default_factory=list
    )
    doubts: Annotated[list[str], _is("what went wrong on the way, in words")] = field(
        default_factory=list
    )
    valid: Annotated[bool, _is("false: the figures are not the server's alone")] = True
    invalid_because: Annotated[list[str], _is("why not, in words")] = field(default_factory=list)
    failed_because: Annotated[list[str], _is("why there was nothing to judge, in words")] = field(
        default_factory=list
    )
    verdict: Annotated[
        Literal["pass", "fail", "invalid"], _is("invalid outweighs a threshold that failed")
    ] = "pass"
    histogram: Annotated[str, _is("age, ns, HdrHistogram V2 compressed, base64")] = ""
    histograms: Annotated[
        dict[str, str], _is("the same of `arrival`, `own`, `skew` and the stages, by name")
    ] = field(default_factory=dict)
    environment: Annotated[Environment, _is("machine and versions")]

    def to_json(self) -> bytes:
        """The result as indented JSON with a newline at its end."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def from_json(text: bytes | str, origin: str = "result") -> Result:
    """Reads what `to_json` wrote, of this version of the schema; unknown fields are ignored.

    Raises:
        ResultError: no JSON, another version, or a field that is missing or wrong, by its path;
            `origin` (a file's name) begins the text.
    """
    try:
        version = msgspec.json.decode(text, type=_Version).schema
        if version == SCHEMA:
            return msgspec.json.decode(text, type=Result)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ResultError(f"{origin}: not a result of a load test: {error}") from None
    raise ResultError(
        f"{origin}: schema {version}, this version of tickgate reads {SCHEMA}: run the load test"
        " again with it, or compare with the version that wrote the file"
    )


def schema() -> dict[str, Any]:
    """The JSON schema of a result, every field with its description."""
    return msgspec.json.schema(Result)


class _Version(Struct):
    schema: int


def _mean_ns(counts: Counts) -> float:
    used = np.flatnonzero(counts)
    if not used.size:
        return 0.0
    # Layout of the counts: see gateway.latency.histogram.
    shift = np.maximum((used >> 10) - 1, 0)
    middles = ((used - (shift << 10)) << shift) + ((1 << shift) >> 1)
    return float(np.average(middles, weights=counts[used]))
