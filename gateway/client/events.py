"""What a client is told: the protocol's messages, and what this client finds out by itself."""

from typing import Any, Literal

import msgspec

from gateway.client.book import Book
from gateway.client.ticks import (
    Bbo,
    Candle,
    InstrumentData,
    InstrumentHealth,
    RawTick,
    Status,
    Trade,
)


class Error(msgspec.Struct, frozen=True):
    """Why a request, or one of its symbols, was refused.

    Attributes:
        code: `unknown_symbol`, `bad_request`, `capacity`, ... (docs/protocol.md, "Replies").
        message: the reason in words.
        retryable: whether the same may succeed later.
        retry_after_ms: when, if the gateway knows.
    """

    code: str
    message: str = ""
    retryable: bool = False
    retry_after_ms: int | None = None


class Result(msgspec.Struct, frozen=True):
    """What became of one string of a request, with the parameters in force.

    Attributes:
        symbol: the name or pattern, as it was asked for.
        success: whether the gateway took it; else `error` says why not.
        channel: `trade`, `bbo`, ...
        mode: `lossless` (every record) or `conflate` (the newest, when there is no time for all).
        class_: what gives way first under load: 3, then 2, then 1; 0 never.
        snapshot: whether the present state comes first.
        max_hz: at most so many frames a second of each topic; None: no rate.
        max_age_ms: what is older when it is due is not sent; None: no limit.
        epoch: the numbering that `seq` belongs to.
        seq: of the topic's last record; 0: nothing was published yet. None for patterns.
        matched: how many topics a pattern covers so far. None for names.
        interval: of candles.
        depth: of books.
        delay_s: how late the venue's data is by contract; 0: it is not late.
        recovery: the answer to `from_`: "replaying" (all of it follows, then `ReplayCompleted`), or
            "insufficient_state": it can't be had (a `Gap` follows).
        to: of "replaying", the topic's seq at that moment. None for patterns.
        oldest: of "insufficient_state", from where it could be had: a seq, ns for patterns.
        error: why it failed.
    """

    symbol: str
    success: bool
    channel: str = ""
    mode: str | None = None
    class_: int | None = msgspec.field(default=None, name="class")
    snapshot: bool | None = None
    max_hz: float | None = None
    max_age_ms: int | None = None
    epoch: str | None = None
    seq: int | None = None
    matched: int | None = None
    interval: str | None = None
    depth: int | None = None
    delay_s: int = 0
    recovery: str | None = None
    to: int | None = None
    oldest: int | None = None
    error: Error | None = None


class Instrument(msgspec.Struct, frozen=True):
    """One instrument of a `list` reply.

    Attributes:
        symbol: its name, `SYMBOL.VENUE`.
        channels: those that have had a record of it.
        intervals: those of its candles.
    """

    symbol: str
    channels: tuple[str, ...]
    intervals: tuple[str, ...] = ()


class Reply(msgspec.Struct, frozen=True):
    """The answer to one request; the client's methods return what is in it.

    As an event it is the refusal of a request that the client made by itself (to subscribe again).

    Attributes:
        method: of the request.
        req_id: of the request.
        success: whether at least one string succeeded.
        results: one for each string.
        error: why the request failed as a whole.
        instruments: of `list`.
        subscriptions: of `stats`.
        next: list, stats: the `after` of the following page.
        t0: ping: this client's time, as sent.
        t1: ping: the gateway received it.
        t2: ping: the gateway answered.
        points: of `history`, which the ops listener has.
        ts_client: REALTIME ns when this client received the reply.
    """

    method: str
    req_id: int | str | None
    success: bool
    results: tuple[Result, ...] = ()
    error: Error | None = None
    instruments: tuple[Instrument, ...] = ()
    subscriptions: tuple[dict[str, Any], ...] = ()
    next: int | str | None = None
    t0: int = 0
    t1: int = 0
    t2: int = 0
    points: tuple[dict[str, Any], ...] = ()
    ts_client: int = 0


class Hello(msgspec.Struct, frozen=True):
    """A connection is open: its first message.

    Attributes:
        version: the gateway's.
        connection_id: this connection's name in the gateway's log and in `tickgate top`.
        epoch: the numbering in force; sequence numbers of different epochs can't be compared.
        now: the gateway's clock, REALTIME ns.
        heartbeat_ms: how often it says something where there is nothing to say.
        slo: the latency that it promises: stage, percentile, target_us.
    """

    version: str
    connection_id: str
    epoch: str
    now: int
    heartbeat_ms: int = 1000
    slo: dict[str, Any] = {}


class Disconnected(msgspec.Struct, frozen=True):
    """The connection ended, or an attempt to connect failed.

    Attributes:
        code: the close code; 1006 where there was none.
        reason: the gateway's words, or the system's.
        retry_s: the client connects again after so many seconds; None: not any more.
    """

    code: int
    reason: str
    retry_s: float | None


GapReason = Literal[
    "reconnect",
    "resubscribe",
    "sequence",
    "checksum",
    "insufficient_state",
    "no_data",
    "consumer",
    "lapped",
    "feed",
    "refused",
    "reset",
    "failover",
]


