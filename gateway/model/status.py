"""What each process says of itself, about once a second.

For `/statusz`, the dashboard and flight recordings, where the members have the names and the order
that they have here. A report that is lost is made good by the next.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

FeedState = Literal["connecting", "up", "failing", "down", "reconnecting", "done", "failed"]
"""`failing`: it is connected, and refuses everything that comes."""

NUMBER_MAX: Final = (1 << 63) - 1
Number = Annotated[int, Meta(ge=-NUMBER_MAX - 1, le=NUMBER_MAX)]
"""What `/statusz` can tell: its JSON has no wider ones."""


class StallRow(msgspec.Struct, frozen=True, kw_only=True):
    """What held a process up (`latency.stalls.Stall`); `ms` of a clock that was set is signed.

    Attributes:
        ts: REALTIME of its end, in ns.
        kind: one of `latency.stalls.KINDS`.
        ms: how long.
        words: what it was, for people.
    """

    ts: Number
    kind: str
    ms: float
    words: str


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Of the last second, 0 until there was one.

    Attributes:
        run_delay_ms: for how long threads were runnable without a CPU, in each second.
        cpu: how many cores were used.
    """

    run_delay_ms: float = 0.0
    cpu: float = 0.0


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of every process, the supervisor too: recent stalls, oldest first, and load."""

    stalls: tuple[StallRow, ...] = ()
    load: Load = Load()


class LadderStep(msgspec.Struct, frozen=True, kw_only=True):
    """The latency controller went from step `was` to `step`; `ts` is REALTIME ns."""

    ts: Number
    step: Number
    was: Number
    reason: str


class SlowClient(msgspec.Struct, frozen=True, kw_only=True):
    """A client that is behind.

    Attributes:
        connection_id: its name, as it was told.
        address: where it is.
        level: at which it is served, 0 is live.
        age_ms: for how long its socket has taken nothing of what waits for it.
        pending_bytes: what the kernel holds for it; None: the kernel does not say.
        why: in words.
    """

    connection_id: str
    address: str
    level: Number
    age_ms: float
    pending_bytes: Number | None
    why: str


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """A worker.

    Attributes:
        connections: how many it has.
        accepting: whether it takes more.
        subscribers: of each status channel (`record.CHANNELS_OWN`). A mapping, since that table
            says which there are; in `/statusz` each is a member `<channel>_subscribers`.
        ladder: recent steps, oldest first.
        slowest: clients, the slowest first.
    """

    connections: Number
    accepting: bool
    subscribers: dict[str, Number]
    ladder: tuple[LadderStep, ...] = ()
    slowest: tuple[SlowClient, ...] = ()


class LastRefused(msgspec.Struct, frozen=True, kw_only=True):
    """The newest input that a feed refused; empty: not known. `at_ns` is REALTIME."""

    symbol: str
    channel: str
    field: str
    value: str
    reason: str
    why: str
    at_ns: Number

    @property
    def words(self) -> str:
        """What it was, and why, for people."""
        where = " ".join(filter(None, (self.symbol, self.channel, self.field)))
        return f"{where}: {self.why}" if where else self.why


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A feed as it is now. Counts are since the start; `last_record_ns` is REALTIME, 0: none, and
    outlives a restart.

    Those by reason and by instrument are left out where a message has no room for them. They are
    mappings, since what has not been refused is not named, and instruments are not known before.
    """

    name: str
    type: str
    venue: str
    state: FeedState
    records: Number
    decode_errors: Number
    gaps: Number
    lost: Number
    duplicates: Number
    late: Number
    resets: Number
    skipped: Number
    reconnects: Number
    last_record_ns: Number
    message: str
    refused: dict[str, Number] | msgspec.UnsetType = msgspec.UNSET
    """By reason (`outcomes.REFUSALS`); their sum is `decode_errors`."""
    refused_symbols: dict[str, Number] | msgspec.UnsetType = msgspec.UNSET
    """By instrument (`feeds.refusals.Tally`), of those whose symbol could be read."""
    last_refused: LastRefused | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True, tag="status"):
    """One process: every one has vitals, a worker its report, the feed process its feeds."""

    vitals: Vitals = Vitals()
    worker: WorkerReport | None = None
    feeds: tuple[FeedStatus, ...] = ()

    def subscribers(self, channel: str) -> int:
        """How many clients of this process follow a status channel."""
        return 0 if self.worker is None else self.worker.subscribers.get(channel, 0)
