"""What a client is told: the protocol's messages, and what this client finds out by itself."""

from typing import Any

import msgspec


class Error(msgspec.Struct, frozen=True):
    """Why a request, or one of its symbols, was refused."""

    code: str
    message: str = ""
    retryable: bool = False
    retry_after_ms: int | None = None


class Result(msgspec.Struct, frozen=True):
    """What became of one string of a request, with the parameters in force."""

    symbol: str
    success: bool
    channel: str = ""
    mode: str | None = None
    class_: int | None = msgspec.field(default=None, name="class")
    snapshot: bool | None = None
    epoch: str | None = None
    seq: int | None = None
    matched: int | None = None
    error: Error | None = None


class Instrument(msgspec.Struct, frozen=True):
    """One instrument of a `list` reply."""

    symbol: str
    channels: tuple[str, ...]


class Reply(msgspec.Struct, frozen=True):
    """The answer to one request."""

    method: str
    req_id: int | str | None
    success: bool
    results: tuple[Result, ...] = ()
    error: Error | None = None
    instruments: tuple[Instrument, ...] = ()
    subscriptions: tuple[dict[str, Any], ...] = ()
    next: int | str | None = None  # list, stats: the `after` of the following page
    t0: int = 0  # ping: this client's time, as sent
    t1: int = 0  # ping: the gateway received it
    t2: int = 0  # ping: the gateway answered
    points: tuple[dict[str, Any], ...] = ()  # history, of the ops listener
    ts_client: int = 0  # REALTIME ns when this client received the reply


class Hello(msgspec.Struct, frozen=True):
    """A connection is open: its first message."""

    version: str
    connection_id: str
    epoch: str
    now: int
    heartbeat_ms: int = 1000
    slo: dict[str, Any] = {}


class Tick(msgspec.Struct, frozen=True):
    """One record of a topic. Times are REALTIME ns, `ts_client` by this client's own clock."""

    channel: str
    type: str  # "snapshot" or "update"
    symbol: str
    seq: int
    ts_event: int
    ts_recv: int
    ts_send: int
    ts_client: int
    data: tuple[dict[str, Any], ...]
    skipped: int = 0  # updates of the topic that this connection did not get before this frame


class Gap(msgspec.Struct, frozen=True):
    """Continuity broke without notice: the frame that follows should have had seq `expected`."""

    channel: str
    symbol: str
    expected: int
    seq: int


class Conflation(msgspec.Struct, frozen=True):
    """The gateway has more to send than it can: a class of subscriptions gets less, or more again.

    Intervals are the least time between two updates of a topic; 0: every update, None: none at all.
    """

    class_: int = msgspec.field(name="class")
    interval_ms: int | None
    was_ms: int | None
    step: int = 0


class Slow(msgspec.Struct, frozen=True):
    """This client does not read fast enough and gets less, or keeps up and gets more again."""

    level: int  # 0: every update; up to 3
    was: int
    action: str = ""  # "live", "conflate" or "snapshot": the newest state once the socket has room
    interval_ms: int = 0
    age_ms: int = 0


class Slo(msgspec.Struct, frozen=True):
    """How the gateway does by its objective, over the last `window_s`; see docs/protocol.md."""

    ts_send: int
    state: str  # "ok", "at_risk", "breached" or "infeasible"
    action: str = "none"
    stage: str = ""
    percentile: float = 0
    target_us: float = 0
    p50_us: float | None = None
    p99_us: float | None = None
    p999_us: float | None = None
    count: int = 0
    conflated: int = 0
    dropped: int = 0
    bad: int = 0
    window_s: float = 0
    since: int = 0
    budget_remaining: float = 1
    hdr: str = ""


class FeedHealth(msgspec.Struct, frozen=True):
    """One feed of the gateway's."""

    name: str
    venue: str
    up: bool
    stale: bool = False


class Health(msgspec.Struct, frozen=True):
    """How the gateway itself is: at first ("snapshot"), then each change of it ("update")."""

    type: str
    ts_send: int
    state: str  # "ok", "degraded" or "down"
    ready: bool
    slo: str
    feeds: tuple[FeedHealth, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """What another channel of the gateway's own says (ops): it has no symbol and no `seq`."""

    channel: str
    type: str
    ts_send: int
    data: tuple[dict[str, Any], ...]


class System(msgspec.Struct, frozen=True):
    """Another message about the stream itself: gap, epoch, limit_exceeded, shutdown, ..."""

    type: str
    data: tuple[dict[str, Any], ...]


class Malformed(msgspec.Struct, frozen=True):
    """A message that is not the protocol's; it was skipped."""

    reason: str


Event = Hello | Reply | Tick | Gap | Conflation | Slow | Slo | Health | Report | System | Malformed
"""What a session makes of a message."""