class Gap(msgspec.Struct, frozen=True):
    """Records of a topic are missing, or what is known of it can't be trusted.

    The client finds out by itself: "reconnect" (they were published while it was not connected),
    "resubscribe" (while the gateway changed the subscription), "sequence" (numbers are missing
    without notice: the client subscribes again by itself), "checksum" (a book is not what the
    gateway has, and the client subscribes again), "insufficient_state" (what `from_` asked for
    can't be had), "no_data" (a state that exists did not come in time: the client subscribes again
    by itself), "consumer" (whoever reads the events was too slow, and the client's own queue is
    bounded). The gateway says: "lapped" (it was too slow itself), "feed" (the venue's own
    numbers have a hole), "refused" (a record that it can't read: the last state is old), "reset"
    (the venue began to number again), "failover" (another node took over); newer gateways may have
    other reasons.

    Attributes:
        channel: of the topic.
        symbol: of the topic; for "insufficient_state" and "no_data" the string that was asked for.
        reason: as above.
        from_seq: the first sequence number that is missing; None where none is, or none is known.
        to_seq: the last one that is missing.
        lost: how many records; for "feed" the venue's own count, for the others those from
            `from_seq` to `to_seq`. None: not known.
        interval: of a topic of candles.
    """

    channel: str
    symbol: str
    reason: GapReason | str
    from_seq: int | None = None
    to_seq: int | None = None
    lost: int | None = None
    interval: str = ""


class ReplayCompleted(msgspec.Struct, frozen=True):
    """A subscription has had what it missed; what follows is live.

    Attributes:
        channel: of the subscription.
        symbol: the name or pattern, as it was asked for.
        from_seq: the first sequence number that was replayed. None for patterns.
        to_seq: the last one: `from_seq - 1` where nothing was missed.
        interval: of candles.
    """

    channel: str
    symbol: str
    from_seq: int | None = msgspec.field(default=None, name="from")
    to_seq: int | None = msgspec.field(default=None, name="to")
    interval: str = ""


class Retired(msgspec.Struct, frozen=True):
    """An instrument has ended (it expired, or was delisted): nothing more comes of it.

    Attributes:
        channel: of the topic.
        symbol: of the topic.
        interval: of a topic of candles.
    """

    channel: str
    symbol: str
    interval: str = ""


class Conflation(msgspec.Struct, frozen=True):
    """The gateway has more to send than it can: a class of subscriptions gets less, or more again.

    Attributes:
        class_: of the subscriptions.
        interval_ms: the least time between two updates of a topic; 0: every update, None: none.
        was_ms: the same, before.
        step: how many steps are taken, in all classes; 0: none.
    """

    class_: int = msgspec.field(name="class")
    interval_ms: int | None
    was_ms: int | None
    step: int = 0


class Slow(msgspec.Struct, frozen=True):
    """This client does not read fast enough and gets less, or keeps up and gets more again.

    Attributes:
        level: 0: every update; up to 3.
        was: the level before.
        action: "live", "conflate", or "snapshot": the newest state once the socket has room.
        interval_ms: the least time between two updates of a topic.
        age_ms: of the oldest update that waited.
    """

    level: int
    was: int
    action: str = ""
    interval_ms: int = 0
    age_ms: int = 0


class Slo(msgspec.Struct, frozen=True):
    """How the gateway does by its objective; docs/protocol.md, "The objective", has each field.

    Attributes:
        ts_send: REALTIME ns.
        state: "ok", "at_risk", "breached" or "infeasible".
        action: "none", "pause" or "conflate": done for the objective's sake.
        stage: what is measured: "total".
        percentile: which of it is promised.
        target_us: what it is promised to be.
        p50_us: over the last `window_s`; None where nothing was delivered.
        p99_us: likewise.
        p999_us: likewise; None for fewer than 1,000 deliveries.
        count: deliveries.
        conflated: updates that were merged into later ones.
        dropped: updates that were lost.
        bad: those that were late or lost.
        window_s: seconds that this is about.
        since: when the state began, REALTIME ns.
        budget_remaining: of the bad events that an hour may have: 1 all, below 0 overspent.
        hdr: the histogram, HdrHistogram V2 in base64.
    """

    ts_send: int
    state: str
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
    """One feed of the gateway's.

    Attributes:
        name: of the feed.
        venue: whose instruments it brings.
        up: whether it is connected, and does not refuse all that comes.
        stale: whether it is up but silent.
    """

    name: str
    venue: str
    up: bool
    stale: bool = False


class Health(msgspec.Struct, frozen=True):
    """How the gateway itself is.

    Attributes:
        type: "snapshot" at first, then "update": it changed.
        ts_send: REALTIME ns.
        state: "ok", "degraded" or "down".
        ready: as `/readyz` says.
        slo: the objective's state.
        feeds: each feed.
        reasons: what is wrong besides, in words: a full table of topics.
    """

    type: str
    ts_send: int
    state: str
    ready: bool
    slo: str
    feeds: tuple[FeedHealth, ...] = ()
    reasons: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """What another channel of the gateway's own says (ops): it has no symbol and no `seq`.

    Attributes:
        channel: its name.
        type: "snapshot" or "update".
        ts_send: REALTIME ns.
        data: as it came.
    """

    channel: str
    type: str
    ts_send: int
    data: tuple[dict[str, Any], ...]


class System(msgspec.Struct, frozen=True):
    """Another message about the stream itself: epoch, limit_exceeded, shutdown, ...

    Attributes:
        type: which.
        data: as it came.
    """

    type: str
    data: tuple[dict[str, Any], ...]


class Malformed(msgspec.Struct, frozen=True):
    """A message that is not the protocol's; it was skipped.

    Attributes:
        reason: what is wrong with it.
    """

    reason: str


Record = Trade | Bbo | Book | Candle | InstrumentData | Status | InstrumentHealth | RawTick
"""What a topic's frame is."""

Event = (
    Hello
    | Disconnected
    | Record
    | Gap
    | Retired
    | Conflation
    | ReplayCompleted
    | Slow
    | Slo
    | Health
    | Report
    | System
    | Reply
    | Malformed
)
"""What a client yields."""
