"""The document that the `ops` channel brings each second, as structs.

Every field has a default and unknown ones are ignored: a `top` of one version shows what it knows
of a gateway of another. Latencies are microseconds, None where nothing was recorded; `ts` and
`since` are REALTIME ns by the gateway's clock.
"""

from typing import Any, Final

import msgspec

CLASSES: Final = ("trades", "bbo", "lowered", "bulk")
"""What a subscription's class is called."""
LEVELS: Final = ("live", "20 ms", "100 ms", "snapshot")
"""How a client is served at each level, best first."""


class _Part(msgspec.Struct, frozen=True):
    """Base of all parts."""


class Latency(_Part, frozen=True):
    """Percentiles of one histogram, and how many samples it has."""

    count: int = 0
    p50_us: float | None = None
    p99_us: float | None = None
    p999_us: float | None = None
    max_us: float | None = None


class ClassLatency(Latency, frozen=True):
    """One class of subscriptions against its own target."""

    target_us: float | None = None
    conflated: int = 0
    dropped: int = 0
    state: str = ""


class Alert(_Part, frozen=True):
    """A burn rule: `windows` is its long and its short one."""

    windows: str = ""
    rate: float = 0
    burning: bool = False


class Objective(_Part, frozen=True):
    """The objective and how it does, over `window_s`."""

    stage: str = ""
    percentile: float = 99
    target_us: float = 0
    p50_us: float | None = None
    p99_us: float | None = None
    p999_us: float | None = None
    max_us: float | None = None
    count: int = 0
    conflated: int = 0
    dropped: int = 0
    bad: int = 0
    window_s: float = 0
    state: str = ""
    since: int = 0
    action: str = "none"
    budget_remaining: float = 1
    enforce: bool = True
    burn: dict[str, float] = {}
    alerts: tuple[Alert, ...] = ()
    classes: tuple[ClassLatency, ...] = ()


class Point(Latency, frozen=True):
    """What one interval brought; `ts` is its end."""

    ts: int = 0
    span_s: float = 1
    state: str = ""
    published: float = 0
    delivered: float = 0
    conflated: float = 0
    dropped: float = 0


class Controller(_Part, frozen=True):
    """The latency controller of one worker; an interval of None means that the class is paused."""

    worker: str = ""
    step: int = 0
    intervals_ms: tuple[float | None, ...] = ()
    infeasible: bool = False
    overload_s: float | None = None
    busy: float | None = None
    delivered_per_s: float | None = None
    sweep_us: float | None = None
    fan_out_us: float | None = None
    audience_max: int | None = None
    ring_age_us: float | None = None


class Transition(_Part, frozen=True):
    """One change of the ladder (from step `was` to `step`) or of the state (by its number)."""

    ts: int = 0
    worker: str = ""
    kind: str = ""
    step: int | None = None
    was: int | None = None
    reason: str = ""


class Slow(_Part, frozen=True):
    """One of the slowest clients."""

    worker: str = ""
    connection_id: str = ""
    address: str = ""
    level: int = 0
    age_ms: float | None = None
    pending_bytes: int | None = None
    why: str = ""


class Refused(_Part, frozen=True):
    """The newest input that a feed refused."""

    symbol: str = ""
    channel: str = ""
    field: str = ""
    value: str = ""
    reason: str = ""
    why: str = ""
    at_ns: int = 0


class Feed(_Part, frozen=True):
    """One feed; counts are since its start."""

    name: str = ""
    state: str = ""
    records: int = 0
    gaps: int = 0
    lost: int = 0
    decode_errors: int = 0
    last_record_ns: int = 0
    message: str = ""
    refused: dict[str, int] = {}
    last_refused: Refused | None = None


class Process(_Part, frozen=True):
    """One process of the gateway; `run_delay_ms` is of the last second."""

    name: str = ""
    state: str = ""
    restarts: int = 0
    loop_lag_ms: float | None = None
    loop_lag_max_ms: float | None = None
    gc_pauses: int | None = None
    gc_pause_max_ms: float | None = None
    run_delay_ms: float | None = None
    cpu: float | None = None
    plane_stalls: int | None = None


class Stall(_Part, frozen=True):
    """One stall, named."""

    ts: int = 0
    process: str = ""
    kind: str = ""
    ms: float = 0
    words: str = ""


class Now(_Part, frozen=True):
    """The gateway at one moment."""

    ts: int = 0
    version: str = ""
    epoch: str = ""
    uptime_s: float = 0
    ready: bool = False
    problems: tuple[str, ...] = ()
    listen: str = ""
    slo: Objective = Objective()
    point: Point | None = None
    stages: dict[str, Latency] = {}
    connections: int = 0
    subscriptions: int = 0
    blocked: int = 0
    levels: tuple[int, ...] = ()
    controller: tuple[Controller, ...] = ()
    history: tuple[Transition, ...] = ()
    slowest: tuple[Slow, ...] = ()
    feeds: tuple[Feed, ...] = ()
    processes: tuple[Process, ...] = ()
    stalls: tuple[Stall, ...] = ()


def read(document: Any) -> Now:
    """The document as structs.

    Raises:
        ValueError: it is none; the text says where.
    """
    return msgspec.convert(document, Now)


def read_points(points: Any) -> tuple[Point, ...]:
    """Points of a `history` reply; raises as `read`."""
    return msgspec.convert(points, tuple[Point, ...])
